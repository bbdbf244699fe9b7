//! The order aggregate and the saga, given/when/then: here the words of the tests,
//! and every history that ends in another state.

#![allow(clippy::unwrap_used)]

mod cancellation;
mod checkout;
mod every_interleaving;
mod every_state;
mod fulfilment;
mod invariants;
mod refund;
mod saga;
mod words;

use super::*;
use crate::saga::{Command, react};

const NOW: Millis = 1_000_000;
const DEADLINE: Millis = NOW + 900_000;
/// When every input comes that has no time of its own.
const THEN: Millis = NOW + 1_000;
const TERMS: Terms = Terms { payment_window: 900_000, ship_after: 60_000, deliver_after: 120_000 };
const SHIP_AT: Millis = THEN + TERMS.ship_after;
const DELIVER_AT: Millis = THEN + TERMS.deliver_after;
const TOTAL: i64 = 2_400;

fn card() -> Card {
    Card { token: "tok_approve_4242".into(), last4: "4242".into() }
}

fn goods(sku: &str, quantity: i64) -> Goods {
    Goods { sku: sku.into(), quantity }
}

/// Two cups and a pot.
fn placed(card: Option<Card>) -> Arc<Placed> {
    let line = |sku: &str, quantity, unit_price| Line { sku: sku.into(), name: sku.into(), quantity, unit_price };
    Arc::new(Placed {
        customer_id: "ada".into(),
        customer_email: "ada@example.com".into(),
        lines: vec![line("CUP", 2, 450), line("POT", 1, 1_500)],
        total: TOTAL,
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
    Event::PaymentDeclined { attempt, reason: "no".into(), tries_left }
}

fn abandoned(attempt: i32) -> Event {
    Event::PaymentAbandoned { attempt, reason: "the bank did not answer; please try again".into() }
}

fn paid(attempt: i32) -> Event {
    Event::Paid { attempt, authorisation_id: "auth".into() }
}

fn captured() -> Event {
    Event::PaymentCaptured { attempt: 1 }
}

fn refused() -> Event {
    Event::CaptureRefused { attempt: 1, reason: "refused".into() }
}

fn confirmed() -> Event {
    Event::Confirmed { ship_at: Some(SHIP_AT) }
}

fn cancelled(reason: &str) -> Event {
    Event::Cancelled { reason: reason.into() }
}

/// Everything goes back, since the customer has changed his mind.
fn whole_refund() -> Event {
    let lines = vec![goods("CUP", 2), goods("POT", 1)];
    let reason = "changed my mind".to_owned();
    Event::RefundRequested(Refund { number: 1, cause: RefundCause::Cancelled, amount: TOTAL, lines, reason })
}

fn return_of(number: i32, amount: i64, lines: Vec<Goods>) -> Event {
    Event::RefundRequested(Refund { number, cause: RefundCause::Returned, amount, lines, reason: String::new() })
}

fn money_back(refund: i32, amount: i64) -> Event {
    Event::PaymentRefunded { refund, amount }
}

fn stock_back(refund: i32) -> Event {
    Event::StockReturned { refund }
}

fn authorised(attempt: i32) -> Input {
    Input::PaymentAuthorised { attempt, authorisation_id: "auth".into() }
}

fn cancel() -> Input {
    Input::Cancel { reason: "changed my mind".into() }
}

fn return_all() -> Input {
    Input::Return { lines: None, reason: String::new() }
}

fn return_lines(lines: &[(&str, i64)]) -> Input {
    let lines = lines.iter().map(|(sku, quantity)| goods(sku, *quantity)).collect();
    Input::Return { lines: Some(lines), reason: String::new() }
}

/// The fold of a history, one event a millisecond.
fn given(history: &[Event]) -> Option<Order> {
    history.iter().zip(NOW..).fold(None, |order, (event, at)| evolve(order, event, at))
}

fn when(history: &[Event], input: &Input) -> Result<Vec<Event>, Refusal> {
    decide(given(history).as_ref(), input, THEN, TERMS)
}

/// The history and what the input adds to it.
fn after(history: &[Event], input: &Input) -> Vec<Event> {
    [history, &when(history, input).unwrap()].concat()
}

/// A history that goes on.
fn then(history: &[Event], events: &[Event]) -> Vec<Event> {
    [history, events].concat()
}

fn history_awaiting() -> Vec<Event> {
    vec![Event::Placed(placed(None)), Event::AwaitingPayment]
}

fn history_in_flight() -> Vec<Event> {
    then(&history_awaiting(), &[requested(1)])
}

fn history_paid() -> Vec<Event> {
    then(&history_in_flight(), &[paid(1)])
}

fn history_captured() -> Vec<Event> {
    then(&history_paid(), &[captured()])
}

fn history_confirmed() -> Vec<Event> {
    then(&history_captured(), &[confirmed()])
}

fn history_delivered() -> Vec<Event> {
    then(&history_confirmed(), &[Event::Shipped { deliver_at: DELIVER_AT }, Event::Delivered])
}

fn history_expired() -> Vec<Event> {
    then(&history_in_flight(), &[Event::Expired { pay_before: DEADLINE }])
}

fn history_refused() -> Vec<Event> {
    then(&history_paid(), &[refused(), cancelled("refused")])
}

/// Every reachable state, by name; that none is missing is a test of its own
/// (`every_state_that_can_be_reached_has_its_place_in_the_table`).
fn states() -> Vec<(&'static str, Vec<Event>)> {
    let from = |history: Vec<Event>, events: &[Event]| then(&history, events);
    let placed = || vec![Event::Placed(placed(None))];
    let asked_off = || Event::CancelRequested { reason: "changed my mind".into() };
    let charged = || {
        let reason = "charged although the charge had been refused".to_owned();
        Event::RefundRequested(Refund {
            number: 1,
            cause: RefundCause::Cancelled,
            amount: TOTAL,
            lines: vec![],
            reason,
        })
    };
    let all = || vec![goods("CUP", 2), goods("POT", 1)];
    let rest = || vec![goods("CUP", 1), goods("POT", 1)];
    let cup_back =
        || from(history_delivered(), &[return_of(1, 450, vec![goods("CUP", 1)]), money_back(1, 450), stock_back(1)]);
    vec![
        ("placed", placed()),
        ("card offered", from(placed(), &[Event::CardOffered { card: card() }])),
        ("rejected", from(placed(), &[Event::Rejected { reason: "short".into() }])),
        ("awaiting", history_awaiting()),
        ("in flight", history_in_flight()),
        ("abandoned", from(history_in_flight(), &[abandoned(1)])),
        ("declined", from(history_in_flight(), &[declined(1, 2)])),
        (
            "out of tries",
            from(history_in_flight(), &[declined(1, 2), requested(2), declined(2, 1), requested(3), declined(3, 0)]),
        ),
        ("expired", history_expired()),
        ("expired, stock back", from(history_expired(), &[stock_back(0)])),
        ("cancelled", from(history_awaiting(), &[cancelled("changed my mind")])),
        ("cancelled, stock back", from(history_awaiting(), &[cancelled("changed my mind"), stock_back(0)])),
        ("paid", history_paid()),
        ("paid, called off", from(history_paid(), &[asked_off()])),
        ("captured", history_captured()),
        ("captured, called off", from(history_captured(), &[asked_off()])),
        ("refused", history_refused()),
        ("refused, stock back", from(history_refused(), &[stock_back(0)])),
        ("charged after all: money out", from(history_refused(), &[captured(), charged()])),
        ("charged after all, stock back: money out", from(history_refused(), &[stock_back(0), captured(), charged()])),
        (
            "charged after all: refunded",
            from(history_refused(), &[captured(), charged(), money_back(1, TOTAL), Event::Refunded]),
        ),
        (
            "charged after all, stock back: refunded",
            from(history_refused(), &[stock_back(0), captured(), charged(), money_back(1, TOTAL), Event::Refunded]),
        ),
        ("uncommitted: money out", from(history_paid(), &[asked_off(), captured(), whole_refund()])),
        (
            "uncommitted: stock out",
            from(history_paid(), &[asked_off(), captured(), whole_refund(), money_back(1, TOTAL)]),
        ),
        (
            "uncommitted: refunded",
            from(
                history_paid(),
                &[asked_off(), captured(), whole_refund(), money_back(1, TOTAL), stock_back(1), Event::Refunded],
            ),
        ),
        ("confirmed", history_confirmed()),
        ("confirmed: money out", from(history_confirmed(), &[whole_refund()])),
        ("confirmed: stock out", from(history_confirmed(), &[whole_refund(), money_back(1, TOTAL)])),
        (
            "confirmed: refunded",
            from(history_confirmed(), &[whole_refund(), money_back(1, TOTAL), stock_back(1), Event::Refunded]),
        ),
        ("shipped", from(history_confirmed(), &[Event::Shipped { deliver_at: DELIVER_AT }])),
        ("delivered", history_delivered()),
        ("return of all: money out", from(history_delivered(), &[return_of(1, TOTAL, all())])),
        ("return of all: stock out", from(history_delivered(), &[return_of(1, TOTAL, all()), money_back(1, TOTAL)])),
        (
            "return of all: refunded",
            from(
                history_delivered(),
                &[return_of(1, TOTAL, all()), money_back(1, TOTAL), stock_back(1), Event::Refunded],
            ),
        ),
        ("return of part: money out", from(history_delivered(), &[return_of(1, 450, vec![goods("CUP", 1)])])),
        (
            "return of part: stock out",
            from(history_delivered(), &[return_of(1, 450, vec![goods("CUP", 1)]), money_back(1, 450)]),
        ),
        ("partly returned", cup_back()),
        ("second part: money out", from(cup_back(), &[return_of(2, 450, vec![goods("CUP", 1)])])),
        ("second part: stock out", from(cup_back(), &[return_of(2, 450, vec![goods("CUP", 1)]), money_back(2, 450)])),
        ("return of the rest: money out", from(cup_back(), &[return_of(2, 1_950, rest())])),
        ("return of the rest: stock out", from(cup_back(), &[return_of(2, 1_950, rest()), money_back(2, 1_950)])),
        (
            "return of the rest: refunded",
            from(cup_back(), &[return_of(2, 1_950, rest()), money_back(2, 1_950), stock_back(2), Event::Refunded]),
        ),
    ]
}
