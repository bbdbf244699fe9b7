//! Money on its way back: refunds, captures that are refused, and a line that is bad
//! for these as for the rest.

use std::time::Duration;

use contracts::common::Money;
use contracts::payment::{PaymentCaptureRefused, PaymentRefunded, PaymentVoided, RefundPayment};
use platform::clock::Clock;

use crate::service::paid_with;
use crate::shop::{Shop, until};

const NOTHING: Vec<String> = Vec::new();

/// The next answer, which must be a refund: its number and its amount.
async fn refunded(shop: &mut Shop) -> (i32, i64) {
    let answer = shop.answer().await;
    let refunded = answer.payload::<PaymentRefunded>().unwrap();
    assert_eq!((answer.short_kind(), refunded.attempt), ("PaymentRefunded", 1));
    let amount = refunded.amount.unwrap();
    assert_eq!(amount.currency, "GBP");
    (refunded.refund, amount.amount)
}

#[tokio::test]
async fn a_payment_is_given_back_in_parts_on_both_sides_whatever_its_line() {
    for token in ["tok_approve_4242", "tok_unreachable_0119", "tok_lost_0341"] {
        let mut shop = paid_with(token).await;
        for (number, amount, left) in [(1, 500, 750), (2, 750, 0)] {
            shop.refund("o-1", 1, number, amount).await;
            assert_eq!(refunded(&mut shop).await, (number, amount), "{token}");
            assert_eq!(shop.at_bank().await, [format!("CHARGED {left}")], "{token}");
            assert_eq!(shop.refunded_orders().await, [("o-1".to_owned(), 1250 - left)], "{token}");
            assert_eq!(shop.breaches().await, NOTHING, "{token}");
        }
    }
}

#[tokio::test]
async fn a_repeated_refund_is_told_again_and_gives_nothing_back() {
    let mut shop = paid_with("tok_approve_4242").await;
    for number in [1, 2] {
        shop.refund("o-1", 1, number, 500).await;
        assert_eq!(refunded(&mut shop).await, (number, 500));
    }
    let mut shop = shop.restart().await;
    for number in [2, 1] {
        shop.refund("o-1", 1, number, 500).await;
        assert_eq!(refunded(&mut shop).await, (number, 500));
    }
    assert_eq!(shop.at_bank().await, ["CHARGED 250"]);
    assert_eq!(shop.breaches().await, NOTHING);
    // The capture is not asked for again either.
    shop.capture("o-1", 1).await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentCaptured");
    assert_eq!(shop.at_bank().await, ["CHARGED 250"]);
}

#[tokio::test]
async fn more_than_was_captured_is_never_given_back() {
    let mut shop = paid_with("tok_approve_4242").await;
    shop.refund("o-1", 1, 1, 1200).await;
    assert_eq!(refunded(&mut shop).await, (1, 1200));
    shop.refund("o-1", 1, 2, 51).await;
    let why = shop.dead_letter().await;
    assert!(why.contains("refund 2 of 51, where 50 can be given back"), "{why}");
    assert_eq!(shop.at_bank().await, ["CHARGED 50"]);
    assert_eq!(shop.breaches().await, NOTHING);
}

#[tokio::test]
async fn a_refund_before_its_capture_becomes_a_dead_letter_and_the_bank_is_not_asked() {
    let mut shop = Shop::open(Clock::system()).await;
    shop.authorise("o-1", 1, 1250, "tok_approve_4242").await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentAuthorised");
    shop.refund("o-1", 1, 1, 1250).await;
    let why = shop.dead_letter().await;
    assert!(why.contains("a refund does not fit a payment that is AUTHORISED"), "{why}");
    assert_eq!(shop.at_bank().await, ["HELD 1250"]);
}

#[tokio::test]
async fn a_refund_that_nobody_could_make_is_malformed() {
    let pounds = |amount| Some(Money { amount, currency: "GBP".into() });
    for (command, why) in [
        (RefundPayment { attempt: 1, refund: 1, amount: pounds(0) }, "a refund without an amount"),
        (RefundPayment { attempt: 1, refund: 1, amount: pounds(-5) }, "a refund without an amount"),
        (RefundPayment { attempt: 1, refund: 1, amount: None }, "a refund without an amount"),
        (
            RefundPayment { attempt: 1, refund: 1, amount: Some(Money { amount: 5, currency: "pounds".into() }) },
            "a refund without a currency",
        ),
        (RefundPayment { attempt: 1, refund: 0, amount: pounds(5) }, "refunds count from 1"),
        (RefundPayment { attempt: 0, refund: 1, amount: pounds(5) }, "attempts count from 1"),
    ] {
        let mut shop = Shop::open(Clock::system()).await;
        shop.command("o-1", &command).await;
        let told = shop.dead_letter().await;
        assert!(told.contains(why), "{command:?}: {told}");
    }
}

