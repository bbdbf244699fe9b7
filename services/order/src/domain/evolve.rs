//! The fold: what each event makes of an order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{AUTHORISE_WITHIN, Event, Millis, Order, Placed, Refund, RefundCause, SETTLE_WITHIN, Status};

/// Folds an event of the time `at` into an order. The first must be
/// [`Event::Placed`], and only the first; the event store's sequence sees to that.
pub fn evolve(order: Option<Order>, event: &Event, at: Millis) -> Option<Order> {
    if let Event::Placed(placed) = event {
        return Some(place(placed, at));
    }
    let mut order = order?;
    order.version += 1;
    match event {
        Event::Placed(_) => {}
        Event::AwaitingPayment => {
            order.status = Status::AwaitingPayment;
        }
        Event::Rejected { reason } => {
            order.end(Status::Rejected, reason);
        }
        Event::CardOffered { card } => order.card = Some(card.clone()),
        Event::PaymentRequested { attempt, .. } => {
            order.card = None;
            order.attempt = *attempt;
            order.in_flight = true;
            order.status_reason.clear();
            order.step_due = Some(at + AUTHORISE_WITHIN);
        }
        Event::PaymentDeclined { reason, .. } => {
            order.in_flight = false;
            order.declines += 1;
            order.step_due = None;
            order.status_reason.clone_from(reason);
        }
        Event::PaymentAbandoned { reason, .. } => {
            order.in_flight = false;
            order.step_due = None;
            order.status_reason.clone_from(reason);
        }
        Event::Paid { attempt, .. } => {
            order.status = Status::Paid;
            order.status_reason.clear();
            order.in_flight = false;
            order.pay_before = None;
            order.paid_by = Some(*attempt);
            order.begin_step(at);
        }
        Event::PaymentCaptured { .. } => {
            order.captured = true;
            order.begin_step(at);
        }
        Event::CaptureRefused { attempt, .. } => {
            order.voiding.insert(*attempt);
            order.step_due = None;
        }
        Event::Confirmed { ship_at } => {
            order.status = Status::Confirmed;
            order.stock_committed = true;
            order.fulfil_at = *ship_at;
            order.step_due = None;
        }
        Event::Shipped { deliver_at } => {
            order.status = Status::Shipped;
            order.fulfil_at = Some(*deliver_at);
        }
        Event::Delivered => {
            order.status = Status::Delivered;
            order.fulfil_at = None;
        }
        Event::Expired { .. } => {
            order.end(Status::Expired, "not paid in time");
        }
        Event::Cancelled { reason } => {
            order.end(Status::Cancelled, reason);
            order.cancelling = None;
        }
        Event::CancelRequested { reason } => {
            order.status_reason = because("being cancelled", reason);
            order.cancelling = Some(reason.clone());
        }
        Event::RefundRequested(refund) => {
            order.open_refund(refund);
            order.begin_step(at);
        }
        Event::PaymentRefunded { amount, .. } => {
            order.refunded += amount;
            order.money_back = true;
            order.begin_step(at);
        }
        Event::LatePaymentRefused { attempt, .. } => {
            order.voiding.insert(*attempt);
        }
        Event::PaymentVoided { attempt } => {
            order.voiding.remove(attempt);
        }
        Event::StockReturned { refund: 0 } => order.stock_returned = true,
        Event::StockReturned { .. } => {
            order.stock_returned |= !order.stock_committed;
            order.close_refund();
        }
        Event::Refunded => {
            // Still open if no goods had to come back.
            order.close_refund();
            order.status = Status::Refunded;
        }
        Event::StepRetried { retry, .. } => {
            order.retries = *retry;
            let doubled = SETTLE_WITHIN << (*retry).clamp(0, 6);
            order.step_due = Some(at + doubled);
        }
    }
    Some(order)
}

fn place(placed: &Arc<Placed>, at: Millis) -> Order {
    Order {
        version: 1,
        status: Status::Placed,
        status_reason: String::new(),
        placed: placed.clone(),
        placed_at: at,
        pay_before: Some(placed.pay_before),
        card: placed.card.clone(),
        attempt: 0,
        in_flight: false,
        declines: 0,
        paid_by: None,
        captured: false,
        voiding: BTreeSet::new(),
        stock_committed: false,
        stock_returned: false,
        cancelling: None,
        refund: None,
        money_back: false,
        refunds: 0,
        refunded: 0,
        returned: BTreeMap::new(),
        fulfil_at: None,
        step_due: None,
        retries: 0,
    }
}

impl Order {
    fn end(&mut self, status: Status, reason: &str) {
        self.status = status;
        reason.clone_into(&mut self.status_reason);
        self.in_flight = false;
        self.pay_before = None;
        self.step_due = None;
        self.card = None;
    }

    const fn begin_step(&mut self, at: Millis) {
        self.retries = 0;
        self.step_due = Some(at + SETTLE_WITHIN);
    }

    /// Whatever was planned for the goods is off, and a remembered cancellation is
    /// obeyed with this.
    fn open_refund(&mut self, refund: &Refund) {
        self.status_reason = match refund.cause {
            RefundCause::Cancelled => because("being cancelled", &refund.reason),
            RefundCause::Returned => {
                let pieces: i64 = refund.lines.iter().map(|goods| goods.quantity).sum();
                format!("{} being returned", self.of_all(pieces))
            }
        };
        self.refunds = refund.number;
        self.refund = Some(refund.clone());
        self.money_back = false;
        self.cancelling = None;
        self.fulfil_at = None;
    }

    fn close_refund(&mut self) {
        let Some(refund) = self.refund.take() else { return };
        for goods in refund.lines {
            *self.returned.entry(goods.sku).or_default() += goods.quantity;
        }
        self.status_reason = match refund.cause {
            RefundCause::Cancelled => because("cancelled", &refund.reason),
            RefundCause::Returned => format!("{} returned", self.of_all(self.returned.values().sum())),
        };
        self.money_back = false;
        self.step_due = None;
    }

    /// "2 of 3 items".
    fn of_all(&self, pieces: i64) -> String {
        let all: i64 = self.placed.lines.iter().map(|line| line.quantity).sum();
        format!("{pieces} of {all} item{}", if all == 1 { "" } else { "s" })
    }
}

/// A word about the order, with the customer's own if there are any.
fn because(what: &str, reason: &str) -> String {
    if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") }
}
