//! Stopping: SIGTERM and Ctrl-C drain and end cleanly, and a second start finds all that was taken.

use std::process::Command;

use reqwest::header::COOKIE;
use serde_json::{Value, json};

use super::{APPROVED, CUSTOMER, PASSWORD, PATIENCE, orderly, shop_in};
use crate::shop::{Client, Shop};

/// Sends a signal by its name.
fn signal(shop: &Shop, name: &str) {
    let pid = shop.pid().expect("runs").to_string();
    let sent = Command::new("sh").args(["-c", r#"kill -s "$1" "$2""#, "sh", name, &pid]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} is sent");
}

/// The ids of these orders, taken but hardly dealt with yet.
async fn place(ada: &Client, orders: usize) -> Vec<String> {
    let placed = (0..orders).map(|number| {
        // Every third is to be paid later.
        let card = (number % 3 != 0).then_some(APPROVED);
        async move { ada.place_order(&[("SOAP-OLIVE-BAR", 1)], card, None).await.expect("is taken") }
    });
    let placed: Vec<Value> = futures_util::future::join_all(placed).await;
    placed.iter().map(|order| order["id"].as_str().expect("an id").to_owned()).collect()
}

async fn stops_cleanly_and_keeps_everything(name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shop = shop_in(folder.path()).await;
    let ada = shop.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    let ids = place(&ada, 60).await;
    signal(&shop, name);
    let status = shop.wait().await.expect("it ends");
    assert_eq!(status.code(), Some(0), "SIG{name}: {}", shop.log_tail());
    assert!(!shop.stderr().contains("panicked"), "{}", shop.stderr());

    shop.restart().await.expect("it starts again");
    for (number, id) in ids.iter().enumerate() {
        let wanted = if number % 3 == 0 { "AWAITING_PAYMENT" } else { "CONFIRMED" };
        // The session has outlived the stop as well.
        ada.await_status(id, wanted, PATIENCE).await.expect("every order comes to where it belongs");
    }
    let all = ada.query("{ orders { totalCount } }", json!({})).await.expect("answers");
    assert_eq!(all["orders"]["totalCount"], 60);
    assert_eq!(shop.terminate().await.expect("it ends").code(), Some(0));
    let path = folder.path().display().to_string();
    let audit = orderly(None, ["audit", "--data-dir", &path]).await;
    assert_eq!(audit.code, 0, "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_stops_cleanly_and_everything_accepted_is_there_after_a_restart() {
    stops_cleanly_and_keeps_everything("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_cleanly_and_everything_accepted_is_there_after_a_restart() {
    stops_cleanly_and_keeps_everything("INT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_page_that_is_open_does_not_hold_up_the_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shop = shop_in(folder.path()).await;
    let ada = shop.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    let id = place(&ada, 1).await.remove(0);
    ada.await_status(&id, "AWAITING_PAYMENT", PATIENCE).await.expect("waits for its card");
    let document = "mutation { logIn(email: \"ada@example.com\", password: \"orderly\") { token } }";
    let token = shop.client().query(document, json!({})).await.expect("logs in")["logIn"]["token"].clone();
    let mut live = reqwest::Client::new()
        .get(format!("{}/orders/{id}/events", shop.base_url()))
        .header(COOKIE, format!("orderly_session={}", token.as_str().expect("a token")))
        .send()
        .await
        .expect("is answered");
    assert_eq!(live.status().as_u16(), 200);
    live.chunk().await.expect("news").expect("of how it stands");
    signal(&shop, "TERM");
    assert_eq!(shop.wait().await.expect("it ends").code(), Some(0), "{}", shop.log_tail());
    // The stream was ended, not broken off.
    while let Some(_more) = live.chunk().await.expect("an orderly end") {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_keeps_the_stock_as_it_was_and_not_as_the_demo_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shop = shop_in(folder.path()).await;
    let ada = shop.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    let order = ada.place_order(&[("KNIFE-CHEF-20", 2)], Some(APPROVED), None).await.expect("is taken");
    ada.await_status(order["id"].as_str().expect("an id"), "CONFIRMED", PATIENCE).await.expect("is confirmed");
    let available = "{ product(sku: \"KNIFE-CHEF-20\") { available } products { totalCount } }";
    let left = async || ada.query(available, json!({})).await.expect("answers");
    let settled = crate::servers::until("one is left", PATIENCE, async || {
        Ok((left().await["product"]["available"] == 1).then_some(()))
    });
    settled.await.expect("one is left");
    let before = left().await;
    shop.terminate().await.expect("it ends");
    shop.restart().await.expect("it starts again");
    assert_eq!(left().await, before);
}
