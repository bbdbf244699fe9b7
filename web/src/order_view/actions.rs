//! What a customer can do with an order now, and what comes of it.
//!
//! Only an offer: the order service decides, and a form that comes too late is told so.

use gateway::api::{Order, OrderStatus};

use super::Payment;

/// What the page offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actions {
    /// Whether a card may be offered.
    pub(crate) pay: bool,
    /// What would happen if it were cancelled now; `None` if it cannot be.
    pub(crate) cancel: Option<&'static str>,
    /// Whether something of it can be sent back.
    pub(crate) give_back: bool,
    /// Why nothing is offered, where one would look for it: a headline and a sentence.
    pub(crate) closed: Option<(&'static str, &'static str)>,
}

impl Actions {
    /// Nothing is offered: the order is looked at as it was, or is not there.
    pub(crate) const NONE: Self = Self { pay: false, cancel: None, give_back: false, closed: None };

    pub(super) fn of(order: &Order, payment: Payment) -> Self {
        if order.unwinding {
            return Self { closed: Some(unwinding(order.status)), ..Self::NONE };
        }
        match order.status {
            OrderStatus::Placed => Self {
                cancel: Some("Nothing has been charged. If you cancel it, what is reserved goes back on the shelf."),
                ..Self::NONE
            },
            OrderStatus::AwaitingPayment => {
                Self { pay: payment == Payment::Open, cancel: Some(cancel_unpaid(payment)), ..Self::NONE }
            }
            OrderStatus::Paid => Self {
                cancel: Some(
                    "Your money is being collected at this moment. \
                     If you cancel now, all of it goes back to you as soon as that is done.",
                ),
                ..Self::NONE
            },
            OrderStatus::Confirmed => Self {
                cancel: Some("If you cancel now, it will not be shipped, and all of your money goes back to you."),
                ..Self::NONE
            },
            OrderStatus::Shipped => {
                let said = "It is on its way and can no longer be cancelled. Once it has arrived you can return it.";
                Self { closed: Some(("Changed your mind?", said)), ..Self::NONE }
            }
            OrderStatus::Delivered => {
                Self { give_back: order.lines.iter().any(|line| line.returned < line.quantity), ..Self::NONE }
            }
            OrderStatus::Rejected | OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::Refunded => Self::NONE,
        }
    }
}

const fn cancel_unpaid(payment: Payment) -> &'static str {
    match payment {
        Payment::Asking => {
            "If you cancel now, what is reserved goes back on the shelf. \
             Should the bank still say yes, the hold on your card is let go; nothing is charged."
        }
        Payment::Open | Payment::Exhausted | Payment::None => {
            "Nothing has been charged. If you cancel it, what is reserved for you goes back on the shelf."
        }
    }
}

const fn unwinding(status: OrderStatus) -> (&'static str, &'static str) {
    match status {
        OrderStatus::Delivered => {
            ("A return is under way", "As soon as its money and its goods are back, you can send something else back.")
        }
        OrderStatus::Placed
        | OrderStatus::AwaitingPayment
        | OrderStatus::Paid
        | OrderStatus::Confirmed
        | OrderStatus::Shipped
        | OrderStatus::Rejected
        | OrderStatus::Expired
        | OrderStatus::Cancelled
        | OrderStatus::Refunded => {
            ("It is being called off", "There is nothing more for you to do: your money comes back by itself.")
        }
    }
}
