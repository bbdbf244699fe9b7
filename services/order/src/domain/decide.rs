//! What an order makes of what reaches it: a closed table over (status, input).
//!
//! Here is one row for each input; the rows of one road are together in one file,
//! and each matches every status by name, so that a new status does not compile
//! before every row has an answer for it.

mod cancellation;
mod checkout;
mod fulfilment;
mod refund;

use super::{Event, Input, Millis, Order, Refusal, Status, Step, Terms};

/// Decides an input at the time `now`. No events: nothing to do, it was heard
/// before or does not matter any more.
///
/// # Errors
/// A [`Refusal`], to a customer's input only: what another service or the delay
/// queue says is never refused.
pub fn decide(order: Option<&Order>, input: &Input, now: Millis, terms: Terms) -> Result<Vec<Event>, Refusal> {
    let Some(order) = order else {
        return decide_without_order(input);
    };
    match input {
        Input::Place(_) => Err(Refusal::PlacedAlready),
        Input::Pay { card } => checkout::pay(order, card, now),
        Input::Cancel { reason } => cancellation::cancel(order, reason),
        Input::Return { lines, reason } => refund::return_goods(order, lines.as_deref(), reason),
        Input::StockReserved => Ok(checkout::stock_reserved(order, now)),
        Input::StockShort { reason } => Ok(checkout::stock_short(order, reason)),
        Input::StockReleased => Ok(cancellation::stock_released(order)),
        Input::StockCommitted => Ok(checkout::stock_committed(order, now, terms)),
        Input::StockReturned { refund } => Ok(refund::stock_returned(order, *refund)),
        Input::PaymentAuthorised { attempt, authorisation_id } => {
            Ok(checkout::payment_authorised(order, *attempt, authorisation_id))
        }
        Input::PaymentDeclined { attempt, reason } => Ok(checkout::payment_declined(order, *attempt, reason)),
        Input::PaymentCaptured { attempt } => Ok(checkout::payment_captured(order, *attempt)),
        Input::PaymentCaptureRefused { attempt, reason } => {
            Ok(cancellation::payment_capture_refused(order, *attempt, reason))
        }
        Input::PaymentVoided { attempt } => Ok(cancellation::payment_voided(order, *attempt)),
        Input::PaymentRefunded { refund } => Ok(refund::payment_refunded(order, *refund)),
        Input::DeadlinePassed { due } => Ok(cancellation::deadline_passed(order, *due)),
        Input::StepOverdue { due } => Ok(step_overdue(order, *due)),
        Input::FulfilmentDue { due } => Ok(fulfilment::fulfilment_due(order, *due, now, terms)),
    }
}

fn decide_without_order(input: &Input) -> Result<Vec<Event>, Refusal> {
    match input {
        Input::Place(placed) => Ok(vec![Event::Placed(placed.clone())]),
        Input::Pay { .. } | Input::Cancel { .. } | Input::Return { .. } => Err(Refusal::Unknown),
        // An answer to an order that this store has never had.
        Input::StockReserved
        | Input::StockShort { .. }
        | Input::StockReleased
        | Input::StockCommitted
        | Input::StockReturned { .. }
        | Input::PaymentAuthorised { .. }
        | Input::PaymentDeclined { .. }
        | Input::PaymentCaptured { .. }
        | Input::PaymentCaptureRefused { .. }
        | Input::PaymentVoided { .. }
        | Input::PaymentRefunded { .. }
        | Input::DeadlinePassed { .. }
        | Input::StepOverdue { .. }
        | Input::FulfilmentDue { .. } => Ok(Vec::new()),
    }
}

/// An authorisation is given up, so that another card may be tried. Everything
/// later is asked for again, until it is done: the customer cannot help it, and
/// there is no other way on.
fn step_overdue(order: &Order, due: Millis) -> Vec<Event> {
    if order.step_due != Some(due) {
        return Vec::new();
    }
    let again = |step| vec![Event::StepRetried { step, retry: order.retries + 1 }];
    if order.refund.is_some() {
        return again(if order.money_back { Step::ReturnStock } else { Step::Refund });
    }
    match order.status {
        Status::AwaitingPayment if order.in_flight => vec![Event::PaymentAbandoned {
            attempt: order.attempt,
            reason: "the bank did not answer; please try again".to_owned(),
        }],
        Status::Paid => again(if order.captured { Step::CommitStock } else { Step::Capture }),
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
