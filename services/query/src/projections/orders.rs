//! The projection **orders**: an order as its last event left it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What an order says once, when it is placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Whose order.
    pub customer_id: String,
    /// Unix milliseconds.
    pub placed_at: i64,
    /// Minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// Where it goes.
    pub address: Option<Address>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Stock keeping unit.
    pub sku: String,
    /// As it was called when the order was placed.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// Minor units, as it was when the order was placed.
    pub unit_price: i64,
}

/// Where an order goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Who.
    pub recipient: String,
    /// Street and number.
    pub street: String,
    /// Town.
    pub city: String,
    /// In the country's form.
    pub postal_code: String,
    /// Name or code.
    pub country: String,
}

/// Where an order stands, of the states that its events lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Taken; its stock is asked for.
    Placed,
    /// Its stock is reserved.
    AwaitingPayment,
    /// The money is held, then taken.
    Paid,
    /// Stock and money are settled.
    Confirmed,
    /// It could not be served.
    Rejected,
    /// It was not paid in time.
    Expired,
}

impl Status {
    const ALL: [Self; 6] =
        [Self::Placed, Self::AwaitingPayment, Self::Paid, Self::Confirmed, Self::Rejected, Self::Expired];

    /// As it is stored, and called in the contracts behind `ORDER_STATUS_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::AwaitingPayment => "AWAITING_PAYMENT",
            Self::Paid => "PAID",
            Self::Confirmed => "CONFIRMED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
        }
    }

    /// The status that is stored under this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// What changes about an order after it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Where it stands.
    pub status: Status,
    /// Why, for people; empty if there is nothing to say.
    pub status_reason: String,
    /// Sequence of the last event folded.
    pub version: i64,
    /// Unix milliseconds; absent once the order waits for no payment.
    pub pay_before: Option<i64>,
}

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the events of contracts/proto/orderly/order/v1/order.proto, explained there")]
pub enum OrderEvent {
    Placed {
        placement: Arc<Placement>,
        pay_before: i64,
    },
    AwaitingPayment,
    Rejected {
        reason: String,
    },
    CardOffered,
    PaymentRequested,
    PaymentDeclined {
        reason: String,
    },
    PaymentAbandoned {
        reason: String,
    },
    Paid,
    PaymentCaptured,
    Confirmed,
    Expired,
    LatePaymentRefused,
    PaymentVoided,
    StockReturned,
    StepRetried,
    /// Of a type that is not known (yet). It counts: a version is a number of events.
    Unknown,
}

/// What an event does to a course. `None` leaves a part as it was.
struct Step<'a> {
    status: Option<Status>,
    reason: Option<&'a str>,
    deadline: Option<Option<i64>>,
}

impl<'a> Step<'a> {
    /// Only the version moves.
    const NOTHING: Self = Self { status: None, reason: None, deadline: None };

    /// The order waits on, and there is something to say about it.
    const fn waits(reason: &'a str) -> Self {
        Self { status: None, reason: Some(reason), deadline: None }
    }

    /// The order waits for no payment any more.
    const fn leaves_for(status: Status, reason: &'a str) -> Self {
        Self { status: Some(status), reason: Some(reason), deadline: Some(None) }
    }
}

/// Why an order has expired, in the words of the order service's own answers.
const NOT_PAID: &str = "not paid in time";

/// The table: what each event means.
const fn step(event: &OrderEvent) -> Step<'_> {
    match event {
        OrderEvent::Placed { placement: _, pay_before } => {
            Step { status: Some(Status::Placed), reason: Some(""), deadline: Some(Some(*pay_before)) }
        }
        OrderEvent::AwaitingPayment => Step { status: Some(Status::AwaitingPayment), reason: Some(""), deadline: None },
        OrderEvent::Rejected { reason } => Step::leaves_for(Status::Rejected, reason.as_str()),
        OrderEvent::PaymentRequested => Step::waits(""),
        OrderEvent::PaymentDeclined { reason } | OrderEvent::PaymentAbandoned { reason } => {
            Step::waits(reason.as_str())
        }
        OrderEvent::Paid => Step::leaves_for(Status::Paid, ""),
        OrderEvent::Confirmed => Step::leaves_for(Status::Confirmed, ""),
        OrderEvent::Expired => Step::leaves_for(Status::Expired, NOT_PAID),
        OrderEvent::CardOffered
        | OrderEvent::PaymentCaptured
        | OrderEvent::LatePaymentRefused
        | OrderEvent::PaymentVoided
        | OrderEvent::StockReturned
        | OrderEvent::StepRetried
        | OrderEvent::Unknown => Step::NOTHING,
    }
}

