//! The values of the typed API: plain structs that resolvers and pages read.
//!
//! They are this crate's own and not the contracts' types, so that a page never
//! depends on protobuf: times are times, a missing reason is `None`, a status is
//! a closed enum. Translation is in `wire.rs`.

use std::fmt;

use chrono::{DateTime, Utc};

/// Who asks: handed to every method of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody is logged in: may look at the catalogue.
    Anonymous,
    /// Somebody is.
    Account(Account),
}

impl Caller {
    /// The account, if somebody is logged in.
    pub const fn account(&self) -> Option<&Account> {
        match self {
            Self::Anonymous => None,
            Self::Account(account) => Some(account),
        }
    }

    /// Whether the caller may do what only the people of the shop may.
    pub fn is_operator(&self) -> bool {
        self.account().is_some_and(|account| account.role == Role::Operator)
    }
}

/// Someone who can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// UUIDv7.
    pub id: String,
    /// Lower-cased, unique.
    pub email: String,
    /// What the account may do.
    pub role: Role,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Buys, and sees what is its own.
    Customer,
    /// Runs the shop, and sees everything.
    Operator,
}

impl Role {
    /// As stored and as GraphQL clients read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
        }
    }
}

/// A log-in: whoever shows the token is the account, until it expires.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// 256 random bits as 64 hex digits. Only its hash is stored.
    pub token: String,
    /// Whose it is.
    pub account: Account,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
}

/// Leaves the token out: it is a password for as long as it lives.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("account", &self.account).finish_non_exhaustive()
    }
}

/// A card's number on its way to be tokenised, the only thing that is done with
/// it: not stored, not logged, not in `Debug`.
#[derive(Clone)]
pub struct CardNumber(pub(crate) String);

impl From<String> for CardNumber {
    fn from(number: String) -> Self {
        Self(number)
    }
}

impl From<&str> for CardNumber {
    fn from(number: &str) -> Self {
        Self(number.to_owned())
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardNumber(…)")
    }
}

/// An amount in the minor units of a currency: 1250 GBP is twelve pounds fifty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217, three capital letters.
    pub currency: String,
}

/// Something that can be bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The stock keeping unit, upper-cased.
    pub sku: String,
    /// For people.
    pub name: String,
    /// Of one.
    pub price: Money,
    /// On hand and not reserved.
    pub available: i64,
}

/// So many of a product, as a buyer asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRequest {
    /// In any case; the shop's SKUs are upper-case.
    pub sku: String,
    /// 1 to 1,000,000.
    pub quantity: i64,
}

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

/// A message to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its id.
    pub id: String,
    /// To whom.
    pub customer_id: String,
    /// About which order.
    pub order_id: String,
    /// One line.
    pub title: String,
    /// The text, plain.
    pub body: String,
    /// When it was written.
    pub at: DateTime<Utc>,
}

/// A page of a list that is read forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, each with its cursor.
    pub edges: Vec<Edge<T>>,
    /// Whether asking with `after: end_cursor()` gives more.
    pub has_next_page: bool,
    /// Whether something comes before this page: it was asked for with `after`.
    pub has_previous_page: bool,
    /// Rows of the whole list.
    pub total: i64,
}

impl<T> Page<T> {
    /// Where the next page begins.
    pub fn end_cursor(&self) -> Option<&str> {
        self.edges.last().map(|edge| edge.cursor.as_str())
    }

    /// The rows without their cursors.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &T> {
        self.edges.iter().map(|edge| &edge.node)
    }
}

/// A row and where it stands in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge<T> {
    /// Opaque.
    pub cursor: String,
    /// The row.
    pub node: T,
}

/// What a buyer wants.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// 1 to 500 lines; lines of one SKU are added up.
    pub lines: Vec<LineRequest>,
    /// To pay at once.
    pub card: Option<CardNumber>,
    /// Where it goes.
    pub address: Option<Address>,
    /// Operators only: for whom it is placed, an account's email or id, or a free
    /// reference such as a till's customer number (1 to 64 characters, no `@`).
    pub customer: Option<String>,
    /// See [`Api`](super::Api).
    pub idempotency_key: Option<String>,
}

/// A card for an order that awaits its payment.
#[derive(Debug, Clone)]
pub struct PayOrder {
    /// Which.
    pub order_id: String,
    /// With what.
    pub card: CardNumber,
    /// See [`Api`](super::Api).
    pub idempotency_key: Option<String>,
}

/// A product to create, or to give another name and price.
#[derive(Debug, Clone)]
pub struct UpsertProduct {
    /// ASCII letters, digits and `-_./`, up to 64.
    pub sku: String,
    /// 1 to 200 characters.
    pub name: String,
    /// Above zero.
    pub price: Money,
    /// See [`Api`](super::Api).
    pub idempotency_key: Option<String>,
}

/// Goods that came in (above zero) or went missing (below zero).
#[derive(Debug, Clone)]
pub struct AdjustStock {
    /// Of which product.
    pub sku: String,
    /// How many more (or fewer).
    pub delta: i64,
    /// See [`Api`](super::Api).
    pub idempotency_key: Option<String>,
}
