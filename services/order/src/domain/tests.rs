//! The order aggregate and the saga, given/when/then.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::saga::{Command, react};

const NOW: Millis = 1_000_000;
const DEADLINE: Millis = NOW + 900_000;

fn card() -> Card {
    Card { token: "tok_approve_4242".into(), last4: "4242".into() }
}

fn placed(card: Option<Card>) -> Box<Placed> {
    Box::new(Placed {
        customer_id: "ada".into(),
        customer_email: "ada@example.com".into(),
        lines: vec![Line { sku: "CUP".into(), name: "Cup".into(), quantity: 2, unit_price: 450 }],
        total: 900,
        currency: "GBP".into(),
        pay_before: DEADLINE,
        card,
        address: None,
    })
}

fn requested(attempt: i32) -> Event {
    Event::PaymentRequested { attempt, card: card() }
}

fn declined(attempt: i32, tries_left: i32) -> Event {
    Event::PaymentDeclined { attempt, reason: "declined".into(), tries_left }
}

fn paid(attempt: i32) -> Event {
    Event::Paid { attempt, authorisation_id: "auth".into() }
}

fn authorised(attempt: i32) -> Input {
    Input::PaymentAuthorised { attempt, authorisation_id: "auth".into() }
}

/// The fold of a history, one event a millisecond.
fn given(history: &[Event]) -> Option<Order> {
    history.iter().zip(NOW..).fold(None, |order, (event, at)| evolve(order, event, at))
}

fn when(history: &[Event], input: &Input) -> Result<Vec<Event>, Refusal> {
    decide(given(history).as_ref(), input, NOW + 1_000)
}

fn history_placed() -> Vec<Event> {
    vec![Event::Placed(placed(None))]
}

fn history_awaiting() -> Vec<Event> {
    vec![Event::Placed(placed(None)), Event::AwaitingPayment]
}

fn history_in_flight() -> Vec<Event> {
    [history_awaiting(), vec![requested(1)]].concat()
}

fn history_paid() -> Vec<Event> {
    [history_in_flight(), vec![paid(1)]].concat()
}

fn history_captured() -> Vec<Event> {
    [history_paid(), vec![Event::PaymentCaptured { attempt: 1 }]].concat()
}

fn history_confirmed() -> Vec<Event> {
    [history_captured(), vec![Event::Confirmed]].concat()
}

fn history_expired() -> Vec<Event> {
    [history_in_flight(), vec![Event::Expired { pay_before: DEADLINE }]].concat()
}

fn history_rejected() -> Vec<Event> {
    [history_placed(), vec![Event::Rejected { reason: "short".into() }]].concat()
}

/// Every reachable state, by name.
fn states() -> Vec<(&'static str, Vec<Event>)> {
    vec![
        ("placed", history_placed()),
        ("awaiting", history_awaiting()),
        ("in flight", history_in_flight()),
        ("paid", history_paid()),
        ("captured", history_captured()),
        ("confirmed", history_confirmed()),
        ("expired", history_expired()),
        ("rejected", history_rejected()),
    ]
}

