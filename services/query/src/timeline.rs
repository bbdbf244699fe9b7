//! The **timeline** of an order: its part of the event log, told for people.
//!
//! Nothing of it is stored: the texts are made when they are read, by a pure
//! function over type and payload, so that a better wording needs no rebuild. A
//! card is named by its last four digits; its token is never told.

use std::collections::BTreeMap;

use contracts::common::{Card, Money};
use contracts::inventory::StockShort;
use contracts::notification::CustomerNotified;
use contracts::order::{
    OrderCardOffered, OrderLatePaymentRefused, OrderPaid, OrderPaymentAbandoned, OrderPaymentDeclined,
    OrderPaymentRequested, OrderPaymentVoided, OrderPlaced, OrderRejected, OrderStepRetried,
};
use contracts::payment::{PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided};
use contracts::query::TimelineEntry;
use platform::message::{Envelope, Malformed};

use crate::kind::Kind;

/// Attempt -> last four digits of the card that it was made with.
type Cards = BTreeMap<i32, String>;

/// Tells the events of an order, which come in the order of their times. Those
/// that mean nothing to its customer are left out.
pub fn tell(events: &[Envelope]) -> Vec<TimelineEntry> {
    let mut cards = Cards::new();
    events
        .iter()
        .filter_map(|event| {
            let kind = Kind::of(&event.kind)?;
            if kind == Kind::OrderPaymentRequested
                && let Ok(OrderPaymentRequested { attempt, card: Some(Card { last4, .. }) }) = event.payload()
            {
                cards.insert(attempt, last4);
            }
            // What does not read as its type was not let into the log.
            let summary = summary(kind, event, &cards).ok().flatten()?;
            Some(TimelineEntry {
                at: event.time,
                service: event.source.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned(),
                r#type: kind.short().to_owned(),
                summary,
                event_id: event.id.clone(),
            })
        })
        .collect()
}

