//! What an order's events say to the projection.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Placement;

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the events of contracts/proto/orderly/order/v1/order.proto, explained there")]
pub enum OrderEvent {
    Placed {
        placement: Arc<Placement>,
        pay_before: i64,
    },
    AwaitingPayment,
    Rejected {
        reason: String,
    },
    CardOffered,
    PaymentRequested,
    PaymentDeclined {
        reason: String,
    },
    PaymentAbandoned {
        reason: String,
    },
    Paid,
    PaymentCaptured,
    CaptureRefused,
    /// `ship_at`: `None` if it will not be shipped.
    Confirmed {
        ship_at: Option<i64>,
    },
    Shipped {
        deliver_at: i64,
    },
    Delivered,
    Expired,
    Cancelled {
        reason: String,
    },
    CancelRequested {
        reason: String,
    },
    RefundRequested(Arc<Refund>),
    PaymentRefunded {
        amount: i64,
        currency: String,
    },
    Refunded,
    LatePaymentRefused,
    PaymentVoided,
    /// `refund`: 0 for the reservation of an order that ended unpaid.
    StockReturned {
        refund: i32,
    },
    StepRetried,
    /// Of a type that is not known (yet). It counts: a version is a number of events.
    Unknown,
}

/// Why money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundCause {
    /// The whole order was called off.
    Cancelled,
    /// Goods of a delivered order came back.
    Returned,
}

/// Money on its way to the customer, goods on their way to the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Why.
    pub cause: RefundCause,
    /// In the customer's words; may be empty.
    pub reason: String,
    /// What comes back.
    pub lines: Vec<Goods>,
}

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goods {
    /// Stock keeping unit.
    pub sku: String,
    /// How many.
    pub quantity: i64,
}
