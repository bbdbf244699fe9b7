//! The payment service with the bank behind it, from command to answer.

use std::time::Duration;

use contracts::payment::{PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided};
use platform::clock::Clock;

use crate::shop::{Shop, until};

/// Authorises and captures with a card and gives the shop back.
pub(crate) async fn paid_with(token: &str) -> Shop {
    let mut shop = Shop::open(Clock::system()).await;
    shop.authorise("o-1", 1, 1250, token).await;
    let held = shop.answer().await;
    assert_eq!(held.short_kind(), "PaymentAuthorised", "{token}");
    assert_eq!(held.correlation_id, "o-1");
    assert_eq!(held.payload::<PaymentAuthorised>().unwrap().amount.unwrap().amount, 1250);
    shop.capture("o-1", 1).await;
    let captured = shop.answer().await;
    assert_eq!(captured.short_kind(), "PaymentCaptured", "{token}");
    assert_eq!(captured.payload::<PaymentCaptured>().unwrap().amount.unwrap().currency, "GBP");
    shop
}

#[tokio::test]
async fn every_card_that_approves_is_charged_once_however_bad_its_line() {
    for token in ["tok_approve_4242", "tok_unreachable_0119", "tok_lost_0341"] {
        let shop = paid_with(token).await;
        assert_eq!(shop.at_bank().await, ["CHARGED 1250"], "{token}");
        assert_eq!(shop.breaches().await, Vec::<String>::new(), "{token}");
        let db = shop.db("payment.db").await;
        let mut tx = db.snapshot().await.unwrap();
        assert_eq!(orderly_payment::audit::captured_orders(&mut tx).await.unwrap(), ["o-1"]);
        assert!(orderly_payment::audit::open_authorisations(&mut tx).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_slow_bank_keeps_its_order_waiting_and_no_other() {
    let clock = Clock::manual(1_000_000);
    let mut shop = Shop::open(clock.clone()).await;
    shop.authorise("o-1", 1, 1250, "tok_slow_0077").await;
    until(async || shop.at_bank().await == ["HELD 1250"]).await;
    shop.authorise("o-2", 1, 99, "tok_approve_4242").await;
    assert_eq!(shop.answer().await.subject, "o-2");
    until(async || {
        clock.advance(Duration::from_secs(1));
        shop.open_authorisations().await.contains(&("o-1".to_owned(), 1))
    })
    .await;
    assert_eq!(shop.answer().await.subject, "o-1");
}

#[tokio::test]
async fn a_repeated_command_is_answered_again_and_posts_nothing() {
    let mut shop = paid_with("tok_approve_4242").await;
    shop.capture("o-1", 1).await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentCaptured");
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_declined_card_says_why_and_its_void_lets_nothing_go() {
    let mut shop = Shop::open(Clock::system()).await;
    shop.authorise("o-1", 1, 1250, "tok_insufficient_9995").await;
    let declined = shop.answer().await.payload::<PaymentDeclined>().unwrap();
    assert!(declined.reason.contains("not enough money"), "{}", declined.reason);
    shop.void("o-1", 1).await;
    let voided = shop.answer().await.payload::<PaymentVoided>().unwrap();
    assert_eq!(voided.amount.unwrap().amount, 0);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_unused_authorisation_is_let_go_on_both_sides() {
    let mut shop = Shop::open(Clock::system()).await;
    shop.authorise("o-1", 1, 1250, "tok_lost_0341").await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentAuthorised");
    shop.void("o-1", 1).await;
    let voided = shop.answer().await.payload::<PaymentVoided>().unwrap();
    assert_eq!((voided.attempt, voided.amount.unwrap().amount), (1, 1250));
    assert_eq!(shop.at_bank().await, ["RELEASED 1250"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_void_before_its_authorisation_keeps_the_bank_out_of_it() {
    let mut shop = Shop::open(Clock::system()).await;
    shop.void("o-1", 1).await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentVoided");
    shop.authorise("o-1", 1, 1250, "tok_approve_4242").await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentDeclined");
    assert!(shop.at_bank().await.is_empty());
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_void_of_captured_money_becomes_a_dead_letter() {
    let mut shop = paid_with("tok_approve_4242").await;
    shop.void("o-1", 1).await;
    let why = shop.dead_letter().await;
    assert!(why.contains("a void does not fit a payment that is CAPTURED"), "{why}");
    assert_eq!(shop.at_bank().await, ["CHARGED 1250"]);
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_bad_line_charges_once() {
    let mut shop = Shop::open(Clock::system()).await;
    shop.authorise("o-1", 1, 1250, "tok_lost_0341").await;
    until(async || shop.at_bank().await == ["HELD 1250"]).await;
    let mut shop = shop.restart().await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentAuthorised");
    shop.capture("o-1", 1).await;
    until(async || shop.at_bank().await == ["CHARGED 1250"]).await;
    let mut shop = shop.restart().await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentCaptured");
    assert_eq!(shop.at_bank().await, ["CHARGED 1250"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}
