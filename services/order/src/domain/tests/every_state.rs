//! The closed table: every input in every state.

use super::*;

/// An input that depends on the order: the due time that stands in its row, the
/// number of its refund.
type ForOrder = fn(&Order) -> Input;

fn inputs() -> Vec<(&'static str, ForOrder)> {
    vec![
        ("place", |_| Input::Place(placed(None))),
        ("pay", |_| Input::Pay { card: card() }),
        ("cancel", |_| cancel()),
        ("return all", |_| return_all()),
        ("return a cup", |_| return_lines(&[("CUP", 1)])),
        ("reserved", |_| Input::StockReserved),
        ("short", |_| Input::StockShort { reason: "short".into() }),
        ("released", |_| Input::StockReleased),
        ("committed", |_| Input::StockCommitted),
        ("stock returned", |order| Input::StockReturned { refund: order.refunds }),
        ("authorised", |_| authorised(1)),
        ("declined", |_| Input::PaymentDeclined { attempt: 1, reason: "no".into() }),
        ("captured", |_| Input::PaymentCaptured { attempt: 1 }),
        ("capture refused", |_| Input::PaymentCaptureRefused { attempt: 1, reason: "refused".into() }),
        ("voided", |_| Input::PaymentVoided { attempt: 1 }),
        ("refunded", |order| Input::PaymentRefunded { refund: order.refunds }),
        ("deadline", |_| Input::DeadlinePassed { due: DEADLINE }),
        ("overdue", |order| Input::StepOverdue { due: order.step_due.unwrap_or(-1) }),
        ("due", |order| Input::FulfilmentDue { due: order.fulfil_at.unwrap_or(-1) }),
    ]
}

/// Every (state, input) pair has the one outcome that stands here; what is not
/// named changes nothing.
#[test]
fn every_input_in_every_state_has_one_outcome() {
    for (state, history) in states() {
        for (name, input) in inputs() {
            let input = input(&given(&history).unwrap());
            assert_eq!(when(&history, &input), expected(state, name), "{name} when {state}");
        }
    }
}

fn expected(state: &str, input: &str) -> Result<Vec<Event>, Refusal> {
    match input {
        "place" => Err(Refusal::PlacedAlready),
        "pay" => when_paying(state),
        "cancel" => when_cancelling(state),
        "return all" | "return a cup" => when_returning(state, input),
        "authorised" => Ok(when_authorised(state)),
        "overdue" => Ok(when_overdue(state)),
        _ => Ok(when_told(state, input)),
    }
}

fn when_paying(state: &str) -> Result<Vec<Event>, Refusal> {
    match state {
        "placed" => Ok(vec![Event::CardOffered { card: card() }]),
        "awaiting" => Ok(vec![requested(1)]),
        "abandoned" | "declined" => Ok(vec![requested(2)]),
        "card offered" | "in flight" => Err(Refusal::PaymentUnderWay),
        "out of tries" => Err(Refusal::NoTriesLeft),
        _ => Err(Refusal::NotPayable),
    }
}

fn when_cancelling(state: &str) -> Result<Vec<Event>, Refusal> {
    match state {
        "placed" | "card offered" | "awaiting" | "in flight" | "abandoned" | "declined" | "out of tries" => {
            Ok(vec![cancelled("changed my mind")])
        }
        "paid" | "captured" => Ok(vec![Event::CancelRequested { reason: "changed my mind".into() }]),
        "confirmed" => Ok(vec![whole_refund()]),
        // Done, or under way.
        "cancelled" | "cancelled, stock back" | "refused" | "refused, stock back" => Ok(vec![]),
        "charged after all: money out" | "charged after all, stock back: money out" => Ok(vec![]),
        "paid, called off" | "captured, called off" => Ok(vec![]),
        "uncommitted: money out" | "uncommitted: stock out" => Ok(vec![]),
        "confirmed: money out" | "confirmed: stock out" => Ok(vec![]),
        "shipped" => Err(Refusal::OnItsWay),
        "rejected" | "expired" | "expired, stock back" => Err(Refusal::NothingToCancel),
        state if state.ends_with(": refunded") => Err(Refusal::NothingToCancel),
        // Delivered, and whatever comes back from there.
        _ => Err(Refusal::ReturnInstead),
    }
}

fn when_returning(state: &str, input: &str) -> Result<Vec<Event>, Refusal> {
    match (state, input) {
        ("delivered", "return all") => Ok(vec![return_of(1, TOTAL, vec![goods("CUP", 2), goods("POT", 1)])]),
        ("partly returned", "return all") => Ok(vec![return_of(2, 1_950, vec![goods("CUP", 1), goods("POT", 1)])]),
        ("delivered", _) => Ok(vec![return_of(1, 450, vec![goods("CUP", 1)])]),
        ("partly returned", _) => Ok(vec![return_of(2, 450, vec![goods("CUP", 1)])]),
        (state, _) if state.ends_with(": refunded") => Err(Refusal::AllBack),
        (state, _) if state.starts_with("return of") || state.starts_with("second part") => {
            Err(Refusal::ReturnUnderWay)
        }
        _ => Err(Refusal::NotDelivered),
    }
}

