//! The reminder to pay: a timer of the delay queue over a row of this service.

use std::time::Duration;

use contracts::common::Card;
use contracts::order::{OrderAwaitingPayment, OrderPaid, OrderPaymentRequested};
use orderly_notification::Settings;

use crate::shop::{MINUTE, NOON, Shop, minutes, placed, until};

const REMIND_AT: i64 = NOON + 10 * MINUTE;

fn told(order: &str, topic: &str) -> (String, String) {
    (order.to_owned(), topic.to_owned())
}

/// An order that waits for its payment.
async fn wait_for_payment(shop: &mut Shop, order: &str) {
    shop.happens(order, &placed("ada")).await;
    shop.happens(order, &OrderAwaitingPayment {}).await;
    assert_eq!(shop.told(2).await, [told(order, "order-placed"), told(order, "order-awaiting-payment")]);
}

#[tokio::test]
async fn a_customer_is_reminded_five_minutes_before_the_deadline_and_no_sooner() {
    let mut shop = Shop::open(Settings::default()).await;
    wait_for_payment(&mut shop, "o-1").await;
    assert_eq!(shop.remind_at("o-1").await, Some(REMIND_AT));
    shop.clock.advance(minutes(10) - Duration::from_millis(1));
    shop.happens("o-2", &placed("bob")).await;
    assert_eq!(shop.told(1).await, [told("o-2", "order-placed")], "nothing before");
    shop.clock.advance(Duration::from_millis(1));
    assert_eq!(shop.told(1).await, [told("o-1", "payment-reminder")]);
    let reminder = shop.stored().await.into_iter().find(|row| row.topic == "payment-reminder").unwrap();
    assert_eq!((reminder.at, reminder.notification_id.as_str()), (REMIND_AT, "o-1-payment-reminder"));
    assert_eq!(shop.remind_at("o-1").await, None);
}

#[tokio::test]
async fn the_lead_can_be_set_and_zero_means_never() {
    let mut shop = Shop::open(Settings { reminder_before: MINUTE, ..Settings::default() }).await;
    wait_for_payment(&mut shop, "o-1").await;
    assert_eq!(shop.remind_at("o-1").await, Some(NOON + 14 * MINUTE));
    let mut shop = Shop::open(Settings { reminder_before: 0, ..Settings::default() }).await;
    wait_for_payment(&mut shop, "o-1").await;
    assert_eq!(shop.remind_at("o-1").await, None);
}

#[tokio::test]
async fn who_has_paid_is_not_reminded() {
    let mut shop = Shop::open(Settings::default()).await;
    wait_for_payment(&mut shop, "o-1").await;
    wait_for_payment(&mut shop, "o-2").await;
    shop.happens("o-1", &OrderPaid { attempt: 1, authorisation_id: "auth".into() }).await;
    until("the reminder is taken back", async || shop.remind_at("o-1").await.is_none()).await;
    shop.clock.advance(minutes(10));
    assert_eq!(shop.told(1).await, [told("o-2", "payment-reminder")]);
    shop.happens("o-1", &contracts::order::OrderDelivered {}).await;
    assert_eq!(shop.told(1).await, [told("o-1", "order-delivered")], "and nothing in between");
}

#[tokio::test]
async fn who_is_just_paying_is_not_reminded() {
    let mut shop = Shop::open(Settings::default()).await;
    wait_for_payment(&mut shop, "o-1").await;
    let card = Some(Card { token: "tok_slow_0077".into(), last4: "0077".into() });
    shop.happens("o-1", &OrderPaymentRequested { attempt: 1, card }).await;
    shop.happens("o-2", &placed("bob")).await;
    shop.told(1).await;
    shop.clock.advance(minutes(10));
    until("the reminder has come and gone", async || shop.remind_at("o-1").await.is_none()).await;
    assert!(shop.stored().await.iter().all(|row| row.topic != "payment-reminder"));
}

#[tokio::test]
async fn a_reminder_that_fell_due_while_the_service_was_down_is_written_at_its_start() {
    let mut shop = Shop::open(Settings::default()).await;
    wait_for_payment(&mut shop, "o-1").await;
    let mut shop = shop.while_it_is_down(async |down| down.clock.advance(minutes(12))).await;
    assert_eq!(shop.told(1).await, [told("o-1", "payment-reminder")]);
}

#[tokio::test]
async fn a_reminder_outlives_the_broker_s_memory() {
    let mut shop = Shop::open(Settings::default()).await;
    wait_for_payment(&mut shop, "o-1").await;
    let shop = shop.with_a_new_broker().await;
    shop.clock.advance(minutes(10));
    until("the reminder", async || shop.stored().await.iter().any(|row| row.topic == "payment-reminder")).await;
}

#[tokio::test]
async fn a_reminder_that_would_come_after_the_deadline_is_not_written() {
    let mut shop = Shop::open(Settings::default()).await;
    wait_for_payment(&mut shop, "o-1").await;
    let shop = shop.while_it_is_down(async |down| down.clock.advance(minutes(20))).await;
    until("the reminder is let go", async || shop.remind_at("o-1").await.is_none()).await;
    assert!(shop.stored().await.iter().all(|row| row.topic != "payment-reminder"));
}
