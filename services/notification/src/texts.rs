//! What the customers read. Pure; plain text, never HTML, whatever the goods are
//! called.

use chrono::DateTime;
use platform::clock::Millis;

/// What is known of an order, and of whom to tell about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The customer's account.
    pub customer_id: String,
    /// Where mail would go.
    pub email: String,
    /// In a few words.
    pub goods: String,
    /// Minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// The payment's deadline, Unix milliseconds.
    pub pay_before: Millis,
    /// Whether a card was offered with the order.
    pub card_offered: bool,
}

/// What happened to the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It was taken.
    Placed,
    /// It is set aside and may be paid.
    AwaitingPayment,
    /// It cannot be served.
    Rejected {
        /// Which product is short.
        reason: String,
    },
    /// The bank said no.
    PaymentDeclined {
        /// In the bank's words.
        reason: String,
        /// How many cards may still be offered.
        tries_left: i32,
    },
    /// The bank did not answer in time.
    PaymentAbandoned,
    /// Goods and money are settled.
    Confirmed,
    /// Nobody paid in time.
    Expired,
    /// The bank said yes when it was too late; the money goes back.
    LatePaymentRefused {
        /// Why it could not be used.
        reason: String,
    },
    /// The money has gone back.
    PaymentVoided,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// One line.
    pub title: String,
    /// A few sentences.
    pub body: String,
}

/// What to write to the customer, if anything.
pub fn write(news: &News, order: &Subject) -> Option<Text> {
    let (goods, total, until) = (&order.goods, money(order.total, &order.currency), time(order.pay_before));
    let (title, body) = match news {
        News::Placed => (
            "We have your order",
            format!(
                "Thank you! We are setting aside {goods} for you, {total} in all. We will write as soon as it is done."
            ),
        ),
        // Whoever offered a card has nothing to do now.
        News::AwaitingPayment if order.card_offered => return None,
        News::AwaitingPayment => (
            "Your order is set aside for you",
            format!(
                "We have put {goods} aside. Please pay {total} before {until}; after that we have to offer it to \
                 somebody else."
            ),
        ),
        News::Rejected { reason } => {
            ("We cannot send you this order", format!("We are sorry: {}. Nothing was charged.", clause(reason)))
        }
        News::PaymentDeclined { reason, tries_left } => {
            let next = match tries_left {
                ..=0 => format!("There are no tries left for this order, and we will put it back at {until}."),
                1 => format!("You can try once more, with this card or another one, before {until}."),
                more => format!("You can try {more} more times, with this card or another one, before {until}."),
            };
            ("Your card was declined", format!("We could not take your payment: {}. {next}", clause(reason)))
        }
        News::PaymentAbandoned => (
            "Your bank did not answer",
            format!(
                "Your bank took too long, so we have stopped asking; that try will not be charged. Your order stays set \
                 aside until {until}, please try again."
            ),
        ),
        News::Confirmed => {
            ("Your order is confirmed", format!("Thank you! {total} is paid, and we are packing {goods} for you."))
        }
        News::Expired => (
            "Your order has expired",
            format!(
                "We kept {goods} for you until {until}, but no payment came, so it is back on the shelf. You are \
                 welcome to order again."
            ),
        ),
        News::LatePaymentRefused { reason } => (
            "We could not use your payment",
            format!(
                "Your bank's approval came when we could not use it any more: {}. We are asking your bank to let go of \
                 the {total} it holds. It is not charged.",
                clause(reason)
            ),
        ),
        News::PaymentVoided => (
            "Your money is free again",
            "Your bank has let go of what it held for a payment that we could not use. It was not charged.".to_owned(),
        ),
    };
    Some(Text { title: title.to_owned(), body })
}

/// A reason as a part of our sentence.
fn clause(reason: &str) -> &str {
    let reason = reason.trim().trim_end_matches(['.', '!']);
    if reason.is_empty() { "we were not told why" } else { reason }
}