fn when_authorised(state: &str) -> Vec<Event> {
    let late = |reason: &str| vec![Event::LatePaymentRefused { attempt: 1, reason: reason.into() }];
    match state {
        "in flight" => vec![paid(1)],
        "placed" | "card offered" | "awaiting" | "abandoned" | "declined" | "out of tries" => {
            late("another attempt has taken its place")
        }
        "rejected" => late("the order could not be served"),
        "expired" | "expired, stock back" => late("the order had expired"),
        "cancelled" | "cancelled, stock back" => late("the order had been cancelled"),
        // By this very attempt: told again.
        _ => vec![],
    }
}

fn when_overdue(state: &str) -> Vec<Event> {
    let again = |step| vec![Event::StepRetried { step, retry: 1 }];
    match state {
        "in flight" => vec![abandoned(1)],
        "paid" | "paid, called off" => again(Step::Capture),
        "captured" | "captured, called off" => again(Step::CommitStock),
        state if state.ends_with(": money out") => again(Step::Refund),
        state if state.ends_with(": stock out") => again(Step::ReturnStock),
        _ => vec![],
    }
}

fn when_told(state: &str, input: &str) -> Vec<Event> {
    match (state, input) {
        ("placed", "reserved") => vec![Event::AwaitingPayment],
        ("card offered", "reserved") => vec![Event::AwaitingPayment, requested(1)],
        ("placed" | "card offered", "short") => vec![Event::Rejected { reason: "short".into() }],
        (
            "placed" | "card offered" | "awaiting" | "in flight" | "abandoned" | "declined" | "out of tries",
            "deadline",
        ) => vec![Event::Expired { pay_before: DEADLINE }],
        ("in flight", "declined") => vec![declined(1, 2)],

        ("expired" | "cancelled" | "refused", "released") => vec![stock_back(0)],
        ("charged after all: money out" | "charged after all: refunded", "released") => vec![stock_back(0)],
        ("uncommitted: stock out", "released") => vec![stock_back(1), Event::Refunded],

        ("paid", "captured") => vec![captured()],
        ("paid, called off", "captured") => vec![captured(), whole_refund()],
        ("refused" | "refused, stock back", "captured") => {
            let reason = "charged although the charge had been refused".to_owned();
            let cause = RefundCause::Cancelled;
            vec![captured(), Event::RefundRequested(Refund { number: 1, cause, amount: TOTAL, lines: vec![], reason })]
        }
        ("paid", "capture refused") => vec![refused(), cancelled("refused")],
        ("paid, called off", "capture refused") => vec![refused(), cancelled("changed my mind")],
        (state, "voided") if state.starts_with("refused") || state.starts_with("charged after all") => {
            vec![Event::PaymentVoided { attempt: 1 }]
        }

        ("captured", "committed") => vec![confirmed()],
        ("captured, called off", "committed") => vec![Event::Confirmed { ship_at: None }, whole_refund()],
        ("confirmed", "due") => vec![Event::Shipped { deliver_at: DELIVER_AT }],
        ("shipped", "due") => vec![Event::Delivered],

        ("charged after all: money out" | "charged after all, stock back: money out", "refunded") => {
            vec![money_back(1, TOTAL), Event::Refunded]
        }
        ("uncommitted: money out" | "confirmed: money out" | "return of all: money out", "refunded") => {
            vec![money_back(1, TOTAL)]
        }
        ("return of part: money out", "refunded") => vec![money_back(1, 450)],
        ("second part: money out", "refunded") => vec![money_back(2, 450)],
        ("return of the rest: money out", "refunded") => vec![money_back(2, 1_950)],
        ("confirmed: stock out" | "return of all: stock out", "stock returned") => vec![stock_back(1), Event::Refunded],
        ("return of part: stock out", "stock returned") => vec![stock_back(1)],
        ("second part: stock out", "stock returned") => vec![stock_back(2)],
        ("return of the rest: stock out", "stock returned") => vec![stock_back(2), Event::Refunded],
        _ => vec![],
    }
}

#[test]
fn nothing_is_decided_for_an_order_that_does_not_exist() {
    let order = given(&[Event::Placed(placed(None))]).unwrap();
    for (name, input) in inputs() {
        let expected = match name {
            "place" => Ok(vec![Event::Placed(placed(None))]),
            "pay" | "cancel" | "return all" | "return a cup" => Err(Refusal::Unknown),
            _ => Ok(vec![]),
        };
        assert_eq!(decide(None, &input(&order), NOW, TERMS), expected, "{name}");
    }
}
