//! The order aggregate: what an order is, and how its events make it.
//!
//! The order is event-sourced. [`decide()`] turns an input into events; [`evolve`]
//! folds an event into the order. Nothing else changes an order, so the row in
//! the store is the fold of its events, and can be checked against them.
//!
//! ```text
//!  PLACED ── stock reserved ─► AWAITING_PAYMENT ── authorised ─► PAID ── captured, stock committed ─► CONFIRMED
//!    │  │                        │          │
//!    │  └────── deadline ────────┴─► EXPIRED└ declined: stays, three tries
//!    └─ stock short ─► REJECTED
//! ```
//!
//! SHIPPED, DELIVERED, CANCELLED and REFUNDED have their names here already; the
//! roads to them start at CONFIRMED (ship), AWAITING_PAYMENT (cancel) and
//! DELIVERED (return).

mod decide;
mod event;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use decide::{Input, Refusal, decide};
pub use event::{Event, Step};

/// Unix milliseconds, UTC.
pub type Millis = i64;

/// Cards that may be declined before the customer has to wait for the deadline.
pub const TRIES: i32 = 3;
/// How long an authorisation may take before the attempt is given up, ms.
pub const AUTHORISE_WITHIN: Millis = 60_000;
/// How long a step past the authorisation may take before it is asked for again,
/// ms; doubled by every retry.
pub const SETTLE_WITHIN: Millis = 60_000;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Taken; the stock is being reserved.
    Placed,
    /// The stock is reserved; the customer may pay.
    AwaitingPayment,
    /// The money is held, then taken; the stock is being committed.
    Paid,
    /// Stock and money are settled.
    Confirmed,
    /// On its way.
    Shipped,
    /// There.
    Delivered,
    /// Could not be served.
    Rejected,
    /// Not paid in time.
    Expired,
    /// Called off.
    Cancelled,
    /// Money given back.
    Refunded,
}

/// What a card number became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Understood by the bank.
    pub token: String,
    /// For people.
    pub last4: String,
}

/// Where the order goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Address {
    /// Who opens the door.
    pub recipient: String,
    /// Street and number.
    pub street: String,
    /// Town.
    pub city: String,
    /// Postal code.
    pub postal_code: String,
    /// Country.
    pub country: String,
}

/// A line at the price of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Stock keeping unit.
    pub sku: String,
    /// As it was called.
    pub name: String,
    /// At least 1.
    pub quantity: i64,
    /// Minor units.
    pub unit_price: i64,
}

/// What the customer ordered; never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Account id, or a reference of the shop's own.
    pub customer_id: String,
    /// Where messages go; may be empty.
    pub customer_email: String,
    /// One a SKU.
    pub lines: Vec<Line>,
    /// Sum of the lines, minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// The deadline for the payment.
    pub pay_before: Millis,
    /// Offered at checkout.
    pub card: Option<Card>,
    /// Where it goes.
    pub address: Option<Address>,
}

/// An order: the fold of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Number of events folded.
    pub version: i64,
    /// Where it stands.
    pub status: Status,
    /// Why it stands there, for people; empty if that needs no words.
    pub status_reason: String,
    /// What was ordered.
    pub placed: Placed,
    /// When.
    pub placed_at: Millis,
    /// The deadline, as long as it matters.
    pub pay_before: Option<Millis>,
    /// Offered and not yet used.
    pub card: Option<Card>,
    /// The number of the last payment attempt; 0: none yet.
    pub attempt: i32,
    /// Whether that attempt still waits for its answer.
    pub in_flight: bool,
    /// How many cards were declined.
    pub declines: i32,
    /// The attempt that paid.
    pub paid_by: Option<i32>,
    /// Whether its money has been taken: the pivot.
    pub captured: bool,
    /// Attempts whose money is on its way back.
    pub voiding: BTreeSet<i32>,
    /// Whether the reserved stock is known to be back on the shelf.
    pub stock_returned: bool,
    /// When the present step is overdue.
    pub step_due: Option<Millis>,
    /// How often the present step was asked for again.
    pub retries: i32,
}

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
        Event::Confirmed => {
            order.status = Status::Confirmed;
            order.step_due = None;
        }
        Event::Expired { .. } => {
            order.end(Status::Expired, "not paid in time");
        }
        Event::LatePaymentRefused { attempt, .. } => {
            order.voiding.insert(*attempt);
        }
        Event::PaymentVoided { attempt } => {
            order.voiding.remove(attempt);
        }
        Event::StockReturned => order.stock_returned = true,
        Event::StepRetried { retry, .. } => {
            order.retries = *retry;
            let doubled = SETTLE_WITHIN << (*retry).clamp(0, 6);
            order.step_due = Some(at + doubled);
        }
    }
    Some(order)
}

fn place(placed: &Placed, at: Millis) -> Order {
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
        stock_returned: false,
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
}
