//! The road to CONFIRMED, and its races.

use super::*;

#[test]
fn a_card_offered_at_checkout_is_used_as_soon_as_the_stock_is_reserved() {
    let history = [Event::Placed(placed(Some(card())))];
    assert_eq!(when(&history, &Input::StockReserved), Ok(vec![Event::AwaitingPayment, requested(1)]));
    let offered = [Event::Placed(placed(None)), Event::CardOffered { card: card() }];
    assert_eq!(when(&offered, &Input::StockReserved), Ok(vec![Event::AwaitingPayment, requested(1)]));
    assert_eq!(when(&offered, &Input::Pay { card: card() }), Err(Refusal::PaymentUnderWay));
}

#[test]
fn a_card_is_not_charged_after_the_deadline_even_if_nobody_has_noticed_it() {
    let order = given(&[Event::Placed(placed(Some(card())))]);
    let events = decide(order.as_ref(), &Input::StockReserved, DEADLINE, TERMS);
    assert_eq!(events, Ok(vec![Event::AwaitingPayment]));
    let order = given(&history_awaiting());
    assert_eq!(decide(order.as_ref(), &Input::Pay { card: card() }, DEADLINE, TERMS), Err(Refusal::TooLate));
}

#[test]
fn three_declines_end_the_tries_but_not_the_order() {
    let mut history = history_awaiting();
    for (attempt, left) in [(1, 2), (2, 1), (3, 0)] {
        history.push(requested(attempt));
        let no = Input::PaymentDeclined { attempt, reason: "no".into() };
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
    let in_time = after(&history_in_flight(), &authorised(1));
    assert_eq!(when(&in_time, &Input::DeadlinePassed { due: DEADLINE }), Ok(vec![]));

    let too_late = history_expired();
    let refused = when(&too_late, &authorised(1)).unwrap();
    assert!(matches!(refused[..], [Event::LatePaymentRefused { attempt: 1, .. }]));
    let history = then(&too_late, &refused);
    // Told again, it is not refused again; once voided, that is told.
    assert_eq!(when(&history, &authorised(1)), Ok(vec![]));
    assert_eq!(when(&history, &Input::PaymentVoided { attempt: 1 }), Ok(vec![Event::PaymentVoided { attempt: 1 }]));
}

#[test]
fn a_superseded_attempt_is_given_back_while_the_new_one_goes_on() {
    let history = then(&history_in_flight(), &[abandoned(1), requested(2)]);
    assert!(matches!(when(&history, &authorised(1)).unwrap()[..], [Event::LatePaymentRefused { attempt: 1, .. }]));
    assert_eq!(when(&history, &authorised(2)), Ok(vec![paid(2)]));
    // After the second has paid, the first is still not wanted.
    let history = then(&history, &[paid(2)]);
    assert!(matches!(when(&history, &authorised(1)).unwrap()[..], [Event::LatePaymentRefused { attempt: 1, .. }]));
    assert_eq!(when(&history, &authorised(2)), Ok(vec![]));
    // And what is said about the first is nothing to the second.
    for about_the_first in [
        Input::PaymentDeclined { attempt: 1, reason: "no".into() },
        Input::PaymentCaptured { attempt: 1 },
        Input::PaymentCaptureRefused { attempt: 1, reason: "refused".into() },
    ] {
        assert_eq!(when(&history, &about_the_first), Ok(vec![]), "{about_the_first:?}");
    }
}

#[test]
fn a_hold_is_let_go_wherever_the_order_has_got_to() {
    for (state, history) in states() {
        let history = then(&history, &[Event::LatePaymentRefused { attempt: 7, reason: "late".into() }]);
        let before = given(&history).unwrap();
        let events = when(&history, &Input::PaymentVoided { attempt: 7 }).unwrap();
        assert_eq!(events, [Event::PaymentVoided { attempt: 7 }], "{state}");
        let order = given(&then(&history, &events)).unwrap();
        assert_eq!(
            (order.status, order.step_due, order.unwinding()),
            (before.status, before.step_due, before.unwinding())
        );
        assert!(!order.voiding.contains(&7));
    }
}

#[test]
fn a_timer_that_is_not_the_row_s_is_disobeyed() {
    for (state, history) in states() {
        let order = given(&history).unwrap();
        for off in [-1, 1] {
            for input in [
                Input::DeadlinePassed { due: order.pay_before.unwrap_or(DEADLINE) + off },
                Input::StepOverdue { due: order.step_due.unwrap_or(NOW) + off },
                Input::FulfilmentDue { due: order.fulfil_at.unwrap_or(NOW) + off },
            ] {
                assert_eq!(when(&history, &input), Ok(vec![]), "{input:?} when {state}");
            }
        }
    }
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
    // The next step begins with a fresh one.
    let order = given(&then(&history, &[captured()])).unwrap();
    let at = NOW + i64::try_from(history.len()).unwrap();
    assert_eq!((order.retries, order.step_due), (0, Some(at + SETTLE_WITHIN)));
}
