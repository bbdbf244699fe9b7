//! The **timeline** of an order: its part of the event log, told for people.
//!
//! Nothing of it is stored: the texts are made when they are read, by a pure
//! function over type and payload, so that a better wording needs no rebuild. A
//! card is named by its last four digits; its token is never told.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use contracts::common::{Card, LineRequest, Money};
use contracts::inventory::StockShort;
use contracts::notification::{CustomerMailed, CustomerNotified};
use contracts::order::{
    OrderCancelRequested, OrderCancelled, OrderCaptureRefused, OrderCardOffered, OrderLatePaymentRefused, OrderPaid,
    OrderPaymentAbandoned, OrderPaymentDeclined, OrderPaymentRefunded, OrderPaymentRequested, OrderPaymentVoided,
    OrderPlaced, OrderRefundRequested, OrderRejected, OrderStepRetried, OrderStockReturned, RefundCause,
};
use contracts::payment::{
    PaymentAuthorised, PaymentCaptureRefused, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
};
use contracts::query::TimelineEntry;
use platform::message::{Envelope, Malformed};

use crate::kind::Kind;

fn money(money: Option<Money>) -> String {
    let Money { amount, currency } = money.unwrap_or_default();
    platform::money::format(amount, &currency)
}

/// What earlier events have said and later ones only refer to.
#[derive(Default)]
struct Said {
    /// Attempt -> last four digits of the card that it was made with.
    cards: BTreeMap<i32, String>,
    /// Message -> its title.
    titles: BTreeMap<String, String>,
}

