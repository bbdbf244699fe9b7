//! The roads of an order: what its customer does, how the bank behaves, and where
//! it must end.

use std::time::Duration;

use gateway::api::OrderStatus;

pub(crate) const APPROVED: &str = "4242 4242 4242 4242";
pub(crate) const DECLINED: &str = "4000 0000 0000 0002";
pub(crate) const SLOW: &str = "4000 0000 0000 0077";
pub(crate) const UNREACHABLE: &str = "4000 0000 0000 0119";
pub(crate) const ANSWER_LOST: &str = "4000 0000 0000 0341";
pub(crate) const CAPTURE_REFUSED: &str = "4000 0000 0000 0069";

/// Something that a customer does on the way.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Offers a card, once so many were declined.
    Pay { card: &'static str, declines: usize },
    /// Calls the order off as soon as it stands so (or came past it).
    Cancel { at: &'static [OrderStatus] },
    /// Calls the order off while its payment is under way.
    CancelInFlight,
    /// Sends so many pieces back, once the order is delivered and nothing else is
    /// on its way back.
    Return { pieces: i64 },
}

/// A road of an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Road {
    pub(crate) name: &'static str,
    pub(crate) quantity: i64,
    /// Offered with the order.
    pub(crate) card: Option<&'static str>,
    /// Done one after the other.
    pub(crate) acts: &'static [Act],
    pub(crate) window: Duration,
    /// From confirmed to shipped, and from shipped to delivered.
    pub(crate) fulfil: Duration,
    /// How fast the shop's time runs: times as fast as ours.
    pub(crate) pace: u32,
    pub(crate) end: OrderStatus,
    /// Heard on the way, if nothing goes wrong. On a road that begins like another
    /// one these are the steps that are worth a crash.
    pub(crate) must_hear: &'static [&'static str],
    /// Whether the road begins as another one does, step by step.
    pub(crate) branches_off: bool,
}

const LONG: Duration = Duration::from_secs(900);
const SHORT: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_millis(300);

const ROAD: Road = Road {
    name: "",
    quantity: 2,
    card: Some(APPROVED),
    acts: &[],
    window: LONG,
    fulfil: LONG,
    pace: 5,
    end: OrderStatus::Confirmed,
    must_hear: &[],
    branches_off: false,
};

const CANCEL_CONFIRMED: Act = Act::Cancel { at: &[OrderStatus::Confirmed, OrderStatus::Refunded] };

pub(crate) const PAID_AT_ONCE: Road = Road {
    name: "paid at once",
    must_hear: &["ReserveStock", "AuthorisePayment", "CapturePayment", "CommitStock", "OrderConfirmed"],
    ..ROAD
};

pub(crate) const DECLINED_THEN_PAID: Road = Road {
    name: "declined, then paid",
    card: None,
    acts: &[Act::Pay { card: DECLINED, declines: 0 }, Act::Pay { card: APPROVED, declines: 1 }],
    must_hear: &["PaymentDeclined", "OrderPaymentDeclined", "OrderConfirmed"],
    ..ROAD
};

pub(crate) const BANK_UNREACHABLE: Road = Road {
    name: "the bank unreachable twice",
    card: Some(UNREACHABLE),
    must_hear: &["timer redrive:/order/payment.commands", "OrderConfirmed"],
    ..ROAD
};

pub(crate) const BANK_ANSWER_LOST: Road = Road {
    name: "the bank's answer lost",
    card: Some(ANSWER_LOST),
    must_hear: &["timer redrive:/order/payment.commands", "OrderConfirmed"],
    ..ROAD
};

pub(crate) const BANK_SLOW: Road =
    Road { name: "the bank slow", card: Some(SLOW), must_hear: &["OrderConfirmed"], ..ROAD };

pub(crate) const STOCK_SHORT: Road = Road {
    name: "stock short",
    quantity: 1_000,
    end: OrderStatus::Rejected,
    must_hear: &["StockShort", "OrderRejected"],
    ..ROAD
};

pub(crate) const NOT_PAID_IN_TIME: Road = Road {
    name: "not paid in time",
    card: None,
    window: SHORT,
    end: OrderStatus::Expired,
    must_hear: &[
        "timer payment-deadline",
        "timer payment-reminder",
        "OrderExpired",
        "ReleaseStock",
        "StockReleased",
        "OrderStockReturned",
    ],
    ..ROAD
};

pub(crate) const PAID_TOO_LATE: Road = Road {
    name: "paid too late",
    card: Some(SLOW),
    window: SHORT,
    end: OrderStatus::Expired,
    must_hear: &["OrderLatePaymentRefused", "VoidPayment", "PaymentVoided", "OrderPaymentVoided"],
    ..ROAD
};

pub(crate) const CAPTURE_REFUSED_FOR_GOOD: Road = Road {
    name: "the capture refused for good",
    card: Some(CAPTURE_REFUSED),
    end: OrderStatus::Cancelled,
    must_hear: &[
        "PaymentCaptureRefused",
        "OrderCaptureRefused",
        "OrderCancelled",
        "VoidPayment",
        "PaymentVoided",
        "ReleaseStock",
        "StockReleased",
    ],
    branches_off: true,
    ..ROAD
};

pub(crate) const CANCELLED_AT_ONCE: Road = Road {
    name: "cancelled at once",
    card: None,
    acts: &[Act::Cancel { at: &[OrderStatus::Placed, OrderStatus::AwaitingPayment, OrderStatus::Cancelled] }],
    end: OrderStatus::Cancelled,
    must_hear: &["OrderCancelled", "ReleaseStock", "StockReleased", "OrderStockReturned"],
    ..ROAD
};

