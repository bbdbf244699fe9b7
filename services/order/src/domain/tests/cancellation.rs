//! Calling an order off, against everything that may be under way: both orders of
//! arrival.

use super::*;

fn status(history: &[Event]) -> Status {
    given(history).unwrap().status
}

#[test]
fn of_cancelling_and_reserving_either_may_come_first() {
    let placed = [Event::Placed(placed(Some(card())))];
    let cancelled_first = after(&placed, &cancel());
    assert_eq!(when(&cancelled_first, &Input::StockReserved), Ok(vec![]));
    assert_eq!(when(&cancelled_first, &Input::StockShort { reason: "short".into() }), Ok(vec![]));
    assert_eq!(when(&cancelled_first, &Input::StockReleased), Ok(vec![stock_back(0)]));

    let short_first = after(&placed, &Input::StockShort { reason: "short".into() });
    assert_eq!(when(&short_first, &cancel()), Err(Refusal::NothingToCancel));
}

#[test]
fn money_that_comes_after_the_cancellation_goes_back() {
    let history = after(&history_in_flight(), &cancel());
    let late = Event::LatePaymentRefused { attempt: 1, reason: "the order had been cancelled".into() };
    assert_eq!(when(&history, &authorised(1)), Ok(vec![late.clone()]));
    let history = then(&history, &[late]);
    assert_eq!(when(&history, &authorised(1)), Ok(vec![]), "told again");
    assert_eq!(react(&given(&history).unwrap(), history.last().unwrap()), Some(Command::VoidPayment { attempt: 1 }));
    // A no, or none at all, needs nothing.
    let history = after(&history_in_flight(), &cancel());
    assert_eq!(when(&history, &Input::PaymentDeclined { attempt: 1, reason: "no".into() }), Ok(vec![]));
    assert_eq!(given(&history).unwrap().step_due, None);
}

#[test]
fn money_that_comes_before_the_cancellation_is_taken_first_and_given_back() {
    let history = after(&after(&history_in_flight(), &authorised(1)), &cancel());
    let order = given(&history).unwrap();
    assert_eq!((order.status, order.unwinding()), (Status::Paid, true));
    assert!(order.step_due.is_some(), "the capture is still asked for until it is done");
    let history = after(&history, &Input::PaymentCaptured { attempt: 1 });
    assert_eq!(history[history.len() - 2..], [captured(), whole_refund()]);
    // The goods were never committed: their reservation is released.
    let history = after(&history, &Input::PaymentRefunded { refund: 1 });
    assert_eq!(react(&given(&history).unwrap(), history.last().unwrap()), Some(Command::ReleaseStock));
    let history = after(&history, &Input::StockReleased);
    assert_eq!(status(&history), Status::Refunded);
}

#[test]
fn of_deadline_and_cancellation_the_first_to_arrive_wins() {
    let cancelled_first = after(&history_awaiting(), &cancel());
    assert_eq!(when(&cancelled_first, &Input::DeadlinePassed { due: DEADLINE }), Ok(vec![]));
    let expired_first = after(&history_awaiting(), &Input::DeadlinePassed { due: DEADLINE });
    assert_eq!(when(&expired_first, &cancel()), Err(Refusal::NothingToCancel));
}

#[test]
fn of_cancelling_and_committing_either_may_come_first() {
    let cancelled_first = after(&history_captured(), &cancel());
    let committed = after(&cancelled_first, &Input::StockCommitted);
    assert_eq!(committed[committed.len() - 2..], [Event::Confirmed { ship_at: None }, whole_refund()]);
    let order = given(&committed).unwrap();
    assert_eq!((order.status, order.fulfil_at, order.unwinding()), (Status::Confirmed, None, true));

    let committed_first = after(&history_captured(), &Input::StockCommitted);
    assert_eq!(when(&committed_first, &cancel()), Ok(vec![whole_refund()]));
}

#[test]
fn of_cancelling_and_a_refused_capture_either_may_come_first() {
    let refusal = Input::PaymentCaptureRefused { attempt: 1, reason: "refused".into() };
    let cancelled_first = after(&after(&history_paid(), &cancel()), &refusal);
    let order = given(&cancelled_first).unwrap();
    assert_eq!((order.status, order.status_reason.as_str()), (Status::Cancelled, "changed my mind"));
    assert!(!order.unwinding(), "nothing is owed to him");

    let refused_first = after(&history_paid(), &refusal);
    let order = given(&refused_first).unwrap();
    assert_eq!((order.status, order.status_reason.as_str()), (Status::Cancelled, "refused"));
    assert_eq!(when(&refused_first, &cancel()), Ok(vec![]));
    // Both ways the hold is let go, and told once.
    for history in [cancelled_first, refused_first] {
        assert_eq!(when(&history, &refusal), Ok(vec![]), "told again");
        let history = after(&history, &Input::PaymentVoided { attempt: 1 });
        assert_eq!(when(&history, &Input::PaymentVoided { attempt: 1 }), Ok(vec![]));
        assert_eq!(when(&history, &authorised(1)), Ok(vec![]), "it has paid once; that is known");
    }
}

#[test]
fn of_a_capture_and_its_refusal_the_money_counts() {
    let refusal = Input::PaymentCaptureRefused { attempt: 1, reason: "refused".into() };
    assert_eq!(when(&history_captured(), &refusal), Ok(vec![]));

    let taken_all_the_same = after(&history_refused(), &Input::PaymentCaptured { attempt: 1 });
    let order = given(&taken_all_the_same).unwrap();
    assert_eq!((order.status, order.captured, order.unwinding()), (Status::Cancelled, true, true));
    let commands = |history: &[Event]| react(&given(history).unwrap(), history.last().unwrap());
    assert_eq!(commands(&then(&history_refused(), &[captured()])), None, "no goods are committed for it");
    assert_eq!(commands(&taken_all_the_same), Some(Command::RefundPayment { attempt: 1, refund: 1, amount: TOTAL }));
    let back = after(&taken_all_the_same, &Input::PaymentRefunded { refund: 1 });
    let order = given(&back).unwrap();
    assert_eq!((order.status, order.refunded, order.unwinding()), (Status::Refunded, TOTAL, false));
    // The reservation comes back by the cancellation, before or after.
    assert_eq!(when(&back, &Input::StockReleased), Ok(vec![stock_back(0)]));
}

#[test]
fn of_cancelling_and_shipping_the_first_to_arrive_wins() {
    let shipped_first = after(&history_confirmed(), &Input::FulfilmentDue { due: SHIP_AT });
    assert_eq!(when(&shipped_first, &cancel()), Err(Refusal::OnItsWay));

    let cancelled_first = after(&history_confirmed(), &cancel());
    assert_eq!(given(&cancelled_first).unwrap().fulfil_at, None);
    assert_eq!(when(&cancelled_first, &Input::FulfilmentDue { due: SHIP_AT }), Ok(vec![]));
}

#[test]
fn a_step_told_again_while_the_order_unwinds_changes_nothing() {
    let unwinding = after(&history_confirmed(), &cancel());
    for again in [
        Input::StockReserved,
        authorised(1),
        Input::PaymentCaptured { attempt: 1 },
        Input::StockCommitted,
        Input::PaymentRefunded { refund: 0 },
        Input::PaymentRefunded { refund: 2 },
        // Before the money is back, nobody has asked for the goods.
        Input::StockReturned { refund: 1 },
        Input::StockReleased,
    ] {
        assert_eq!(when(&unwinding, &again), Ok(vec![]), "{again:?}");
    }
}
