//! Where an order stands, in words: a headline, and what it means for its customer.

use gateway::api::{Order, OrderStatus};

use super::Payment;

/// Headline and explanation.
pub(super) fn of(order: &Order, payment: Payment) -> (&'static str, &'static str) {
    match order.status {
        OrderStatus::Placed => {
            ("Taking it off the shelf", "Your order is in. We are reserving every item, all or none.")
        }
        OrderStatus::AwaitingPayment => awaiting(payment),
        OrderStatus::Paid if order.unwinding => (
            "Calling it off",
            "The money is being collected at this moment. As soon as that is done all of it goes back to you.",
        ),
        OrderStatus::Paid => ("Paid, finishing up", "The money is held. We are collecting it and closing the sale."),
        OrderStatus::Confirmed if order.unwinding => {
            ("Calling it off", "It will not be shipped. The money goes back to you, and the goods to the shelf.")
        }
        OrderStatus::Confirmed => ("It is all yours", "Paid and confirmed. Thank you for your order."),
        OrderStatus::Shipped => ("On its way", "Your order has left the house."),
        OrderStatus::Delivered if order.unwinding => {
            ("Coming back", "Your return is under way: the money goes back to you, and the goods to the shelf.")
        }
        OrderStatus::Delivered if order.refunded.amount != 0 => {
            ("Delivered", "A part of it came back and is refunded. The rest is yours.")
        }
        OrderStatus::Delivered => ("Delivered", "Your order has arrived. Enjoy it."),
        OrderStatus::Rejected => (
            "Somebody was faster",
            "There was not enough left to fill this order. Nothing was reserved and nothing is charged.",
        ),
        OrderStatus::Expired => (
            "The time to pay ran out",
            "The items are on the shelf again, and nothing is charged. You are welcome to order anew.",
        ),
        OrderStatus::Cancelled => {
            ("Called off", "This order was cancelled before any money was taken. Nothing is charged.")
        }
        OrderStatus::Refunded => ("Refunded", "The money is back with you, and the goods are back on the shelf."),
    }
}

fn awaiting(payment: Payment) -> (&'static str, &'static str) {
    match payment {
        Payment::Asking => (
            "Asking the bank",
            "Your card is being authorised. You may leave this page; the order goes on without you.",
        ),
        Payment::Exhausted => (
            "No card was accepted",
            "Three cards were declined. The items go back on the shelf when the time is up, and nothing is charged.",
        ),
        Payment::Open | Payment::None => {
            ("Reserved for you", "Everything is set aside in your name. Pay in time and it is yours.")
        }
    }
}