/// Every (state, input) pair has the one outcome that stands here; what is not
/// named changes nothing.
#[test]
fn every_input_in_every_state_has_one_outcome() {
    let step_due = |history: &[Event]| given(history).unwrap().step_due.unwrap_or(-1);
    type AfterHistory = Box<dyn Fn(&[Event]) -> Input>;
    let inputs: Vec<(&str, AfterHistory)> = vec![
        ("pay", Box::new(|_| Input::Pay { card: card() })),
        ("reserved", Box::new(|_| Input::StockReserved)),
        ("short", Box::new(|_| Input::StockShort { reason: "short".into() })),
        ("released", Box::new(|_| Input::StockReleased)),
        ("committed", Box::new(|_| Input::StockCommitted)),
        ("authorised", Box::new(|_| authorised(1))),
        ("declined", Box::new(|_| Input::PaymentDeclined { attempt: 1, reason: "declined".into() })),
        ("captured", Box::new(|_| Input::PaymentCaptured { attempt: 1 })),
        ("voided", Box::new(|_| Input::PaymentVoided { attempt: 1 })),
        ("deadline", Box::new(|_| Input::DeadlinePassed { due: DEADLINE })),
        ("overdue", Box::new(move |history| Input::StepOverdue { due: step_due(history) })),
    ];
    let late = |reason: &str| Ok(vec![Event::LatePaymentRefused { attempt: 1, reason: reason.into() }]);
    let expired = || Ok(vec![Event::Expired { pay_before: DEADLINE }]);
    let expected = |state: &str, input: &str| -> Result<Vec<Event>, Refusal> {
        match (state, input) {
            ("placed", "pay") => Ok(vec![Event::CardOffered { card: card() }]),
            ("placed", "reserved") => Ok(vec![Event::AwaitingPayment]),
            ("placed", "short") => Ok(vec![Event::Rejected { reason: "short".into() }]),
            ("placed" | "awaiting" | "in flight", "deadline") => expired(),
            ("placed" | "awaiting", "authorised") => late("another attempt has taken its place"),
            ("awaiting", "pay") => Ok(vec![requested(1)]),
            ("in flight", "pay") => Err(Refusal::PaymentUnderWay),
            ("in flight", "authorised") => Ok(vec![paid(1)]),
            ("in flight", "declined") => Ok(vec![declined(1, 2)]),
            ("in flight", "overdue") => Ok(vec![Event::PaymentAbandoned {
                attempt: 1,
                reason: "the bank did not answer; please try again".into(),
            }]),
            ("paid", "captured") => Ok(vec![Event::PaymentCaptured { attempt: 1 }]),
            ("paid", "overdue") => Ok(vec![Event::StepRetried { step: Step::Capture, retry: 1 }]),
            ("captured", "committed") => Ok(vec![Event::Confirmed]),
            ("captured", "overdue") => Ok(vec![Event::StepRetried { step: Step::CommitStock, retry: 1 }]),
            ("expired", "authorised") => late("the order had expired"),
            ("rejected", "authorised") => late("the order could not be served"),
            ("expired", "released") => Ok(vec![Event::StockReturned]),
            (_, "pay") => Err(Refusal::NotPayable),
            _ => Ok(Vec::new()),
        }
    };
    for (state, history) in states() {
        for (name, input) in &inputs {
            let input = input(&history);
            assert_eq!(when(&history, &input), expected(state, name), "{name} when {state}");
        }
    }
}

#[test]
fn a_card_offered_at_checkout_is_used_as_soon_as_the_stock_is_reserved() {
    let history = [Event::Placed(placed(Some(card())))];
    assert_eq!(when(&history, &Input::StockReserved), Ok(vec![Event::AwaitingPayment, requested(1)]));
    let offered = [history_placed(), vec![Event::CardOffered { card: card() }]].concat();
    assert_eq!(when(&offered, &Input::StockReserved), Ok(vec![Event::AwaitingPayment, requested(1)]));
    assert_eq!(when(&offered, &Input::Pay { card: card() }), Err(Refusal::PaymentUnderWay));
}

#[test]
fn a_card_is_not_charged_after_the_deadline_even_if_nobody_has_noticed_it() {
    let order = given(&[Event::Placed(placed(Some(card())))]);
    let events = decide(order.as_ref(), &Input::StockReserved, DEADLINE);
    assert_eq!(events, Ok(vec![Event::AwaitingPayment]));
    let order = given(&history_awaiting());
    assert_eq!(decide(order.as_ref(), &Input::Pay { card: card() }, DEADLINE), Err(Refusal::TooLate));
}

#[test]
fn three_declines_end_the_tries_but_not_the_order() {
    let mut history = history_awaiting();
    for (attempt, left) in [(1, 2), (2, 1), (3, 0)] {
        history.push(requested(attempt));
        let no = Input::PaymentDeclined { attempt, reason: "declined".into() };
        assert_eq!(when(&history, &no), Ok(vec![declined(attempt, left)]));
        history.push(declined(attempt, left));
    }
    assert_eq!(when(&history, &Input::Pay { card: card() }), Err(Refusal::NoTriesLeft));
    assert_eq!(given(&history).unwrap().status, Status::AwaitingPayment);
    assert_eq!(
        when(&history, &Input::DeadlinePassed { due: DEADLINE }),
        Ok(vec![Event::Expired { pay_before: DEADLINE }])
    );
}

