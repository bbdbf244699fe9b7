//! The road from CONFIRMED to DELIVERED, which time alone drives.

use crate::domain::{Event, Millis, Order, Status, Terms};

/// Obeyed if and only if the order still plans it for that time: a cancellation
/// takes the plan back, and a timer that fires all the same is disobeyed.
pub(super) fn fulfilment_due(order: &Order, due: Millis, now: Millis, terms: Terms) -> Vec<Event> {
    if order.fulfil_at != Some(due) {
        return Vec::new();
    }
    match order.status {
        // Later than the time that has just passed: by its due time a timer is told
        // from the one before it.
        Status::Confirmed => vec![Event::Shipped { deliver_at: (now + terms.deliver_after).max(due + 1) }],
        Status::Shipped => vec![Event::Delivered],
        Status::Placed
        | Status::AwaitingPayment
        | Status::Paid
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => Vec::new(),
    }
}
