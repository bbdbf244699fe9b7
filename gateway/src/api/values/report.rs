//! What operators look at: sales, and how far behind the read models are.

use super::Money;

/// A tumbling window of one minute over the shop's orders, by the time of their events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalesMinute {
    /// When it begins: Unix milliseconds, a multiple of 60,000.
    pub minute: i64,
    /// Orders confirmed in it.
    pub orders: i64,
    /// Pieces in these.
    pub pieces: i64,
    /// What these cost.
    pub revenue: Money,
    /// What was given back in it, for orders of whatever minute.
    pub refunded: Money,
}

/// How far a read model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadModel {
    /// `orders`, `products`, `notifications`, `sales`.
    pub name: String,
    /// Counts its rebuilds.
    pub generation: i64,
    /// The place in the event log up to which it is folded.
    pub position: i64,
    /// Events behind what the shop has published.
    pub lag: i64,
    /// When it last folded something, Unix milliseconds; `None`: never.
    pub folded_at: Option<i64>,
    /// Since when it is being rebuilt, Unix milliseconds; `None`: it is not.
    pub rebuilding_at: Option<i64>,
}

/// The read models, and the log that they are folded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadModels {
    /// All of them.
    pub models: Vec<ReadModel>,
    /// The newest event's place in the log.
    pub head: i64,
    /// Events that the shop has published and the log does not have yet.
    pub unheard: i64,
}
