//! The saga as a table: event, and what is asked of whom.

use super::*;

fn asks(history: &[Event]) -> Option<Command> {
    react(&given(history).unwrap(), history.last().unwrap())
}

#[test]
fn each_event_asks_for_its_step() {
    assert_eq!(asks(&[Event::Placed(placed(None))]), Some(Command::ReserveStock));
    assert_eq!(asks(&history_in_flight()), Some(Command::AuthorisePayment { attempt: 1, card: card() }));
    assert_eq!(asks(&history_paid()), Some(Command::CapturePayment { attempt: 1 }));
    assert_eq!(asks(&history_captured()), Some(Command::CommitStock));
    assert_eq!(asks(&history_expired()), Some(Command::ReleaseStock));
    assert_eq!(asks(&then(&history_awaiting(), &[cancelled("")])), Some(Command::ReleaseStock));
    let late = Event::LatePaymentRefused { attempt: 1, reason: "late".into() };
    assert_eq!(asks(&then(&history_expired(), &[late])), Some(Command::VoidPayment { attempt: 1 }));
    assert_eq!(asks(&then(&history_paid(), &[refused()])), Some(Command::VoidPayment { attempt: 1 }));
    assert_eq!(asks(&history_refused()), Some(Command::ReleaseStock));
}

#[test]
fn a_refund_asks_for_the_money_and_then_for_the_goods() {
    let all = || vec![goods("CUP", 2), goods("POT", 1)];
    let refund = |number, amount| Some(Command::RefundPayment { attempt: 1, refund: number, amount });

    let open = then(&history_confirmed(), &[whole_refund()]);
    assert_eq!(asks(&open), refund(1, TOTAL));
    let goods_back = Some(Command::ReturnStock { refund: 1, lines: all() });
    assert_eq!(asks(&then(&open, &[money_back(1, TOTAL)])), goods_back);

    // Goods that were only reserved are released, not returned.
    let asked_off = Event::CancelRequested { reason: String::new() };
    let uncommitted = then(&history_paid(), &[asked_off, captured()]);
    assert_eq!(asks(&uncommitted), None, "the refund comes next, and not the goods");
    let open = then(&uncommitted, &[whole_refund()]);
    assert_eq!(asks(&open), refund(1, TOTAL));
    assert_eq!(asks(&then(&open, &[money_back(1, TOTAL)])), Some(Command::ReleaseStock));

    let open = then(&history_delivered(), &[return_of(1, 450, vec![goods("CUP", 1)])]);
    assert_eq!(asks(&open), refund(1, 450));
    let cup_back = Some(Command::ReturnStock { refund: 1, lines: vec![goods("CUP", 1)] });
    assert_eq!(asks(&then(&open, &[money_back(1, 450)])), cup_back);
}

/// Asked again, a step is asked for with the same words as the first time.
#[test]
fn a_step_that_takes_too_long_is_asked_for_again() {
    let mut retried = 0;
    for (state, history) in states() {
        let order = given(&history).unwrap();
        let events = when(&history, &Input::StepOverdue { due: order.step_due.unwrap_or(-1) }).unwrap();
        let [Event::StepRetried { .. }] = events[..] else { continue };
        retried += 1;
        let first = asks(&history).or_else(|| {
            // A remembered cancellation came after it.
            asks(&history[..history.len() - 1])
        });
        assert!(first.is_some(), "{state}");
        assert_eq!(asks(&then(&history, &events)), first, "{state}");
    }
    assert!(retried >= 16, "{retried} states wait for a step");
}

#[test]
fn nobody_is_asked_by_what_ends_a_road_or_waits() {
    let confirmed_off = then(&history_captured(), &[Event::Confirmed { ship_at: None }]);
    let asked_off = then(&history_paid(), &[Event::CancelRequested { reason: String::new() }]);
    let back = then(&history_confirmed(), &[whole_refund(), money_back(1, TOTAL), stock_back(1)]);
    for history in [
        history_awaiting(),
        then(&[Event::Placed(placed(None))], &[Event::CardOffered { card: card() }]),
        then(&[Event::Placed(placed(None))], &[Event::Rejected { reason: "short".into() }]),
        then(&history_in_flight(), &[declined(1, 2)]),
        then(&history_in_flight(), &[abandoned(1)]),
        history_confirmed(),
        confirmed_off,
        asked_off,
        then(&history_confirmed(), &[Event::Shipped { deliver_at: DELIVER_AT }]),
        history_delivered(),
        then(&history_expired(), &[stock_back(0)]),
        then(&history_refused(), &[Event::PaymentVoided { attempt: 1 }]),
        back.clone(),
        then(&back, &[Event::Refunded]),
    ] {
        assert_eq!(asks(&history), None, "{:?}", history.last());
    }
}
