//! What is true of every state that can be reached at all: whatever comes, in
//! whatever order, sensible or not.

use std::collections::{BTreeSet, HashSet};

use super::*;

/// Attempts at paying that are tried out.
const ATTEMPTS: i32 = 3;
/// A due time, whichever.
const DUE: Millis = NOW + 10_000;

/// What the order can be told, if it stands so.
fn inputs(order: &Order) -> Vec<Input> {
    let mut inputs = vec![
        cancel(),
        return_all(),
        return_lines(&[("CUP", 1)]),
        Input::StockReserved,
        Input::StockShort { reason: "short".into() },
        Input::StockReleased,
        Input::StockCommitted,
        Input::StepOverdue { due: DUE },
        Input::FulfilmentDue { due: DUE },
        Input::DeadlinePassed { due: DEADLINE },
    ];
    if order.attempt < ATTEMPTS {
        inputs.push(Input::Pay { card: card() });
    }
    // Also of attempts that were never made, and of refunds that were never opened.
    for attempt in 1..=ATTEMPTS {
        inputs.push(authorised(attempt));
        inputs.push(Input::PaymentDeclined { attempt, reason: "no".into() });
        inputs.push(Input::PaymentCaptured { attempt });
        inputs.push(Input::PaymentCaptureRefused { attempt, reason: "refused".into() });
        inputs.push(Input::PaymentVoided { attempt });
    }
    for refund in 0..=order.refunds + 1 {
        inputs.push(Input::PaymentRefunded { refund });
        inputs.push(Input::StockReturned { refund });
    }
    inputs
}

fn play(order: &Order, events: &[Event]) -> Order {
    events.iter().try_fold(order.clone(), |order, event| evolve(Some(order), event, THEN)).unwrap()
}

/// Two orders that differ only in numbers that count up stand at the same place.
fn place_of(mut order: Order) -> Order {
    order.version = 1;
    order.retries = 0;
    order.step_due = order.step_due.map(|_| DUE);
    order.fulfil_at = order.fulfil_at.map(|_| DUE);
    order.status_reason.clear();
    order
}

/// Every order that can be reached, and the inputs that led there.
fn reachable() -> Vec<(Order, Vec<Input>)> {
    let start = given(&[Event::Placed(placed(None))]).unwrap();
    let mut known = HashSet::new();
    let mut found = vec![(place_of(start), Vec::new())];
    let mut next = 0;
    while next < found.len() {
        let (order, path) = found[next].clone();
        next += 1;
        for input in inputs(&order) {
            let Ok(events) = decide(Some(&order), &input, THEN, TERMS) else { continue };
            let there = place_of(play(&order, &events));
            if known.insert(format!("{there:?}")) {
                found.push((there, [path.as_slice(), &[input]].concat()));
            }
        }
    }
    found
}

/// The part of a state that decides what an input does, as far as the table tells
/// states apart. Holds on their way back go their own way (see
/// `a_hold_is_let_go_wherever_the_order_has_got_to`).
fn shape(order: &Order) -> String {
    let ended_unpaid = matches!(order.status, Status::Expired | Status::Cancelled | Status::Refunded);
    format!(
        "{:?}, card {}, in flight {}, tries {}, tried {}, captured {}, called off {}, refund {:?}, money back {}, \
         committed {}, stock back {}, some returned {}, by payment {}",
        order.status,
        order.card.is_some(),
        order.in_flight,
        order.status == Status::AwaitingPayment && order.declines >= TRIES,
        order.status == Status::AwaitingPayment && order.attempt > 0,
        order.captured,
        order.cancelling.is_some(),
        order.refund.as_ref().map(|refund| (refund.cause, refund.lines.is_empty(), refund.lines == order.left())),
        order.money_back,
        order.stock_committed,
        ended_unpaid && order.stock_returned,
        !order.returned.is_empty(),
        ended_unpaid && order.paid_by.is_some(),
    )
}

