//! What the order service says: domain events and saga commands as contract
//! messages, each through its outlet.

use contracts::common::{self, LineRequest, Money};
use contracts::inventory::{CommitStock, ReleaseStock, ReserveStock, ReturnStock};
use contracts::order as contract;
use contracts::payment::{AuthorisePayment, CapturePayment, RefundPayment, VoidPayment};
use platform::message::{Outgoing, Payload};

use crate::domain::{Address, Card, Event, Goods, Line, Order, RefundCause, Status, Step};
use crate::saga::Command;

/// Indices of the outlets declared in `SPEC`.
const EVENTS: usize = 0;
const TO_INVENTORY: usize = 1;
const TO_PAYMENT: usize = 2;

/// A domain event as a message; `order` is the order after it.
pub(crate) fn event(id: &str, order: &Order, event: &Event) -> Outgoing {
    match event {
        Event::Placed(placed) => say(
            id,
            &contract::OrderPlaced {
                customer_id: placed.customer_id.clone(),
                customer_email: placed.customer_email.clone(),
                lines: placed.lines.iter().map(|line| self::line(line, 0)).collect(),
                total: Some(money(order, placed.total)),
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
        Event::CaptureRefused { attempt, reason } => {
            say(id, &contract::OrderCaptureRefused { attempt: *attempt, reason: reason.clone() })
        }
        Event::Confirmed { ship_at } => say(id, &contract::OrderConfirmed { ship_at: ship_at.unwrap_or_default() }),
        Event::Shipped { deliver_at } => say(id, &contract::OrderShipped { deliver_at: *deliver_at }),
        Event::Delivered => say(id, &contract::OrderDelivered {}),
        Event::Expired { pay_before } => say(id, &contract::OrderExpired { pay_before: *pay_before }),
        Event::Cancelled { reason } => say(id, &contract::OrderCancelled { reason: reason.clone() }),
        Event::CancelRequested { reason } => say(id, &contract::OrderCancelRequested { reason: reason.clone() }),
        Event::RefundRequested(refund) => say(
            id,
            &contract::OrderRefundRequested {
                refund: refund.number,
                cause: refund_cause(refund.cause).into(),
                amount: Some(money(order, refund.amount)),
                lines: refund.lines.iter().map(goods).collect(),
                reason: refund.reason.clone(),
            },
        ),
        Event::PaymentRefunded { refund, amount } => {
            say(id, &contract::OrderPaymentRefunded { refund: *refund, amount: Some(money(order, *amount)) })
        }
        Event::LatePaymentRefused { attempt, reason } => {
            say(id, &contract::OrderLatePaymentRefused { attempt: *attempt, reason: reason.clone() })
        }
        Event::PaymentVoided { attempt } => say(id, &contract::OrderPaymentVoided { attempt: *attempt }),
        Event::StockReturned { refund } => say(id, &contract::OrderStockReturned { refund: *refund }),
        Event::Refunded => say(id, &contract::OrderRefunded {}),
        Event::StepRetried { step, retry } => {
            let step = match step {
                Step::Capture => "capture",
                Step::CommitStock => "commit-stock",
                Step::Refund => "refund",
                Step::ReturnStock => "return-stock",
            };
            say(id, &contract::OrderStepRetried { step: step.to_owned(), retry: *retry })
        }
    }
}

fn say<T: Payload>(id: &str, payload: &T) -> Outgoing {
    Outgoing::new(EVENTS, id, id, payload)
}

/// A saga command as a message.
pub(crate) fn command(id: &str, order: &Order, command: &Command) -> Outgoing {
    match command {
        Command::ReserveStock => ask(TO_INVENTORY, id, &ReserveStock { lines: all_lines(order) }),
        Command::ReleaseStock => ask(TO_INVENTORY, id, &ReleaseStock {}),
        Command::CommitStock => ask(TO_INVENTORY, id, &CommitStock {}),
        Command::ReturnStock { refund, lines } => {
            ask(TO_INVENTORY, id, &ReturnStock { refund: *refund, lines: lines.iter().map(goods).collect() })
        }
        Command::AuthorisePayment { attempt, card: offered } => {
            let amount = Some(money(order, order.placed.total));
            ask(TO_PAYMENT, id, &AuthorisePayment { attempt: *attempt, amount, card: Some(card(offered)) })
        }
        Command::CapturePayment { attempt } => ask(TO_PAYMENT, id, &CapturePayment { attempt: *attempt }),
        Command::VoidPayment { attempt } => ask(TO_PAYMENT, id, &VoidPayment { attempt: *attempt }),
        Command::RefundPayment { attempt, refund, amount } => {
            let amount = Some(money(order, *amount));
            ask(TO_PAYMENT, id, &RefundPayment { attempt: *attempt, refund: *refund, amount })
        }
    }
}

fn ask<T: Payload>(outlet: usize, id: &str, payload: &T) -> Outgoing {
    Outgoing::new(outlet, id, id, payload)
}

/// An order as a command's answer shows it.
pub(crate) fn order(id: &str, order: &Order) -> contract::Order {
    contract::Order {
        id: id.to_owned(),
        version: order.version,
        status: status(order.status).into(),
        status_reason: order.status_reason.clone(),
        customer_id: order.placed.customer_id.clone(),
        lines: order.placed.lines.iter().map(|line| self::line(line, order.came_back(&line.sku))).collect(),
        total: Some(money(order, order.placed.total)),
        placed_at: order.placed_at,
        pay_before: order.pay_before,
        address: order.placed.address.as_ref().map(address),
        refunded: Some(money(order, order.refunded)),
        unwinding: order.unwinding(),
        fulfil_at: order.fulfil_at,
    }
}

/// Minor units in the order's currency.
fn money(order: &Order, amount: i64) -> Money {
    Money { amount, currency: order.placed.currency.clone() }
}

fn all_lines(order: &Order) -> Vec<LineRequest> {
    let lines = order.placed.lines.iter();
    lines.map(|line| LineRequest { sku: line.sku.clone(), quantity: line.quantity }).collect()
}

fn goods(goods: &Goods) -> LineRequest {
    LineRequest { sku: goods.sku.clone(), quantity: goods.quantity }
}

fn line(line: &Line, returned: i64) -> contract::OrderLine {
    contract::OrderLine {
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        returned,
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

const fn refund_cause(cause: RefundCause) -> contract::RefundCause {
    match cause {
        RefundCause::Cancelled => contract::RefundCause::Cancelled,
        RefundCause::Returned => contract::RefundCause::Returned,
    }
}
