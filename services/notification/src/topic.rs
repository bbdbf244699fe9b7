//! What a message is about, for programs: the closed list of topics. It is what
//! `CustomerNotified.topic` says, what a page picks its label by, and what a
//! customer's mail preference is about.

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The order was taken.
    OrderPlaced,
    /// It is set aside and asks for its payment.
    OrderAwaitingPayment,
    /// Its deadline comes closer and nobody has paid.
    PaymentReminder,
    /// The bank said no.
    PaymentDeclined,
    /// The bank did not answer.
    PaymentAbandoned,
    /// The bank said yes when it was too late.
    LatePaymentRefused,
    /// The bank has let go of what it held.
    PaymentVoided,
    /// The bank would not hand over what it held; the order is cancelled.
    CaptureRefused,
    /// Goods and money are settled.
    OrderConfirmed,
    /// It is on its way.
    OrderShipped,
    /// It has arrived.
    OrderDelivered,
    /// It cannot be served.
    OrderRejected,
    /// Nobody paid in time.
    OrderExpired,
    /// It was called off before any money was taken.
    OrderCancelled,
    /// It is called off, and its money is still on the way to us.
    CancelRequested,
    /// The bank was asked to give money back.
    RefundRequested,
    /// The bank has given back a part.
    PaymentRefunded,
    /// The bank has given back all of it.
    OrderRefunded,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::OrderPlaced,
        Self::OrderAwaitingPayment,
        Self::PaymentReminder,
        Self::PaymentDeclined,
        Self::PaymentAbandoned,
        Self::LatePaymentRefused,
        Self::PaymentVoided,
        Self::CaptureRefused,
        Self::OrderConfirmed,
        Self::OrderShipped,
        Self::OrderDelivered,
        Self::OrderRejected,
        Self::OrderExpired,
        Self::OrderCancelled,
        Self::CancelRequested,
        Self::RefundRequested,
        Self::PaymentRefunded,
        Self::OrderRefunded,
    ];

    /// Its name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderPlaced => "order-placed",
            Self::OrderAwaitingPayment => "order-awaiting-payment",
            Self::PaymentReminder => "payment-reminder",
            Self::PaymentDeclined => "payment-declined",
            Self::PaymentAbandoned => "payment-abandoned",
            Self::LatePaymentRefused => "late-payment-refused",
            Self::PaymentVoided => "payment-voided",
            Self::CaptureRefused => "capture-refused",
            Self::OrderConfirmed => "order-confirmed",
            Self::OrderShipped => "order-shipped",
            Self::OrderDelivered => "order-delivered",
            Self::OrderRejected => "order-rejected",
            Self::OrderExpired => "order-expired",
            Self::OrderCancelled => "order-cancelled",
            Self::CancelRequested => "cancel-requested",
            Self::RefundRequested => "refund-requested",
            Self::PaymentRefunded => "payment-refunded",
            Self::OrderRefunded => "order-refunded",
        }
    }

    /// The topic of that name, if there is one.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == name)
    }

    /// Whether it asks for something, or is about money, or about an order that comes
    /// to nothing. The rest is good news that can wait until the customer looks.
    pub const fn is_essential(self) -> bool {
        match self {
            Self::OrderPlaced | Self::OrderConfirmed | Self::OrderShipped | Self::OrderDelivered => false,
            Self::OrderAwaitingPayment
            | Self::PaymentReminder
            | Self::PaymentDeclined
            | Self::PaymentAbandoned
            | Self::LatePaymentRefused
            | Self::PaymentVoided
            | Self::CaptureRefused
            | Self::OrderRejected
            | Self::OrderExpired
            | Self::OrderCancelled
            | Self::CancelRequested
            | Self::RefundRequested
            | Self::PaymentRefunded
            | Self::OrderRefunded => true,
        }
    }
}

/// Which messages a customer also wants by mail. All are kept and shown, whatever
/// this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MailPreference {
    /// Every one; how it is until the customer says otherwise.
    #[default]
    All,
    /// The [essential](Topic::is_essential) ones.
    Essential,
    /// None.
    None,
}

impl MailPreference {
    const ALL: [Self; 3] = [Self::All, Self::Essential, Self::None];

    /// Its name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Essential => "ESSENTIAL",
            Self::None => "NONE",
        }
    }

    /// The preference of that name, if there is one.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preference| preference.as_str() == name)
    }

    /// Whether a message about this may go out by mail.
    pub const fn allows(self, topic: Topic) -> bool {
        match self {
            Self::All => true,
            Self::Essential => topic.is_essential(),
            Self::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_topic_has_a_name_of_its_own_that_leads_back_to_it() {
        let names: BTreeSet<&str> = Topic::ALL.into_iter().map(Topic::as_str).collect();
        assert_eq!(names.len(), Topic::ALL.len());
        for topic in Topic::ALL {
            assert_eq!(Topic::of(topic.as_str()), Some(topic));
        }
        assert_eq!(Topic::of("OrderPlaced"), None);
    }

    #[test]
    fn a_preference_restricts_mails_to_what_it_names() {
        let mailed = |preference: MailPreference| {
            Topic::ALL.into_iter().filter(|topic| preference.allows(*topic)).collect::<Vec<_>>()
        };
        assert_eq!(mailed(MailPreference::All), Topic::ALL);
        assert_eq!(mailed(MailPreference::None), []);
        let essential = mailed(MailPreference::Essential);
        for topic in [Topic::PaymentReminder, Topic::OrderExpired, Topic::PaymentDeclined, Topic::OrderRefunded] {
            assert!(essential.contains(&topic), "{topic:?}");
        }
        for topic in [Topic::OrderPlaced, Topic::OrderConfirmed, Topic::OrderShipped, Topic::OrderDelivered] {
            assert!(!essential.contains(&topic), "{topic:?}");
        }
    }

    #[test]
    fn every_preference_has_a_name_that_leads_back_to_it() {
        for preference in MailPreference::ALL {
            assert_eq!(MailPreference::of(preference.as_str()), Some(preference));
        }
        assert_eq!(MailPreference::of("some"), None);
        assert_eq!(MailPreference::default(), MailPreference::All);
    }
}
