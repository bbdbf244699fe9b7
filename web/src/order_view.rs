//! An order as its page tells it: status, steps, countdown, what can be done, and its timeline.
//!
//! Pure: from the order, its timeline and the time, to texts and flags. The whole page, the
//! fragment that is sent live and the look back at a past moment are drawn from the same
//! [`OrderView`], so they never differ.

mod actions;
mod countdown;
mod steps;
#[cfg(test)]
mod tests;
mod words;

use chrono::{DateTime, Utc};
use gateway::api::{Address, Money, Order, OrderLine, OrderStatus, OrderWithTimeline, TimelineEntry};
use platform::money;

use crate::cards::{TEST_CARDS, TestCard};
use crate::tile::Tile;
use crate::{url, when};

pub(crate) use actions::Actions;
pub(crate) use countdown::Countdown;
pub(crate) use steps::Step;

/// After so many declines the order service takes no more cards.
const MOST_DECLINES: usize = 3;

/// More lines than this are shown without their pictures: the page is sent anew with every event.
const MOST_PICTURES: usize = 30;

/// What the page shows.
#[derive(Debug, Clone)]
pub(crate) struct OrderView {
    pub(crate) path: String,
    /// For people: the last, random digits of the id.
    pub(crate) number: String,
    pub(crate) version: i64,
    pub(crate) badge: Badge,
    pub(crate) headline: &'static str,
    /// What it means for the customer.
    pub(crate) explanation: &'static str,
    /// Why it stands there, in the shop's words.
    pub(crate) reason: Option<Reason>,
    pub(crate) steps: Vec<Step>,
    pub(crate) clock: Option<Countdown>,
    pub(crate) actions: Actions,
    /// Whether it will move on by itself, any moment.
    pub(crate) moving: bool,
    pub(crate) cards: &'static [TestCard],
    pub(crate) placed: String,
    pub(crate) placed_machine: String,
    pub(crate) lines: Vec<LineView>,
    pub(crate) total: String,
    /// What was given back so far; `None` if nothing.
    pub(crate) refunded: Option<String>,
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

/// A sentence about the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) text: String,
    /// A class of the style sheet: plain, wait, bad.
    pub(crate) tone: &'static str,
}

/// A line of the order.
#[derive(Debug, Clone)]
pub(crate) struct LineView {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) quantity: i64,
    /// Came back.
    pub(crate) returned: i64,
    /// Still the customer's.
    pub(crate) kept: i64,
    pub(crate) unit_price: String,
    pub(crate) sum: String,
    /// Left out where there are very many lines.
    pub(crate) tile: Option<Tile>,
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
    /// Unix milliseconds: the moment at which the order can be looked at as it was.
    pub(crate) at: i64,
    /// Since the order was placed; empty for the start.
    pub(crate) after: String,
}

impl OrderView {
    /// The order as it stands at `now`.
    pub(crate) fn of(found: &OrderWithTimeline, now: DateTime<Utc>) -> Self {
        let OrderWithTimeline { order, timeline } = found;
        let payment = Payment::of(order, timeline);
        let (headline, explanation) = words::of(order, payment);
        Self {
            path: path(&order.id),
            number: number(&order.id),
            version: order.version,
            badge: badge_of(order),
            headline,
            explanation,
            reason: reason(order),
            steps: steps::of(order, timeline),
            clock: Countdown::of(order, timeline, now),
            actions: Actions::of(order, payment),
            moving: payment == Payment::Asking
                || order.unwinding
                || matches!(order.status, OrderStatus::Placed | OrderStatus::Paid),
            cards: &TEST_CARDS,
            placed: when::date_and_time(order.placed_at),
            placed_machine: when::machine(order.placed_at),
            lines: order.lines.iter().map(|one| line(one, order.lines.len() <= MOST_PICTURES)).collect(),
            total: priced(&order.total),
            refunded: (order.refunded.amount != 0).then(|| priced(&order.refunded)),
            address: order.address.clone(),
            timeline: timeline.iter().map(|told| entry(told, order.placed_at)).collect(),
        }
    }

