//! What the query service hears: every event of the shop. Each is read once here,
//! into the row that the event log keeps and what it means to a projection.

use std::sync::Arc;

use contracts::common::Money;
use contracts::inventory::{ProductUpserted, StockLevelChanged};
use contracts::notification::CustomerNotified;
use contracts::order::{OrderPaymentAbandoned, OrderPaymentDeclined, OrderPlaced, OrderRejected};
use platform::message::{Envelope, Malformed};

use crate::Input;
use crate::kind::Kind;
use crate::projections::Event;
use crate::projections::notifications::Notification;
use crate::projections::orders::{Address, Line, OrderEvent, Placement};
use crate::projections::products::{Offer, ProductEvent};
use crate::store::LogEntry;

/// The outlet that tells an order's own events: their number is its version.
pub(crate) const ORDER_SOURCE: &str = "/order";

/// Translates a message heard on any stream. What is not known is kept all the
/// same: a later version may fold it from the log.
pub(crate) fn hear(message: &Envelope) -> Result<Input, Malformed> {
    let event = event(message)?;
    let envelope = serde_json::to_string(message).map_err(|error| Malformed(format!("no JSON: {error}")))?;
    let entry = LogEntry {
        source: message.source.clone(),
        subject: message.subject.clone(),
        sequence: message.sequence,
        kind: message.kind.clone(),
        time: message.time,
        correlation_id: message.correlation_id.clone(),
        event_id: message.id.clone(),
        envelope,
    };
    Ok(Input { entry: Arc::new(entry), event })
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
        Kind::OrderConfirmed => Event::Order(OrderEvent::Confirmed),
        Kind::OrderExpired => Event::Order(OrderEvent::Expired),
        Kind::OrderLatePaymentRefused => Event::Order(OrderEvent::LatePaymentRefused),
        Kind::OrderPaymentVoided => Event::Order(OrderEvent::PaymentVoided),
        Kind::OrderStockReturned => Event::Order(OrderEvent::StockReturned),
        Kind::OrderStepRetried => Event::Order(OrderEvent::StepRetried),
        Kind::ProductUpserted => Event::Product(on_product_upserted(message.payload()?)?),
        Kind::StockLevelChanged => Event::Product(on_stock_level_changed(&message.payload()?)),
        Kind::CustomerNotified => Event::Notified(Arc::new(on_customer_notified(message.payload()?, message.time))),
        // The order's own events tell what these came to.
        Kind::StockReserved
        | Kind::StockShort
        | Kind::StockReleased
        | Kind::StockCommitted
        | Kind::PaymentAuthorised
        | Kind::PaymentDeclined
        | Kind::PaymentCaptured
        | Kind::PaymentVoided => Event::LogOnly,
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

fn on_product_upserted(event: ProductUpserted) -> Result<ProductEvent, Malformed> {
    let Money { amount: price, currency } =
        event.price.ok_or_else(|| Malformed("a product without its price".into()))?;
    Ok(ProductEvent::Upserted(Offer { name: event.name, price, currency }))
}

const fn on_stock_level_changed(event: &StockLevelChanged) -> ProductEvent {
    ProductEvent::LevelChanged { on_hand: event.on_hand, reserved: event.reserved }
}

fn on_customer_notified(event: CustomerNotified, time: i64) -> Notification {
    Notification {
        id: event.notification_id,
        customer_id: event.customer_id,
        order_id: event.order_id,
        title: event.title,
        body: event.body,
        at: time,
    }
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
