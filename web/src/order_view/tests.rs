//! Orders in every state, as their page tells them.

#![allow(clippy::unwrap_used)]

use gateway::api::{Money, OrderLine};

use super::*;

pub(crate) fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_234_449_120 + millis).unwrap()
}

pub(crate) fn order(status: OrderStatus, kinds: &[&str]) -> OrderWithTimeline {
    let money = |amount| Money { amount, currency: "GBP".into() };
    let line = OrderLine {
        sku: "MUG-1".into(),
        name: "<script>alert(1)</script>".into(),
        quantity: 2,
        unit_price: money(950),
    };
    let told = |(index, kind): (usize, &&str)| TimelineEntry {
        at: at(i64::try_from(index).unwrap() * 40),
        service: "order".into(),
        kind: (*kind).into(),
        summary: "\"><img src=x onerror=alert(1)>".into(),
        event_id: format!("e{index}"),
    };
    OrderWithTimeline {
        order: Order {
            id: "019ab3f0-0000-7000-8000-0000003f9a2c".into(),
            version: 3,
            status,
            status_reason: None,
            customer_id: "c".into(),
            lines: vec![line],
            total: money(1_900),
            placed_at: at(0),
            pay_before: Some(at(900_000)),
            address: None,
        },
        timeline: kinds.iter().enumerate().map(told).collect(),
    }
}

fn view(status: OrderStatus, kinds: &[&str]) -> OrderView {
    OrderView::of(&order(status, kinds), at(60_000))
}

#[test]
fn a_card_is_asked_for_only_while_one_can_be_used() {
    let waiting = OrderStatus::AwaitingPayment;
    assert!(view(waiting, &["OrderPlaced"]).payable);
    let asking = view(waiting, &["OrderPaymentRequested"]);
    assert!(!asking.payable && asking.moving);
    let declined = ["OrderPaymentRequested", "OrderPaymentDeclined"];
    assert!(view(waiting, &declined).payable);
    assert!(view(waiting, &["OrderPaymentRequested", "OrderPaymentAbandoned"]).payable);
    let exhausted = view(waiting, &declined.repeat(3));
    assert!(!exhausted.payable && !exhausted.moving);
    for status in OrderStatus::ALL.into_iter().filter(|status| *status != waiting) {
        assert!(!view(status, &["OrderPlaced"]).payable, "{status:?}");
    }
}

#[test]
fn the_countdown_runs_while_the_order_waits_for_money() {
    let clock = view(OrderStatus::AwaitingPayment, &[]).clock.unwrap();
    assert_eq!((clock.left, clock.window), (840_000, 900_000));
    assert_eq!(clock.left_text, "14:00");
    assert_eq!(view(OrderStatus::Confirmed, &[]).clock, None);
    assert_eq!(view(OrderStatus::Expired, &[]).clock, None);
}

#[test]
fn every_status_has_its_steps_and_words() {
    for status in OrderStatus::ALL {
        let view = view(status, &[]);
        assert!(view.steps.len() >= 4 && view.steps[0].state == "done", "{status:?}");
        assert!(!view.headline.is_empty() && !view.explanation.is_empty());
    }
    let states = |status| -> Vec<_> { progress::steps(status).iter().map(|step| step.state).collect() };
    assert_eq!(states(OrderStatus::AwaitingPayment), ["done", "done", "now", "todo"]);
    assert_eq!(states(OrderStatus::Expired), ["done", "done", "stopped", "todo"]);
    assert_eq!(states(OrderStatus::Confirmed), ["done"; 4]);
}

#[test]
fn an_order_is_called_by_the_end_of_its_id() {
    assert_eq!(number("019ab3f0-0000-7000-8000-0000003f9a2c"), "3F9A2C");
    assert_eq!(number("ab"), "AB");
    assert_eq!(number(""), "");
}

#[test]
fn a_service_that_nobody_knows_has_no_colour_of_its_own() {
    let mut told = order(OrderStatus::Placed, &["OrderPlaced"]);
    told.timeline[0].service = "x\" onclick=\"".into();
    assert_eq!(OrderView::of(&told, at(0)).timeline[0].service, "unknown");
}
