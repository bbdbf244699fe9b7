//! Orders in every state, as their page tells them.

#![allow(clippy::unwrap_used)]

use gateway::api::OrderLine;

use super::*;

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_234_449_120 + millis).unwrap()
}

fn money(amount: i64) -> Money {
    Money { amount, currency: "GBP".into() }
}

/// Two lines of which nothing has come back, and what happened, 40 ms apart.
fn order(status: OrderStatus, kinds: &[&str]) -> OrderWithTimeline {
    let line = |sku: &str, quantity| OrderLine {
        sku: sku.into(),
        name: "<script>alert(1)</script>".into(),
        quantity,
        unit_price: money(950),
        returned: 0,
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
            lines: vec![line("MUG-1", 2), line("PEN-1", 1)],
            total: money(2_850),
            placed_at: at(0),
            pay_before: Some(at(900_000)),
            address: None,
            refunded: money(0),
            unwinding: false,
            fulfil_at: None,
        },
        timeline: kinds.iter().enumerate().map(told).collect(),
    }
}

fn unwinding(status: OrderStatus, kinds: &[&str]) -> OrderWithTimeline {
    let mut found = order(status, kinds);
    found.order.unwinding = true;
    found
}

fn seen(found: &OrderWithTimeline) -> OrderView {
    OrderView::of(found, at(60_000))
}

fn view(status: OrderStatus, kinds: &[&str]) -> OrderView {
    seen(&order(status, kinds))
}

/// "Placed done, Reserved now" …
fn road(view: &OrderView) -> String {
    let steps: Vec<String> = view.steps.iter().map(|step| format!("{} {}", step.name, step.state)).collect();
    steps.join(", ")
}

const TO_CONFIRMED: [&str; 5] =
    ["OrderPlaced", "OrderAwaitingPayment", "OrderPaid", "OrderPaymentCaptured", "OrderConfirmed"];

#[test]
fn a_card_is_asked_for_only_while_one_can_be_used() {
    let waiting = OrderStatus::AwaitingPayment;
    assert!(view(waiting, &["OrderPlaced"]).actions.pay);
    let asking = view(waiting, &["OrderPaymentRequested"]);
    assert!(!asking.actions.pay && asking.moving);
    let declined = ["OrderPaymentRequested", "OrderPaymentDeclined"];
    assert!(view(waiting, &declined).actions.pay);
    assert!(view(waiting, &["OrderPaymentRequested", "OrderPaymentAbandoned"]).actions.pay);
    let exhausted = view(waiting, &declined.repeat(3));
    assert!(!exhausted.actions.pay && !exhausted.moving && exhausted.actions.cancel.is_some());
    for status in OrderStatus::ALL.into_iter().filter(|status| *status != waiting) {
        assert!(!view(status, &["OrderPlaced"]).actions.pay, "{status:?}");
    }
}

#[test]
fn an_order_can_be_cancelled_until_it_leaves_the_house_and_returned_once_it_has_arrived() {
    for status in OrderStatus::ALL {
        let actions = view(status, &[]).actions;
        let before = [OrderStatus::Placed, OrderStatus::AwaitingPayment, OrderStatus::Paid, OrderStatus::Confirmed];
        assert_eq!(actions.cancel.is_some(), before.contains(&status), "{status:?}");
        assert_eq!(actions.give_back, status == OrderStatus::Delivered, "{status:?}");
        assert_eq!(actions.closed.is_some(), status == OrderStatus::Shipped, "{status:?}");
    }
    let says = |status| view(status, &[]).actions.cancel.unwrap();
    assert!(says(OrderStatus::AwaitingPayment).contains("Nothing has been charged"));
    assert!(says(OrderStatus::Confirmed).contains("all of your money goes back to you"));
}

