//! How far an order has come: its steps, and the words for where it stands.

use gateway::api::OrderStatus;

/// One step of an order's life, as a point on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// A class of the style sheet: done, now, todo, stopped.
    pub(crate) state: &'static str,
    /// What the colour says, for those who do not see it.
    pub(crate) said: &'static str,
}

const NAMES: [&str; 6] = ["Placed", "Reserved", "Paid", "Confirmed", "Shipped", "Delivered"];
/// Delivery is shown once it has begun.
const UNTIL_CONFIRMED: usize = 4;

/// The steps of an order with this status.
pub(crate) fn steps(status: OrderStatus) -> Vec<Step> {
    // How many are done, what the next one is doing, how many are shown.
    let (done, next, shown) = match status {
        OrderStatus::Placed => (1, "now", UNTIL_CONFIRMED),
        OrderStatus::AwaitingPayment => (2, "now", UNTIL_CONFIRMED),
        OrderStatus::Paid => (3, "now", UNTIL_CONFIRMED),
        OrderStatus::Confirmed => (4, "todo", UNTIL_CONFIRMED),
        OrderStatus::Shipped => (5, "now", NAMES.len()),
        OrderStatus::Delivered => (6, "todo", NAMES.len()),
        OrderStatus::Rejected => (1, "stopped", UNTIL_CONFIRMED),
        OrderStatus::Expired => (2, "stopped", UNTIL_CONFIRMED),
        // Before the money was taken, however far that was.
        OrderStatus::Cancelled => (1, "stopped", UNTIL_CONFIRMED),
        OrderStatus::Refunded => (3, "stopped", UNTIL_CONFIRMED),
    };
    let state = |index: usize| match index {
        index if index < done => ("done", "done"),
        index if index == done && next == "now" => ("now", "under way"),
        index if index == done && next == "stopped" => ("stopped", "stopped here"),
        _ => ("todo", "to come"),
    };
    let names = NAMES.into_iter().take(shown).enumerate();
    names
        .map(|(index, name)| {
            let (state, said) = state(index);
            Step { name, state, said }
        })
        .collect()
}

/// Headline and explanation.
pub(crate) fn words(status: OrderStatus, asking_the_bank: bool, no_tries_left: bool) -> (&'static str, &'static str) {
    match status {
        OrderStatus::Placed => {
            ("Taking it off the shelf", "Your order is in. We are reserving every item, all or none.")
        }
        OrderStatus::AwaitingPayment if asking_the_bank => (
            "Asking the bank",
            "Your card is being authorised. You may leave this page; the order goes on without you.",
        ),
        OrderStatus::AwaitingPayment if no_tries_left => (
            "No card was accepted",
            "Three cards were declined. The items go back on the shelf when the time is up, and nothing is charged.",
        ),
        OrderStatus::AwaitingPayment => {
            ("Reserved for you", "Everything is set aside in your name. Pay in time and it is yours.")
        }
        OrderStatus::Paid => ("Paid, finishing up", "The money is held. We are collecting it and closing the sale."),
        OrderStatus::Confirmed => ("It is all yours", "Paid and confirmed. Thank you for your order."),
        OrderStatus::Shipped => ("On its way", "Your order has left the house."),
        OrderStatus::Delivered => ("Delivered", "Your order has arrived. Enjoy it."),
        OrderStatus::Rejected => (
            "Somebody was faster",
            "There was not enough left to fill this order. Nothing was reserved and nothing is charged.",
        ),
        OrderStatus::Expired => (
            "The time to pay ran out",
            "The items are on the shelf again, and nothing is charged. You are welcome to order anew.",
        ),
        OrderStatus::Cancelled => ("Called off", "This order was cancelled before any money was taken."),
        OrderStatus::Refunded => ("Refunded", "The money is on its way back to you."),
    }
}