    /// After how many seconds a page that no script keeps up to date should be loaded again;
    /// `None` while it waits for its visitor, whose typing would be lost.
    pub(crate) fn look_again(&self) -> Option<i64> {
        match &self.clock {
            _ if self.moving => Some(3),
            Some(clock) if !self.actions.pay => Some(clock.left / 1_000 + 1),
            Some(_) | None => None,
        }
    }
}

/// How the payment of an order that waits for one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payment {
    /// It waits for none.
    None,
    /// A card can be offered.
    Open,
    /// The bank is being asked.
    Asking,
    /// No further card is taken.
    Exhausted,
}

impl Payment {
    fn of(order: &Order, timeline: &[TimelineEntry]) -> Self {
        if order.status != OrderStatus::AwaitingPayment {
            return Self::None;
        }
        // Whether the saga has asked for a payment and has not been answered.
        let asked = timeline.iter().rev().find_map(|entry| match entry.kind.as_str() {
            "OrderPaymentRequested" => Some(true),
            "OrderPaymentDeclined" | "OrderPaymentAbandoned" => Some(false),
            _ => None,
        });
        let declines = timeline.iter().filter(|entry| entry.kind == "OrderPaymentDeclined").count();
        match asked {
            Some(true) => Self::Asking,
            Some(false) | None if declines >= MOST_DECLINES => Self::Exhausted,
            Some(false) | None => Self::Open,
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

/// The same, for an order on its way back: that is no good end yet.
fn badge_of(order: &Order) -> Badge {
    let badge = badge(order.status);
    if order.unwinding { Badge { tone: "busy", ..badge } } else { badge }
}

/// "3F9A2C": short enough to say on the telephone.
pub(crate) fn number(id: &str) -> String {
    let letters: Vec<char> = id.chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
    let tail = letters.len().saturating_sub(6);
    letters[tail..].iter().collect::<String>().to_ascii_uppercase()
}

/// Where an order's page is.
pub(crate) fn path(id: &str) -> String {
    format!("/orders/{}", url::encode(id))
}

fn priced(money: &Money) -> String {
    money::format(money.amount, &money.currency)
}

fn reason(order: &Order) -> Option<Reason> {
    let tone = match order.status {
        OrderStatus::Rejected | OrderStatus::Expired => "bad",
        OrderStatus::Placed | OrderStatus::AwaitingPayment => "wait",
        OrderStatus::Paid
        | OrderStatus::Confirmed
        | OrderStatus::Shipped
        | OrderStatus::Delivered
        | OrderStatus::Cancelled
        | OrderStatus::Refunded => "plain",
    };
    order.status_reason.as_deref().map(|reason| Reason { text: crate::error::sentence(reason), tone })
}

fn line(line: &OrderLine, with_picture: bool) -> LineView {
    let currency = &line.unit_price.currency;
    let sum = line.unit_price.amount.saturating_mul(line.quantity);
    LineView {
        sku: line.sku.clone(),
        name: line.name.clone(),
        path: format!("/products/{}", url::encode(&line.sku)),
        quantity: line.quantity,
        returned: line.returned,
        kept: line.quantity.saturating_sub(line.returned).max(0),
        unit_price: priced(&line.unit_price),
        sum: money::format(sum, currency),
        tile: with_picture.then(|| Tile::of(&line.sku)),
    }
}

fn entry(told: &TimelineEntry, placed_at: DateTime<Utc>) -> EntryView {
    EntryView {
        id: told.event_id.clone(),
        service: service(&told.service),
        kind: told.kind.clone(),
        summary: told.summary.clone(),
        time: when::exact_time(told.at),
        time_machine: when::machine(told.at),
        at: told.at.timestamp_millis(),
        after: when::after(placed_at, told.at),
    }
}

/// The service by name, if it is one of ours.
fn service(name: &str) -> &'static str {
    let known = ["order", "inventory", "payment", "notification"];
    known.into_iter().find(|known| *known == name).unwrap_or("unknown")
}
