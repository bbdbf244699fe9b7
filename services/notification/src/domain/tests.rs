//! Given an order, when this happens, then that is told.

use super::*;
use crate::topic::Topic;

const MINUTE: Millis = 60_000;
/// When the order was placed.
const NOON: Millis = 1_700_000_000_000;
const DEADLINE: Millis = NOON + 15 * MINUTE;
const BEFORE: Millis = 5 * MINUTE;

fn placed(card_offered: bool) -> News {
    News::Placed(Box::new(Placed {
        customer_id: "ada".into(),
        email: "ada@example.com".into(),
        goods: "2 × White mug".into(),
        total: 1_250,
        currency: "GBP".into(),
        pay_before: DEADLINE,
        card_offered,
    }))
}

/// An order to which all this has happened, and every topic told of it.
fn given(news: &[News]) -> (Order, Vec<Topic>) {
    let mut order = None;
    let mut topics = Vec::new();
    for news in news {
        let (after, told) = follow(order.as_ref(), news, NOON, BEFORE).expect("a placed order");
        topics.extend(told.map(|message| message.topic));
        order = Some(after);
    }
    (order.expect("placed"), topics)
}

fn when(order: &Order, news: &News) -> (Order, Option<Topic>) {
    let (after, told) = follow(Some(order), news, NOON, BEFORE).expect("a placed order");
    (after, told.map(|message| message.topic))
}

fn declined(tries_left: i32) -> News {
    News::PaymentDeclined { reason: "no".into(), tries_left }
}

fn refund(cause: Cause) -> News {
    News::RefundRequested { cause, amount: 1_250, pieces: 2 }
}

fn because() -> String {
    "a reason".to_owned()
}

fn confirmed() -> News {
    News::Confirmed { ship_at: Some(NOON) }
}

/// Everything that can happen to an order after it was placed.
fn everything() -> Vec<News> {
    vec![
        placed(false),
        News::CardOffered,
        News::AwaitingPayment,
        News::ReminderDue { due: DEADLINE - BEFORE },
        News::PaymentRequested,
        declined(2),
        declined(0),
        News::PaymentAbandoned,
        News::Paid,
        News::CaptureRefused { reason: because() },
        confirmed(),
        News::Confirmed { ship_at: None },
        News::Shipped { deliver_at: Some(NOON) },
        News::Delivered,
        News::Rejected { reason: because() },
        News::Expired,
        News::Cancelled { reason: because() },
        News::CancelRequested,
        refund(Cause::CalledOff),
        refund(Cause::Returned),
        News::PaymentRefunded { amount: 250 },
        News::PaymentRefunded { amount: 1_250 },
        News::LatePaymentRefused { reason: because() },
        News::PaymentVoided,
    ]
}

#[test]
fn everything_that_happens_in_every_standing_has_one_outcome() {
    let (waiting, _) = given(&[placed(false), News::AwaitingPayment]);
    let standings = [Standing::Waiting, Standing::Paid, Standing::CallingOff, Standing::Ended];
    // Per piece of news, a letter per standing: T told, - not told.
    let table = [
        ("placed again", "----"),
        ("card offered", "----"),
        ("awaiting payment", "T---"),
        ("reminder due", "T---"),
        ("payment requested", "----"),
        ("declined", "TTTT"),
        ("declined for the last time", "TTTT"),
        ("abandoned", "TTTT"),
        ("paid", "----"),
        ("capture refused", "TTT-"),
        ("confirmed", "TTTT"),
        ("confirmed and called off", "----"),
        ("shipped", "TTTT"),
        ("delivered", "TTTT"),
        ("rejected", "TTTT"),
        ("expired", "TTTT"),
        ("cancelled", "TTT-"),
        ("cancel requested", "TT--"),
        ("refund of a cancellation", "TT-T"),
        ("refund of a return", "TTTT"),
        ("refunded in part", "TTTT"),
        ("refunded", "TTTT"),
        ("late payment refused", "TTTT"),
        ("voided", "TTTT"),
    ];
    let everything = everything();
    assert_eq!(everything.len(), table.len());
    for (news, (name, expected)) in everything.iter().zip(table) {
        let told: String = standings
            .into_iter()
            .map(|standing| {
                let order = Order { standing, ..waiting.clone() };
                if when(&order, news).1.is_some() { 'T' } else { '-' }
            })
            .collect();
        assert_eq!(told, expected, "{name}");
    }
}

#[test]
fn nothing_is_known_of_an_order_that_was_never_placed() {
    for news in everything().into_iter().skip(1) {
        assert_eq!(follow(None, &news, NOON, BEFORE), None, "{news:?}");
    }
}

#[test]
fn an_order_on_the_straight_road_is_told_of_at_every_turn() {
    let (order, told) = given(&[
        placed(false),
        News::AwaitingPayment,
        News::PaymentRequested,
        News::Paid,
        confirmed(),
        News::Shipped { deliver_at: None },
        News::Delivered,
    ]);
    assert_eq!(
        told,
        [
            Topic::OrderPlaced,
            Topic::OrderAwaitingPayment,
            Topic::OrderConfirmed,
            Topic::OrderShipped,
            Topic::OrderDelivered
        ]
    );
    assert_eq!((order.standing, order.remind_at), (Standing::Paid, None));
}

#[test]
fn who_has_offered_a_card_is_not_asked_to_pay() {
    for news in [vec![placed(true)], vec![placed(false), News::CardOffered]] {
        let (order, _) = given(&news);
        let (order, told) = when(&order, &News::AwaitingPayment);
        assert_eq!(told, None);
        assert_eq!(when(&order, &News::PaymentAbandoned).1, Some(Topic::PaymentAbandoned));
    }
}

