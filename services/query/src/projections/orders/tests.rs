//! Given these events, the order stands so.

use super::*;

const DEADLINE: i64 = 900_000;
const SHIPPING: i64 = 960_000;
const DELIVERY: i64 = 1_080_000;

fn placed() -> OrderEvent {
    let placement = Placement {
        customer_id: "ada".into(),
        placed_at: 0,
        total: 1_250,
        currency: "GBP".into(),
        lines: vec![line("MUG", 2), line("TEA", 1)],
        address: None,
    };
    OrderEvent::Placed { placement: Arc::new(placement), pay_before: DEADLINE }
}

fn declined(reason: &str) -> OrderEvent {
    OrderEvent::PaymentDeclined { reason: reason.into() }
}

fn line(sku: &str, quantity: i64) -> Line {
    Line { sku: sku.into(), name: sku.into(), quantity, unit_price: 100 }
}

/// Given these events, in order, the order's course.
fn course(events: &[OrderEvent]) -> Option<Course> {
    (1..).zip(events).fold(None, |course, (sequence, event)| fold(course, event, sequence))
}

/// Given these events, in order, the order stands so.
fn given(events: &[OrderEvent]) -> Option<(Status, String, i64, Option<i64>)> {
    course(events).map(|course| (course.status, course.status_reason, course.version, course.pay_before))
}

fn confirmed() -> Vec<OrderEvent> {
    let shipping = OrderEvent::Confirmed { ship_at: Some(SHIPPING) };
    vec![placed(), OrderEvent::AwaitingPayment, OrderEvent::Paid, OrderEvent::PaymentCaptured, shipping]
}

fn delivered() -> Vec<OrderEvent> {
    [confirmed(), vec![OrderEvent::Shipped { deliver_at: DELIVERY }, OrderEvent::Delivered]].concat()
}

fn refund(cause: RefundCause, reason: &str, goods: &[(&str, i64)]) -> OrderEvent {
    let lines = goods.iter().map(|(sku, quantity)| Goods { sku: (*sku).into(), quantity: *quantity }).collect();
    OrderEvent::RefundRequested(Arc::new(Refund { cause, reason: reason.into(), lines }))
}

fn money_back(amount: i64) -> OrderEvent {
    OrderEvent::PaymentRefunded { amount, currency: "GBP".into() }
}

/// What is shown of a way back: status and words, pounds refunded, whether it is
/// under way, and when the goods move next.
fn shown(events: &[OrderEvent]) -> (Status, String, i64, bool, Option<i64>) {
    let course = course(events).expect("was placed");
    let unwinding = course.unwinding();
    (course.status, course.status_reason, course.refunded, unwinding, course.fulfil_at)
}

fn stands(
    status: Status,
    reason: &str,
    version: i64,
    pay_before: Option<i64>,
) -> Option<(Status, String, i64, Option<i64>)> {
    Some((status, reason.to_owned(), version, pay_before))
}

#[test]
fn a_placed_order_waits_for_its_stock_until_its_deadline() {
    assert_eq!(given(&[placed()]), stands(Status::Placed, "", 1, Some(DEADLINE)));
}

#[test]
fn a_reserved_order_awaits_its_payment() {
    assert_eq!(given(&[placed(), OrderEvent::AwaitingPayment]), stands(Status::AwaitingPayment, "", 2, Some(DEADLINE)));
}

#[test]
fn a_rejected_order_says_why_and_waits_for_nothing() {
    let rejected = OrderEvent::Rejected { reason: "MUG-1 is short".into() };
    assert_eq!(given(&[placed(), rejected]), stands(Status::Rejected, "MUG-1 is short", 2, None));
}

#[test]
fn a_declined_card_leaves_the_order_waiting_and_says_why() {
    let events = [placed(), OrderEvent::AwaitingPayment, OrderEvent::PaymentRequested, declined("no funds")];
    assert_eq!(given(&events), stands(Status::AwaitingPayment, "no funds", 4, Some(DEADLINE)));
}

#[test]
fn an_abandoned_attempt_leaves_the_order_waiting_and_says_why() {
    let abandoned = OrderEvent::PaymentAbandoned { reason: "no answer".into() };
    let events = [placed(), OrderEvent::AwaitingPayment, OrderEvent::PaymentRequested, abandoned];
    assert_eq!(given(&events), stands(Status::AwaitingPayment, "no answer", 4, Some(DEADLINE)));
}

#[test]
fn another_card_clears_what_was_said_about_the_one_before() {
    let events = [placed(), OrderEvent::AwaitingPayment, declined("no funds"), OrderEvent::PaymentRequested];
    assert_eq!(given(&events), stands(Status::AwaitingPayment, "", 4, Some(DEADLINE)));
}

#[test]
fn a_paid_order_has_no_deadline_any_more() {
    let paid = [placed(), OrderEvent::AwaitingPayment, OrderEvent::Paid];
    assert_eq!(given(&paid), stands(Status::Paid, "", 3, None));
    let captured = [placed(), OrderEvent::AwaitingPayment, OrderEvent::Paid, OrderEvent::PaymentCaptured];
    assert_eq!(given(&captured), stands(Status::Paid, "", 4, None));
}

#[test]
fn a_settled_order_is_confirmed() {
    let events = [
        placed(),
        OrderEvent::AwaitingPayment,
        OrderEvent::Paid,
        OrderEvent::PaymentCaptured,
        OrderEvent::Confirmed { ship_at: Some(SHIPPING) },
    ];
    assert_eq!(given(&events), stands(Status::Confirmed, "", 5, None));
}

#[test]
fn an_expired_order_says_so_and_not_which_card_was_declined() {
    let events = [placed(), OrderEvent::AwaitingPayment, declined("no funds"), OrderEvent::Expired];
    assert_eq!(given(&events), stands(Status::Expired, "not paid in time", 4, None));
}