/// `£12.50`, `12.50 CHF`, `¥1,250`: minor units as people write them.
fn money(minor: i64, currency: &str) -> String {
    let (symbol, digits) = match currency {
        "GBP" => ("£", 2),
        "EUR" => ("€", 2),
        "USD" => ("$", 2),
        "JPY" => ("¥", 0),
        _ => ("", 2),
    };
    let unit = 10_u64.pow(digits);
    let (whole, rest) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    let sign = if minor < 0 { "-" } else { "" };
    let number = if digits == 0 { grouped(whole) } else { format!("{}.{rest:02}", grouped(whole)) };
    if symbol.is_empty() { format!("{sign}{number} {currency}") } else { format!("{sign}{symbol}{number}") }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `14:32 UTC on 3 December 2026`.
fn time(at: Millis) -> String {
    DateTime::from_timestamp_millis(at)
        .map_or_else(|| "the deadline".to_owned(), |time| time.format("%H:%M UTC on %-d %B %Y").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Subject {
        Subject {
            customer_id: "ada".into(),
            email: "ada@example.com".into(),
            goods: "2 × White mug".into(),
            total: 123_450,
            currency: "GBP".into(),
            pay_before: 1_796_308_320_000,
            card_offered: false,
        }
    }

    fn all() -> Vec<News> {
        let reason = String::from("there is not enough money on the card.");
        vec![
            News::Placed,
            News::AwaitingPayment,
            News::Rejected { reason: reason.clone() },
            News::PaymentDeclined { reason: reason.clone(), tries_left: 2 },
            News::PaymentDeclined { reason: reason.clone(), tries_left: 1 },
            News::PaymentDeclined { reason: String::new(), tries_left: 0 },
            News::PaymentAbandoned,
            News::Confirmed,
            News::Expired,
            News::LatePaymentRefused { reason },
            News::PaymentVoided,
        ]
    }

    #[test]
    fn every_message_is_whole_sentences_of_plain_text() {
        for news in all() {
            let text = write(&news, &order()).expect("something to say");
            assert!(!text.title.ends_with('.') && text.title.starts_with(char::is_uppercase), "{text:?}");
            assert!(text.body.ends_with('.') && !text.body.contains("..") && !text.body.contains("  "), "{text:?}");
            assert!(!text.body.contains(['<', '{', '\n']), "{text:?}");
        }
    }

    #[test]
    fn who_must_pay_reads_how_much_and_until_when() {
        let text = write(&News::AwaitingPayment, &order()).expect("something to say");
        assert!(text.body.contains("£1,234.50"), "{}", text.body);
        assert!(text.body.contains("before 14:32 UTC on 3 December 2026"), "{}", text.body);
    }

    #[test]
    fn who_has_offered_a_card_is_not_asked_to_pay() {
        let paying = Subject { card_offered: true, ..order() };
        assert_eq!(write(&News::AwaitingPayment, &paying), None);
        assert!(write(&News::PaymentAbandoned, &paying).is_some());
    }

    #[test]
    fn a_decline_tells_the_bank_s_reason_and_the_tries_that_are_left() {
        let body = |tries_left| {
            let news = News::PaymentDeclined { reason: "the bank declined the card".into(), tries_left };
            write(&news, &order()).expect("something to say").body
        };
        assert!(body(2).contains("the bank declined the card. You can try 2 more times"), "{}", body(2));
        assert!(body(1).contains("once more"), "{}", body(1));
        assert!(body(0).contains("no tries left"), "{}", body(0));
    }

    #[test]
    fn money_is_written_as_people_write_it() {
        for (minor, currency, text) in [
            (5, "GBP", "£0.05"),
            (123_456_789, "EUR", "€1,234,567.89"),
            (-250, "USD", "-$2.50"),
            (1_250, "JPY", "¥1,250"),
            (1_250, "CHF", "12.50 CHF"),
        ] {
            assert_eq!(money(minor, currency), text);
        }
    }
}
