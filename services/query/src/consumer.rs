//! What the query service hears: every event of the shop. Each is read once here,
//! into the row that the event log keeps and what it means to a projection.

use std::sync::Arc;

use contracts::common::Money;
use contracts::inventory::{ProductUpserted, StockLevelChanged};
use contracts::notification::{CustomerMailed, CustomerNotified};
use contracts::order::{
    OrderCancelRequested, OrderCancelled, OrderConfirmed, OrderPaymentAbandoned, OrderPaymentDeclined,
    OrderPaymentRefunded, OrderPlaced, OrderRefundRequested, OrderRejected, OrderShipped, OrderStockReturned,
    RefundCause,
};
use platform::message::{Envelope, Malformed};

use crate::kind::Kind;
use crate::overlay::Heard;
use crate::projections::Event;
use crate::projections::notifications::{Notification, NotificationEvent};
use crate::projections::orders::{self, Address, Goods, Line, OrderEvent, Placement, Refund};
use crate::projections::products::{Offer, ProductEvent};
use crate::read_model::ORDER_SOURCE;
use crate::store::LogEntry;

/// Translates a message heard on any stream. What is not known is kept all the
/// same: a later version may fold it from the log.
pub(crate) fn hear(message: &Envelope) -> Result<Heard, Malformed> {
    let event = event(message)?;
    let entry = LogEntry {
        subject: message.subject.clone(),
        source: message.source.clone(),
        sequence: message.sequence,
        kind: Kind::of(&message.kind).map_or_else(|| message.kind.clone().into(), |kind| kind.full().into()),
        correlation_id: (message.correlation_id != message.subject).then(|| message.correlation_id.clone()),
        envelope: message.text(),
        time: message.time,
    };
    Ok(Heard { entry: Arc::new(entry), event })
}

/// What a message means to the projections.
pub(crate) fn event(message: &Envelope) -> Result<Event, Malformed> {
    let Some(kind) = Kind::of(&message.kind) else {
        let of_an_order = message.source == ORDER_SOURCE;
        return Ok(if of_an_order { Event::Order(OrderEvent::Unknown) } else { Event::LogOnly });
    };
    Ok(match kind {
        Kind::OrderPlaced => Event::Order(on_order_placed(message.payload()?, message.time)?),
        Kind::OrderAwaitingPayment => Event::Order(OrderEvent::AwaitingPayment),
        Kind::OrderRejected => {
            let OrderRejected { reason } = message.payload()?;
            Event::Order(OrderEvent::Rejected { reason })
        }
        Kind::OrderCardOffered => Event::Order(OrderEvent::CardOffered),
        Kind::OrderPaymentRequested => Event::Order(OrderEvent::PaymentRequested),
        Kind::OrderPaymentDeclined => {
            let OrderPaymentDeclined { reason, .. } = message.payload()?;
            Event::Order(OrderEvent::PaymentDeclined { reason })
        }
        Kind::OrderPaymentAbandoned => {
            let OrderPaymentAbandoned { reason, .. } = message.payload()?;
            Event::Order(OrderEvent::PaymentAbandoned { reason })
        }
        Kind::OrderPaid => Event::Order(OrderEvent::Paid),
        Kind::OrderPaymentCaptured => Event::Order(OrderEvent::PaymentCaptured),
        Kind::OrderCaptureRefused => Event::Order(OrderEvent::CaptureRefused),
        Kind::OrderConfirmed => {
            let OrderConfirmed { ship_at } = message.payload()?;
            Event::Order(OrderEvent::Confirmed { ship_at: (ship_at != 0).then_some(ship_at) })
        }
        Kind::OrderShipped => {
            let OrderShipped { deliver_at } = message.payload()?;
            Event::Order(OrderEvent::Shipped { deliver_at })
        }
        Kind::OrderDelivered => Event::Order(OrderEvent::Delivered),
        Kind::OrderCancelled => {
            let OrderCancelled { reason } = message.payload()?;
            Event::Order(OrderEvent::Cancelled { reason })
        }
        Kind::OrderCancelRequested => {
            let OrderCancelRequested { reason } = message.payload()?;
            Event::Order(OrderEvent::CancelRequested { reason })
        }
        Kind::OrderRefundRequested => Event::Order(on_order_refund_requested(message.payload()?)?),
        Kind::OrderPaymentRefunded => Event::Order(on_order_payment_refunded(message.payload()?)?),
        Kind::OrderRefunded => Event::Order(OrderEvent::Refunded),
        Kind::OrderExpired => Event::Order(OrderEvent::Expired),
        Kind::OrderLatePaymentRefused => Event::Order(OrderEvent::LatePaymentRefused),
        Kind::OrderPaymentVoided => Event::Order(OrderEvent::PaymentVoided),
        Kind::OrderStockReturned => {
            let OrderStockReturned { refund } = message.payload()?;
            Event::Order(OrderEvent::StockReturned { refund })
        }
        Kind::OrderStepRetried => Event::Order(OrderEvent::StepRetried),
        Kind::ProductUpserted => Event::Product(on_product_upserted(message.payload()?)?),
        Kind::StockLevelChanged => Event::Product(on_stock_level_changed(&message.payload()?)),
        Kind::CustomerNotified => Event::Notification(on_customer_notified(message.payload()?, message.time)),
        Kind::CustomerMailed => {
            let CustomerMailed { notification_id: id, .. } = message.payload()?;
            Event::Notification(NotificationEvent::Mailed { id, at: message.time })
        }
        // The order's own events tell what these came to.
        Kind::StockReserved
        | Kind::StockShort
        | Kind::StockReleased
        | Kind::StockCommitted
        | Kind::StockReturned
        | Kind::PaymentAuthorised
        | Kind::PaymentDeclined
        | Kind::PaymentCaptured
        | Kind::PaymentVoided
        | Kind::PaymentCaptureRefused
        | Kind::PaymentRefunded => Event::LogOnly,
    })
}

