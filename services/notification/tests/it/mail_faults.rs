//! A mail server that is away, busy, or says no; and a shop that dies in between.

use contracts::order::{OrderAwaitingPayment, OrderConfirmed, OrderPaid};
use orderly_notification::Settings;
use orderly_notification::topic::MailPreference;
use platform::clock::Clock;

use crate::mail::prefer;
use crate::post_office::PostOffice;
use crate::shop::{NOON, Shop, minutes, placed, until};
use std::time::Duration;

/// Moves the clock until `done`: what is parked is tried again by the shop's clock.
async fn in_time(clock: &Clock, what: &str, mut done: impl AsyncFnMut() -> bool) {
    until(what, async || {
        clock.advance(Duration::from_millis(5));
        done().await
    })
    .await;
}

async fn error_of(shop: &Shop, order: &str) -> Option<String> {
    shop.stored().await.into_iter().find(|row| row.order_id == order).and_then(|row| row.mail_error)
}

#[tokio::test]
async fn a_mail_waits_for_a_server_that_is_away_and_the_messages_do_not() {
    let office = PostOffice::closed();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("ada")).await;
    until("the mail is parked", async || shop.parked().await == 1).await;
    shop.happens("o-1", &OrderAwaitingPayment {}).await;
    assert_eq!(shop.told(2).await.len(), 2, "told, with the first mail still waiting");
    assert!(shop.mailed().await.is_empty());

    office.unlock();
    in_time(&shop.clock.clone(), "both are mailed", async || shop.mailed().await.len() == 2).await;
    assert_eq!(office.subjects(), ["We have your order", "Your order is set aside for you"], "in order");
    assert_eq!(shop.parked().await, 0);
}

#[tokio::test]
async fn a_mail_waits_over_a_restart_of_the_shop() {
    let office = PostOffice::closed();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("ada")).await;
    until("the mail is parked", async || shop.parked().await == 1).await;
    let shop = shop.while_it_is_down(async |_| office.unlock()).await;
    in_time(&shop.clock.clone(), "it is mailed", async || shop.mailed().await == ["order-placed"]).await;
    assert_eq!(office.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_says_not_now_is_asked_again() {
    for customer in ["later", "locked"] {
        let office = PostOffice::open();
        let mut shop = Shop::open(office.settings()).await;
        shop.happens("o-1", &placed(customer)).await;
        in_time(&shop.clock.clone(), "it is mailed", async || shop.mailed().await == ["order-placed"]).await;
        assert!(office.has_met(&format!("{customer}@example.com")), "turned away at first");
        assert_eq!(office.mails().len(), 1);
    }
}

#[tokio::test]
async fn a_definite_no_is_recorded_and_not_asked_again_and_holds_up_nobody() {
    let office = PostOffice::open();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("nobody")).await;
    shop.happens("o-2", &placed("ada")).await;
    until("refused", async || error_of(&shop, "o-1").await.is_some()).await;
    let error = error_of(&shop, "o-1").await.unwrap();
    assert!(error.contains("550") && error.contains("there is no the address here"), "{error}");
    until("the other is mailed", async || !shop.mailed().await.is_empty()).await;
    assert_eq!((shop.parked().await, shop.dead_letters().await), (0, 0));
    assert_eq!(office.mails().len(), 1);
    assert_eq!(shop.told(2).await.len(), 2, "both are kept and told");
}

#[tokio::test]
async fn an_address_that_is_none_is_recorded_as_refused() {
    let office = PostOffice::open();
    let mut shop = Shop::open(office.settings()).await;
    let mut placed = placed("ada");
    placed.customer_email = "ada at example".into();
    shop.happens("o-1", &placed).await;
    until("refused", async || error_of(&shop, "o-1").await.is_some()).await;
    assert_eq!((shop.parked().await, office.mails().len()), (0, 0));
}

#[tokio::test]
async fn a_mail_that_died_with_its_sender_is_sent_again_under_the_same_id() {
    let office = PostOffice::open();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("silent")).await;
    until("the server has it and is silent", async || office.has_met("silent@example.com")).await;
    let shop = shop.crash().await;
    until("it is mailed", async || shop.mailed().await == ["order-placed"]).await;
    let ids: Vec<String> = office.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids, ["<o-1-1@orderly.example>", "<o-1-1@orderly.example>"]);
    assert_eq!(shop.stored().await.len(), 1, "one message, whatever the mail server got");
}

#[tokio::test]
async fn who_says_no_while_a_mail_waits_does_not_get_it() {
    let office = PostOffice::closed();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("ada")).await;
    until("the mail is parked", async || shop.parked().await == 1).await;
    prefer(&shop, "ada", MailPreference::None).await;
    office.unlock();
    in_time(&shop.clock.clone(), "it is let go", async || error_of(&shop, "o-1").await.is_some()).await;
    assert!(error_of(&shop, "o-1").await.unwrap().contains("wants no mail"));
    assert!(office.mails().is_empty());
}

#[tokio::test]
async fn a_reminder_that_waited_until_the_order_was_paid_is_not_mailed() {
    let office = PostOffice::closed();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("ada")).await;
    shop.happens("o-1", &OrderAwaitingPayment {}).await;
    shop.told(2).await;
    shop.clock.advance(minutes(10));
    assert_eq!(shop.told(1).await[0].1, "payment-reminder");
    shop.happens("o-1", &OrderPaid { attempt: 1, authorisation_id: "auth".into() }).await;
    shop.happens("o-1", &OrderConfirmed { ship_at: NOON }).await;
    shop.told(1).await;
    office.unlock();
    in_time(&shop.clock.clone(), "all are settled", async || {
        shop.stored().await.iter().all(|row| row.mailed_at.is_some() || row.mail_error.is_some())
    })
    .await;
    assert_eq!(shop.mailed().await, ["order-placed", "order-awaiting-payment", "order-confirmed"]);
    let reminder = shop.stored().await.into_iter().find(|row| row.topic == "payment-reminder").unwrap();
    assert!(reminder.mail_error.unwrap().contains("not waited for any more"));
}

#[tokio::test]
async fn what_waits_when_the_mail_server_is_taken_out_of_the_settings_is_let_go() {
    let office = PostOffice::closed();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("ada")).await;
    until("the mail is parked", async || shop.parked().await == 1).await;
    let shop = shop.with(Settings::default()).await;
    in_time(&shop.clock.clone(), "it is let go", async || error_of(&shop, "o-1").await.is_some()).await;
    assert_eq!(shop.parked().await, 0);
}
