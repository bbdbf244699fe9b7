//! What the notification service hears: the events of orders, its own command to
//! send a mail, and the delay queue's reminders.

use contracts::notification::SendMail;
use contracts::order::{
    OrderCancelled, OrderCaptureRefused, OrderConfirmed, OrderLatePaymentRefused, OrderLine, OrderPaymentDeclined,
    OrderPaymentRefunded, OrderPlaced, OrderRefundRequested, OrderRejected, OrderShipped, RefundCause,
};
use platform::bus::Timer;
use platform::clock::Millis;
use platform::message::{Envelope, Malformed};
use platform::service::Heard;

use crate::domain::{Cause, News, Placed};
use crate::mail::Letter;
use crate::{Input, REMINDER};

/// Translates a message heard on `orderly.order` or `orderly.notification.commands`.
pub(crate) fn hear(message: &Envelope) -> Result<Heard<Input>, Malformed> {
    let news = match message.kind.as_str() {
        "orderly.order.v1.OrderPlaced" => on_order_placed(message.payload()?),
        "orderly.order.v1.OrderCardOffered" => News::CardOffered,
        "orderly.order.v1.OrderAwaitingPayment" => News::AwaitingPayment,
        "orderly.order.v1.OrderRejected" => on_order_rejected(message.payload()?),
        "orderly.order.v1.OrderPaymentRequested" => News::PaymentRequested,
        "orderly.order.v1.OrderPaymentDeclined" => on_order_payment_declined(message.payload()?),
        "orderly.order.v1.OrderPaymentAbandoned" => News::PaymentAbandoned,
        "orderly.order.v1.OrderPaid" => News::Paid,
        "orderly.order.v1.OrderCaptureRefused" => on_order_capture_refused(message.payload()?),
        "orderly.order.v1.OrderConfirmed" => on_order_confirmed(&message.payload()?),
        "orderly.order.v1.OrderShipped" => on_order_shipped(&message.payload()?),
        "orderly.order.v1.OrderDelivered" => News::Delivered,
        "orderly.order.v1.OrderExpired" => News::Expired,
        "orderly.order.v1.OrderCancelled" => on_order_cancelled(message.payload()?),
        "orderly.order.v1.OrderCancelRequested" => News::CancelRequested,
        "orderly.order.v1.OrderRefundRequested" => on_order_refund_requested(&message.payload()?),
        "orderly.order.v1.OrderPaymentRefunded" => on_order_payment_refunded(message.payload()?),
        "orderly.order.v1.OrderLatePaymentRefused" => on_order_late_payment_refused(message.payload()?),
        "orderly.order.v1.OrderPaymentVoided" => News::PaymentVoided,
        "orderly.notification.v1.SendMail" => {
            let letter = on_send_mail(&message.subject, message.payload()?)?;
            return Ok(Heard::Input(Input::SendMail(letter)));
        }
        // Most of what happens to an order is no news to its customer. OrderRefunded is
        // what the last OrderPaymentRefunded has told already.
        _ => return Ok(Heard::Ignored),
    };
    Ok(Heard::Input(Input::Happened {
        order_id: message.subject.clone(),
        event_id: message.id.clone(),
        at: message.time,
        news,
    }))
}

/// Translates a timer of the delay queue.
pub(crate) fn wake(timer: &Timer) -> Option<Input> {
    (timer.kind == REMINDER).then(|| Input::ReminderDue { order_id: timer.subject.clone(), due: timer.due })
}

fn on_order_placed(event: OrderPlaced) -> News {
    let total = event.total.unwrap_or_default();
    News::Placed(Box::new(Placed {
        goods: goods(&event.lines),
        customer_id: event.customer_id,
        email: event.customer_email,
        total: total.amount,
        currency: total.currency,
        pay_before: event.pay_before,
        card_offered: event.card.is_some(),
    }))
}

fn on_order_rejected(event: OrderRejected) -> News {
    News::Rejected { reason: event.reason }
}

fn on_order_payment_declined(event: OrderPaymentDeclined) -> News {
    News::PaymentDeclined { reason: event.reason, tries_left: event.tries_left }
}

fn on_order_capture_refused(event: OrderCaptureRefused) -> News {
    News::CaptureRefused { reason: event.reason }
}

fn on_order_confirmed(event: &OrderConfirmed) -> News {
    News::Confirmed { ship_at: planned(event.ship_at) }
}

fn on_order_shipped(event: &OrderShipped) -> News {
    News::Shipped { deliver_at: planned(event.deliver_at) }
}

fn on_order_cancelled(event: OrderCancelled) -> News {
    News::Cancelled { reason: event.reason }
}

fn on_order_refund_requested(event: &OrderRefundRequested) -> News {
    let cause = match event.cause() {
        RefundCause::Returned => Cause::Returned,
        RefundCause::Cancelled | RefundCause::Unspecified => Cause::CalledOff,
    };
    let pieces = event.lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.quantity));
    News::RefundRequested { cause, amount: event.amount.as_ref().map_or(0, |money| money.amount), pieces }
}

fn on_order_payment_refunded(event: OrderPaymentRefunded) -> News {
    News::PaymentRefunded { amount: event.amount.unwrap_or_default().amount }
}

fn on_order_late_payment_refused(event: OrderLatePaymentRefused) -> News {
    News::LatePaymentRefused { reason: event.reason }
}

fn on_send_mail(order_id: &str, command: SendMail) -> Result<Letter, Malformed> {
    if command.notification_id.is_empty() || command.to.is_empty() {
        return Err(Malformed("a mail without a message or without an address".to_owned()));
    }
    Ok(Letter {
        notification_id: command.notification_id,
        customer_id: command.customer_id,
        order_id: order_id.to_owned(),
        to: command.to,
        title: command.title,
        body: command.body,
    })
}

/// 0 on the wire is no time.
const fn planned(at: Millis) -> Option<Millis> {
    if at > 0 { Some(at) } else { None }
}

/// The order's lines in a few words: its first line, and how many more.
fn goods(lines: &[OrderLine]) -> String {
    let Some(first) = lines.first() else { return "your order".to_owned() };
    let first = format!("{} × {}", first.quantity, first.name);
    match lines.len() - 1 {
        0 => first,
        1 => format!("{first} and one more product"),
        more => format!("{first} and {more} more products"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goods_of_an_order_fit_into_a_few_words_however_many_there_are() {
        let line = OrderLine { sku: "M1".into(), name: "White mug".into(), quantity: 2, unit_price: 100, returned: 0 };
        assert_eq!(goods(&[]), "your order");
        assert_eq!(goods(std::slice::from_ref(&line)), "2 × White mug");
        assert_eq!(goods(&vec![line.clone(); 2]), "2 × White mug and one more product");
        assert_eq!(goods(&vec![line; 500]), "2 × White mug and 499 more products");
    }

    #[test]
    fn a_confirmation_without_a_time_to_ship_is_of_an_order_that_was_called_off() {
        assert_eq!(on_order_confirmed(&OrderConfirmed { ship_at: 0 }), News::Confirmed { ship_at: None });
        assert_eq!(on_order_confirmed(&OrderConfirmed { ship_at: 7 }), News::Confirmed { ship_at: Some(7) });
    }

    #[test]
    fn a_mail_without_an_address_can_never_be_sent() {
        let command = SendMail { notification_id: "n-1".into(), ..SendMail::default() };
        assert!(on_send_mail("o-1", command).is_err());
    }
}