#[test]
fn while_money_and_goods_come_back_nothing_is_offered_and_it_is_said_why() {
    for status in [OrderStatus::Paid, OrderStatus::Confirmed, OrderStatus::Delivered] {
        let view = seen(&unwinding(status, &TO_CONFIRMED));
        assert_eq!(Actions { closed: None, ..view.actions }, Actions::NONE, "{status:?}");
        assert!(view.actions.closed.is_some() && view.moving && view.clock.is_none());
    }
}

#[test]
fn what_came_back_cannot_be_returned_again() {
    let mut found = order(OrderStatus::Delivered, &[]);
    found.order.lines[0].returned = 2;
    found.order.refunded = money(1_900);
    let partly = seen(&found);
    assert!(partly.actions.give_back);
    assert_eq!((partly.lines[0].kept, partly.lines[1].kept), (0, 1));
    assert_eq!(partly.refunded.as_deref(), Some("£19.00"));
    assert!(partly.explanation.contains("part of it came back"));
    found.order.lines[1].returned = 1;
    assert!(!seen(&found).actions.give_back);
}

#[test]
fn the_countdown_runs_to_the_deadline_and_then_to_each_stage_of_the_journey() {
    let clock = view(OrderStatus::AwaitingPayment, &[]).clock.unwrap();
    assert_eq!((clock.left, clock.window, clock.to_pay), (840_000, 900_000, true));
    assert_eq!(clock.left_text, "14:00");
    assert_eq!(view(OrderStatus::Expired, &[]).clock, None);
    assert_eq!(view(OrderStatus::Confirmed, &[]).clock, None, "nothing is planned");

    let mut found = order(OrderStatus::Confirmed, &TO_CONFIRMED);
    found.order.fulfil_at = Some(at(60_160).timestamp_millis());
    let clock = seen(&found).clock.unwrap();
    assert_eq!((clock.label, clock.to_pay), ("Leaves the house in", false));
    assert_eq!((clock.window, clock.left, clock.left_text.as_str()), (60_000, 160, "0:01"));
    let late = OrderView::of(&found, at(99_000)).clock.unwrap();
    assert_eq!((late.left, late.left_text.as_str()), (0, "any moment"));
    found.order.status = OrderStatus::Shipped;
    assert_eq!(seen(&found).clock.unwrap().label, "Arrives in");
}

#[test]
fn a_page_without_a_script_looks_again_only_where_nobody_types() {
    assert_eq!(view(OrderStatus::Paid, &[]).look_again(), Some(3));
    assert_eq!(view(OrderStatus::AwaitingPayment, &[]).look_again(), None, "a form is there");
    let exhausted = ["OrderPaymentRequested", "OrderPaymentDeclined"].repeat(3);
    assert_eq!(view(OrderStatus::AwaitingPayment, &exhausted).look_again(), Some(841));
    assert_eq!(view(OrderStatus::Delivered, &[]).look_again(), None);
}

#[test]
fn every_status_has_its_steps_and_words() {
    for status in OrderStatus::ALL {
        for found in [order(status, &[]), unwinding(status, &[])] {
            let view = seen(&found);
            assert!(view.steps.len() >= 2 && view.steps[0].state == "done", "{status:?}");
            assert!(!view.headline.is_empty() && !view.explanation.is_empty());
        }
    }
}

#[test]
fn the_road_shows_what_is_done_what_is_under_way_and_what_is_to_come() {
    assert_eq!(
        road(&view(OrderStatus::AwaitingPayment, &TO_CONFIRMED[..2])),
        "Placed done, Reserved done, Authorised now, Captured todo, Committed todo, Shipped todo, Delivered todo"
    );
    let paid = view(OrderStatus::Paid, &TO_CONFIRMED[..4]);
    assert!(road(&paid).contains("Captured done, Committed now"), "the timeline knows more than the status");
    assert_eq!((paid.steps[0].after.as_str(), paid.steps[2].after.as_str()), ("", "+80 ms"));
    let mut confirmed = order(OrderStatus::Confirmed, &TO_CONFIRMED);
    assert!(road(&seen(&confirmed)).contains("Committed done, Shipped todo"));
    confirmed.order.fulfil_at = Some(at(60_000).timestamp_millis());
    assert!(road(&seen(&confirmed)).contains("Committed done, Shipped now, Delivered todo"));
    assert!(view(OrderStatus::Delivered, &[]).steps.iter().all(|step| step.state == "done"));
}

