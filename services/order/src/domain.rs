//! The order aggregate: what an order is. Its events make it, nothing else does.
//!
//! The order is event-sourced. [`decide()`] turns an input into events; [`evolve()`]
//! folds an event into the order. Nothing else changes an order, so the row in
//! the store is the fold of its events, and can be checked against them.
//!
//! ```text
//!          reserved            authorised     captured, committed
//!  PLACED ─────────► AWAITING ───────────► PAID ───────────────► CONFIRMED ──► SHIPPED ──► DELIVERED
//!   │                _PAYMENT               │ │                       │                        │
//!   ├ short ─► REJECTED │ │ ▲ declined:     │ └ called off ─┐         │ called off             │ returned
//!   │                   │ └─┘ three tries   │               │         │                        │
//!   ├ deadline ─────────┼─► EXPIRED         │ capture       └──► REFUNDED ◄────────────────────┘
//!   └ called off ───────┴─► CANCELLED ◄─────┘ refused
//! ```
//!
//! What goes back goes back in one way: a [`Refund`] is opened, the money goes
//! first, the goods follow it to the shelf, and the refund is closed. An order has
//! at most one open at a time and keeps its status meanwhile; only when the last
//! piece is back does it become REFUNDED.

mod decide;
mod event;
mod evolve;
mod input;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use decide::decide;
pub use event::{Event, Step};
pub use evolve::evolve;
pub use input::Input;
pub use refusal::Refusal;

/// Unix milliseconds, UTC.
pub type Millis = i64;

/// Cards that may be declined before the customer has to wait for the deadline.
pub const TRIES: i32 = 3;
/// How long an authorisation may take before the attempt is given up, ms.
pub const AUTHORISE_WITHIN: Millis = 60_000;
/// How long a step past the authorisation may take before it is asked for again,
/// ms; doubled by every retry.
pub const SETTLE_WITHIN: Millis = 60_000;

/// The shop's times, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From placing to the deadline of the payment.
    pub payment_window: Millis,
    /// From confirming to shipping.
    pub ship_after: Millis,
    /// From shipping to delivery.
    pub deliver_after: Millis,
}

impl Default for Terms {
    fn default() -> Self {
        Self { payment_window: 15 * 60_000, ship_after: 60_000, deliver_after: 120_000 }
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Called off before any money was taken.
    Cancelled,
    /// All money given back, all goods back on the shelf.
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

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goods {
    /// Stock keeping unit.
    pub sku: String,
    /// At least 1.
    pub quantity: i64,
}

/// What the customer ordered; never changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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

/// Why money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundCause {
    /// The order was called off after its money was taken.
    Cancelled,
    /// Goods of a delivered order came back.
    Returned,
}

/// Money on its way to the customer, and goods on their way to the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// 1, 2, 3 … within the order: the key under which payment and inventory know
    /// it, so that being asked twice is being asked once.
    pub number: i32,
    /// Why.
    pub cause: RefundCause,
    /// Minor units, at least 1.
    pub amount: i64,
    /// What comes back, one a SKU. Empty only if it is back already.
    pub lines: Vec<Goods>,
    /// In the customer's words; may be empty.
    pub reason: String,
}

/// An order: the fold of its events.
///
/// Its serialised form leaves out what is as it was at the beginning, which is most of
/// it, and what was ordered, which never changes and is kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Number of events folded.
    pub version: i64,
    /// Where it stands.
    pub status: Status,
    /// Why it stands there, for people; empty if that needs no words.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub status_reason: String,
    /// What was ordered.
    #[serde(skip)]
    pub placed: Arc<Placed>,
    /// When.
    pub placed_at: Millis,
    /// The deadline, as long as it matters.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub pay_before: Option<Millis>,
    /// Offered and not yet used.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub card: Option<Card>,
    /// The number of the last payment attempt; 0: none yet.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub attempt: i32,
    /// Whether that attempt still waits for its answer.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub in_flight: bool,
    /// How many cards were declined.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub declines: i32,
    /// The attempt that paid.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub paid_by: Option<i32>,
    /// Whether its money has been taken: the pivot. Stays so after a refund.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub captured: bool,
    /// Attempts whose money is on its way back without having been taken.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub voiding: BTreeSet<i32>,
    /// Whether the goods have left the stock. Stays so after a return.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub stock_committed: bool,
    /// Whether the reservation is known to be given back.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub stock_returned: bool,
    /// The reason of a cancellation that waits for the step under way; may be empty.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub cancelling: Option<String>,
    /// The refund that is open.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub refund: Option<Refund>,
    /// Whether the open refund's money is back and its goods are awaited.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub money_back: bool,
    /// How many refunds there were, the open one included.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub refunds: i32,
    /// Minor units given back so far.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub refunded: i64,
    /// Pieces that came back so far, by SKU.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub returned: BTreeMap<String, i64>,
    /// When it is shipped (CONFIRMED) or delivered (SHIPPED).
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub fulfil_at: Option<Millis>,
    /// When the present step is overdue.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub step_due: Option<Millis>,
    /// How often the present step was asked for again.
    #[serde(default, skip_serializing_if = "as_at_first")]
    pub retries: i32,
}

fn as_at_first<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Order {
    /// Whether a cancellation or a return is under way, so that no other may begin.
    pub const fn unwinding(&self) -> bool {
        self.cancelling.is_some() || self.refund.is_some()
    }

    /// Whether the money that was taken is for an order that goes on: not if a
    /// cancellation is remembered, nor if there is no such order any more.
    pub const fn goes_on(&self) -> bool {
        self.cancelling.is_none() && matches!(self.status, Status::Paid)
    }

    /// What has not come back yet, one a SKU.
    pub fn left(&self) -> Vec<Goods> {
        let lines = self.placed.lines.iter();
        lines
            .map(|line| Goods { sku: line.sku.clone(), quantity: line.quantity - self.came_back(&line.sku) })
            .filter(|goods| goods.quantity > 0)
            .collect()
    }

    /// Pieces of a SKU that came back.
    pub fn came_back(&self, sku: &str) -> i64 {
        self.returned.get(sku).copied().unwrap_or_default()
    }
}
