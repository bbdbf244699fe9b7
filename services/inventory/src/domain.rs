//! Reservations: all lines of an order or none, and never below zero.
//!
//! ```text
//!              reserve, enough          commit
//!   (absent) ───────────────────► OPEN ────────► COMMITTED ─┐ return: all or part of
//!      │  └─ reserve, short ─► REFUSED │ release     ▲──────┘ the lines, 1, 2 …
//!      │ release (undo before do)  │   ▼
//!      └───────────────────────────┴► RELEASED   a tombstone: a late reserve is refused
//! ```
//!
//! The two undos do not overlap: what is set aside is *released*, what is sold is
//! *returned*, each return under the number of the refund that it belongs to.
//!
//! Every input may come again and is then answered again: the asker may not have
//! heard. What cannot follow from any order of messages is [`Illegal`].

mod decide;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use decide::{Illegal, decide};

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Stock keeping unit.
    pub sku: String,
    /// At least 1.
    pub quantity: i64,
}

/// What became of an order's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// The lines are set aside.
    Open(Vec<Line>),
    /// The lines have left the stock.
    Committed(Sale),
    /// Given back, or never to be made.
    Released,
    /// There was not enough.
    Refused,
}

/// Sold goods, and what of them came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// What left the stock, one line a SKU.
    pub lines: Vec<Line>,
    /// What came back, by the number of the refund; one line a SKU in each.
    pub returns: BTreeMap<i32, Vec<Line>>,
}

/// What the saga asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// All lines or none.
    Reserve(Vec<Line>),
    /// Undo it.
    Release,
    /// Sell it.
    Commit,
    /// Take sold goods back.
    Return {
        /// The order's refund that they belong to, from 1. The same number is the same
        /// return.
        refund: i32,
        /// What comes back.
        lines: Vec<Line>,
    },
}

/// One product's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Pieces in the house.
    pub on_hand: i64,
    /// Of these, set aside for orders. `0 <= reserved <= on_hand`.
    pub reserved: i64,
}

impl Level {
    /// What may still be promised.
    pub const fn available(self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// A change of one product's level; every one is kept as a stock movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Which product.
    pub sku: String,
    /// Why.
    pub kind: MovementKind,
    /// Pieces into the house, or out of it.
    pub on_hand: i64,
    /// Pieces set aside, or no longer.
    pub reserved: i64,
}

/// Why a level changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovementKind {
    /// An operator counted.
    Adjusted,
    /// Set aside for an order.
    Reserved,
    /// Given back by an order.
    Released,
    /// Sold to an order.
    Committed,
    /// Come back from an order.
    Returned,
}

/// A line that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Which product.
    pub sku: String,
    /// How many were asked for.
    pub requested: i64,
    /// How many there are.
    pub available: i64,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Every line is set aside.
    Reserved,
    /// Nothing is set aside.
    Short(Vec<Shortage>),
    /// Nothing is set aside any more, or ever will be.
    Released,
    /// The goods are sold.
    Committed,
    /// Goods of a sale are back.
    Returned {
        /// The refund that they belong to.
        refund: i32,
    },
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The reservation's next state; `None` leaves it.
    pub next: Option<Reservation>,
    /// The levels that change with it.
    pub movements: Vec<Movement>,
    /// What is said.
    pub event: Event,
}

impl Sale {
    /// Goods that were just sold.
    pub const fn new(lines: Vec<Line>) -> Self {
        Self { lines, returns: BTreeMap::new() }
    }

    /// Pieces of a SKU that were sold and have not come back.
    pub fn left(&self, sku: &str) -> i64 {
        let pieces =
            |lines: &[Line]| -> i64 { lines.iter().filter(|line| line.sku == sku).map(|line| line.quantity).sum() };
        pieces(&self.lines) - self.returns.values().map(|lines| pieces(lines)).sum::<i64>()
    }
}

/// Why the stock cannot be adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotAdjust {
    /// More is promised to orders than would be left.
    #[error("{reserved} are reserved for orders; {would_be} would be left")]
    BelowReserved {
        /// Set aside.
        reserved: i64,
        /// What would be in the house.
        would_be: i64,
    },
    /// More than fits a number.
    #[error("more stock than can be counted")]
    TooMuch,
}

/// The most pieces of one product: what a GraphQL `Int` can show.
pub const MOST: i64 = i32::MAX as i64;

/// Decides an operator's adjustment.
///
/// # Errors
/// [`CannotAdjust`].
pub fn adjust(sku: &str, level: Level, delta: i64) -> Result<Movement, CannotAdjust> {
    let would_be = level.on_hand.checked_add(delta).filter(|sum| *sum <= MOST).ok_or(CannotAdjust::TooMuch)?;
    if would_be < level.reserved {
        return Err(CannotAdjust::BelowReserved { reserved: level.reserved, would_be });
    }
    Ok(Movement { sku: sku.to_owned(), kind: MovementKind::Adjusted, on_hand: delta, reserved: 0 })
}

#[cfg(test)]
mod tests;