#[test]
fn an_order_that_ended_early_shows_how_far_it_came_and_how_it_ended() {
    assert_eq!(road(&view(OrderStatus::Rejected, &["OrderPlaced"])), "Placed done, Rejected stopped");
    assert_eq!(
        road(&view(OrderStatus::Expired, &["OrderPlaced", "OrderAwaitingPayment", "OrderExpired"])),
        "Placed done, Reserved done, Expired stopped"
    );
    let refused = ["OrderPlaced", "OrderAwaitingPayment", "OrderPaid", "OrderCaptureRefused", "OrderCancelled"];
    assert_eq!(
        road(&view(OrderStatus::Cancelled, &refused)),
        "Placed done, Reserved done, Authorised done, Cancelled stopped"
    );
}

#[test]
fn money_and_goods_on_their_way_back_are_steps_of_the_road() {
    let remembered = ["OrderPlaced", "OrderAwaitingPayment", "OrderPaid", "OrderCancelRequested"];
    assert_eq!(
        road(&seen(&unwinding(OrderStatus::Paid, &remembered))),
        "Placed done, Reserved done, Authorised done, Captured now, Money back todo, Goods back todo"
    );
    let mut kinds = TO_CONFIRMED.to_vec();
    let back = |kinds: &[&str]| {
        let view = seen(&unwinding(OrderStatus::Confirmed, kinds));
        view.steps[5..].iter().map(|step| step.state).collect::<Vec<_>>()
    };
    kinds.push("OrderRefundRequested");
    assert_eq!(back(&kinds), ["now", "todo"]);
    kinds.push("OrderPaymentRefunded");
    assert_eq!(back(&kinds), ["done", "now"]);
    kinds.push("OrderStockReturned");
    kinds.push("OrderRefunded");
    let refunded = view(OrderStatus::Refunded, &kinds);
    assert!(refunded.steps.iter().all(|step| step.state == "done"));
    assert_eq!(refunded.steps.last().unwrap().name, "Goods back");
}

#[test]
fn a_second_return_has_a_way_back_of_its_own() {
    let kinds = ["OrderRefundRequested", "OrderPaymentRefunded", "OrderStockReturned", "OrderRefundRequested"];
    let again = seen(&unwinding(OrderStatus::Delivered, &kinds));
    let back: Vec<_> = again.steps[7..].iter().map(|step| step.state).collect();
    assert_eq!(back, ["now", "todo"]);
    assert_eq!(view(OrderStatus::Delivered, &kinds[..3]).steps.len(), 7, "once it is over, the timeline tells it");
}

#[test]
fn a_reason_has_the_tone_of_its_status() {
    let tone = |status| {
        let mut found = order(status, &[]);
        found.order.status_reason = Some("2 of 3 items returned".into());
        seen(&found).reason.unwrap()
    };
    assert_eq!(tone(OrderStatus::Delivered), Reason { text: "2 of 3 items returned.".into(), tone: "plain" });
    assert_eq!(tone(OrderStatus::Expired).tone, "bad");
    assert_eq!(tone(OrderStatus::AwaitingPayment).tone, "wait");
}

#[test]
fn an_order_of_very_many_lines_is_shown_without_pictures() {
    let mut found = order(OrderStatus::Placed, &[]);
    assert!(seen(&found).lines.iter().all(|line| line.tile.is_some()));
    found.order.lines = vec![found.order.lines[0].clone(); 500];
    let view = seen(&found);
    assert!(view.lines.len() == 500 && view.lines.iter().all(|line| line.tile.is_none()));
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
    assert_eq!(seen(&told).timeline[0].service, "unknown");
}
