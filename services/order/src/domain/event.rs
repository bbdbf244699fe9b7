//! What can happen to an order.

use super::{Card, Millis, Placed};

/// A step past the authorisation that is asked for until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Take the money.
    Capture,
    /// Take the goods off the shelf.
    CommitStock,
}

/// A fact about an order, in the past tense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was taken.
    Placed(Box<Placed>),
    /// Every line is reserved.
    AwaitingPayment,
    /// It cannot be served.
    Rejected {
        /// For people.
        reason: String,
    },
    /// A card came before the stock was reserved.
    CardOffered {
        /// The card.
        card: Card,
    },
    /// An authorisation was asked for.
    PaymentRequested {
        /// 1, 2, 3 …
        attempt: i32,
        /// With which card.
        card: Card,
    },
    /// The bank said no.
    PaymentDeclined {
        /// Which attempt.
        attempt: i32,
        /// The bank's words.
        reason: String,
        /// Cards that may still be offered.
        tries_left: i32,
    },
    /// The bank did not say anything in time.
    PaymentAbandoned {
        /// Which attempt.
        attempt: i32,
        /// For people.
        reason: String,
    },
    /// The money is held.
    Paid {
        /// By which attempt.
        attempt: i32,
        /// The bank's reference.
        authorisation_id: String,
    },
    /// The money is taken.
    PaymentCaptured {
        /// Of which attempt.
        attempt: i32,
    },
    /// Stock and money are settled.
    Confirmed,
    /// It was not paid in time.
    Expired {
        /// The deadline that passed.
        pay_before: Millis,
    },
    /// Money was held that the order cannot use; it goes back.
    LatePaymentRefused {
        /// Of which attempt.
        attempt: i32,
        /// For people.
        reason: String,
    },
    /// The money is back.
    PaymentVoided {
        /// Of which attempt.
        attempt: i32,
    },
    /// The goods are back on the shelf.
    StockReturned,
    /// A step took too long and was asked for again.
    StepRetried {
        /// Which.
        step: Step,
        /// 1, 2, 3 …
        retry: i32,
    },
}
