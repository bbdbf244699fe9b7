//! The projection **orders**: an order as its last event left it.
//!
//! The words of a status are those of the order service's own answers, so that a
//! customer who asks the read side reads what the write side has just said.

mod event;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use event::{Goods, OrderEvent, Refund, RefundCause};
pub use status::Status;

/// What an order says once, when it is placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Whose order.
    pub customer_id: String,
    /// Unix milliseconds.
    pub placed_at: i64,
    /// Minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// Where it goes.
    pub address: Option<Address>,
}

impl Placement {
    /// The sum of its lines' quantities.
    pub fn pieces(&self) -> i64 {
        self.lines.iter().fold(0, |sum, line| sum.saturating_add(line.quantity))
    }
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Stock keeping unit.
    pub sku: String,
    /// As it was called when the order was placed.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// Minor units, as it was when the order was placed.
    pub unit_price: i64,
}

/// Where an order goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Who.
    pub recipient: String,
    /// Street and number.
    pub street: String,
    /// Town.
    pub city: String,
    /// In the country's form.
    pub postal_code: String,
    /// Name or code.
    pub country: String,
}

/// What changes about an order after it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Where it stands.
    pub status: Status,
    /// Why, for people; empty if there is nothing to say.
    pub status_reason: String,
    /// Sequence of the last event folded.
    pub version: i64,
    /// Unix milliseconds; absent once the order waits for no payment.
    pub pay_before: Option<i64>,
    /// When it is shipped or, once it is, delivered; Unix milliseconds.
    pub fulfil_at: Option<i64>,
    /// Pieces that were ordered. Never changes; the words need it.
    pub pieces: i64,
    /// Given back so far, minor units.
    pub refunded: i64,
    /// A cancellation is remembered that waits for a step to end.
    pub cancelling: bool,
    /// The refund that is under way; one at a time.
    pub refund: Option<Arc<Refund>>,
    /// Pieces that came back, by SKU.
    pub returned: BTreeMap<String, i64>,
}

impl Course {
    const fn new(pieces: i64) -> Self {
        Self {
            status: Status::Placed,
            status_reason: String::new(),
            version: 0,
            pay_before: None,
            fulfil_at: None,
            pieces,
            refunded: 0,
            cancelling: false,
            refund: None,
            returned: BTreeMap::new(),
        }
    }

    /// Whether a cancellation or a return is under way.
    pub const fn unwinding(&self) -> bool {
        self.cancelling || self.refund.is_some()
    }
}

/// Folds an order's event into its course.
///
/// An order begins with being placed. Without that event (an operator may have
/// discarded it) there is nothing to fold the later ones into: they stay in the
/// event log alone.
pub fn fold(course: Option<Course>, event: &OrderEvent, sequence: i64) -> Option<Course> {
    let mut course = match (course, event) {
        (Some(course), _) => course,
        (None, OrderEvent::Placed { placement, .. }) => Course::new(placement.pieces()),
        (None, _) => return None,
    };
    course.version = sequence;
    course.take(event);
    Some(course)
}

impl Course {
    /// The table: what each event means.
    fn take(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed { pay_before, .. } => self.pay_before = Some(*pay_before),
            OrderEvent::AwaitingPayment => self.status = Status::AwaitingPayment,
            OrderEvent::PaymentRequested => self.status_reason.clear(),
            OrderEvent::PaymentDeclined { reason } | OrderEvent::PaymentAbandoned { reason } => {
                self.status_reason.clone_from(reason);
            }
            OrderEvent::Paid => self.leave_for(Status::Paid, ""),
            OrderEvent::Confirmed { ship_at } => {
                self.status = Status::Confirmed;
                self.fulfil_at = *ship_at;
            }
            OrderEvent::Shipped { deliver_at } => {
                self.status = Status::Shipped;
                self.fulfil_at = Some(*deliver_at);
            }
            OrderEvent::Delivered => {
                self.status = Status::Delivered;
                self.fulfil_at = None;
            }
            OrderEvent::Rejected { reason } => self.leave_for(Status::Rejected, reason),
            OrderEvent::Expired => self.leave_for(Status::Expired, "not paid in time"),
            OrderEvent::Cancelled { reason } => {
                self.leave_for(Status::Cancelled, reason);
                self.cancelling = false;
            }
            OrderEvent::CancelRequested { reason } => {
                self.status_reason = because("being cancelled", reason);
                self.cancelling = true;
            }
            OrderEvent::RefundRequested(refund) => self.open(refund),
            OrderEvent::PaymentRefunded { amount, .. } => self.refunded = self.refunded.saturating_add(*amount),
            // The reservation of an order that ended unpaid.
            OrderEvent::StockReturned { refund: 0 } => {}
            OrderEvent::StockReturned { .. } => self.close(),
            OrderEvent::Refunded => {
                // Still open if no goods had to come back.
                self.close();
                self.status = Status::Refunded;
            }
            // Only the version moves.
            OrderEvent::CardOffered
            | OrderEvent::PaymentCaptured
            | OrderEvent::CaptureRefused
            | OrderEvent::LatePaymentRefused
            | OrderEvent::PaymentVoided
            | OrderEvent::StepRetried
            | OrderEvent::Unknown => {}
        }
    }

    /// The order waits for no payment any more.
    fn leave_for(&mut self, status: Status, reason: &str) {
        self.status = status;
        reason.clone_into(&mut self.status_reason);
        self.pay_before = None;
    }

    /// Whatever was planned for the goods is off, and a remembered cancellation is
    /// obeyed with this.
    fn open(&mut self, refund: &Arc<Refund>) {
        self.status_reason = match refund.cause {
            RefundCause::Cancelled => because("being cancelled", &refund.reason),
            RefundCause::Returned => {
                let pieces = refund.lines.iter().fold(0_i64, |sum, goods| sum.saturating_add(goods.quantity));
                format!("{} being returned", self.of_all(pieces))
            }
        };
        self.refund = Some(refund.clone());
        self.cancelling = false;
        self.fulfil_at = None;
    }

    fn close(&mut self) {
        let Some(refund) = self.refund.take() else { return };
        for goods in &refund.lines {
            *self.returned.entry(goods.sku.clone()).or_default() += goods.quantity;
        }
        self.status_reason = match refund.cause {
            RefundCause::Cancelled => because("cancelled", &refund.reason),
            RefundCause::Returned => format!("{} returned", self.of_all(self.returned.values().sum())),
        };
    }

    /// "2 of 3 items".
    fn of_all(&self, pieces: i64) -> String {
        format!("{pieces} of {} item{}", self.pieces, if self.pieces == 1 { "" } else { "s" })
    }
}

/// A word about the order, with the customer's own if there are any.
fn because(what: &str, reason: &str) -> String {
    if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") }
}
