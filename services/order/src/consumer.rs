//! What the order service hears: the answers of inventory and payment, and
//! inventory's prices.

use contracts::inventory::{ProductUpserted, StockReturned, StockShort};
use contracts::payment::{
    PaymentAuthorised, PaymentCaptureRefused, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
};
use platform::bus::Timer;
use platform::message::{Envelope, Malformed};
use platform::service::Heard;

use crate::domain::{self, Input as OrderInput};
use crate::pricing::Price;
use crate::{DEADLINE, FULFILMENT, Input, STEP};

/// Translates a message heard on `orderly.inventory` or `orderly.payment`.
pub(crate) fn hear(message: &Envelope) -> Result<Heard<Input>, Malformed> {
    let input = match message.kind.as_str() {
        "orderly.inventory.v1.ProductUpserted" => return Ok(Heard::Input(on_product_upserted(message.payload()?))),
        "orderly.inventory.v1.StockReserved" => OrderInput::StockReserved,
        "orderly.inventory.v1.StockShort" => on_stock_short(&message.payload()?),
        "orderly.inventory.v1.StockReleased" => OrderInput::StockReleased,
        "orderly.inventory.v1.StockCommitted" => OrderInput::StockCommitted,
        "orderly.inventory.v1.StockReturned" => on_stock_returned(&message.payload()?),
        "orderly.payment.v1.PaymentAuthorised" => on_payment_authorised(message.payload()?),
        "orderly.payment.v1.PaymentDeclined" => on_payment_declined(message.payload()?),
        "orderly.payment.v1.PaymentCaptured" => on_payment_captured(&message.payload()?),
        "orderly.payment.v1.PaymentCaptureRefused" => on_payment_capture_refused(message.payload()?),
        "orderly.payment.v1.PaymentVoided" => on_payment_voided(&message.payload()?),
        "orderly.payment.v1.PaymentRefunded" => on_payment_refunded(&message.payload()?),
        _ => return Ok(Heard::Ignored),
    };
    Ok(Heard::Input(Input::Order { id: message.subject.clone(), input }))
}

/// Translates a timer of the delay queue.
pub(crate) fn wake(timer: &Timer) -> Option<Input> {
    let input = match timer.kind.as_str() {
        DEADLINE => OrderInput::DeadlinePassed { due: timer.due },
        STEP => OrderInput::StepOverdue { due: timer.due },
        FULFILMENT => OrderInput::FulfilmentDue { due: timer.due },
        _ => return None,
    };
    Some(Input::Order { id: timer.subject.clone(), input })
}

fn on_product_upserted(event: ProductUpserted) -> Input {
    let price = event.price.unwrap_or_default();
    Input::PriceLearnt {
        sku: event.sku,
        price: Price { name: event.name, amount: price.amount, currency: price.currency },
    }
}

fn on_stock_short(event: &StockShort) -> domain::Input {
    let shortages: Vec<String> = event
        .shortages
        .iter()
        .map(|short| format!("{}: {} wanted, {} left", short.sku, short.requested, short.available))
        .collect();
    OrderInput::StockShort { reason: format!("out of stock ({})", shortages.join("; ")) }
}

const fn on_stock_returned(event: &StockReturned) -> domain::Input {
    OrderInput::StockReturned { refund: event.refund }
}

fn on_payment_authorised(event: PaymentAuthorised) -> domain::Input {
    OrderInput::PaymentAuthorised { attempt: event.attempt, authorisation_id: event.authorisation_id }
}

fn on_payment_declined(event: PaymentDeclined) -> domain::Input {
    OrderInput::PaymentDeclined { attempt: event.attempt, reason: event.reason }
}

const fn on_payment_captured(event: &PaymentCaptured) -> domain::Input {
    OrderInput::PaymentCaptured { attempt: event.attempt }
}

fn on_payment_capture_refused(event: PaymentCaptureRefused) -> domain::Input {
    OrderInput::PaymentCaptureRefused { attempt: event.attempt, reason: event.reason }
}

const fn on_payment_voided(event: &PaymentVoided) -> domain::Input {
    OrderInput::PaymentVoided { attempt: event.attempt }
}

const fn on_payment_refunded(event: &PaymentRefunded) -> domain::Input {
    OrderInput::PaymentRefunded { refund: event.refund }
}