/// Tells the events of an order, which come in the order of their times. Those
/// that mean nothing to its customer are left out.
pub fn tell(events: &[Envelope]) -> Vec<TimelineEntry> {
    let mut said = Said::default();
    events
        .iter()
        .filter_map(|event| {
            let kind = Kind::of(&event.kind)?;
            said.hear(kind, event);
            // What does not read as its type was not let into the log.
            let summary = summary(kind, event, &said).ok().flatten()?;
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

impl Said {
    fn hear(&mut self, kind: Kind, event: &Envelope) {
        if kind == Kind::OrderPaymentRequested
            && let Ok(OrderPaymentRequested { attempt, card: Some(Card { last4, .. }) }) = event.payload()
        {
            self.cards.insert(attempt, last4);
        }
        if kind == Kind::CustomerNotified
            && let Ok(CustomerNotified { notification_id, title, .. }) = event.payload()
        {
            self.titles.insert(notification_id, title);
        }
    }
}

/// What an event says to people; `None` if nothing.
fn summary(kind: Kind, event: &Envelope, said: &Said) -> Result<Option<String>, Malformed> {
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
            format!("Payment requested, {}", lower(&card(said, attempt)))
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
            format!("{} declined: {reason}, {left}", card(said, attempt))
        }
        Kind::OrderPaymentAbandoned => {
            let OrderPaymentAbandoned { attempt, reason } = event.payload()?;
            format!("Payment given up, {}: {reason}", lower(&card(said, attempt)))
        }
        Kind::OrderPaid => {
            let OrderPaid { attempt, .. } = event.payload()?;
            format!("Paid, {}", lower(&card(said, attempt)))
        }
        Kind::OrderPaymentCaptured => "Payment collected".to_owned(),
        Kind::OrderCaptureRefused => {
            let OrderCaptureRefused { attempt, reason } = event.payload()?;
            because(&format!("Payment could not be collected, {}", lower(&card(said, attempt))), &reason)
        }
        Kind::OrderConfirmed => "Order confirmed".to_owned(),
        Kind::OrderShipped => "Shipped".to_owned(),
        Kind::OrderDelivered => "Delivered".to_owned(),
        Kind::OrderCancelled => {
            let OrderCancelled { reason } = event.payload()?;
            because("Order cancelled", &reason)
        }
        Kind::OrderCancelRequested => {
            let OrderCancelRequested { reason } = event.payload()?;
            because("Cancellation asked for, as soon as the payment is settled", &reason)
        }
        Kind::OrderRefundRequested => {
            let event: OrderRefundRequested = event.payload()?;
            let (cause, items) = (event.cause(), pieces(&event.lines));
            let what = match cause {
                RefundCause::Returned => format!("Return of {} for {}", items, money(event.amount)),
                RefundCause::Cancelled | RefundCause::Unspecified => {
                    format!("Order cancelled, {} goes back", money(event.amount))
                }
            };
            because(&what, &event.reason)
        }
        Kind::OrderPaymentRefunded => {
            let OrderPaymentRefunded { amount, .. } = event.payload()?;
            format!("{} refunded", money(amount))
        }
        Kind::OrderRefunded => "Everything is refunded and back".to_owned(),
        Kind::OrderExpired => "Order expired: not paid in time".to_owned(),
        Kind::OrderLatePaymentRefused => {
            let OrderLatePaymentRefused { attempt, reason } = event.payload()?;
            format!("{} not charged: {reason}", card(said, attempt))
        }
        Kind::OrderPaymentVoided => {
            let OrderPaymentVoided { attempt } = event.payload()?;
            format!("Nothing is held any more, {}", lower(&card(said, attempt)))
        }
        Kind::OrderStockReturned => {
            let OrderStockReturned { refund } = event.payload()?;
            if refund == 0 { "Reserved goods are back on the shelf" } else { "Goods are back on the shelf" }.to_owned()
        }
        Kind::OrderStepRetried => {
            let OrderStepRetried { step, retry } = event.payload()?;
            let what = match step.as_str() {
                "capture" => "Collecting the payment",
                "commit-stock" => "Taking the goods off the shelf",
                "refund" => "Giving the money back",
                "return-stock" => "Putting the goods back on the shelf",
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
        Kind::StockReturned => "Goods put back on the shelf".to_owned(),
        Kind::PaymentAuthorised => {
            let PaymentAuthorised { attempt, amount, .. } = event.payload()?;
            format!("{} held, {}", money(amount), lower(&card(said, attempt)))
        }
        Kind::PaymentDeclined => {
            let PaymentDeclined { attempt, reason } = event.payload()?;
            format!("The bank declined, {}: {reason}", lower(&card(said, attempt)))
        }
        Kind::PaymentCaptured => {
            let PaymentCaptured { attempt, amount } = event.payload()?;
            format!("{} collected, {}", money(amount), lower(&card(said, attempt)))
        }
        Kind::PaymentVoided => {
            let PaymentVoided { attempt, amount } = event.payload()?;
            let card = lower(&card(said, attempt));
            match amount {
                Some(amount) if amount.amount != 0 => format!("{} let go, {card}", money(Some(amount))),
                Some(_) | None => format!("Payment called off before any money was held, {card}"),
            }
        }
        Kind::PaymentCaptureRefused => {
            let PaymentCaptureRefused { attempt, reason } = event.payload()?;
            because(&format!("The bank will not pay out what it holds, {}", lower(&card(said, attempt))), &reason)
        }
        Kind::PaymentRefunded => {
            let PaymentRefunded { attempt, amount, .. } = event.payload()?;
            format!("{} given back, {}", money(amount), lower(&card(said, attempt)))
        }
        Kind::CustomerNotified => {
            let CustomerNotified { title, .. } = event.payload()?;
            format!("Message sent: {title}")
        }
        Kind::CustomerMailed => {
            let CustomerMailed { notification_id, .. } = event.payload()?;
            because("Message mailed", said.titles.get(&notification_id).map_or("", String::as_str))
        }
        // About products, not about an order.
        Kind::ProductUpserted | Kind::StockLevelChanged => return Ok(None),
    }))
}

fn card(said: &Said, attempt: i32) -> String {
    let last4 = said.cards.get(&attempt);
    last4.map_or_else(|| format!("Card of attempt {attempt}"), |last4| format!("Card ending {last4}"))
}

/// The same in the middle of a sentence.
fn lower(card: &str) -> String {
    card.replacen("Card", "card", 1)
}

fn count(n: i64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn pieces(lines: &[LineRequest]) -> String {
    count(lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.quantity)), "item")
}

/// With a reason behind it, if there is one.
fn because(what: &str, reason: &str) -> String {
    if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") }
}