pub(crate) const CANCELLED_WAITING: Road = Road {
    name: "cancelled while it waits for its payment",
    card: None,
    acts: &[Act::Cancel { at: &[OrderStatus::AwaitingPayment, OrderStatus::Cancelled] }],
    end: OrderStatus::Cancelled,
    must_hear: &["OrderCancelled", "ReleaseStock", "StockReleased", "OrderStockReturned"],
    branches_off: true,
    ..ROAD
};

pub(crate) const CANCELLED_WHILE_BANK_IS_SLOW: Road = Road {
    name: "cancelled while the bank is slow",
    card: Some(SLOW),
    acts: &[Act::CancelInFlight],
    end: OrderStatus::Cancelled,
    must_hear: &["PaymentAuthorised", "OrderLatePaymentRefused", "VoidPayment", "PaymentVoided", "OrderPaymentVoided"],
    branches_off: true,
    ..ROAD
};

pub(crate) const CANCELLED_WHILE_BANK_IS_AWAY: Road = Road {
    name: "cancelled while the bank cannot be reached",
    card: Some(UNREACHABLE),
    acts: &[Act::CancelInFlight],
    end: OrderStatus::Cancelled,
    must_hear: &["timer redrive:/order/payment.commands", "VoidPayment", "PaymentVoided", "OrderPaymentVoided"],
    branches_off: true,
    ..ROAD
};

pub(crate) const CANCELLED_WHILE_ANSWER_IS_LOST: Road = Road {
    name: "cancelled while the bank's answer is lost",
    card: Some(ANSWER_LOST),
    acts: &[Act::CancelInFlight],
    end: OrderStatus::Cancelled,
    must_hear: &["VoidPayment", "PaymentVoided", "OrderPaymentVoided"],
    branches_off: true,
    ..ROAD
};

pub(crate) const CANCELLED_WHILE_MONEY_IS_TAKEN: Road = Road {
    name: "cancelled while its money is taken",
    card: Some(SLOW),
    acts: &[Act::Cancel { at: &[OrderStatus::Paid, OrderStatus::Refunded] }],
    // Slower, so that the customer is in time for it on a busy machine, too.
    pace: 2,
    end: OrderStatus::Refunded,
    must_hear: &[
        "PaymentCaptured",
        "OrderCancelRequested",
        "OrderRefundRequested",
        "RefundPayment",
        "PaymentRefunded",
        "OrderPaymentRefunded",
        "ReleaseStock",
        "StockReleased",
        "OrderRefunded",
    ],
    branches_off: true,
    ..ROAD
};

pub(crate) const CANCELLED_WHEN_CONFIRMED: Road = Road {
    name: "cancelled when it is confirmed",
    acts: &[CANCEL_CONFIRMED],
    end: OrderStatus::Refunded,
    must_hear: &[
        "OrderRefundRequested",
        "RefundPayment",
        "PaymentRefunded",
        "OrderPaymentRefunded",
        "ReturnStock",
        "StockReturned",
        "OrderStockReturned",
        "OrderRefunded",
    ],
    branches_off: true,
    ..ROAD
};

pub(crate) const REFUND_UNREACHABLE: Road = Road {
    name: "refunded by a bank that cannot be reached twice",
    card: Some(UNREACHABLE),
    acts: &[CANCEL_CONFIRMED],
    end: OrderStatus::Refunded,
    must_hear: &["RefundPayment", "PaymentRefunded", "OrderRefunded"],
    branches_off: true,
    ..ROAD
};

pub(crate) const REFUND_ANSWER_LOST: Road = Road {
    name: "refunded by a bank whose answer is lost",
    card: Some(ANSWER_LOST),
    acts: &[CANCEL_CONFIRMED],
    end: OrderStatus::Refunded,
    must_hear: &["RefundPayment", "PaymentRefunded", "OrderRefunded"],
    branches_off: true,
    ..ROAD
};

pub(crate) const REFUND_SLOW: Road = Road {
    name: "refunded by a slow bank",
    card: Some(SLOW),
    acts: &[CANCEL_CONFIRMED],
    end: OrderStatus::Refunded,
    must_hear: &["RefundPayment", "PaymentRefunded", "OrderRefunded"],
    branches_off: true,
    ..ROAD
};

pub(crate) const DELIVERED: Road = Road {
    name: "shipped and delivered",
    fulfil: SOON,
    end: OrderStatus::Delivered,
    must_hear: &["timer fulfilment", "OrderShipped", "OrderDelivered"],
    branches_off: true,
    ..ROAD
};

pub(crate) const RETURNED: Road = Road {
    name: "delivered and returned",
    acts: &[Act::Return { pieces: 2 }],
    fulfil: SOON,
    end: OrderStatus::Refunded,
    must_hear: &["RefundPayment", "PaymentRefunded", "ReturnStock", "StockReturned", "OrderRefunded"],
    branches_off: true,
    ..ROAD
};

pub(crate) const RETURNED_IN_PARTS: Road = Road {
    name: "delivered and returned in parts",
    quantity: 3,
    acts: &[Act::Return { pieces: 1 }, Act::Return { pieces: 2 }],
    fulfil: SOON,
    end: OrderStatus::Refunded,
    must_hear: &["RefundPayment", "PaymentRefunded", "ReturnStock", "StockReturned", "OrderRefunded"],
    branches_off: true,
    ..ROAD
};
