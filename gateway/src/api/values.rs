//! The values of the typed API: plain structs that resolvers and pages read.
//!
//! They are this crate's own and not the contracts' types, so that a page never
//! depends on protobuf: a missing reason is `None`, a status is a closed enum.
//! Translation is in `wire.rs`.

mod command;
mod message;
mod order;
mod report;

use std::fmt;

use chrono::{DateTime, Utc};

pub use command::{AdjustStock, CancelOrder, LineRequest, PayOrder, PlaceOrder, ReturnOrder, UpsertProduct};
pub use message::{MailPreference, Notification};
pub use order::{Address, Order, OrderLine, OrderStatus, OrderWithTimeline, TimelineEntry};
pub use report::{ReadModel, ReadModels, SalesMinute};

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