fn on_order_placed(event: OrderPlaced, time: i64) -> Result<OrderEvent, Malformed> {
    let Money { amount: total, currency } =
        event.total.ok_or_else(|| Malformed("an order without its total".into()))?;
    let lines = event
        .lines
        .into_iter()
        .map(|line| Line { sku: line.sku, name: line.name, quantity: line.quantity, unit_price: line.unit_price })
        .collect();
    let address = event.address.map(|address| Address {
        recipient: address.recipient,
        street: address.street,
        city: address.city,
        postal_code: address.postal_code,
        country: address.country,
    });
    let placement = Placement { customer_id: event.customer_id, placed_at: time, total, currency, lines, address };
    Ok(OrderEvent::Placed { placement: Arc::new(placement), pay_before: event.pay_before })
}

fn on_order_refund_requested(event: OrderRefundRequested) -> Result<OrderEvent, Malformed> {
    let cause = match event.cause() {
        RefundCause::Cancelled => orders::RefundCause::Cancelled,
        RefundCause::Returned => orders::RefundCause::Returned,
        RefundCause::Unspecified => return Err(Malformed("a refund without its cause".into())),
    };
    let lines = event.lines.into_iter().map(|line| Goods { sku: line.sku, quantity: line.quantity }).collect();
    Ok(OrderEvent::RefundRequested(Arc::new(Refund { cause, reason: event.reason, lines })))
}

fn on_order_payment_refunded(event: OrderPaymentRefunded) -> Result<OrderEvent, Malformed> {
    let Money { amount, currency } = event.amount.ok_or_else(|| Malformed("a refund without its amount".into()))?;
    Ok(OrderEvent::PaymentRefunded { amount, currency })
}

fn on_product_upserted(event: ProductUpserted) -> Result<ProductEvent, Malformed> {
    let Money { amount: price, currency } =
        event.price.ok_or_else(|| Malformed("a product without its price".into()))?;
    Ok(ProductEvent::Upserted(Offer { name: event.name, price, currency }))
}

const fn on_stock_level_changed(event: &StockLevelChanged) -> ProductEvent {
    ProductEvent::LevelChanged { on_hand: event.on_hand, reserved: event.reserved }
}

fn on_customer_notified(event: CustomerNotified, time: i64) -> NotificationEvent {
    let notification = Notification {
        customer_id: event.customer_id,
        order_id: event.order_id,
        topic: event.topic,
        title: event.title,
        body: event.body,
        at: time,
    };
    NotificationEvent::Told { id: event.notification_id, notification: Arc::new(notification) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimens;

    #[test]
    fn an_event_of_an_unknown_type_is_kept_for_the_log() {
        let message = specimens::unknown();
        let input = hear(&message).expect("is heard");
        assert_eq!(input.event, Event::LogOnly);
        let mut of_an_order = message.clone();
        of_an_order.source = ORDER_SOURCE.to_owned();
        assert_eq!(event(&of_an_order).expect("is heard"), Event::Order(OrderEvent::Unknown));
        assert_eq!(input.entry.kind, message.kind);
        let kept = Envelope::parse(&input.entry.envelope).expect("is an envelope");
        assert_eq!((kept.id, kept.data.get()), (message.id, message.data.get()));
    }

    #[test]
    fn an_order_without_its_total_can_never_be_read() {
        let message = specimens::envelope("/order", "o-1", 1, "o-1", &OrderPlaced::default());
        assert!(hear(&message).is_err());
    }

    #[test]
    fn a_refund_without_its_amount_or_its_cause_can_never_be_read() {
        let without_cause = OrderRefundRequested { refund: 1, amount: specimens::pounds(1), ..Default::default() };
        assert!(hear(&specimens::envelope("/order", "o-1", 2, "o-1", &without_cause)).is_err());
        let without_amount = OrderPaymentRefunded { refund: 1, amount: None };
        assert!(hear(&specimens::envelope("/order", "o-1", 2, "o-1", &without_amount)).is_err());
    }

    #[test]
    fn a_confirmation_without_a_time_of_shipping_is_one_that_will_not_be_shipped() {
        for (ship_at, expected) in [(0, None), (specimens::NOW, Some(specimens::NOW))] {
            let message = specimens::envelope("/order", "o-1", 2, "o-1", &OrderConfirmed { ship_at });
            let read = event(&message).expect("reads");
            assert_eq!(read, Event::Order(OrderEvent::Confirmed { ship_at: expected }));
        }
    }

    #[test]
    fn a_placed_order_is_read_whole() {
        let message = &specimens::one_of_each()[0];
        let Event::Order(OrderEvent::Placed { placement, pay_before }) = event(message).expect("reads") else {
            panic!("not a placed order");
        };
        assert_eq!(placement.placed_at, message.time);
        assert_eq!((placement.total, placement.currency.as_str()), (2_500, "GBP"));
        assert_eq!((placement.lines.len(), placement.lines[0].quantity), (1, 2));
        assert_eq!(placement.address.as_ref().map(|address| address.city.as_str()), Some("London"));
        assert_eq!(pay_before, specimens::NOW + 900_000);
    }
}
