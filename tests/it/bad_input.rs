//! Bad input, at every door: GraphQL, forms and addresses, gRPC.
//!
//! Whatever a stranger sends gets its code: never a 500, a panic, or an echo that a browser would
//! run. The tests are tables: every text and every number of every query, mutation, form and call,
//! times everything in `hostile.rs`, each with the code that it must get. GraphQL and the forms are
//! asked in the real binary, one for all tests of this file; gRPC in process, where its services
//! are reached past the gateway, and once more over the real port. Each test ends by buying
//! something and by an audit: the shop is as well as before.

mod form_fields;
mod form_requests;
mod graphql_fields;
mod graphql_requests;
mod grpc;
mod hostile;
mod post;
mod roads;
mod stored_html;
mod strangers;
mod visitor;
mod web_socket;

use std::time::Duration;

use serde_json::json;
use tokio::sync::OnceCell;

use crate::command_line::orderly;
use crate::servers;
use crate::shop::{Client, Shop, ShopOptions};

const CUSTOMER: &str = "ada@example.com";
const OPERATOR: &str = "operator@example.com";
const PASSWORD: &str = "orderly";
const APPROVED: &str = "4242 4242 4242 4242";
const PATIENCE: Duration = Duration::from_secs(30);

/// A product of which there is always enough.
const PLENTY: &str = "PLENTY-1";
/// Where an order may stand that was paid and that nobody calls off or sends back.
const SOLD: [&str; 3] = ["CONFIRMED", "SHIPPED", "DELIVERED"];

static SHOP: OnceCell<Shop> = OnceCell::const_new();

/// The shop of all these tests. It is started once: who finds it gone, finds nothing in its place.
async fn shop() -> &'static Shop {
    let start = async || {
        // What is sold arrives soon, so that it can be sent back.
        let quick = ["--ship-after", "500ms", "--deliver-after", "500ms", "--audit-every", "2s"];
        let shop = Shop::start(ShopOptions::with_args(quick)).await.expect("the shop starts");
        fill_the_shelf(&shop).await;
        shop
    };
    SHOP.get_or_init(start).await
}

/// Brings [`PLENTY`].
async fn fill_the_shelf(shop: &Shop) {
    let operator = shop.client().log_in(OPERATOR, PASSWORD).await.expect("logs in");
    let stock = r#"mutation {
        upsertProduct(input: {sku: "PLENTY-1", name: "Plenty", price: {amount: 100, currency: "GBP"}}) { sku }
        adjustStock(sku: "PLENTY-1", delta: 1000000) { sku } }"#;
    operator.query(stock, json!({})).await.expect("the shelf is filled");
}

/// Fails with all that went wrong in a table.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The shop still sells, keeps its promises, and nothing in it has panicked or failed.
async fn assert_well(shop: &Shop) {
    assert_sells(shop).await;
    let said = shop.stderr();
    // What could not be done for a reason of ours is logged as a warning or an error.
    assert!(!["panicked", "ERROR", "WARN"].iter().any(|word| said.contains(word)), "{said}");
}

/// The shop still sells and keeps its promises.
async fn assert_sells(shop: &Shop) {
    let ada: Client = shop.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    let order = ada.place_order(&[(PLENTY, 1)], Some(APPROVED), None).await.expect("the order is taken");
    let id = order["id"].as_str().expect("an id");
    ada.await_any_status(id, &SOLD, PATIENCE).await.expect("the order is confirmed");
    assert_green(shop).await;
}

/// The audit finds nothing. Beside the other tests, what is on its way may look wrong for a moment.
async fn assert_green(shop: &Shop) {
    let folder = shop.data_dir().display().to_string();
    let mut last = String::new();
    let green = servers::until("the audit is green", PATIENCE, async || {
        let ended = orderly(None, ["audit", "--data-dir", &folder]).await;
        last = format!("{}{}", ended.out, ended.err);
        Ok((ended.code == 0).then_some(()))
    });
    green.await.unwrap_or_else(|error| panic!("{error}: {last}"));
}
