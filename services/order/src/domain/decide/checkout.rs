//! The road from PLACED to CONFIRMED: stock, card, money, goods.

use super::refund::{the_money, the_whole_order};
use crate::domain::{Card, Event, Millis, Order, Refusal, Status, TRIES, Terms};

pub(super) fn stock_reserved(order: &Order, now: Millis) -> Vec<Event> {
    match order.status {
        Status::Placed => {
            let mut events = vec![Event::AwaitingPayment];
            // Past the deadline the timer is on its way: let it win.
            if let Some(card) = &order.card
                && order.pay_before.is_some_and(|deadline| now < deadline)
            {
                events.push(Event::PaymentRequested { attempt: order.attempt + 1, card: card.clone() });
            }
            events
        }
        // Expired or cancelled meanwhile: the release is on its way behind the reserve.
        Status::AwaitingPayment
        | Status::Paid
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => Vec::new(),
    }
}

pub(super) fn stock_short(order: &Order, reason: &str) -> Vec<Event> {
    match order.status {
        Status::Placed => vec![Event::Rejected { reason: reason.to_owned() }],
        // A late reserve refused by its tombstone.
        Status::AwaitingPayment
        | Status::Paid
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => Vec::new(),
    }
}

pub(super) fn pay(order: &Order, card: &Card, now: Millis) -> Result<Vec<Event>, Refusal> {
    let offer = match order.status {
        Status::Placed => Event::CardOffered { card: card.clone() },
        Status::AwaitingPayment => Event::PaymentRequested { attempt: order.attempt + 1, card: card.clone() },
        Status::Paid
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => return Err(Refusal::NotPayable),
    };
    if order.pay_before.is_none_or(|deadline| now >= deadline) {
        return Err(Refusal::TooLate);
    }
    if order.in_flight || order.card.is_some() {
        return Err(Refusal::PaymentUnderWay);
    }
    if order.declines >= TRIES {
        return Err(Refusal::NoTriesLeft);
    }
    Ok(vec![offer])
}

/// Whether the order waits for the answer to this attempt, and no other.
fn awaits(order: &Order, attempt: i32) -> bool {
    order.status == Status::AwaitingPayment && order.in_flight && order.attempt == attempt
}

/// The race that this aggregate is about: money arrives, and is it still wanted?
/// Only the current attempt of an order that awaits payment may have it; whatever
/// else arrives (expired, cancelled, superseded) goes back, and is told.
pub(super) fn payment_authorised(order: &Order, attempt: i32, authorisation_id: &str) -> Vec<Event> {
    if awaits(order, attempt) {
        return vec![Event::Paid { attempt, authorisation_id: authorisation_id.to_owned() }];
    }
    if order.paid_by == Some(attempt) || order.voiding.contains(&attempt) {
        // Told again.
        return Vec::new();
    }
    let reason = match order.status {
        Status::Expired => "the order had expired",
        Status::Cancelled => "the order had been cancelled",
        Status::Rejected => "the order could not be served",
        Status::Placed | Status::AwaitingPayment => "another attempt has taken its place",
        Status::Paid | Status::Confirmed | Status::Shipped | Status::Delivered | Status::Refunded => {
            "the order was already paid"
        }
    };
    vec![Event::LatePaymentRefused { attempt, reason: reason.to_owned() }]
}

pub(super) fn payment_declined(order: &Order, attempt: i32, reason: &str) -> Vec<Event> {
    if !awaits(order, attempt) {
        return Vec::new();
    }
    let tries_left = (TRIES - order.declines - 1).max(0);
    vec![Event::PaymentDeclined { attempt, reason: reason.to_owned(), tries_left }]
}

/// Taken money is never ignored: the order goes on with it, or gives it back.
pub(super) fn payment_captured(order: &Order, attempt: i32) -> Vec<Event> {
    if order.paid_by != Some(attempt) || order.captured {
        // Never asked for, or told again.
        return Vec::new();
    }
    let captured = Event::PaymentCaptured { attempt };
    match order.status {
        Status::Paid => match &order.cancelling {
            None => vec![captured],
            // The goods have only been reserved, and are not committed any more.
            Some(reason) => vec![captured, the_whole_order(order, reason)],
        },
        // The bank refused and took it all the same. Payment and its bank promise
        // that this cannot be; if it is, the customer has his money back.
        Status::Cancelled => vec![captured, the_money(order, "charged although the charge had been refused")],
        Status::Placed
        | Status::AwaitingPayment
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Refunded => Vec::new(),
    }
}

pub(super) fn stock_committed(order: &Order, now: Millis, terms: Terms) -> Vec<Event> {
    match order.status {
        Status::Paid if order.captured && order.refund.is_none() => match &order.cancelling {
            None => vec![Event::Confirmed { ship_at: Some(now + terms.ship_after) }],
            Some(reason) => vec![Event::Confirmed { ship_at: None }, the_whole_order(order, reason)],
        },
        Status::Paid
        | Status::Placed
        | Status::AwaitingPayment
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => Vec::new(),
    }
}