/// What an event says to people; `None` if nothing.
fn summary(kind: Kind, event: &Envelope, cards: &Cards) -> Result<Option<String>, Malformed> {
    Ok(Some(match kind {
        Kind::OrderPlaced => {
            let OrderPlaced { lines, total, .. } = event.payload()?;
            let items = lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.quantity));
            format!("Order placed: {} for {}", count(items, "item"), money(total))
        }
        Kind::OrderAwaitingPayment => "Everything is reserved, waiting for payment".to_owned(),
        Kind::OrderRejected => {
            let OrderRejected { reason } = event.payload()?;
            format!("Order rejected: {reason}")
        }
        Kind::OrderCardOffered => {
            let OrderCardOffered { card } = event.payload()?;
            format!("Card ending {} will be used as soon as the stock is reserved", card.unwrap_or_default().last4)
        }
        Kind::OrderPaymentRequested => {
            let OrderPaymentRequested { attempt, .. } = event.payload()?;
            format!("Payment requested, {}", lower(&card(cards, attempt)))
        }
        Kind::OrderPaymentDeclined => {
            let OrderPaymentDeclined { attempt, reason, tries_left } = event.payload()?;
            let left = if tries_left == 0 {
                "no tries left".to_owned()
            } else if tries_left == 1 {
                "1 try left".to_owned()
            } else {
                format!("{tries_left} tries left")
            };
            format!("{} declined: {reason}, {left}", card(cards, attempt))
        }
        Kind::OrderPaymentAbandoned => {
            let OrderPaymentAbandoned { attempt, reason } = event.payload()?;
            format!("Payment given up, {}: {reason}", lower(&card(cards, attempt)))
        }
        Kind::OrderPaid => {
            let OrderPaid { attempt, .. } = event.payload()?;
            format!("Paid, {}", lower(&card(cards, attempt)))
        }
        Kind::OrderPaymentCaptured => "Payment collected".to_owned(),
        Kind::OrderConfirmed => "Order confirmed".to_owned(),
        Kind::OrderExpired => "Order expired: not paid in time".to_owned(),
        Kind::OrderLatePaymentRefused => {
            let OrderLatePaymentRefused { attempt, reason } = event.payload()?;
            format!("{} not charged: {reason}", card(cards, attempt))
        }
        Kind::OrderPaymentVoided => {
            let OrderPaymentVoided { attempt } = event.payload()?;
            format!("Nothing is held any more, {}", lower(&card(cards, attempt)))
        }
        Kind::OrderStockReturned => "Reserved goods are back on the shelf".to_owned(),
        Kind::OrderStepRetried => {
            let OrderStepRetried { step, retry } = event.payload()?;
            let what = match step.as_str() {
                "capture" => "Collecting the payment",
                "commit-stock" => "Taking the goods off the shelf",
                other => other,
            };
            format!("{what} takes longer than usual, asked again ({})", count(i64::from(retry), "time"))
        }
        Kind::StockReserved => "Stock reserved".to_owned(),
        Kind::StockShort => {
            let StockShort { shortages } = event.payload()?;
            let short: Vec<_> = shortages
                .iter()
                .map(|short| format!("{} ({} wanted, {} left)", short.sku, short.requested, short.available))
                .collect();
            format!("Not enough in stock: {}", short.join(", "))
        }
        Kind::StockReleased => "Reservation released".to_owned(),
        Kind::StockCommitted => "Goods taken off the shelf".to_owned(),
        Kind::PaymentAuthorised => {
            let PaymentAuthorised { attempt, amount, .. } = event.payload()?;
            format!("{} held, {}", money(amount), lower(&card(cards, attempt)))
        }
        Kind::PaymentDeclined => {
            let PaymentDeclined { attempt, reason } = event.payload()?;
            format!("The bank declined, {}: {reason}", lower(&card(cards, attempt)))
        }
        Kind::PaymentCaptured => {
            let PaymentCaptured { attempt, amount } = event.payload()?;
            format!("{} collected, {}", money(amount), lower(&card(cards, attempt)))
        }
        Kind::PaymentVoided => {
            let PaymentVoided { attempt, amount } = event.payload()?;
            let card = lower(&card(cards, attempt));
            match amount {
                Some(amount) if amount.amount != 0 => format!("{} let go, {card}", money(Some(amount))),
                Some(_) | None => format!("Payment called off before any money was held, {card}"),
            }
        }
        Kind::CustomerNotified => {
            let CustomerNotified { title, .. } = event.payload()?;
            format!("Message sent: {title}")
        }
        // About products, not about an order.
        Kind::ProductUpserted | Kind::StockLevelChanged => return Ok(None),
    }))
}

fn card(cards: &Cards, attempt: i32) -> String {
    cards.get(&attempt).map_or_else(|| format!("Card of attempt {attempt}"), |last4| format!("Card ending {last4}"))
}

/// The same in the middle of a sentence.
fn lower(card: &str) -> String {
    card.replacen("Card", "card", 1)
}

