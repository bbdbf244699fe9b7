//! An order as its page tells it: status, steps, countdown, what can be done, and its timeline.
//!
//! Pure: from the order, its timeline and the time, to texts and flags. The whole page and the
//! fragment that is sent live are drawn from the same [`OrderView`], so they never differ.

mod progress;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use gateway::api::{Address, Order, OrderStatus, OrderWithTimeline, TimelineEntry};

use crate::cards::{TEST_CARDS, TestCard};
use crate::tile::Tile;
use crate::{money, url, when};

pub(crate) use progress::Step;

/// After so many declines the order service takes no more cards.
const MOST_DECLINES: usize = 3;

/// What the page shows.
#[derive(Debug, Clone)]
pub(crate) struct OrderView {
    pub(crate) id: String,
    /// For people: the last, random digits of the id.
    pub(crate) number: String,
    pub(crate) version: i64,
    pub(crate) badge: Badge,
    pub(crate) headline: &'static str,
    /// What it means for the customer.
    pub(crate) explanation: String,
    /// Why it stands there, in the shop's words.
    pub(crate) reason: Option<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) clock: Option<Countdown>,
    /// Whether a card may be offered now.
    pub(crate) payable: bool,
    /// Whether it will move on by itself.
    pub(crate) moving: bool,
    pub(crate) cards: &'static [TestCard],
    pub(crate) placed: String,
    pub(crate) lines: Vec<LineView>,
    pub(crate) total: String,
    pub(crate) address: Option<Address>,
    pub(crate) timeline: Vec<EntryView>,
}

/// The status in a word or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Badge {
    pub(crate) text: &'static str,
    /// A class of the style sheet: busy, wait, good, bad, past.
    pub(crate) tone: &'static str,
}

/// The time left to pay, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Countdown {
    /// Unix milliseconds.
    pub(crate) until: i64,
    /// Unix milliseconds.
    pub(crate) now: i64,
    /// Milliseconds.
    pub(crate) left: i64,
    /// Milliseconds, from placing to the deadline.
    pub(crate) window: i64,
    pub(crate) left_text: String,
    pub(crate) until_text: String,
    pub(crate) until_machine: String,
}

/// A line of the order.
#[derive(Debug, Clone)]
pub(crate) struct LineView {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) quantity: i64,
    pub(crate) unit_price: String,
    pub(crate) sum: String,
    pub(crate) tile: Tile,
}

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryView {
    pub(crate) id: String,
    /// One of the shop's four services, else "unknown": it becomes a class.
    pub(crate) service: &'static str,
    pub(crate) kind: String,
    pub(crate) summary: String,
    pub(crate) time: String,
    pub(crate) time_machine: String,
    /// Since the order was placed; empty for the start.
    pub(crate) after: String,
}

impl OrderView {
    pub(crate) fn of(found: &OrderWithTimeline, now: DateTime<Utc>) -> Self {
        let OrderWithTimeline { order, timeline } = found;
        let asking = order.status == OrderStatus::AwaitingPayment && is_asking_the_bank(timeline);
        let exhausted = declines(timeline) >= MOST_DECLINES;
        let payable = order.status == OrderStatus::AwaitingPayment && !asking && !exhausted;
        let (headline, explanation) = progress::words(order.status, asking, exhausted);
        Self {
            id: order.id.clone(),
            number: number(&order.id),
            version: order.version,
            badge: badge(order.status),
            headline,
            explanation: explanation.to_owned(),
            reason: order.status_reason.as_deref().map(crate::error::sentence),
            steps: progress::steps(order.status),
            clock: countdown(order, now),
            payable,
            moving: asking || matches!(order.status, OrderStatus::Placed | OrderStatus::Paid),
            cards: &TEST_CARDS,
            placed: when::date_and_time(order.placed_at),
            lines: order.lines.iter().map(line).collect(),
            total: money::format(order.total.amount, &order.total.currency),
            address: order.address.clone(),
            timeline: timeline.iter().map(|told| entry(told, order.placed_at)).collect(),
        }
    }
}

/// The status in a word or two, and its tone.
pub(crate) fn badge(status: OrderStatus) -> Badge {
    let (text, tone) = match status {
        OrderStatus::Placed => ("Placed", "busy"),
        OrderStatus::AwaitingPayment => ("Awaiting payment", "wait"),
        OrderStatus::Paid => ("Paid", "busy"),
        OrderStatus::Confirmed => ("Confirmed", "good"),
        OrderStatus::Shipped => ("Shipped", "good"),
        OrderStatus::Delivered => ("Delivered", "good"),
        OrderStatus::Rejected => ("Not available", "bad"),
        OrderStatus::Expired => ("Expired", "past"),
        OrderStatus::Cancelled => ("Cancelled", "past"),
        OrderStatus::Refunded => ("Refunded", "past"),
    };
    Badge { text, tone }
}

/// "3F9A2C": short enough to say on the telephone.
pub(crate) fn number(id: &str) -> String {
    let letters: Vec<char> = id.chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
    let tail = letters.len().saturating_sub(6);
    letters[tail..].iter().collect::<String>().to_ascii_uppercase()
}

/// Whether the saga has asked for a payment and has not been answered.
fn is_asking_the_bank(timeline: &[TimelineEntry]) -> bool {
    let last = timeline.iter().rev().find_map(|entry| match entry.kind.as_str() {
        "OrderPaymentRequested" => Some(true),
        "OrderPaymentDeclined" | "OrderPaymentAbandoned" => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

fn declines(timeline: &[TimelineEntry]) -> usize {
    timeline.iter().filter(|entry| entry.kind == "OrderPaymentDeclined").count()
}

fn countdown(order: &Order, now: DateTime<Utc>) -> Option<Countdown> {
    let waits = matches!(order.status, OrderStatus::Placed | OrderStatus::AwaitingPayment);
    let until = order.pay_before.filter(|_| waits)?;
    let window = (until - order.placed_at).num_milliseconds().max(1);
    Some(Countdown {
        until: until.timestamp_millis(),
        now: now.timestamp_millis(),
        left: (until - now).num_milliseconds().clamp(0, window),
        window,
        left_text: when::left(now, until),
        until_text: when::date_and_time(until),
        until_machine: when::machine(until),
    })
}

fn line(line: &gateway::api::OrderLine) -> LineView {
    let currency = &line.unit_price.currency;
    let sum = line.unit_price.amount.saturating_mul(line.quantity);
    LineView {
        name: line.name.clone(),
        path: format!("/products/{}", url::encode(&line.sku)),
        quantity: line.quantity,
        unit_price: money::format(line.unit_price.amount, currency),
        sum: money::format(sum, currency),
        tile: Tile::of(&line.sku),
    }
}

fn entry(told: &TimelineEntry, placed_at: DateTime<Utc>) -> EntryView {
    let service = ["order", "inventory", "payment", "notification"]
        .into_iter()
        .find(|service| *service == told.service)
        .unwrap_or("unknown");
    EntryView {
        id: told.event_id.clone(),
        service,
        kind: told.kind.clone(),
        summary: told.summary.clone(),
        time: when::exact_time(told.at),
        time_machine: when::machine(told.at),
        after: when::after(placed_at, told.at),
    }
}
