//! What people read of each event.

use super::*;
use crate::specimens::{self, TOKEN};

#[test]
fn every_event_of_an_order_has_its_text() {
    let told = tell(&specimens::one_of_each());
    let told: Vec<_> =
        told.iter().map(|entry| (entry.service.as_str(), entry.r#type.as_str(), entry.summary.as_str())).collect();
    assert_eq!(
        told,
        [
            ("order", "OrderPlaced", "Order placed: 2 items for £25.00"),
            ("order", "OrderAwaitingPayment", "Everything is reserved, waiting for payment"),
            ("order", "OrderRejected", "Order rejected: MUG-1: 3 wanted, 1 left"),
            ("order", "OrderCardOffered", "Card ending 4242 will be used as soon as the stock is reserved"),
            ("order", "OrderPaymentRequested", "Payment requested, card ending 4242"),
            ("order", "OrderPaymentDeclined", "Card ending 4242 declined: insufficient funds, 2 tries left"),
            ("order", "OrderPaymentAbandoned", "Payment given up, card ending 4242: the bank did not answer"),
            ("order", "OrderPaid", "Paid, card ending 4242"),
            ("order", "OrderPaymentCaptured", "Payment collected"),
            ("order", "OrderConfirmed", "Order confirmed"),
            ("order", "OrderExpired", "Order expired: not paid in time"),
            ("order", "OrderLatePaymentRefused", "Card ending 4242 not charged: the order has expired"),
            ("order", "OrderPaymentVoided", "Nothing is held any more, card ending 4242"),
            ("order", "OrderStockReturned", "Reserved goods are back on the shelf"),
            ("order", "OrderStepRetried", "Collecting the payment takes longer than usual, asked again (2 times)"),
            ("order", "OrderCaptureRefused", "Payment could not be collected, card ending 4242: the hold was lost"),
            ("order", "OrderCancelled", "Order cancelled: found it cheaper"),
            ("order", "OrderCancelRequested", "Cancellation asked for, as soon as the payment is settled"),
            ("order", "OrderRefundRequested", "Order cancelled, £25.00 goes back"),
            ("order", "OrderPaymentRefunded", "£25.00 refunded"),
            ("order", "OrderRefunded", "Everything is refunded and back"),
            ("order", "OrderShipped", "Shipped"),
            ("order", "OrderDelivered", "Delivered"),
            ("inventory", "StockReserved", "Stock reserved"),
            ("inventory", "StockShort", "Not enough in stock: MUG-1 (3 wanted, 1 left)"),
            ("inventory", "StockReleased", "Reservation released"),
            ("inventory", "StockCommitted", "Goods taken off the shelf"),
            ("inventory", "StockReturned", "Goods put back on the shelf"),
            ("payment", "PaymentAuthorised", "£25.00 held, card ending 4242"),
            ("payment", "PaymentDeclined", "The bank declined, card ending 4242: insufficient funds"),
            ("payment", "PaymentCaptured", "£25.00 collected, card ending 4242"),
            ("payment", "PaymentVoided", "£25.00 let go, card ending 4242"),
            (
                "payment",
                "PaymentCaptureRefused",
                "The bank will not pay out what it holds, card ending 4242: the hold was lost"
            ),
            ("payment", "PaymentRefunded", "£25.00 given back, card ending 4242"),
            ("notification", "CustomerNotified", "Message sent: Your order is confirmed"),
            ("notification", "CustomerMailed", "Message mailed: Your order is confirmed"),
        ]
    );
}

#[test]
fn a_card_s_token_is_never_told() {
    let told = tell(&specimens::one_of_each());
    assert!(told.iter().all(|entry| !entry.summary.contains(TOKEN)));
}

#[test]
fn each_attempt_is_told_with_its_own_card() {
    let mut events = specimens::one_of_each();
    let other = Card { token: TOKEN.into(), last4: "0002".into() };
    let declined = OrderPaymentDeclined { attempt: 2, reason: "no".into(), tries_left: 1 };
    events.push(specimens::envelope(
        "/order",
        "o-1",
        15,
        "o-1",
        &OrderPaymentRequested { attempt: 2, card: Some(other) },
    ));
    events.push(specimens::envelope("/order", "o-1", 17, "o-1", &declined));
    let told = tell(&events);
    assert_eq!(told.last().map(|entry| entry.summary.as_str()), Some("Card ending 0002 declined: no, 1 try left"));
}

#[test]
fn a_payment_called_off_before_it_began_says_so() {
    let voided = PaymentVoided { attempt: 3, amount: specimens::pounds(0) };
    let told = tell(&[specimens::envelope("/payment", "o-1", 1, "o-1", &voided)]);
    assert_eq!(told[0].summary, "Payment called off before any money was held, card of attempt 3");
}

#[test]
fn an_event_of_an_unknown_type_is_left_out() {
    assert_eq!(tell(&[specimens::unknown()]), []);
}

#[test]
fn a_return_says_what_comes_back_and_why() {
    let mut returned = specimens::refund_requested(1, RefundCause::Returned, 1);
    returned.reason = "chipped".into();
    let told = tell(&[specimens::envelope("/order", "o-1", 9, "o-1", &returned)]);
    assert_eq!(told[0].summary, "Return of 1 item for £12.50: chipped");
}

#[test]
fn goods_of_a_refund_are_not_called_reserved() {
    let told = tell(&[specimens::envelope("/order", "o-1", 9, "o-1", &OrderStockReturned { refund: 1 })]);
    assert_eq!(told[0].summary, "Goods are back on the shelf");
}

#[test]
fn every_step_that_can_be_asked_for_again_has_its_words() {
    for step in ["capture", "commit-stock", "refund", "return-stock"] {
        let retried = OrderStepRetried { step: step.into(), retry: 1 };
        let told = tell(&[specimens::envelope("/order", "o-1", 9, "o-1", &retried)]);
        assert!(!told[0].summary.contains(step), "{}", told[0].summary);
        assert!(told[0].summary.ends_with("asked again (1 time)"), "{}", told[0].summary);
    }
}
