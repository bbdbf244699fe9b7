//! The **event types** that the read side knows: one closed list.
//!
//! Whoever needs to tell types apart (the consumer, the timeline) matches on
//! [`Kind`], so that a new event is a new line here, and the compiler names every
//! place that has to say what it means. A type that is not listed is no error: it
//! is kept in the event log, and counts where events are counted.

macro_rules! kinds {
    ($($kind:ident = $name:literal,)+) => {
        /// A type of event, by the short name of its contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`")] $kind,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The type with this full protobuf name.
            pub fn of(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$kind),)+
                    _ => None,
                }
            }

            /// The full protobuf name.
            pub const fn full(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// The short name, for people.
            pub const fn short(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)+
                }
            }
        }
    };
}

kinds! {
    OrderPlaced = "orderly.order.v1.OrderPlaced",
    OrderAwaitingPayment = "orderly.order.v1.OrderAwaitingPayment",
    OrderRejected = "orderly.order.v1.OrderRejected",
    OrderCardOffered = "orderly.order.v1.OrderCardOffered",
    OrderPaymentRequested = "orderly.order.v1.OrderPaymentRequested",
    OrderPaymentDeclined = "orderly.order.v1.OrderPaymentDeclined",
    OrderPaymentAbandoned = "orderly.order.v1.OrderPaymentAbandoned",
    OrderPaid = "orderly.order.v1.OrderPaid",
    OrderPaymentCaptured = "orderly.order.v1.OrderPaymentCaptured",
    OrderConfirmed = "orderly.order.v1.OrderConfirmed",
    OrderExpired = "orderly.order.v1.OrderExpired",
    OrderLatePaymentRefused = "orderly.order.v1.OrderLatePaymentRefused",
    OrderPaymentVoided = "orderly.order.v1.OrderPaymentVoided",
    OrderStockReturned = "orderly.order.v1.OrderStockReturned",
    OrderStepRetried = "orderly.order.v1.OrderStepRetried",
    OrderCaptureRefused = "orderly.order.v1.OrderCaptureRefused",
    OrderCancelled = "orderly.order.v1.OrderCancelled",
    OrderCancelRequested = "orderly.order.v1.OrderCancelRequested",
    OrderRefundRequested = "orderly.order.v1.OrderRefundRequested",
    OrderPaymentRefunded = "orderly.order.v1.OrderPaymentRefunded",
    OrderRefunded = "orderly.order.v1.OrderRefunded",
    OrderShipped = "orderly.order.v1.OrderShipped",
    OrderDelivered = "orderly.order.v1.OrderDelivered",
    ProductUpserted = "orderly.inventory.v1.ProductUpserted",
    StockLevelChanged = "orderly.inventory.v1.StockLevelChanged",
    StockReserved = "orderly.inventory.v1.StockReserved",
    StockShort = "orderly.inventory.v1.StockShort",
    StockReleased = "orderly.inventory.v1.StockReleased",
    StockCommitted = "orderly.inventory.v1.StockCommitted",
    StockReturned = "orderly.inventory.v1.StockReturned",
    PaymentAuthorised = "orderly.payment.v1.PaymentAuthorised",
    PaymentDeclined = "orderly.payment.v1.PaymentDeclined",
    PaymentCaptured = "orderly.payment.v1.PaymentCaptured",
    PaymentVoided = "orderly.payment.v1.PaymentVoided",
    PaymentCaptureRefused = "orderly.payment.v1.PaymentCaptureRefused",
    PaymentRefunded = "orderly.payment.v1.PaymentRefunded",
    CustomerNotified = "orderly.notification.v1.CustomerNotified",
    CustomerMailed = "orderly.notification.v1.CustomerMailed",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimens;

    #[test]
    fn every_kind_is_the_name_of_a_contract() {
        let spoken: Vec<Kind> =
            specimens::one_of_each().iter().map(|message| Kind::of(&message.kind).expect("a known kind")).collect();
        assert_eq!(spoken, Kind::ALL);
    }

    #[test]
    fn a_kind_is_called_by_the_last_word_of_its_name() {
        for message in specimens::one_of_each() {
            assert_eq!(Kind::of(&message.kind).map(Kind::short), Some(message.short_kind()));
        }
        assert_eq!(Kind::of("orderly.order.v1.OrderPainted"), None);
    }
}
