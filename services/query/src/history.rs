//! **Time travel**: an order as it was at a past moment, folded from its events.
//!
//! The read model holds an order as it is now. How it was is nowhere stored and need
//! not be: the event log has every step with its time, and the fold that makes the
//! row makes any earlier one.

use std::sync::Arc;

use platform::clock::Millis;

use crate::overlay::Logged;
use crate::projections::Event;
use crate::projections::orders::{self, Course, OrderEvent, Placement};

/// Folds an order's own events, which come in their order, up to the moment `at`.
/// `None`: it had not been placed by then.
///
/// It ends at the first event after the moment. Should the clocks of two processes
/// have disagreed, that is still a state in which the order once was.
pub(crate) fn as_of(own: &[Logged], at: Millis) -> Option<(Arc<Placement>, Course)> {
    let (mut placed, mut course) = (None, None);
    for logged in own.iter().take_while(|logged| logged.time <= at) {
        if let Event::Order(event) = &logged.event {
            if let OrderEvent::Placed { placement, .. } = event {
                placed = Some(placement.clone());
            }
            course = orders::fold(course, event, logged.sequence);
        }
    }
    placed.zip(course)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::orders::Status;

    fn events(times: [Millis; 3]) -> Vec<Logged> {
        let placement = Placement {
            customer_id: "ada".into(),
            placed_at: times[0],
            total: 100,
            currency: "GBP".into(),
            lines: Vec::new(),
            address: None,
        };
        let placed = OrderEvent::Placed { placement: Arc::new(placement), pay_before: 9 };
        let events = [placed, OrderEvent::AwaitingPayment, OrderEvent::Paid];
        (1..)
            .zip(times)
            .zip(events)
            .map(|((sequence, time), event)| Logged {
                subject: "o-1".into(),
                sequence,
                time,
                event: Event::Order(event),
            })
            .collect()
    }

    fn stood(times: [Millis; 3], at: Millis) -> Option<(Status, i64)> {
        as_of(&events(times), at).map(|(_, course)| (course.status, course.version))
    }

    #[test]
    fn an_order_is_as_its_last_event_before_the_moment_left_it() {
        assert_eq!(stood([10, 20, 30], 9), None);
        assert_eq!(stood([10, 20, 30], 10), Some((Status::Placed, 1)));
        assert_eq!(stood([10, 20, 30], 29), Some((Status::AwaitingPayment, 2)));
        assert_eq!(stood([10, 20, 30], i64::MAX), Some((Status::Paid, 3)));
    }

    #[test]
    fn events_of_one_millisecond_are_one_step() {
        assert_eq!(stood([10, 10, 10], 10), Some((Status::Paid, 3)));
    }

    #[test]
    fn a_step_that_is_dated_before_the_one_it_follows_does_not_come_without_it() {
        assert_eq!(stood([10, 20, 15], 17), Some((Status::Placed, 1)));
    }

    #[test]
    fn without_its_placing_there_is_nothing_to_show() {
        assert_eq!(as_of(&events([1, 2, 3])[1..], 9), None);
    }
}
