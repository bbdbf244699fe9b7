//! What the payment service hears: the saga's commands.

use contracts::payment::{AuthorisePayment, CapturePayment, VoidPayment};
use platform::message::{Envelope, Malformed};
use platform::service::Heard;
use platform::text;

use crate::Input;
use crate::domain::{self, Card, Command, Money, Offer};

/// Translates a message heard on `orderly.payment.commands`.
///
/// # Errors
/// Something that nobody could ever obey.
pub(crate) fn hear(message: &Envelope) -> Result<Heard<Input>, Malformed> {
    let (attempt, command) = match message.kind.as_str() {
        "orderly.payment.v1.AuthorisePayment" => on_authorise_payment(message.payload()?)?,
        "orderly.payment.v1.CapturePayment" => on_capture_payment(&message.payload()?),
        "orderly.payment.v1.VoidPayment" => on_void_payment(&message.payload()?),
        _ => return Ok(Heard::Ignored),
    };
    if attempt < 1 {
        return Err(Malformed(format!("attempts count from 1, not {attempt}")));
    }
    Ok(Heard::Input(Input { order_id: message.subject.clone(), attempt, input: domain::Input::Command(command) }))
}

fn on_authorise_payment(command: AuthorisePayment) -> Result<(i32, Command), Malformed> {
    let missing = |what| Malformed(format!("an authorisation without {what}"));
    let amount = command.amount.filter(|money| money.amount > 0).ok_or_else(|| missing("an amount"))?;
    text::currency(&amount.currency).map_err(|_| missing("a currency"))?;
    let card = command.card.filter(|card| !card.token.is_empty()).ok_or_else(|| missing("a card"))?;
    let offer = Offer {
        amount: Money { amount: amount.amount, currency: amount.currency },
        card: Card { token: card.token, last4: card.last4 },
    };
    Ok((command.attempt, Command::Authorise(offer)))
}

const fn on_capture_payment(command: &CapturePayment) -> (i32, Command) {
    (command.attempt, Command::Capture)
}

const fn on_void_payment(command: &VoidPayment) -> (i32, Command) {
    (command.attempt, Command::Void)
}