/// Folds an order's event into its course.
///
/// An order begins with being placed. Without that event (an operator may have
/// discarded it) there is nothing to fold the later ones into: they stay in the
/// event log alone.
pub fn fold(course: Option<Course>, event: &OrderEvent, sequence: i64) -> Option<Course> {
    let step = step(event);
    let mut course = match (course, event) {
        (Some(course), _) => course,
        (None, OrderEvent::Placed { placement: _, pay_before: _ }) => {
            Course { status: Status::Placed, status_reason: String::new(), version: 0, pay_before: None }
        }
        (None, _) => return None,
    };
    course.version = sequence;
    if let Some(status) = step.status {
        course.status = status;
    }
    if let Some(reason) = step.reason {
        reason.clone_into(&mut course.status_reason);
    }
    if let Some(deadline) = step.deadline {
        course.pay_before = deadline;
    }
    Some(course)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: i64 = 900_000;

    fn placed() -> OrderEvent {
        let placement = Placement {
            customer_id: "ada".into(),
            placed_at: 0,
            total: 1_250,
            currency: "GBP".into(),
            lines: Vec::new(),
            address: None,
        };
        OrderEvent::Placed { placement: Arc::new(placement), pay_before: DEADLINE }
    }

    fn declined(reason: &str) -> OrderEvent {
        OrderEvent::PaymentDeclined { reason: reason.into() }
    }

    /// Given these events, in order, the order stands so.
    fn given(events: &[OrderEvent]) -> Option<(Status, String, i64, Option<i64>)> {
        (1..)
            .zip(events)
            .fold(None, |course, (sequence, event)| fold(course, event, sequence))
            .map(|course| (course.status, course.status_reason, course.version, course.pay_before))
    }

    fn stands(
        status: Status,
        reason: &str,
        version: i64,
        pay_before: Option<i64>,
    ) -> Option<(Status, String, i64, Option<i64>)> {
        Some((status, reason.to_owned(), version, pay_before))
    }

    #[test]
    fn a_placed_order_waits_for_its_stock_until_its_deadline() {
        assert_eq!(given(&[placed()]), stands(Status::Placed, "", 1, Some(DEADLINE)));
    }

    #[test]
    fn a_reserved_order_awaits_its_payment() {
        assert_eq!(
            given(&[placed(), OrderEvent::AwaitingPayment]),
            stands(Status::AwaitingPayment, "", 2, Some(DEADLINE))
        );
    }

    #[test]
    fn a_rejected_order_says_why_and_waits_for_nothing() {
        let rejected = OrderEvent::Rejected { reason: "MUG-1 is short".into() };
        assert_eq!(given(&[placed(), rejected]), stands(Status::Rejected, "MUG-1 is short", 2, None));
    }

    #[test]
    fn a_declined_card_leaves_the_order_waiting_and_says_why() {
        let events = [placed(), OrderEvent::AwaitingPayment, OrderEvent::PaymentRequested, declined("no funds")];
        assert_eq!(given(&events), stands(Status::AwaitingPayment, "no funds", 4, Some(DEADLINE)));
    }

    #[test]
    fn an_abandoned_attempt_leaves_the_order_waiting_and_says_why() {
        let abandoned = OrderEvent::PaymentAbandoned { reason: "no answer".into() };
        let events = [placed(), OrderEvent::AwaitingPayment, OrderEvent::PaymentRequested, abandoned];
        assert_eq!(given(&events), stands(Status::AwaitingPayment, "no answer", 4, Some(DEADLINE)));
    }

    #[test]
    fn another_card_clears_what_was_said_about_the_one_before() {
        let events = [placed(), OrderEvent::AwaitingPayment, declined("no funds"), OrderEvent::PaymentRequested];
        assert_eq!(given(&events), stands(Status::AwaitingPayment, "", 4, Some(DEADLINE)));
    }

    #[test]
    fn a_paid_order_has_no_deadline_any_more() {
        let paid = [placed(), OrderEvent::AwaitingPayment, OrderEvent::Paid];
        assert_eq!(given(&paid), stands(Status::Paid, "", 3, None));
        let captured = [placed(), OrderEvent::AwaitingPayment, OrderEvent::Paid, OrderEvent::PaymentCaptured];
        assert_eq!(given(&captured), stands(Status::Paid, "", 4, None));
    }

    #[test]
    fn a_settled_order_is_confirmed() {
        let events = [
            placed(),
            OrderEvent::AwaitingPayment,
            OrderEvent::Paid,
            OrderEvent::PaymentCaptured,
            OrderEvent::Confirmed,
        ];
        assert_eq!(given(&events), stands(Status::Confirmed, "", 5, None));
    }

    #[test]
    fn an_expired_order_says_so_and_not_which_card_was_declined() {
        let events = [placed(), OrderEvent::AwaitingPayment, declined("no funds"), OrderEvent::Expired];
        assert_eq!(given(&events), stands(Status::Expired, "not paid in time", 4, None));
    }

    #[test]
    fn a_card_that_is_offered_early_leaves_the_order_as_it_stands() {
        assert_eq!(given(&[placed(), OrderEvent::CardOffered]), stands(Status::Placed, "", 2, Some(DEADLINE)));
    }

    #[test]
    fn an_event_of_an_unknown_type_counts() {
        assert_eq!(given(&[placed(), OrderEvent::Unknown]), stands(Status::Placed, "", 2, Some(DEADLINE)));
    }

    #[test]
    fn what_follows_an_end_moves_the_version_only() {
        for event in [
            OrderEvent::LatePaymentRefused,
            OrderEvent::PaymentVoided,
            OrderEvent::StockReturned,
            OrderEvent::StepRetried,
            OrderEvent::PaymentCaptured,
        ] {
            let events = [placed(), OrderEvent::AwaitingPayment, OrderEvent::Expired, event];
            assert_eq!(given(&events), stands(Status::Expired, "not paid in time", 4, None));
        }
    }

    #[test]
    fn an_order_whose_placing_was_never_heard_does_not_show() {
        assert_eq!(given(&[OrderEvent::AwaitingPayment, OrderEvent::Paid]), None);
    }

    #[test]
    fn every_status_is_read_as_it_is_stored() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("LOST"), None);
    }
}