#[test]
fn the_reminder_comes_its_lead_before_the_deadline_or_half_way_there() {
    let due = |left: Millis, before: Millis| reminder_due(NOON + left, NOON, before).map(|due| due - NOON);
    assert_eq!(due(15 * MINUTE, BEFORE), Some(10 * MINUTE));
    assert_eq!(due(10 * MINUTE, BEFORE), Some(5 * MINUTE));
    assert_eq!(due(8 * MINUTE, BEFORE), Some(4 * MINUTE), "half of what is left");
    assert_eq!(due(2_000, BEFORE), Some(1_000));
    assert_eq!(due(0, BEFORE), None, "no time left");
    assert_eq!(due(-MINUTE, BEFORE), None);
    assert_eq!(due(15 * MINUTE, 0), None, "reminders are turned off");
}

#[test]
fn a_reminder_is_written_once_and_only_for_the_due_time_in_the_row() {
    let (order, _) = given(&[placed(false), News::AwaitingPayment]);
    let due = DEADLINE - BEFORE;
    assert_eq!(order.remind_at, Some(due));
    assert_eq!(when(&order, &News::ReminderDue { due: due - 1 }), (order.clone(), None));
    let (order, told) = when(&order, &News::ReminderDue { due });
    assert_eq!((told, order.remind_at), (Some(Topic::PaymentReminder), None));
    assert_eq!(when(&order, &News::ReminderDue { due }).1, None);
}

#[test]
fn a_reminder_that_comes_after_the_deadline_is_not_written() {
    let (order, _) = given(&[placed(false), News::AwaitingPayment]);
    let late = follow(Some(&order), &News::ReminderDue { due: DEADLINE - BEFORE }, DEADLINE, BEFORE);
    let (order, told) = late.expect("a placed order");
    assert_eq!((told, order.remind_at), (None, None));
}

#[test]
fn nobody_is_reminded_while_the_bank_thinks_but_after_it_has_declined() {
    let due = News::ReminderDue { due: DEADLINE - BEFORE };
    let (order, _) = given(&[placed(false), News::AwaitingPayment, News::PaymentRequested]);
    assert_eq!(when(&order, &due).1, None);
    for no in [declined(2), News::PaymentAbandoned] {
        let (order, _) = when(&order, &no);
        assert_eq!(when(&order, &due).1, Some(Topic::PaymentReminder), "{no:?}");
    }
    let (order, _) = when(&order, &declined(0));
    assert_eq!(order.remind_at, None, "there is nothing that could be done");
}

#[test]
fn whatever_ends_the_wait_takes_the_reminder_back() {
    let (order, _) = given(&[placed(false), News::AwaitingPayment]);
    for news in [
        News::Paid,
        News::Expired,
        News::Rejected { reason: because() },
        News::Cancelled { reason: because() },
        News::CancelRequested,
        News::CaptureRefused { reason: because() },
    ] {
        let (order, _) = when(&order, &news);
        assert_eq!(order.remind_at, None, "{news:?}");
        assert!(!order.waits_for_payment(NOON), "{news:?}");
    }
}

#[test]
fn a_capture_refused_and_its_cancellation_are_one_message_in_either_order() {
    let (order, _) = given(&[placed(true), News::AwaitingPayment, News::Paid]);
    let (refused, cancelled) = (News::CaptureRefused { reason: because() }, News::Cancelled { reason: because() });
    for (first, second) in [(&refused, &cancelled), (&cancelled, &refused)] {
        let (order, told) = when(&order, first);
        assert!(told.is_some());
        let (order, told) = when(&order, second);
        assert_eq!((told, order.standing), (None, Standing::Ended));
        assert_eq!(when(&order, &News::PaymentVoided).1, Some(Topic::PaymentVoided));
    }
}

#[test]
fn a_cancellation_is_one_message_whether_remembered_or_not_and_the_money_another() {
    let money_back = News::PaymentRefunded { amount: 1_250 };
    let (_, told) = given(&[placed(true), News::Paid, confirmed(), refund(Cause::CalledOff), money_back.clone()]);
    assert_eq!(told[2..], [Topic::RefundRequested, Topic::OrderRefunded]);
    let late = News::Confirmed { ship_at: None };
    let (order, told) =
        given(&[placed(true), News::Paid, News::CancelRequested, late, refund(Cause::CalledOff), money_back]);
    assert_eq!(told[1..], [Topic::CancelRequested, Topic::OrderRefunded]);
    assert_eq!(order.standing, Standing::Ended);
}

#[test]
fn returns_are_told_one_by_one_and_the_last_refund_says_that_it_is_all() {
    let part = |amount| {
        [News::RefundRequested { cause: Cause::Returned, amount, pieces: 1 }, News::PaymentRefunded { amount }]
    };
    let road = [vec![placed(true), News::Paid, confirmed()], part(500).to_vec(), part(750).to_vec()].concat();
    let (order, told) = given(&road);
    assert_eq!(
        told[2..],
        [Topic::RefundRequested, Topic::PaymentRefunded, Topic::RefundRequested, Topic::OrderRefunded]
    );
    assert_eq!(order.refunded, order.total);
}

#[test]
fn money_that_comes_too_late_is_told_of_whatever_became_of_the_order() {
    for end in [News::Expired, News::Cancelled { reason: because() }] {
        let (order, _) = given(&[placed(true), News::AwaitingPayment, News::PaymentRequested, end]);
        let (order, told) = when(&order, &News::LatePaymentRefused { reason: because() });
        assert_eq!(told, Some(Topic::LatePaymentRefused));
        assert_eq!(when(&order, &News::PaymentVoided).1, Some(Topic::PaymentVoided));
    }
}
