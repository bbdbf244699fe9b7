//! Where an order stands.

/// The states that an order's events lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Taken; its stock is asked for.
    Placed,
    /// Its stock is reserved.
    AwaitingPayment,
    /// The money is held, then taken.
    Paid,
    /// Stock and money are settled.
    Confirmed,
    /// On its way.
    Shipped,
    /// It has arrived.
    Delivered,
    /// It could not be served.
    Rejected,
    /// It was not paid in time.
    Expired,
    /// Called off before any money was taken.
    Cancelled,
    /// All money given back, all goods back on the shelf.
    Refunded,
}

impl Status {
    /// All of them, in the order of an order's life.
    pub const ALL: [Self; 10] = [
        Self::Placed,
        Self::AwaitingPayment,
        Self::Paid,
        Self::Confirmed,
        Self::Shipped,
        Self::Delivered,
        Self::Rejected,
        Self::Expired,
        Self::Cancelled,
        Self::Refunded,
    ];

    /// As it is stored, and called in the contracts behind `ORDER_STATUS_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::AwaitingPayment => "AWAITING_PAYMENT",
            Self::Paid => "PAID",
            Self::Confirmed => "CONFIRMED",
            Self::Shipped => "SHIPPED",
            Self::Delivered => "DELIVERED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
            Self::Refunded => "REFUNDED",
        }
    }

    /// Whether an order that stands so was confirmed, and has not been refunded whole.
    pub const fn is_confirmed(self) -> bool {
        match self {
            Self::Confirmed | Self::Shipped | Self::Delivered => true,
            Self::Placed
            | Self::AwaitingPayment
            | Self::Paid
            | Self::Rejected
            | Self::Expired
            | Self::Cancelled
            | Self::Refunded => false,
        }
    }

    /// The status that is stored under this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_as_it_is_stored() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("LOST"), None);
    }
}
