//! An order as the API tells of it: where it stands, its lines, what happened.

use chrono::{DateTime, Utc};

use super::Money;

/// A line of an order, with name and price as they were when it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// The stock keeping unit.
    pub sku: String,
    /// The product's name.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// Of one.
    pub unit_price: Money,
    /// How many of them came back; what is still on its way (`unwinding`) is not counted.
    pub returned: i64,
}

/// Where an order goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Who receives it.
    pub recipient: String,
    /// Street and number.
    pub street: String,
    /// Town.
    pub city: String,
    /// May be empty: not every country has them.
    pub postal_code: String,
    /// Country, as the customer writes it.
    pub country: String,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Taken; its stock is being reserved.
    Placed,
    /// Reserved; waits for money until `pay_before`.
    AwaitingPayment,
    /// The money is held.
    Paid,
    /// The money is taken and the goods are sold.
    Confirmed,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Could not be served.
    Rejected,
    /// The money did not come in time.
    Expired,
    /// Called off before the money was taken.
    Cancelled,
    /// The money was given back.
    Refunded,
}

impl OrderStatus {
    /// All, in the order of an order's life.
    pub const ALL: [Self; 10] = [
        Self::Placed,
        Self::AwaitingPayment,
        Self::Paid,
        Self::Confirmed,
        Self::Shipped,
        Self::Delivered,
        Self::Rejected,
        Self::Expired,
        Self::Cancelled,
        Self::Refunded,
    ];

    /// The name in the GraphQL schema, such as `AWAITING_PAYMENT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::AwaitingPayment => "AWAITING_PAYMENT",
            Self::Paid => "PAID",
            Self::Confirmed => "CONFIRMED",
            Self::Shipped => "SHIPPED",
            Self::Delivered => "DELIVERED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
            Self::Refunded => "REFUNDED",
        }
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// UUIDv7.
    pub id: String,
    /// The number of events it has had; ask `order` with it to read your own write.
    pub version: i64,
    /// Where it stands.
    pub status: OrderStatus,
    /// For people: why it stands there, such as a decline's reason.
    pub status_reason: Option<String>,
    /// An account's id, or `ref:` and a reference without account.
    pub customer_id: String,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// Of all lines.
    pub total: Money,
    /// When it was taken.
    pub placed_at: DateTime<Utc>,
    /// Until when it must be paid; `None` once it waits for no payment.
    pub pay_before: Option<DateTime<Utc>>,
    /// Where it goes, if it was said.
    pub address: Option<Address>,
    /// Given back so far.
    pub refunded: Money,
    /// A cancellation or a return is under way, and no other may begin.
    pub unwinding: bool,
    /// When its next stage is planned (shipping, then delivery), Unix milliseconds;
    /// `None` if none is.
    pub fulfil_at: Option<i64>,
}

/// An order with everything that happened to it, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderWithTimeline {
    /// The order.
    pub order: Order,
    /// Oldest first.
    pub timeline: Vec<TimelineEntry>,
}

/// One thing that happened to an order, in any service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// Which service said so.
    pub service: String,
    /// The event's short name, `OrderPlaced`.
    pub kind: String,
    /// For people.
    pub summary: String,
    /// The event's id.
    pub event_id: String,
}
