//! What an order makes of what reaches it: a closed table over (status, input).

use super::{Card, Event, Millis, Order, Placed, Status, Step, TRIES};

/// Everything that can reach an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A customer orders.
    Place(Box<Placed>),
    /// A customer offers a card.
    Pay {
        /// The card.
        card: Card,
    },
    /// Inventory: every line is reserved.
    StockReserved,
    /// Inventory: nothing is reserved.
    StockShort {
        /// For people.
        reason: String,
    },
    /// Inventory: nothing is reserved any more.
    StockReleased,
    /// Inventory: the goods are off the shelf.
    StockCommitted,
    /// Payment: the money is held.
    PaymentAuthorised {
        /// For which attempt.
        attempt: i32,
        /// The bank's reference.
        authorisation_id: String,
    },
    /// Payment: the bank said no.
    PaymentDeclined {
        /// To which attempt.
        attempt: i32,
        /// The bank's words.
        reason: String,
    },
    /// Payment: the money is taken.
    PaymentCaptured {
        /// Of which attempt.
        attempt: i32,
    },
    /// Payment: the money is let go.
    PaymentVoided {
        /// Of which attempt.
        attempt: i32,
    },
    /// The delay queue: the payment's deadline.
    DeadlinePassed {
        /// As it was when the timer was set.
        due: Millis,
    },
    /// The delay queue: the present step takes too long.
    StepOverdue {
        /// As it was when the timer was set.
        due: Millis,
    },
}

/// Why a customer's input is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such order.
    #[error("there is no such order")]
    Unknown,
    /// There is such an order already.
    #[error("this order was placed already")]
    PlacedAlready,
    /// One attempt at a time.
    #[error("a payment is already under way")]
    PaymentUnderWay,
    /// Three cards were declined.
    #[error("three cards were declined; the order waits for its deadline")]
    NoTriesLeft,
    /// The deadline has passed, though nobody has noticed yet.
    #[error("the time to pay has passed")]
    TooLate,
    /// Paid, ended, or otherwise beyond paying.
    #[error("the order does not wait for a payment")]
    NotPayable,
}

/// Decides an input at the time `now`. No events: nothing to do, it was heard
/// before or does not matter any more.
///
/// # Errors
/// A [`Refusal`], to a customer's input only: what another service or the delay
/// queue says is never refused.
pub fn decide(order: Option<&Order>, input: &Input, now: Millis) -> Result<Vec<Event>, Refusal> {
    let Some(order) = order else {
        return match input {
            Input::Place(placed) => Ok(vec![Event::Placed(placed.clone())]),
            Input::Pay { .. } => Err(Refusal::Unknown),
            // An answer to an order that this store has never had.
            Input::StockReserved
            | Input::StockShort { .. }
            | Input::StockReleased
            | Input::StockCommitted
            | Input::PaymentAuthorised { .. }
            | Input::PaymentDeclined { .. }
            | Input::PaymentCaptured { .. }
            | Input::PaymentVoided { .. }
            | Input::DeadlinePassed { .. }
            | Input::StepOverdue { .. } => Ok(Vec::new()),
        };
    };
    match input {
        Input::Place(_) => Err(Refusal::PlacedAlready),
        Input::Pay { card } => pay(order, card, now),
        Input::StockReserved => Ok(stock_reserved(order, now)),
        Input::StockShort { reason } => Ok(match order.status {
            Status::Placed => vec![Event::Rejected { reason: reason.clone() }],
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
        }),
        Input::StockReleased => Ok(match order.status {
            Status::Expired | Status::Cancelled if !order.stock_returned => vec![Event::StockReturned],
            Status::Expired
            | Status::Cancelled
            | Status::Placed
            | Status::AwaitingPayment
            | Status::Paid
            | Status::Confirmed
            | Status::Shipped
            | Status::Delivered
            | Status::Rejected
            | Status::Refunded => Vec::new(),
        }),
        Input::StockCommitted => Ok(match order.status {
            Status::Paid if order.captured => vec![Event::Confirmed],
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
        }),
        Input::PaymentAuthorised { attempt, authorisation_id } => {
            Ok(payment_authorised(order, *attempt, authorisation_id))
        }
        Input::PaymentDeclined { attempt, reason } => Ok(if awaits(order, *attempt) {
            let tries_left = (TRIES - order.declines - 1).max(0);
            vec![Event::PaymentDeclined { attempt: *attempt, reason: reason.clone(), tries_left }]
        } else {
            Vec::new()
        }),
        Input::PaymentCaptured { attempt } => Ok(match order.status {
            Status::Paid if !order.captured && order.paid_by == Some(*attempt) => {
                vec![Event::PaymentCaptured { attempt: *attempt }]
            }
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
        }),
        Input::PaymentVoided { attempt } => Ok(if order.voiding.contains(attempt) {
            vec![Event::PaymentVoided { attempt: *attempt }]
        } else {
            Vec::new()
        }),
        Input::DeadlinePassed { due } => Ok(match order.status {
            Status::Placed | Status::AwaitingPayment if order.pay_before == Some(*due) => {
                vec![Event::Expired { pay_before: *due }]
            }
            Status::Placed
            | Status::AwaitingPayment
            | Status::Paid
            | Status::Confirmed
            | Status::Shipped
            | Status::Delivered
            | Status::Rejected
            | Status::Expired
            | Status::Cancelled
            | Status::Refunded => Vec::new(),
        }),
        Input::StepOverdue { due } => Ok(step_overdue(order, *due)),
    }
}

/// Whether the order waits for the answer to this attempt, and no other.
fn awaits(order: &Order, attempt: i32) -> bool {
    order.status == Status::AwaitingPayment && order.in_flight && order.attempt == attempt
}

fn pay(order: &Order, card: &Card, now: Millis) -> Result<Vec<Event>, Refusal> {
    match order.status {
        Status::Placed | Status::AwaitingPayment => {}
        Status::Paid
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => return Err(Refusal::NotPayable),
    }
    if order.pay_before.is_none_or(|deadline| now >= deadline) {
        return Err(Refusal::TooLate);
    }
    if order.in_flight || order.card.is_some() {
        return Err(Refusal::PaymentUnderWay);
    }
    if order.declines >= TRIES {
        return Err(Refusal::NoTriesLeft);
    }
    Ok(match order.status {
        Status::Placed => vec![Event::CardOffered { card: card.clone() }],
        _ => vec![Event::PaymentRequested { attempt: order.attempt + 1, card: card.clone() }],
    })
}

fn stock_reserved(order: &Order, now: Millis) -> Vec<Event> {
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
        // Expired meanwhile: the release is on its way behind the reserve.
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

/// The race that this aggregate is about: money arrives, and is it still wanted?
/// Only the current attempt of an order that awaits payment may have it; whatever
/// else arrives (expired, cancelled, superseded) goes back, and is told.
fn payment_authorised(order: &Order, attempt: i32, authorisation_id: &str) -> Vec<Event> {
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

fn step_overdue(order: &Order, due: Millis) -> Vec<Event> {
    if order.step_due != Some(due) {
        return Vec::new();
    }
    match order.status {
        Status::AwaitingPayment if order.in_flight => vec![Event::PaymentAbandoned {
            attempt: order.attempt,
            reason: "the bank did not answer; please try again".to_owned(),
        }],
        Status::Paid => {
            let step = if order.captured { Step::CommitStock } else { Step::Capture };
            vec![Event::StepRetried { step, retry: order.retries + 1 }]
        }
        Status::AwaitingPayment
        | Status::Placed
        | Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => Vec::new(),
    }
}