#[test]
fn a_card_that_is_offered_early_leaves_the_order_as_it_stands() {
    assert_eq!(given(&[placed(), OrderEvent::CardOffered]), stands(Status::Placed, "", 2, Some(DEADLINE)));
}

#[test]
fn an_event_of_an_unknown_type_counts() {
    assert_eq!(given(&[placed(), OrderEvent::Unknown]), stands(Status::Placed, "", 2, Some(DEADLINE)));
}

#[test]
fn what_follows_an_end_moves_the_version_only() {
    for event in [
        OrderEvent::LatePaymentRefused,
        OrderEvent::PaymentVoided,
        OrderEvent::StockReturned { refund: 0 },
        OrderEvent::StepRetried,
        OrderEvent::PaymentCaptured,
    ] {
        let events = [placed(), OrderEvent::AwaitingPayment, OrderEvent::Expired, event];
        assert_eq!(given(&events), stands(Status::Expired, "not paid in time", 4, None));
    }
}

#[test]
fn an_order_whose_placing_was_never_heard_does_not_show() {
    assert_eq!(given(&[OrderEvent::AwaitingPayment, OrderEvent::Paid]), None);
}

#[test]
fn a_confirmed_order_is_shipped_and_delivered_at_their_times() {
    assert_eq!(shown(&confirmed()), (Status::Confirmed, String::new(), 0, false, Some(SHIPPING)));
    assert_eq!(shown(&delivered()[..6]), (Status::Shipped, String::new(), 0, false, Some(DELIVERY)));
    assert_eq!(shown(&delivered()), (Status::Delivered, String::new(), 0, false, None));
}

#[test]
fn an_order_called_off_before_it_was_paid_says_why() {
    let off = OrderEvent::Cancelled { reason: "changed my mind".into() };
    let events = [placed(), OrderEvent::AwaitingPayment, declined("no funds"), off];
    assert_eq!(given(&events), stands(Status::Cancelled, "changed my mind", 4, None));
}

#[test]
fn a_capture_refused_for_good_ends_the_order_in_the_bank_s_words() {
    let off = OrderEvent::Cancelled { reason: "the hold was lost".into() };
    let events = [placed(), OrderEvent::AwaitingPayment, OrderEvent::Paid, OrderEvent::CaptureRefused, off];
    assert_eq!(shown(&events), (Status::Cancelled, "the hold was lost".into(), 0, false, None));
}

#[test]
fn a_cancellation_while_the_money_is_taken_is_remembered_and_then_unwound() {
    let asked = OrderEvent::CancelRequested { reason: "too late".into() };
    let mut events = vec![placed(), OrderEvent::AwaitingPayment, OrderEvent::Paid, asked];
    assert_eq!(shown(&events), (Status::Paid, "being cancelled: too late".into(), 0, true, None));
    let all = refund(RefundCause::Cancelled, "too late", &[("MUG", 2), ("TEA", 1)]);
    events.extend([OrderEvent::PaymentCaptured, OrderEvent::Confirmed { ship_at: None }, all]);
    assert_eq!(shown(&events), (Status::Confirmed, "being cancelled: too late".into(), 0, true, None));
    events.push(money_back(300));
    assert_eq!(shown(&events), (Status::Confirmed, "being cancelled: too late".into(), 300, true, None));
    events.extend([OrderEvent::StockReturned { refund: 1 }, OrderEvent::Refunded]);
    assert_eq!(shown(&events), (Status::Refunded, "cancelled: too late".into(), 300, false, None));
    let returned = course(&events).expect("was placed").returned;
    assert_eq!(returned, [("MUG".to_owned(), 2), ("TEA".to_owned(), 1)].into());
}

#[test]
fn a_cancelled_confirmed_order_is_not_shipped() {
    let events = [confirmed(), vec![refund(RefundCause::Cancelled, "", &[("MUG", 2), ("TEA", 1)])]].concat();
    assert_eq!(shown(&events), (Status::Confirmed, "being cancelled".into(), 0, true, None));
}

#[test]
fn a_refund_without_goods_is_closed_by_the_order_s_end() {
    let money = refund(RefundCause::Cancelled, "", &[]);
    let events = [confirmed(), vec![money, money_back(300), OrderEvent::Refunded]].concat();
    assert_eq!(shown(&events), (Status::Refunded, "cancelled".into(), 300, false, None));
}

#[test]
fn a_partial_return_leaves_the_order_delivered_and_counts_the_pieces() {
    let mut events = delivered();
    events.push(refund(RefundCause::Returned, "chipped", &[("MUG", 1), ("TEA", 1)]));
    assert_eq!(shown(&events), (Status::Delivered, "2 of 3 items being returned".into(), 0, true, None));
    events.extend([money_back(200), OrderEvent::StockReturned { refund: 1 }]);
    assert_eq!(shown(&events), (Status::Delivered, "2 of 3 items returned".into(), 200, false, None));
    events.push(refund(RefundCause::Returned, "", &[("MUG", 1)]));
    assert_eq!(shown(&events), (Status::Delivered, "1 of 3 items being returned".into(), 200, true, None));
    events.extend([money_back(100), OrderEvent::StockReturned { refund: 2 }, OrderEvent::Refunded]);
    assert_eq!(shown(&events), (Status::Refunded, "3 of 3 items returned".into(), 300, false, None));
}

#[test]
fn a_reservation_that_goes_back_after_an_end_is_no_return() {
    let events = [placed(), OrderEvent::Cancelled { reason: String::new() }, OrderEvent::StockReturned { refund: 0 }];
    let course = course(&events).expect("was placed");
    assert_eq!((course.status, course.returned.len(), course.version), (Status::Cancelled, 0, 3));
}
