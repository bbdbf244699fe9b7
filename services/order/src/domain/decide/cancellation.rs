//! The roads on which an order ends before its money is taken, and the beginning
//! of the one on which it is taken and has to go back.

use super::refund::the_whole_order;
use crate::domain::{Event, Millis, Order, Refusal, Status};

/// Asked twice, it is done once; what is settled already is no reason to complain.
///
/// A capture that is under way cannot be stopped: the bank may have taken the money
/// before it hears of us. So the order remembers, and gives it back afterwards.
pub(super) fn cancel(order: &Order, reason: &str) -> Result<Vec<Event>, Refusal> {
    let reason = reason.to_owned();
    match order.status {
        Status::Placed | Status::AwaitingPayment => Ok(vec![Event::Cancelled { reason }]),
        Status::Paid | Status::Confirmed if order.unwinding() => Ok(Vec::new()),
        Status::Paid => Ok(vec![Event::CancelRequested { reason }]),
        Status::Confirmed => Ok(vec![the_whole_order(order, &reason)]),
        Status::Cancelled => Ok(Vec::new()),
        Status::Shipped => Err(Refusal::OnItsWay),
        Status::Delivered => Err(Refusal::ReturnInstead),
        Status::Rejected | Status::Expired | Status::Refunded => Err(Refusal::NothingToCancel),
    }
}

/// The bank will not hand over what it holds: the order ends as if it had never
/// been paid, and the hold is let go. What the customer wanted anyway is said in
/// his words.
pub(super) fn payment_capture_refused(order: &Order, attempt: i32, reason: &str) -> Vec<Event> {
    if order.paid_by != Some(attempt) {
        return Vec::new();
    }
    match order.status {
        Status::Paid if !order.captured => {
            let refused = Event::CaptureRefused { attempt, reason: reason.to_owned() };
            let why = order.cancelling.clone().unwrap_or_else(|| reason.to_owned());
            vec![refused, Event::Cancelled { reason: why }]
        }
        // Told again; or the money is there, whatever else is said about it.
        Status::Paid
        | Status::Placed
        | Status::AwaitingPayment
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => Vec::new(),
    }
}

pub(super) fn deadline_passed(order: &Order, due: Millis) -> Vec<Event> {
    match order.status {
        Status::Placed | Status::AwaitingPayment if order.pay_before == Some(due) => {
            vec![Event::Expired { pay_before: due }]
        }
        Status::Placed
        | Status::AwaitingPayment
        | Status::Paid
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => Vec::new(),
    }
}

/// A hold that is let go, in whatever state: it has nothing to do with where the
/// order stands.
pub(super) fn payment_voided(order: &Order, attempt: i32) -> Vec<Event> {
    if order.voiding.contains(&attempt) { vec![Event::PaymentVoided { attempt }] } else { Vec::new() }
}

/// The reservation is given up: of an order that ended unpaid, or as the goods of
/// a refund that came before they were committed.
pub(super) fn stock_released(order: &Order) -> Vec<Event> {
    if order.stock_returned || order.stock_committed {
        return Vec::new();
    }
    match order.status {
        Status::Expired | Status::Cancelled | Status::Refunded => vec![Event::StockReturned { refund: 0 }],
        Status::Paid => match &order.refund {
            Some(refund) if order.money_back => {
                vec![Event::StockReturned { refund: refund.number }, Event::Refunded]
            }
            Some(_) | None => Vec::new(),
        },
        Status::Placed
        | Status::AwaitingPayment
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected => Vec::new(),
    }
}
