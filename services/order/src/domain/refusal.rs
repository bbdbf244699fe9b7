//! The no's of the order aggregate.

/// Why a customer's input is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such order.
    #[error("there is no such order")]
    Unknown,
    /// There is such an order already.
    #[error("this order was placed already")]
    PlacedAlready,
    /// One attempt at a time.
    #[error("a payment is already under way")]
    PaymentUnderWay,
    /// Three cards were declined.
    #[error("three cards were declined; the order waits for its deadline")]
    NoTriesLeft,
    /// The deadline has passed, though nobody has noticed yet.
    #[error("the time to pay has passed")]
    TooLate,
    /// Paid, ended, or otherwise beyond paying.
    #[error("the order does not wait for a payment")]
    NotPayable,
    /// Nobody can stop it now.
    #[error("the order is on its way; it can be returned when it has arrived")]
    OnItsWay,
    /// Cancelling is over, returning has begun.
    #[error("the order has arrived; return it instead")]
    ReturnInstead,
    /// Rejected, expired or refunded.
    #[error("the order has ended; there is nothing to cancel")]
    NothingToCancel,
    /// Only what is with the customer can come back from him.
    #[error("only what was delivered can be returned")]
    NotDelivered,
    /// The last piece came back long ago.
    #[error("everything has been given back already")]
    AllBack,
    /// One return at a time.
    #[error("a return is already under way; the next one can begin when it is done")]
    ReturnUnderWay,
    /// A return of no lines.
    #[error("a return has at least one line")]
    NoLines,
    /// The SKU is not part of the order.
    #[error("the order has no {sku}")]
    NotInOrder {
        /// Which SKU.
        sku: String,
    },
    /// Less than one piece.
    #[error("the quantity of {sku} must be at least 1")]
    Quantity {
        /// Of which SKU.
        sku: String,
    },
    /// More than the customer still has.
    #[error("{left} of {sku} can still be returned, not more")]
    MoreThanLeft {
        /// Which SKU.
        sku: String,
        /// How many he still has.
        left: i64,
    },
}
