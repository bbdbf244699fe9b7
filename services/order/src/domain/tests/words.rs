//! Why an order stands where it stands, as its customer reads it.

use super::*;

fn reason(history: &[Event]) -> String {
    given(history).unwrap().status_reason
}

#[test]
fn a_cancellation_is_told_in_the_customer_s_words() {
    assert_eq!(reason(&after(&history_awaiting(), &cancel())), "changed my mind");
    let paid = after(&history_paid(), &cancel());
    assert_eq!(reason(&paid), "being cancelled: changed my mind");
    let captured = after(&paid, &Input::PaymentCaptured { attempt: 1 });
    assert_eq!(reason(&captured), "being cancelled: changed my mind");
    let paid_back = after(&captured, &Input::PaymentRefunded { refund: 1 });
    let done = after(&paid_back, &Input::StockReleased);
    assert_eq!(reason(&done), "cancelled: changed my mind");
}

#[test]
fn without_words_of_the_customer_the_shop_has_its_own() {
    let quietly = Input::Cancel { reason: String::new() };
    assert_eq!(reason(&after(&history_awaiting(), &quietly)), "");
    let unwinding = after(&history_confirmed(), &quietly);
    assert_eq!(reason(&unwinding), "being cancelled");
    let paid_back = after(&unwinding, &Input::PaymentRefunded { refund: 1 });
    assert_eq!(reason(&after(&paid_back, &Input::StockReturned { refund: 1 })), "cancelled");
}

#[test]
fn a_return_tells_how_much_is_on_its_way_and_how_much_is_back() {
    let first = after(&history_delivered(), &return_lines(&[("CUP", 2)]));
    assert_eq!(reason(&first), "2 of 3 items being returned");
    let first = after(&first, &Input::PaymentRefunded { refund: 1 });
    assert_eq!(reason(&first), "2 of 3 items being returned");
    let first = after(&first, &Input::StockReturned { refund: 1 });
    assert_eq!(reason(&first), "2 of 3 items returned");
    assert_eq!(reason(&after(&first, &return_all())), "1 of 3 items being returned");
}

#[test]
fn a_bank_s_no_is_told_once_and_in_its_own_words() {
    let no = Input::PaymentDeclined { attempt: 1, reason: "the bank declined the card".into() };
    let history = after(&history_in_flight(), &no);
    assert_eq!(reason(&history), "the bank declined the card");
    assert_eq!(reason(&after(&history, &Input::Pay { card: card() })), "", "another card clears it");
    let refusal = Input::PaymentCaptureRefused { attempt: 1, reason: "the bank keeps the money".into() };
    assert_eq!(reason(&after(&history_paid(), &refusal)), "the bank keeps the money");
}