#[test]
fn every_state_that_can_be_reached_has_its_place_in_the_table() {
    let table: BTreeSet<String> = states().iter().map(|(_, history)| shape(&given(history).unwrap())).collect();
    let missing: BTreeSet<String> =
        reachable().iter().map(|(order, _)| shape(order)).filter(|shape| !table.contains(shape)).collect();
    assert!(missing.is_empty(), "not in the table:\n{}", missing.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn money_goods_and_timers_of_every_order_fit_its_state() {
    for (order, path) in reachable() {
        let told = |what: &str| panic!("{what}: {order:#?}\nafter {path:?}");
        let open = order.refund.as_ref().map_or(0, |refund| if order.money_back { 0 } else { refund.amount });
        if order.refunded + open > TOTAL || order.refunded < 0 {
            told("more goes back than was taken");
        }
        if order.refunded + open > 0 && !order.captured {
            told("money goes back that was never taken");
        }
        if order.refund.as_ref().is_some_and(|refund| refund.amount < 1) {
            told("a refund of nothing");
        }
        if order
            .left()
            .iter()
            .chain(order.refund.iter().flat_map(|refund| &refund.lines))
            .any(|goods| goods.quantity < 1)
        {
            told("less than a piece");
        }
        let waits = matches!(order.status, Status::Placed | Status::AwaitingPayment);
        if order.pay_before.is_some() != waits {
            told("the payment's deadline");
        }
        let travels = matches!(order.status, Status::Confirmed | Status::Shipped) && !order.unwinding();
        if order.fulfil_at.is_some() != travels {
            told("the next stage");
        }
        let asked = order.in_flight || order.unwinding() || order.status == Status::Paid;
        if order.step_due.is_some() != asked {
            told("the step's deadline");
        }
        if order.in_flight && order.status != Status::AwaitingPayment {
            told("a payment under way");
        }
        if order.captured && order.paid_by.is_none() {
            told("money of no attempt");
        }
        if order.status == Status::Refunded && order.refunded != TOTAL {
            told("REFUNDED and not refunded");
        }
    }
}

#[test]
fn whatever_is_told_twice_counts_once() {
    for (order, path) in reachable() {
        for input in inputs(&order) {
            let asked = matches!(input, Input::Pay { .. } | Input::Cancel { .. } | Input::Return { .. });
            let Ok(events) = decide(Some(&order), &input, THEN, TERMS) else { continue };
            if asked || events.is_empty() {
                continue;
            }
            let again = decide(Some(&play(&order, &events)), &input, THEN, TERMS);
            assert_eq!(again, Ok(vec![]), "{input:?} after {path:?}");
        }
    }
}

#[test]
fn a_customer_who_cancels_twice_has_cancelled_once() {
    for (order, path) in reachable() {
        let Ok(events) = decide(Some(&order), &cancel(), THEN, TERMS) else { continue };
        let again = decide(Some(&play(&order, &events)), &cancel(), THEN, TERMS);
        assert_eq!(again, Ok(vec![]), "after {path:?}");
    }
}

/// The commands fit together, whatever came before them: stock that was released
/// is not committed, money that was voided is not captured, and the other way round.
#[test]
fn no_step_is_asked_for_that_contradicts_another() {
    for (order, path) in reachable() {
        for input in inputs(&order) {
            let Ok(events) = decide(Some(&order), &input, THEN, TERMS) else { continue };
            let mut now = order.clone();
            for event in &events {
                now = play(&now, std::slice::from_ref(event));
                let fits = match react(&now, event) {
                    None | Some(Command::ReserveStock | Command::AuthorisePayment { .. }) => true,
                    Some(Command::ReleaseStock) => !now.stock_committed,
                    Some(Command::CommitStock) => now.status == Status::Paid && now.captured && now.refund.is_none(),
                    Some(Command::ReturnStock { .. }) => now.stock_committed && now.money_back,
                    Some(Command::CapturePayment { attempt }) => {
                        now.status == Status::Paid && now.paid_by == Some(attempt) && !now.captured
                    }
                    Some(Command::VoidPayment { attempt }) => !now.captured || now.paid_by != Some(attempt),
                    Some(Command::RefundPayment { attempt, amount, .. }) => {
                        now.captured && now.paid_by == Some(attempt) && amount + now.refunded <= TOTAL
                    }
                };
                assert!(fits, "{event:?} when {input:?} after {path:?}");
            }
        }
    }
}