#[tokio::test]
async fn a_capture_that_is_refused_says_why_and_its_hold_can_be_let_go() {
    let mut shop = Shop::open(Clock::system()).await;
    shop.authorise("o-1", 1, 1250, "tok_capture_refused_0069").await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentAuthorised");
    for _ in 0..2 {
        shop.capture("o-1", 1).await;
        let answer = shop.answer().await;
        assert_eq!(answer.short_kind(), "PaymentCaptureRefused");
        let refused = answer.payload::<PaymentCaptureRefused>().unwrap();
        assert_eq!((refused.attempt, refused.reason.as_str()), (1, "the bank has withdrawn its approval"));
        assert_eq!(shop.at_bank().await, ["HELD 1250"]);
        assert_eq!(shop.open_authorisations().await, [("o-1".to_owned(), 1)], "it must be let go");
        assert_eq!(shop.breaches().await, NOTHING);
        // What was refused is known to the next process too.
        shop = shop.restart().await;
    }
    for _ in 0..2 {
        shop.void("o-1", 1).await;
        let voided = shop.answer().await.payload::<PaymentVoided>().unwrap();
        assert_eq!((voided.attempt, voided.amount.unwrap().amount), (1, 1250));
    }
    assert_eq!(shop.at_bank().await, ["RELEASED 1250"]);
    assert!(shop.open_authorisations().await.is_empty());
    assert_eq!(shop.breaches().await, NOTHING);
}

#[tokio::test]
async fn an_unused_authorisation_is_let_go_whatever_its_line() {
    for token in ["tok_unreachable_0119", "tok_lost_0341"] {
        let mut shop = Shop::open(Clock::system()).await;
        shop.authorise("o-1", 1, 1250, token).await;
        assert_eq!(shop.answer().await.short_kind(), "PaymentAuthorised");
        shop.void("o-1", 1).await;
        assert_eq!(shop.answer().await.short_kind(), "PaymentVoided");
        assert_eq!(shop.at_bank().await, ["RELEASED 1250"], "{token}");
        assert_eq!(shop.breaches().await, NOTHING, "{token}");
    }
}

/// Waits until the bank has done it, which nobody here knows yet, and then for its
/// answer, with a clock that runs meanwhile.
async fn slowly(shop: &mut Shop, clock: &Clock, at_bank: &str, kind: &str) {
    until(async || shop.at_bank().await == [at_bank]).await;
    assert_eq!(shop.breaches().await, NOTHING, "the bank is one step ahead");
    let db = shop.db("payment.db").await;
    let before = said(&db).await;
    until(async || {
        clock.advance(Duration::from_millis(500));
        said(&db).await > before
    })
    .await;
    assert_eq!(shop.answer().await.short_kind(), kind);
    assert_eq!(shop.breaches().await, NOTHING);
}

#[derive(serde::Deserialize)]
struct Head {
    last: i64,
}

/// How much the payment service has said of the one order.
async fn said(db: &platform::store::Db) -> i64 {
    let heads: Vec<Head> = db.read("SELECT last FROM outbox_heads WHERE $1 <> ''", &[0; 0]).await.unwrap();
    heads.first().map_or(0, |head| head.last)
}

#[tokio::test]
async fn a_slow_bank_is_slow_in_everything_and_the_audit_beside_it_is_green() {
    let clock = Clock::manual(1_000_000);
    let mut shop = Shop::open(clock.clone()).await;
    shop.authorise("o-1", 1, 1250, "tok_slow_0077").await;
    slowly(&mut shop, &clock, "HELD 1250", "PaymentAuthorised").await;
    shop.capture("o-1", 1).await;
    slowly(&mut shop, &clock, "CHARGED 1250", "PaymentCaptured").await;
    shop.refund("o-1", 1, 1, 500).await;
    slowly(&mut shop, &clock, "CHARGED 750", "PaymentRefunded").await;

    let clock = Clock::manual(1_000_000);
    let mut shop = Shop::open(clock.clone()).await;
    shop.authorise("o-1", 1, 1250, "tok_slow_0077").await;
    slowly(&mut shop, &clock, "HELD 1250", "PaymentAuthorised").await;
    shop.void("o-1", 1).await;
    slowly(&mut shop, &clock, "RELEASED 1250", "PaymentVoided").await;
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_refund_gives_back_once() {
    let mut shop = paid_with("tok_lost_0341").await;
    shop.refund("o-1", 1, 1, 500).await;
    until(async || shop.at_bank().await == ["CHARGED 750"]).await;
    let mut shop = shop.restart().await;
    assert_eq!(refunded(&mut shop).await, (1, 500));
    assert_eq!(shop.at_bank().await, ["CHARGED 750"]);
    assert_eq!(shop.breaches().await, NOTHING);
}
