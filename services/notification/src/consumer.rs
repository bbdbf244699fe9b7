//! What the notification service hears: the events of orders. Most of what
//! happens to an order is no news to its customer.

use contracts::order::{OrderLatePaymentRefused, OrderLine, OrderPaymentDeclined, OrderPlaced, OrderRejected};
use platform::message::{Envelope, Malformed};
use platform::service::Heard;

use crate::Input;
use crate::texts::{News, Subject};

/// Translates a message heard on `orderly.order`.
pub(crate) fn hear(message: &Envelope) -> Result<Heard<Input>, Malformed> {
    let (placed, news) = match message.kind.as_str() {
        "orderly.order.v1.OrderPlaced" => (Some(on_order_placed(message.payload()?)), News::Placed),
        "orderly.order.v1.OrderAwaitingPayment" => (None, News::AwaitingPayment),
        "orderly.order.v1.OrderRejected" => (None, on_order_rejected(message.payload()?)),
        "orderly.order.v1.OrderPaymentDeclined" => (None, on_order_payment_declined(message.payload()?)),
        "orderly.order.v1.OrderPaymentAbandoned" => (None, News::PaymentAbandoned),
        "orderly.order.v1.OrderConfirmed" => (None, News::Confirmed),
        "orderly.order.v1.OrderExpired" => (None, News::Expired),
        "orderly.order.v1.OrderLatePaymentRefused" => (None, on_order_late_payment_refused(message.payload()?)),
        "orderly.order.v1.OrderPaymentVoided" => (None, News::PaymentVoided),
        _ => return Ok(Heard::Ignored),
    };
    Ok(Heard::Input(Input {
        event_id: message.id.clone(),
        kind: message.short_kind().to_owned(),
        at: message.time,
        order_id: message.subject.clone(),
        placed,
        news,
    }))
}

fn on_order_placed(event: OrderPlaced) -> Subject {
    let total = event.total.unwrap_or_default();
    Subject {
        goods: goods(&event.lines),
        customer_id: event.customer_id,
        email: event.customer_email,
        total: total.amount,
        currency: total.currency,
        pay_before: event.pay_before,
        card_offered: event.card.is_some(),
    }
}

fn on_order_rejected(event: OrderRejected) -> News {
    News::Rejected { reason: event.reason }
}

fn on_order_payment_declined(event: OrderPaymentDeclined) -> News {
    News::PaymentDeclined { reason: event.reason, tries_left: event.tries_left }
}

fn on_order_late_payment_refused(event: OrderLatePaymentRefused) -> News {
    News::LatePaymentRefused { reason: event.reason }
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
        let line = OrderLine { sku: "M1".into(), name: "White mug".into(), quantity: 2, unit_price: 100 };
        assert_eq!(goods(&[]), "your order");
        assert_eq!(goods(std::slice::from_ref(&line)), "2 × White mug");
        assert_eq!(goods(&vec![line.clone(); 2]), "2 × White mug and one more product");
        assert_eq!(goods(&vec![line; 500]), "2 × White mug and 499 more products");
    }
}
