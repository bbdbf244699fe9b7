//! Everything that can reach an order: what customers ask, what the other services
//! answer, and what the delay queue says is due.

use std::sync::Arc;

use super::{Card, Goods, Millis, Placed};

/// Something that reaches an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A customer orders.
    Place(Arc<Placed>),
    /// A customer offers a card.
    Pay {
        /// The card.
        card: Card,
    },
    /// A customer calls the order off.
    Cancel {
        /// In his words; may be empty.
        reason: String,
    },
    /// A customer sends goods back.
    Return {
        /// Which; `None`: all that he still has.
        lines: Option<Vec<Goods>>,
        /// In his words; may be empty.
        reason: String,
    },
    /// Inventory: every line is reserved.
    StockReserved,
    /// Inventory: nothing is reserved.
    StockShort {
        /// For people.
        reason: String,
    },
    /// Inventory: nothing is reserved any more.
    StockReleased,
    /// Inventory: the goods are off the shelf.
    StockCommitted,
    /// Inventory: goods are on the shelf again.
    StockReturned {
        /// Of which refund.
        refund: i32,
    },
    /// Payment: the money is held.
    PaymentAuthorised {
        /// For which attempt.
        attempt: i32,
        /// The bank's reference.
        authorisation_id: String,
    },
    /// Payment: the bank said no.
    PaymentDeclined {
        /// To which attempt.
        attempt: i32,
        /// The bank's words.
        reason: String,
    },
    /// Payment: the money is taken.
    PaymentCaptured {
        /// Of which attempt.
        attempt: i32,
    },
    /// Payment: the money is held and will never be ours.
    PaymentCaptureRefused {
        /// Of which attempt.
        attempt: i32,
        /// The bank's words.
        reason: String,
    },
    /// Payment: the held money is let go.
    PaymentVoided {
        /// Of which attempt.
        attempt: i32,
    },
    /// Payment: money that was taken is given back.
    PaymentRefunded {
        /// By which refund.
        refund: i32,
    },
    /// The delay queue: the payment's deadline.
    DeadlinePassed {
        /// As it was when the timer was set.
        due: Millis,
    },
    /// The delay queue: the present step takes too long.
    StepOverdue {
        /// As it was when the timer was set.
        due: Millis,
    },
    /// The delay queue: it is time to ship, or it has arrived.
    FulfilmentDue {
        /// As it was when the timer was set.
        due: Millis,
    },
}