fn count(n: i64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// An amount in major units, with as many decimals as ISO 4217 gives its currency.
fn money(money: Option<Money>) -> String {
    let Money { amount, currency } = money.unwrap_or_default();
    let decimals = match currency.as_str() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2_usize,
    };
    let digits = format!("{:0>width$}", amount.unsigned_abs(), width = decimals + 1);
    let (major, minor) = digits.split_at(digits.len() - decimals);
    let sign = if amount < 0 { "-" } else { "" };
    let point = if decimals == 0 { "" } else { "." };
    format!("{sign}{major}{point}{minor} {currency}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimens::{self, TOKEN};

    fn yen(amount: i64, currency: &str) -> String {
        money(Some(Money { amount, currency: currency.to_owned() }))
    }

    #[test]
    fn every_event_of_an_order_has_its_text() {
        let told = tell(&specimens::one_of_each());
        let told: Vec<_> =
            told.iter().map(|entry| (entry.service.as_str(), entry.r#type.as_str(), entry.summary.as_str())).collect();
        assert_eq!(
            told,
            [
                ("order", "OrderPlaced", "Order placed: 2 items for 25.00 GBP"),
                ("order", "OrderAwaitingPayment", "Everything is reserved, waiting for payment"),
                ("order", "OrderRejected", "Order rejected: MUG-1: 3 wanted, 1 left"),
                ("order", "OrderCardOffered", "Card ending 4242 will be used as soon as the stock is reserved"),
                ("order", "OrderPaymentRequested", "Payment requested, card ending 4242"),
                ("order", "OrderPaymentDeclined", "Card ending 4242 declined: insufficient funds, 2 tries left"),
                ("order", "OrderPaymentAbandoned", "Payment given up, card ending 4242: the bank did not answer"),
                ("order", "OrderPaid", "Paid, card ending 4242"),
                ("order", "OrderPaymentCaptured", "Payment collected"),
                ("order", "OrderConfirmed", "Order confirmed"),
                ("order", "OrderExpired", "Order expired: not paid in time"),
                ("order", "OrderLatePaymentRefused", "Card ending 4242 not charged: the order has expired"),
                ("order", "OrderPaymentVoided", "Nothing is held any more, card ending 4242"),
                ("order", "OrderStockReturned", "Reserved goods are back on the shelf"),
                ("order", "OrderStepRetried", "Collecting the payment takes longer than usual, asked again (2 times)"),
                ("inventory", "StockReserved", "Stock reserved"),
                ("inventory", "StockShort", "Not enough in stock: MUG-1 (3 wanted, 1 left)"),
                ("inventory", "StockReleased", "Reservation released"),
                ("inventory", "StockCommitted", "Goods taken off the shelf"),
                ("payment", "PaymentAuthorised", "25.00 GBP held, card ending 4242"),
                ("payment", "PaymentDeclined", "The bank declined, card ending 4242: insufficient funds"),
                ("payment", "PaymentCaptured", "25.00 GBP collected, card ending 4242"),
                ("payment", "PaymentVoided", "25.00 GBP let go, card ending 4242"),
                ("notification", "CustomerNotified", "Message sent: Your order is confirmed"),
            ]
        );
    }

    #[test]
    fn a_card_s_token_is_never_told() {
        let told = tell(&specimens::one_of_each());
        assert!(told.iter().all(|entry| !entry.summary.contains(TOKEN)));
    }

    #[test]
    fn each_attempt_is_told_with_its_own_card() {
        let mut events = specimens::one_of_each();
        let other = Card { token: TOKEN.into(), last4: "0002".into() };
        let declined = OrderPaymentDeclined { attempt: 2, reason: "no".into(), tries_left: 1 };
        events.push(specimens::envelope(
            "/order",
            "o-1",
            15,
            "o-1",
            &OrderPaymentRequested { attempt: 2, card: Some(other) },
        ));
        events.push(specimens::envelope("/order", "o-1", 17, "o-1", &declined));
        let told = tell(&events);
        assert_eq!(told.last().map(|entry| entry.summary.as_str()), Some("Card ending 0002 declined: no, 1 try left"));
    }

    #[test]
    fn a_payment_called_off_before_it_began_says_so() {
        let voided = PaymentVoided { attempt: 3, amount: specimens::pounds(0) };
        let told = tell(&[specimens::envelope("/payment", "o-1", 1, "o-1", &voided)]);
        assert_eq!(told[0].summary, "Payment called off before any money was held, card of attempt 3");
    }

    #[test]
    fn an_event_of_an_unknown_type_is_left_out() {
        assert_eq!(tell(&[specimens::unknown()]), []);
    }

    #[test]
    fn money_has_the_decimals_of_its_currency() {
        assert_eq!(yen(5, "GBP"), "0.05 GBP");
        assert_eq!(yen(123_456, "EUR"), "1234.56 EUR");
        assert_eq!(yen(500, "JPY"), "500 JPY");
        assert_eq!(yen(1, "KWD"), "0.001 KWD");
        assert_eq!(yen(-1_250, "GBP"), "-12.50 GBP");
    }
}