/// The race, both ways.
#[test]
fn of_deadline_and_authorisation_the_first_to_arrive_wins() {
    let in_time = [history_in_flight(), vec![paid(1)]].concat();
    assert_eq!(when(&in_time, &Input::DeadlinePassed { due: DEADLINE }), Ok(vec![]));

    let too_late = history_expired();
    let refused = when(&too_late, &authorised(1)).unwrap();
    assert!(matches!(refused[..], [Event::LatePaymentRefused { attempt: 1, .. }]));
    let history = [too_late, refused].concat();
    // Told again, it is not refused again; once voided, that is told.
    assert_eq!(when(&history, &authorised(1)), Ok(vec![]));
    assert_eq!(when(&history, &Input::PaymentVoided { attempt: 1 }), Ok(vec![Event::PaymentVoided { attempt: 1 }]));
}

#[test]
fn a_superseded_attempt_is_given_back_while_the_new_one_goes_on() {
    let abandoned = Event::PaymentAbandoned { attempt: 1, reason: "no answer".into() };
    let history = [history_in_flight(), vec![abandoned, requested(2)]].concat();
    assert!(matches!(when(&history, &authorised(1)).unwrap()[..], [Event::LatePaymentRefused { attempt: 1, .. }]));
    assert_eq!(when(&history, &authorised(2)), Ok(vec![paid(2)]));
    // After the second has paid, the first is still not wanted.
    let history = [history, vec![paid(2)]].concat();
    assert!(matches!(when(&history, &authorised(1)).unwrap()[..], [Event::LatePaymentRefused { attempt: 1, .. }]));
    assert_eq!(when(&history, &authorised(2)), Ok(vec![]));
}

#[test]
fn a_timer_that_is_not_the_row_s_is_disobeyed() {
    for due in [DEADLINE - 1, DEADLINE + 1] {
        assert_eq!(when(&history_awaiting(), &Input::DeadlinePassed { due }), Ok(vec![]));
    }
    let due = given(&history_paid()).unwrap().step_due.unwrap();
    assert_eq!(when(&history_paid(), &Input::StepOverdue { due: due + 1 }), Ok(vec![]));
}

#[test]
fn a_step_is_asked_for_again_at_growing_distances() {
    let mut history = history_paid();
    let mut waits = Vec::new();
    for retry in 1..=8 {
        history.push(Event::StepRetried { step: Step::Capture, retry });
        let at = NOW + i64::try_from(history.len()).unwrap() - 1;
        waits.push(given(&history).unwrap().step_due.unwrap() - at);
    }
    assert_eq!(waits[..3], [2 * SETTLE_WITHIN, 4 * SETTLE_WITHIN, 8 * SETTLE_WITHIN]);
    assert_eq!(waits[6], waits[7], "the distance has a cap");
}

#[test]
fn nothing_is_decided_for_an_order_that_does_not_exist() {
    assert_eq!(decide(None, &Input::Pay { card: card() }, NOW), Err(Refusal::Unknown));
    assert_eq!(decide(None, &Input::StockReserved, NOW), Ok(vec![]));
    assert_eq!(when(&history_placed(), &Input::Place(placed(None))), Err(Refusal::PlacedAlready));
}

/// The saga as a table: event, and what is asked of whom.
#[test]
fn each_event_asks_for_its_step() {
    let asks = |history: &[Event]| react(&given(history).unwrap(), history.last().unwrap());
    assert_eq!(asks(&history_placed()), Some(Command::ReserveStock));
    assert_eq!(asks(&history_awaiting()), None);
    assert_eq!(asks(&history_in_flight()), Some(Command::AuthorisePayment { attempt: 1, card: card() }));
    assert_eq!(asks(&history_paid()), Some(Command::CapturePayment { attempt: 1 }));
    assert_eq!(asks(&history_captured()), Some(Command::CommitStock));
    assert_eq!(asks(&history_confirmed()), None);
    assert_eq!(asks(&history_expired()), Some(Command::ReleaseStock));
    assert_eq!(asks(&history_rejected()), None);
    let refused = Event::LatePaymentRefused { attempt: 1, reason: "late".into() };
    assert_eq!(asks(&[history_expired(), vec![refused]].concat()), Some(Command::VoidPayment { attempt: 1 }));
    for (step, command) in
        [(Step::Capture, Command::CapturePayment { attempt: 1 }), (Step::CommitStock, Command::CommitStock)]
    {
        let again = Event::StepRetried { step, retry: 1 };
        assert_eq!(asks(&[history_paid(), vec![again]].concat()), Some(command));
    }
}

#[test]
fn an_ended_order_has_no_timers_left() {
    for history in [history_rejected(), history_expired(), history_confirmed()] {
        let order = given(&history).unwrap();
        assert_eq!((order.pay_before, order.step_due), (None, None), "{:?}", order.status);
    }
}
