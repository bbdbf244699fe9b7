//! What can happen to an order.

use std::sync::Arc;

use super::{Card, Millis, Placed, Refund};

/// A step past the authorisation that is asked for until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Take the money.
    Capture,
    /// Take the goods off the shelf.
    CommitStock,
    /// Give the money back.
    Refund,
    /// Put the goods back: as a return if they had left the stock, else by giving
    /// up their reservation.
    ReturnStock,
}

/// A fact about an order, in the past tense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was taken.
    Placed(Arc<Placed>),
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
    /// The bank holds the money and will never hand it over; it is let go.
    CaptureRefused {
        /// Of which attempt.
        attempt: i32,
        /// The bank's words.
        reason: String,
    },
    /// Stock and money are settled.
    Confirmed {
        /// When it is shipped; `None`: never, a remembered cancellation comes next.
        ship_at: Option<Millis>,
    },
    /// It is on its way.
    Shipped {
        /// When it is delivered.
        deliver_at: Millis,
    },
    /// It has arrived.
    Delivered,
    /// It was not paid in time.
    Expired {
        /// The deadline that passed.
        pay_before: Millis,
    },
    /// It was called off before any money was taken.
    Cancelled {
        /// For people; may be empty.
        reason: String,
    },
    /// It was called off while a step was under way that cannot be stopped; the
    /// order remembers, and unwinds as soon as that is done.
    CancelRequested {
        /// In the customer's words; may be empty.
        reason: String,
    },
    /// Money that was taken goes back.
    RefundRequested(Refund),
    /// The open refund's money is back.
    PaymentRefunded {
        /// Which refund.
        refund: i32,
        /// Minor units.
        amount: i64,
    },
    /// Money was held that the order cannot use; it goes back.
    LatePaymentRefused {
        /// Of which attempt.
        attempt: i32,
        /// For people.
        reason: String,
    },
    /// The held money is back.
    PaymentVoided {
        /// Of which attempt.
        attempt: i32,
    },
    /// The goods are back on the shelf.
    StockReturned {
        /// Of which refund; 0: the reservation of an order that ended unpaid.
        refund: i32,
    },
    /// All money is given back and all goods are back.
    Refunded,
    /// A step took too long and was asked for again.
    StepRetried {
        /// Which.
        step: Step,
        /// 1, 2, 3 …
        retry: i32,
    },
}
