//! What the customers read, one function a message. Pure; plain text, never HTML,
//! whatever the goods are called.

use chrono::DateTime;
use platform::clock::Millis;

use crate::domain::Order;
use crate::topic::Topic;

/// A message to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub topic: Topic,
    /// One line.
    pub title: String,
    /// A few sentences.
    pub body: String,
}

fn message(topic: Topic, title: &str, body: String) -> Message {
    Message { topic, title: title.to_owned(), body }
}

pub(crate) fn order_placed(order: &Order) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::OrderPlaced,
        "We have your order",
        format!(
            "Thank you! We are setting aside {goods} for you, {} in all. We will write as soon as it is done.",
            order.money(order.total)
        ),
    )
}

pub(crate) fn order_awaiting_payment(order: &Order) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::OrderAwaitingPayment,
        "Your order is set aside for you",
        format!(
            "We have put {goods} aside. Please pay {} before {}; after that we have to offer it to somebody else.",
            order.money(order.total),
            order.deadline()
        ),
    )
}

pub(crate) fn payment_reminder(order: &Order) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::PaymentReminder,
        "Your order is waiting for its payment",
        format!(
            "A friendly reminder: we are still keeping {goods} for you, until {}. Please pay {} before then from the \
             order's page, or we have to offer it to somebody else.",
            order.deadline(),
            order.money(order.total)
        ),
    )
}

pub(crate) fn payment_declined(order: &Order, reason: &str, tries_left: i32) -> Message {
    let until = order.deadline();
    let next = match tries_left {
        ..=0 => format!("There are no tries left for this order, and we will put it back at {until}."),
        1 => format!("You can try once more, with this card or another one, before {until}."),
        more => format!("You can try {more} more times, with this card or another one, before {until}."),
    };
    message(
        Topic::PaymentDeclined,
        "Your card was declined",
        format!("We could not take your payment: {}. {next}", clause(reason)),
    )
}

pub(crate) fn payment_abandoned(order: &Order) -> Message {
    message(
        Topic::PaymentAbandoned,
        "Your bank did not answer",
        format!(
            "Your bank took too long, so we have stopped asking; that try will not be charged. Your order stays set \
             aside until {}, please try again.",
            order.deadline()
        ),
    )
}

pub(crate) fn late_payment_refused(order: &Order, reason: &str) -> Message {
    message(
        Topic::LatePaymentRefused,
        "We could not use your payment",
        format!(
            "Your bank's approval came when we could not use it any more: {}. We are asking your bank to let go of the \
             {} it holds. It is not charged.",
            clause(reason),
            order.money(order.total)
        ),
    )
}

pub(crate) fn payment_voided() -> Message {
    message(
        Topic::PaymentVoided,
        "Your money is free again",
        "Your bank has let go of what it held for a payment that we could not use. It was not charged.".to_owned(),
    )
}

pub(crate) fn capture_refused(order: &Order, reason: &str) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::CaptureRefused,
        "Your bank would not pay, so your order is cancelled",
        format!(
            "Your bank had approved {}, but then would not hand it over: {}. We are sorry that we had to cancel your \
             order of {goods}. Nothing was charged, and you are welcome to order again.",
            order.money(order.total),
            clause(reason)
        ),
    )
}

pub(crate) fn order_confirmed(order: &Order) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::OrderConfirmed,
        "Your order is confirmed",
        format!("Thank you! {} is paid, and we are packing {goods} for you.", order.money(order.total)),
    )
}

pub(crate) fn order_shipped(order: &Order, deliver_at: Option<Millis>) -> Message {
    let Order { goods, .. } = order;
    let arrival = deliver_at.map(|at| format!(" We expect it to arrive at {}.", time(at))).unwrap_or_default();
    message(Topic::OrderShipped, "Your order is on its way", format!("We have handed {goods} to the carrier.{arrival}"))
}

pub(crate) fn order_delivered(order: &Order) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::OrderDelivered,
        "Your order has arrived",
        format!(
            "By now {goods} should be with you. We hope that all is well; if not, you can return all or part of it from \
             the order's page."
        ),
    )
}

pub(crate) fn order_rejected(reason: &str) -> Message {
    message(
        Topic::OrderRejected,
        "We cannot send you this order",
        format!("We are sorry: {}. Nothing was charged.", clause(reason)),
    )
}

pub(crate) fn order_expired(order: &Order) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::OrderExpired,
        "Your order has expired",
        format!(
            "We kept {goods} for you until {}, but no payment came, so it is back on the shelf. You are welcome to \
             order again.",
            order.deadline()
        ),
    )
}

pub(crate) fn order_cancelled(order: &Order, reason: &str) -> Message {
    let Order { goods, .. } = order;
    let why = if reason.trim().is_empty() { String::new() } else { format!(" The reason given: {}.", clause(reason)) };
    message(
        Topic::OrderCancelled,
        "Your order is cancelled",
        format!("We have called off your order of {goods}. Nothing was charged.{why}"),
    )
}

pub(crate) fn cancel_requested(order: &Order) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::CancelRequested,
        "We have your cancellation",
        format!(
            "Your payment of {} was already on its way to us. As soon as it is here we send all of it back, and {goods} \
             will not be shipped.",
            order.money(order.total)
        ),
    )
}

pub(crate) fn refund_requested(order: &Order, amount: i64) -> Message {
    let Order { goods, .. } = order;
    message(
        Topic::RefundRequested,
        "Your order is cancelled, and your money goes back",
        format!(
            "We will not ship {goods}, and have asked your bank to give you back {}. We will write when it has.",
            order.money(amount)
        ),
    )
}

pub(crate) fn return_accepted(order: &Order, pieces: i64, amount: i64) -> Message {
    let pieces = if pieces == 1 { "one item".to_owned() } else { format!("{pieces} items") };
    message(
        Topic::RefundRequested,
        "We have your return",
        format!(
            "Thank you for telling us: {pieces} of your order come back. We have asked your bank to give you back {}, \
             and will write when it has.",
            order.money(amount)
        ),
    )
}

pub(crate) fn payment_refunded(order: &Order, amount: i64) -> Message {
    message(
        Topic::PaymentRefunded,
        "Some of your money is back",
        format!(
            "Your bank has given you back {}. Of the {} that you paid, {} is refunded so far.",
            order.money(amount),
            order.money(order.total),
            order.money(order.refunded)
        ),
    )
}

pub(crate) fn order_refunded(order: &Order, amount: i64) -> Message {
    message(
        Topic::OrderRefunded,
        "Your money is back",
        format!(
            "Your bank has given you back {}. With that, all of the {} that you paid is refunded.",
            order.money(amount),
            order.money(order.total)
        ),
    )
}

impl Order {
    fn money(&self, minor: i64) -> String {
        platform::money::format(minor, &self.currency)
    }

    fn deadline(&self) -> String {
        time(self.pay_before)
    }
}

/// A reason as a part of our sentence.
fn clause(reason: &str) -> &str {
    let reason = reason.trim().trim_end_matches(['.', '!']);
    if reason.is_empty() { "we were not told why" } else { reason }
}

/// `14:32 UTC on 3 December 2026`.
fn time(at: Millis) -> String {
    DateTime::from_timestamp_millis(at)
        .map_or_else(|| "the deadline".to_owned(), |time| time.format("%H:%M UTC on %-d %B %Y").to_string())
}

#[cfg(test)]
mod tests;
