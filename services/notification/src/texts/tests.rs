//! The words, message by message.

use std::collections::BTreeSet;

use super::*;
use crate::domain::Standing;

fn order() -> Order {
    Order {
        customer_id: "ada".into(),
        email: "ada@example.com".into(),
        goods: "2 × White mug".into(),
        total: 123_450,
        currency: "GBP".into(),
        pay_before: 1_796_308_320_000,
        standing: Standing::Waiting,
        paying: false,
        remind_at: None,
        refunded: 0,
    }
}

fn all() -> Vec<Message> {
    let (order, reason) = (order(), "there is not enough money on the card.");
    vec![
        order_placed(&order),
        order_awaiting_payment(&order),
        payment_reminder(&order),
        payment_declined(&order, reason, 2),
        payment_declined(&order, reason, 1),
        payment_declined(&order, "", 0),
        payment_abandoned(&order),
        late_payment_refused(&order, reason),
        payment_voided(),
        capture_refused(&order, reason),
        order_confirmed(&order),
        order_shipped(&order, None),
        order_shipped(&order, Some(1_796_308_320_000)),
        order_delivered(&Order { goods: "your order".into(), ..order.clone() }),
        order_rejected(reason),
        order_expired(&order),
        order_cancelled(&order, ""),
        order_cancelled(&order, "I changed my mind!"),
        cancel_requested(&order),
        refund_requested(&order, 123_450),
        return_accepted(&order, 1, 1_000),
        return_accepted(&order, 2, 2_000),
        payment_refunded(&order, 1_000),
        order_refunded(&order, 123_450),
    ]
}

#[test]
fn every_message_is_whole_sentences_of_plain_text() {
    for text in all() {
        assert!(!text.title.ends_with('.') && text.title.starts_with(char::is_uppercase), "{text:?}");
        assert!(text.body.ends_with('.') && !text.body.contains("..") && !text.body.contains("  "), "{text:?}");
        assert!(text.body.starts_with(|first: char| first.is_uppercase() || first.is_ascii_digit()), "{text:?}");
        assert!(!text.body.contains(['<', '{', '\n']), "{text:?}");
        assert!(text.body.len() < 300, "short: {text:?}");
    }
}

#[test]
fn there_is_a_message_for_every_topic() {
    let written: BTreeSet<Topic> = all().iter().map(|message| message.topic).collect();
    assert_eq!(written, Topic::ALL.into_iter().collect());
}

#[test]
fn who_must_pay_reads_how_much_and_until_when() {
    for text in [order_awaiting_payment(&order()), payment_reminder(&order())] {
        assert!(text.body.contains("£1,234.50"), "{}", text.body);
        assert!(text.body.contains("14:32 UTC on 3 December 2026"), "{}", text.body);
    }
}

#[test]
fn a_decline_tells_the_bank_s_reason_and_the_tries_that_are_left() {
    let body = |tries_left| payment_declined(&order(), "the bank declined the card", tries_left).body;
    assert!(body(2).contains("the bank declined the card. You can try 2 more times"), "{}", body(2));
    assert!(body(1).contains("once more"), "{}", body(1));
    assert!(body(0).contains("no tries left"), "{}", body(0));
}

#[test]
fn a_refund_tells_what_came_back_and_of_how_much() {
    let order = Order { refunded: 2_000, ..order() };
    let part = payment_refunded(&order, 1_000).body;
    assert!(part.contains("given you back £10.00. Of the £1,234.50 that you paid, £20.00"), "{part}");
    let all = order_refunded(&order, 121_450).body;
    assert!(all.contains("£1,214.50") && all.contains("all of the £1,234.50"), "{all}");
}

#[test]
fn a_shipped_order_tells_when_it_arrives_if_that_is_known() {
    assert!(order_shipped(&order(), Some(1_796_308_320_000)).body.ends_with("arrive at 14:32 UTC on 3 December 2026."));
    assert_eq!(order_shipped(&order(), None).body, "We have handed 2 × White mug to the carrier.");
}
