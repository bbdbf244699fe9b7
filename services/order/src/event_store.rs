//! The **event store** read back: contract messages as domain events again.
//!
//! `order_events` is the truth; the `orders` row is its fold. Reading it back is
//! how that is checked, and how a row could be made anew.

use std::sync::Arc;

use contracts::common;
use contracts::order as contract;
use platform::message::{Envelope, Malformed};

use crate::domain::{Address, Card, Event, Goods, Line, Order, Placed, Refund, RefundCause, Step, evolve};

/// Folds stored envelopes, in the order of their sequences, into an order.
///
/// # Errors
/// An envelope that is not what this version of the service wrote.
pub(crate) fn fold<'a>(envelopes: impl Iterator<Item = &'a str>) -> Result<Option<Order>, Malformed> {
    let mut order = None;
    for text in envelopes {
        let envelope = Envelope::parse(text)?;
        order = evolve(order, &event(&envelope)?, envelope.time);
    }
    Ok(order)
}

/// The domain event in an envelope of `/order`.
pub(crate) fn event(envelope: &Envelope) -> Result<Event, Malformed> {
    Ok(match envelope.short_kind() {
        "OrderPlaced" => Event::Placed(Arc::new(placed(envelope.payload()?))),
        "OrderAwaitingPayment" => Event::AwaitingPayment,
        "OrderRejected" => {
            let contract::OrderRejected { reason } = envelope.payload()?;
            Event::Rejected { reason }
        }
        "OrderCardOffered" => {
            let contract::OrderCardOffered { card: offered } = envelope.payload()?;
            Event::CardOffered { card: card(offered) }
        }
        "OrderPaymentRequested" => {
            let contract::OrderPaymentRequested { attempt, card: offered } = envelope.payload()?;
            Event::PaymentRequested { attempt, card: card(offered) }
        }
        "OrderPaymentDeclined" => {
            let contract::OrderPaymentDeclined { attempt, reason, tries_left } = envelope.payload()?;
            Event::PaymentDeclined { attempt, reason, tries_left }
        }
        "OrderPaymentAbandoned" => {
            let contract::OrderPaymentAbandoned { attempt, reason } = envelope.payload()?;
            Event::PaymentAbandoned { attempt, reason }
        }
        "OrderPaid" => {
            let contract::OrderPaid { attempt, authorisation_id } = envelope.payload()?;
            Event::Paid { attempt, authorisation_id }
        }
        "OrderPaymentCaptured" => {
            let contract::OrderPaymentCaptured { attempt } = envelope.payload()?;
            Event::PaymentCaptured { attempt }
        }
        "OrderCaptureRefused" => {
            let contract::OrderCaptureRefused { attempt, reason } = envelope.payload()?;
            Event::CaptureRefused { attempt, reason }
        }
        "OrderConfirmed" => {
            let contract::OrderConfirmed { ship_at } = envelope.payload()?;
            Event::Confirmed { ship_at: (ship_at != 0).then_some(ship_at) }
        }
        "OrderShipped" => {
            let contract::OrderShipped { deliver_at } = envelope.payload()?;
            Event::Shipped { deliver_at }
        }
        "OrderDelivered" => Event::Delivered,
        "OrderExpired" => {
            let contract::OrderExpired { pay_before } = envelope.payload()?;
            Event::Expired { pay_before }
        }
        "OrderCancelled" => {
            let contract::OrderCancelled { reason } = envelope.payload()?;
            Event::Cancelled { reason }
        }
        "OrderCancelRequested" => {
            let contract::OrderCancelRequested { reason } = envelope.payload()?;
            Event::CancelRequested { reason }
        }
        "OrderRefundRequested" => Event::RefundRequested(refund(envelope.payload()?)?),
        "OrderPaymentRefunded" => {
            let contract::OrderPaymentRefunded { refund, amount } = envelope.payload()?;
            Event::PaymentRefunded { refund, amount: amount.unwrap_or_default().amount }
        }
        "OrderRefunded" => Event::Refunded,
        "OrderLatePaymentRefused" => {
            let contract::OrderLatePaymentRefused { attempt, reason } = envelope.payload()?;
            Event::LatePaymentRefused { attempt, reason }
        }
        "OrderPaymentVoided" => {
            let contract::OrderPaymentVoided { attempt } = envelope.payload()?;
            Event::PaymentVoided { attempt }
        }
        "OrderStockReturned" => {
            let contract::OrderStockReturned { refund } = envelope.payload()?;
            Event::StockReturned { refund }
        }
        "OrderStepRetried" => {
            let contract::OrderStepRetried { step, retry } = envelope.payload()?;
            let step = match step.as_str() {
                "capture" => Step::Capture,
                "commit-stock" => Step::CommitStock,
                "refund" => Step::Refund,
                "return-stock" => Step::ReturnStock,
                other => return Err(Malformed(format!("no step {other:?}"))),
            };
            Event::StepRetried { step, retry }
        }
        other => return Err(Malformed(format!("no order event {other:?}"))),
    })
}

fn placed(message: contract::OrderPlaced) -> Placed {
    let total = message.total.unwrap_or_default();
    Placed {
        customer_id: message.customer_id,
        customer_email: message.customer_email,
        lines: message
            .lines
            .into_iter()
            .map(|line| Line { sku: line.sku, name: line.name, quantity: line.quantity, unit_price: line.unit_price })
            .collect(),
        total: total.amount,
        currency: total.currency,
        pay_before: message.pay_before,
        card: message.card.map(|offered| card(Some(offered))),
        address: message.address.map(address),
    }
}

fn refund(message: contract::OrderRefundRequested) -> Result<Refund, Malformed> {
    let cause = match message.cause() {
        contract::RefundCause::Cancelled => RefundCause::Cancelled,
        contract::RefundCause::Returned => RefundCause::Returned,
        contract::RefundCause::Unspecified => return Err(Malformed("a refund without a cause".to_owned())),
    };
    Ok(Refund {
        number: message.refund,
        cause,
        amount: message.amount.unwrap_or_default().amount,
        lines: message.lines.into_iter().map(goods).collect(),
        reason: message.reason,
    })
}

pub(crate) fn goods(line: common::LineRequest) -> Goods {
    Goods { sku: line.sku, quantity: line.quantity }
}

pub(crate) fn card(card: Option<common::Card>) -> Card {
    let common::Card { token, last4 } = card.unwrap_or_default();
    Card { token, last4 }
}

pub(crate) fn address(address: common::Address) -> Address {
    Address {
        recipient: address.recipient,
        street: address.street,
        city: address.city,
        postal_code: address.postal_code,
        country: address.country,
    }
}
