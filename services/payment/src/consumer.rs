//! What the payment service hears: the saga's commands.

use contracts::payment::{AuthorisePayment, CapturePayment, RefundPayment, VoidPayment};
use platform::message::{Envelope, Malformed};
use platform::service::Heard;
use platform::text;

use crate::Input;
use crate::domain::{self, Card, Command, Money, Offer, Refund};

/// Translates a message heard on `orderly.payment.commands`.
///
/// # Errors
/// Something that nobody could ever obey.
pub(crate) fn hear(message: &Envelope) -> Result<Heard<Input>, Malformed> {
    let (attempt, command) = match message.kind.as_str() {
        "orderly.payment.v1.AuthorisePayment" => on_authorise_payment(message.payload()?)?,
        "orderly.payment.v1.CapturePayment" => on_capture_payment(&message.payload()?),
        "orderly.payment.v1.VoidPayment" => on_void_payment(&message.payload()?),
        "orderly.payment.v1.RefundPayment" => on_refund_payment(message.payload()?)?,
        _ => return Ok(Heard::Ignored),
    };
    if attempt < 1 {
        return Err(Malformed(format!("attempts count from 1, not {attempt}")));
    }
    Ok(Heard::Input(Input { order_id: message.subject.clone(), attempt, input: domain::Input::Command(command) }))
}

fn on_authorise_payment(command: AuthorisePayment) -> Result<(i32, Command), Malformed> {
    let amount = money("an authorisation", command.amount)?;
    let card = command
        .card
        .filter(|card| !card.token.is_empty())
        .ok_or_else(|| Malformed("an authorisation without a card".to_owned()))?;
    let offer = Offer { amount, card: Card { token: card.token, last4: card.last4 } };
    Ok((command.attempt, Command::Authorise(offer)))
}

const fn on_capture_payment(command: &CapturePayment) -> (i32, Command) {
    (command.attempt, Command::Capture)
}

const fn on_void_payment(command: &VoidPayment) -> (i32, Command) {
    (command.attempt, Command::Void)
}

fn on_refund_payment(command: RefundPayment) -> Result<(i32, Command), Malformed> {
    let RefundPayment { attempt, refund: number, amount } = command;
    if number < 1 {
        return Err(Malformed(format!("refunds count from 1, not {number}")));
    }
    Ok((attempt, Command::Refund(Refund { number, amount: money("a refund", amount)? })))
}

/// Money that can be moved: above zero, in a currency.
fn money(of: &str, money: Option<contracts::common::Money>) -> Result<Money, Malformed> {
    let missing = |what| Malformed(format!("{of} without {what}"));
    let money = money.filter(|money| money.amount > 0).ok_or_else(|| missing("an amount"))?;
    text::currency(&money.currency).map_err(|_| missing("a currency"))?;
    Ok(Money { amount: money.amount, currency: money.currency })
}
