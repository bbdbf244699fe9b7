//! What a message is about, as its reader sees it at a glance: a label and a small picture.
//!
//! The topics are notification's, and may become more: one that is not known here is still a
//! message, only without a picture of its own.

/// A topic, ready to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicView {
    pub(crate) label: &'static str,
    /// A class of the style sheet: news, wait, good, bad, past.
    pub(crate) tone: &'static str,
    /// The outline of a picture of 24 by 24, in SVG's path notation.
    pub(crate) icon: &'static str,
}

const PARCEL: &str = "m12 3 8 4v10l-8 4-8-4V7zM4 7l8 4 8-4M12 11v10";
const CLOCK: &str = "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M12 7.5V12l3 2";
const CARD: &str = "M3.5 6h17v12h-17zM3.5 10h17M7 14.5h3";
const TRUCK: &str =
    "M3 6h11v10H3zM14 10h4l3 3v3h-7zM7 16a2 2 0 1 0 0 4 2 2 0 0 0 0-4M17.5 16a2 2 0 1 0 0 4 2 2 0 0 0 0-4";
const CHECK: &str = "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M8 12.3l2.7 2.7L16 9.5";
const CROSS: &str = "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M9 9l6 6M15 9l-6 6";
const BACK: &str = "M9 7 4.5 11.5 9 16M5 11.5h9a5 5 0 0 1 0 10h-3";
const LETTER: &str = "M3.5 6h17v12h-17zM4 6.5l8 6.5 8-6.5";

impl TopicView {
    /// How the topic of this name is shown.
    pub(crate) fn of(topic: &str) -> Self {
        let (label, tone, icon) = match topic {
            "order-placed" => ("Order placed", "news", PARCEL),
            "order-awaiting-payment" => ("Please pay", "wait", CARD),
            "payment-reminder" => ("Payment reminder", "wait", CLOCK),
            "payment-declined" => ("Card declined", "bad", CARD),
            "payment-abandoned" => ("Payment given up", "bad", CARD),
            "late-payment-refused" => ("Payment too late", "bad", CARD),
            "payment-voided" => ("Card not charged", "past", CARD),
            "capture-refused" => ("Payment failed", "bad", CARD),
            "order-confirmed" => ("Order confirmed", "good", CHECK),
            "order-shipped" => ("Shipped", "good", TRUCK),
            "order-delivered" => ("Delivered", "good", PARCEL),
            "order-rejected" => ("Not available", "bad", CROSS),
            "order-expired" => ("Order expired", "bad", CLOCK),
            "order-cancelled" => ("Order cancelled", "past", CROSS),
            "cancel-requested" => ("Being cancelled", "past", CROSS),
            "refund-requested" => ("Refund begun", "news", BACK),
            "payment-refunded" | "order-refunded" => ("Refunded", "good", BACK),
            _ => ("Message", "past", LETTER),
        };
        Self { label, tone, icon }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_not_known_is_a_plain_message_and_lends_nothing_to_the_page() {
        let strange = TopicView::of("\"><script>");
        assert_eq!((strange.label, strange.tone), ("Message", "past"));
        assert_ne!(TopicView::of("payment-reminder"), strange);
    }
}
