//! Money and goods on their way back: whole orders, parts, one after the other.

use super::*;

/// The road of an open refund to its end.
fn to_the_end(history: &[Event], refund: i32) -> Vec<Event> {
    let paid_back = after(history, &Input::PaymentRefunded { refund });
    after(&paid_back, &Input::StockReturned { refund })
}

#[test]
fn a_cancelled_confirmed_order_gives_everything_back() {
    let history = to_the_end(&after(&history_confirmed(), &cancel()), 1);
    let order = given(&history).unwrap();
    assert_eq!((order.status, order.refunded, order.left()), (Status::Refunded, TOTAL, vec![]));
    assert_eq!((order.came_back("CUP"), order.came_back("POT")), (2, 1));
}

#[test]
fn a_partial_return_leaves_the_rest_delivered() {
    let history = to_the_end(&after(&history_delivered(), &return_lines(&[("POT", 1), ("CUP", 1)])), 1);
    let order = given(&history).unwrap();
    assert_eq!((order.status, order.refunded, order.unwinding()), (Status::Delivered, 1_950, false));
    assert_eq!((order.status_reason.as_str(), order.left()), ("2 of 3 items returned", vec![goods("CUP", 1)]));
    // The rest may follow, and then the order has ended.
    let history = to_the_end(&after(&history, &return_all()), 2);
    let order = given(&history).unwrap();
    assert_eq!((order.status, order.refunded), (Status::Refunded, TOTAL));
    assert_eq!(order.status_reason, "3 of 3 items returned");
}

#[test]
fn of_two_returns_the_second_waits_for_the_first() {
    let first = after(&history_delivered(), &return_lines(&[("CUP", 1)]));
    assert_eq!(when(&first, &return_lines(&[("CUP", 1)])), Err(Refusal::ReturnUnderWay));
    let paid_back = after(&first, &Input::PaymentRefunded { refund: 1 });
    assert_eq!(when(&paid_back, &return_all()), Err(Refusal::ReturnUnderWay));
    let done = after(&paid_back, &Input::StockReturned { refund: 1 });
    assert_eq!(when(&done, &return_lines(&[("CUP", 1)])), Ok(vec![return_of(2, 450, vec![goods("CUP", 1)])]));
    // What is told again about the first is not taken for the second.
    let second = after(&done, &return_lines(&[("CUP", 1)]));
    assert_eq!(when(&second, &Input::PaymentRefunded { refund: 1 }), Ok(vec![]));
    let second = after(&second, &Input::PaymentRefunded { refund: 2 });
    assert_eq!(when(&second, &Input::StockReturned { refund: 1 }), Ok(vec![]));
}

#[test]
fn lines_of_one_product_are_one() {
    let asked = return_lines(&[("CUP", 1), ("POT", 1), ("CUP", 1)]);
    let events = when(&history_delivered(), &asked);
    assert_eq!(events, Ok(vec![return_of(1, TOTAL, vec![goods("CUP", 2), goods("POT", 1)])]));
}

#[test]
fn what_the_customer_does_not_have_cannot_be_returned() {
    let refused = |lines: &[(&str, i64)]| when(&history_delivered(), &return_lines(lines)).unwrap_err();
    assert_eq!(refused(&[]), Refusal::NoLines);
    assert_eq!(refused(&[("MUG", 1)]), Refusal::NotInOrder { sku: "MUG".into() });
    for quantity in [0, -1, i64::MIN] {
        assert_eq!(refused(&[("CUP", quantity)]), Refusal::Quantity { sku: "CUP".into() });
    }
    let too_many = Refusal::MoreThanLeft { sku: "CUP".into(), left: 2 };
    assert_eq!(refused(&[("CUP", 3)]), too_many);
    assert_eq!(refused(&[("CUP", 2), ("CUP", 1)]), too_many);
    assert_eq!(refused(&[("CUP", i64::MAX), ("CUP", i64::MAX)]), too_many);

    let one_back = to_the_end(&after(&history_delivered(), &return_lines(&[("CUP", 1)])), 1);
    let refusal = when(&one_back, &return_lines(&[("CUP", 2)]));
    assert_eq!(refusal, Err(Refusal::MoreThanLeft { sku: "CUP".into(), left: 1 }));
}

#[test]
fn an_order_can_be_returned_once() {
    let all_back = to_the_end(&after(&history_delivered(), &return_all()), 1);
    assert_eq!(when(&all_back, &return_all()), Err(Refusal::AllBack));
    assert_eq!(when(&all_back, &return_lines(&[("CUP", 1)])), Err(Refusal::AllBack));
    assert_eq!(given(&all_back).unwrap().refunded, TOTAL);
}

#[test]
fn the_money_goes_first_and_the_goods_follow() {
    let open = after(&history_delivered(), &return_lines(&[("CUP", 2)]));
    assert_eq!(when(&open, &Input::StockReturned { refund: 1 }), Ok(vec![]));
    let order = given(&after(&open, &Input::PaymentRefunded { refund: 1 })).unwrap();
    assert_eq!((order.refunded, order.came_back("CUP"), order.unwinding()), (900, 0, true));
}
