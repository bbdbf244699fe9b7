//! What the order service says: domain events and saga commands as contract
//! messages, each through its outlet.

use contracts::common::{self, LineRequest, Money};
use contracts::inventory::{CommitStock, ReleaseStock, ReserveStock};
use contracts::order as contract;
use contracts::payment::{AuthorisePayment, CapturePayment, VoidPayment};
use platform::message::Outgoing;

use crate::domain::{Address, Card, Event, Line, Order, Status, Step};
use crate::saga::Command;

/// Indices of the outlets declared in `SPEC`.
const EVENTS: usize = 0;
const TO_INVENTORY: usize = 1;
const TO_PAYMENT: usize = 2;

/// A domain event as a message.
pub(crate) fn event(id: &str, event: &Event) -> Outgoing {
    match event {
        Event::Placed(placed) => say(
            id,
            &contract::OrderPlaced {
                customer_id: placed.customer_id.clone(),
                customer_email: placed.customer_email.clone(),
                lines: placed.lines.iter().map(line).collect(),
                total: Some(Money { amount: placed.total, currency: placed.currency.clone() }),
                pay_before: placed.pay_before,
                card: placed.card.as_ref().map(card),
                address: placed.address.as_ref().map(address),
            },
        ),
        Event::AwaitingPayment => say(id, &contract::OrderAwaitingPayment {}),
        Event::Rejected { reason } => say(id, &contract::OrderRejected { reason: reason.clone() }),
        Event::CardOffered { card: offered } => say(id, &contract::OrderCardOffered { card: Some(card(offered)) }),
        Event::PaymentRequested { attempt, card: offered } => {
            say(id, &contract::OrderPaymentRequested { attempt: *attempt, card: Some(card(offered)) })
        }
        Event::PaymentDeclined { attempt, reason, tries_left } => say(
            id,
            &contract::OrderPaymentDeclined { attempt: *attempt, reason: reason.clone(), tries_left: *tries_left },
        ),
        Event::PaymentAbandoned { attempt, reason } => {
            say(id, &contract::OrderPaymentAbandoned { attempt: *attempt, reason: reason.clone() })
        }
        Event::Paid { attempt, authorisation_id } => {
            say(id, &contract::OrderPaid { attempt: *attempt, authorisation_id: authorisation_id.clone() })
        }
        Event::PaymentCaptured { attempt } => say(id, &contract::OrderPaymentCaptured { attempt: *attempt }),
        Event::Confirmed => say(id, &contract::OrderConfirmed {}),
        Event::Expired { pay_before } => say(id, &contract::OrderExpired { pay_before: *pay_before }),
        Event::LatePaymentRefused { attempt, reason } => {
            say(id, &contract::OrderLatePaymentRefused { attempt: *attempt, reason: reason.clone() })
        }
        Event::PaymentVoided { attempt } => say(id, &contract::OrderPaymentVoided { attempt: *attempt }),
        Event::StockReturned => say(id, &contract::OrderStockReturned {}),
        Event::StepRetried { step, retry } => {
            let step = match step {
                Step::Capture => "capture",
                Step::CommitStock => "commit-stock",
            };
            say(id, &contract::OrderStepRetried { step: step.to_owned(), retry: *retry })
        }
    }
}

fn say<T: platform::message::Payload>(id: &str, payload: &T) -> Outgoing {
    Outgoing::new(EVENTS, id, id, payload)
}

/// A saga command as a message.
pub(crate) fn command(id: &str, order: &Order, command: &Command) -> Outgoing {
    match command {
        Command::ReserveStock => {
            let lines = order
                .placed
                .lines
                .iter()
                .map(|line| LineRequest { sku: line.sku.clone(), quantity: line.quantity })
                .collect();
            Outgoing::new(TO_INVENTORY, id, id, &ReserveStock { lines })
        }
        Command::ReleaseStock => Outgoing::new(TO_INVENTORY, id, id, &ReleaseStock {}),
        Command::CommitStock => Outgoing::new(TO_INVENTORY, id, id, &CommitStock {}),
        Command::AuthorisePayment { attempt, card: offered } => Outgoing::new(
            TO_PAYMENT,
            id,
            id,
            &AuthorisePayment { attempt: *attempt, amount: Some(total(order)), card: Some(card(offered)) },
        ),
        Command::CapturePayment { attempt } => Outgoing::new(TO_PAYMENT, id, id, &CapturePayment { attempt: *attempt }),
        Command::VoidPayment { attempt } => Outgoing::new(TO_PAYMENT, id, id, &VoidPayment { attempt: *attempt }),
    }
}

/// An order as a command's answer shows it.
pub(crate) fn order(id: &str, order: &Order) -> contract::Order {
    contract::Order {
        id: id.to_owned(),
        version: order.version,
        status: status(order.status).into(),
        status_reason: order.status_reason.clone(),
        customer_id: order.placed.customer_id.clone(),
        lines: order.placed.lines.iter().map(line).collect(),
        total: Some(total(order)),
        placed_at: order.placed_at,
        pay_before: order.pay_before,
        address: order.placed.address.as_ref().map(address),
    }
}

fn total(order: &Order) -> Money {
    Money { amount: order.placed.total, currency: order.placed.currency.clone() }
}

fn line(line: &Line) -> contract::OrderLine {
    contract::OrderLine {
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
    }
}

fn card(card: &Card) -> common::Card {
    common::Card { token: card.token.clone(), last4: card.last4.clone() }
}

fn address(address: &Address) -> common::Address {
    common::Address {
        recipient: address.recipient.clone(),
        street: address.street.clone(),
        city: address.city.clone(),
        postal_code: address.postal_code.clone(),
        country: address.country.clone(),
    }
}

pub(crate) const fn status(status: Status) -> contract::OrderStatus {
    match status {
        Status::Placed => contract::OrderStatus::Placed,
        Status::AwaitingPayment => contract::OrderStatus::AwaitingPayment,
        Status::Paid => contract::OrderStatus::Paid,
        Status::Confirmed => contract::OrderStatus::Confirmed,
        Status::Shipped => contract::OrderStatus::Shipped,
        Status::Delivered => contract::OrderStatus::Delivered,
        Status::Rejected => contract::OrderStatus::Rejected,
        Status::Expired => contract::OrderStatus::Expired,
        Status::Cancelled => contract::OrderStatus::Cancelled,
        Status::Refunded => contract::OrderStatus::Refunded,
    }
}
