//! The time left to pay, or until the next stage of the journey.
//!
//! The page shows it as the server knows it; a script, if there is one, lets it run.

use chrono::{DateTime, Utc};
use gateway::api::{Order, OrderStatus, TimelineEntry};

use crate::when;

/// What is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Payment,
    Shipping,
    Delivery,
}

/// The time left, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Countdown {
    /// "Time left to pay".
    pub(crate) label: &'static str,
    /// What stands in its place at the end.
    pub(crate) over: &'static str,
    /// "until", "at about".
    pub(crate) by: &'static str,
    /// Whether it is for the visitor to do something.
    pub(crate) to_pay: bool,
    /// Unix milliseconds.
    pub(crate) until: i64,
    /// Unix milliseconds.
    pub(crate) now: i64,
    /// Milliseconds.
    pub(crate) left: i64,
    /// Milliseconds, from its beginning to its end.
    pub(crate) window: i64,
    pub(crate) left_text: String,
    pub(crate) until_text: String,
    pub(crate) until_machine: String,
}

impl Countdown {
    pub(super) fn of(order: &Order, timeline: &[TimelineEntry], now: DateTime<Utc>) -> Option<Self> {
        let begun = |kind| timeline.iter().rev().find(|entry| entry.kind == kind).map_or(now, |entry| entry.at);
        let fulfil_at = order.fulfil_at.map(when::from_millis).filter(|_| !order.unwinding);
        let (what, from, until) = match order.status {
            OrderStatus::Placed | OrderStatus::AwaitingPayment => (What::Payment, order.placed_at, order.pay_before?),
            OrderStatus::Confirmed => (What::Shipping, begun("OrderConfirmed"), fulfil_at?),
            OrderStatus::Shipped => (What::Delivery, begun("OrderShipped"), fulfil_at?),
            OrderStatus::Paid
            | OrderStatus::Delivered
            | OrderStatus::Rejected
            | OrderStatus::Expired
            | OrderStatus::Cancelled
            | OrderStatus::Refunded => return None,
        };
        let (label, over, by) = match what {
            What::Payment => ("Time left to pay", "time is up", "until"),
            What::Shipping => ("Leaves the house in", "any moment", "at about"),
            What::Delivery => ("Arrives in", "any moment", "at about"),
        };
        let window = (until - from).num_milliseconds().max(1);
        let left = (until - now).num_milliseconds().clamp(0, window);
        Some(Self {
            label,
            over,
            by,
            to_pay: what == What::Payment,
            until: until.timestamp_millis(),
            now: now.timestamp_millis(),
            left,
            window,
            left_text: if left == 0 { over.to_owned() } else { when::left(now, until) },
            until_text: when::date_and_time(until),
            until_machine: when::machine(until),
        })
    }
}
