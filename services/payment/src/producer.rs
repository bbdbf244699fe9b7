//! What the payment service says: the answers to the saga.

use contracts::common::Money;
use contracts::payment::{
    PaymentAuthorised, PaymentCaptureRefused, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
};
use platform::message::Outgoing;

use crate::domain::{self, Event};

/// Index of the one outlet, `/payment`.
const EVENTS: usize = 0;

/// An event as its contract has it.
pub(crate) fn answer(order_id: &str, attempt: i32, event: &Event) -> Outgoing {
    match event {
        Event::Authorised(hold) => {
            let amount = Some(money(&hold.offer.amount));
            let authorisation_id = hold.authorisation_id.clone();
            Outgoing::new(EVENTS, order_id, order_id, &PaymentAuthorised { attempt, amount, authorisation_id })
        }
        Event::Declined(refusal) => {
            let reason = refusal.reason.clone();
            Outgoing::new(EVENTS, order_id, order_id, &PaymentDeclined { attempt, reason })
        }
        Event::Captured(hold) => {
            let amount = Some(money(&hold.offer.amount));
            Outgoing::new(EVENTS, order_id, order_id, &PaymentCaptured { attempt, amount })
        }
        Event::CaptureRefused { reason, .. } => {
            let reason = reason.clone();
            Outgoing::new(EVENTS, order_id, order_id, &PaymentCaptureRefused { attempt, reason })
        }
        Event::Refunded { refund, .. } => {
            let amount = Some(money(&refund.amount));
            let payload = PaymentRefunded { attempt, refund: refund.number, amount };
            Outgoing::new(EVENTS, order_id, order_id, &payload)
        }
        Event::Voided(hold) => {
            // Of a tombstone not even the currency is known.
            let amount = Some(hold.as_ref().map_or_else(Money::default, |hold| money(&hold.offer.amount)));
            Outgoing::new(EVENTS, order_id, order_id, &PaymentVoided { attempt, amount })
        }
    }
}

fn money(money: &domain::Money) -> Money {
    Money { amount: money.amount, currency: money.currency.clone() }
}
