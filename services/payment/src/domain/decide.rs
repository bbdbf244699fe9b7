//! The table of the payment's state machine: every pair of state and input.

use std::collections::BTreeMap;

use super::{Charge, Command, Decision, Event, Input, Payment, Refund, Refusal};

/// What makes no sense in the state that the payment is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The pair of state and input is none of the machine's.
    #[error("{input} does not fit a payment that is {state}")]
    Transition {
        /// Where the payment stands.
        state: &'static str,
        /// What came.
        input: &'static str,
    },
    /// Another attempt of this order has been captured: the customer has paid.
    #[error("attempt {0} of this order has been captured already")]
    PaidAlready(i32),
    /// The number of a refund was used for another amount.
    #[error("refund {number} was of {was}, not of {asked}")]
    AnotherRefund {
        /// Which refund.
        number: i32,
        /// Minor units that were given back under it.
        was: i64,
        /// Minor units that are asked for now.
        asked: i64,
    },
    /// More would be given back than was taken, or nothing.
    #[error("refund {number} of {asked}, where {left} can be given back")]
    BeyondCaptured {
        /// Which refund.
        number: i32,
        /// Minor units that were captured and not given back.
        left: i64,
        /// Minor units that are asked for.
        asked: i64,
    },
    /// Money is given back as it was taken.
    #[error("a refund in {asked} of what was captured in {captured}")]
    AnotherCurrency {
        /// ISO 4217.
        captured: String,
        /// ISO 4217.
        asked: String,
    },
    /// The bank refused for good.
    #[error("the bank refused: {0}")]
    Bank(String),
}

/// Why a late authorisation is refused by a tombstone.
const CALLED_OFF: &str = "this payment was called off";

/// Decides an input about one attempt, among all attempts of its order.
///
/// # Errors
/// The input makes no sense, and never will.
pub fn decide(attempts: &BTreeMap<i32, Payment>, attempt: i32, input: &Input) -> Result<Decision, Illegal> {
    use Payment::{Absent, Authorised, CaptureRefused, Captured, Declined, Voided};
    let payment = attempts.get(&attempt).unwrap_or(&Absent);
    let illegal = || Err(Illegal::Transition { state: payment.name(), input: input.name() });

    Ok(match (payment, input) {
        (Absent, Input::Command(command @ Command::Authorise(_))) => Decision::Ask(command.clone()),
        (Absent, Input::BankApproved(hold)) => Decision::Record(Event::Authorised(hold.clone())),
        (Absent, Input::BankDeclined(refusal)) => Decision::Record(Event::Declined(refusal.clone())),

        (Authorised(_), Input::Command(Command::Capture)) => match captured(attempts) {
            Some(other) => return Err(Illegal::PaidAlready(other)),
            None => Decision::Ask(Command::Capture),
        },
        (Authorised(hold), Input::BankCaptured) => Decision::Record(Event::Captured(hold.clone())),
        (Authorised(hold), Input::BankRefusedCapture(reason)) => {
            Decision::Record(Event::CaptureRefused { hold: hold.clone(), reason: reason.clone() })
        }

        // What is held is let go, whether or not the bank would have handed it over.
        (Authorised(_) | CaptureRefused { .. }, Input::Command(Command::Void)) => Decision::Ask(Command::Void),
        (Authorised(hold) | CaptureRefused { hold, .. }, Input::BankVoided) => {
            Decision::Record(Event::Voided(Some(hold.clone())))
        }

        // What is ours is given back.
        (Captured(charge), Input::Command(command @ Command::Refund(refund))) => match refunded(charge, refund)? {
            Some(again) => Decision::Answer(again),
            None => Decision::Ask(command.clone()),
        },
        (Captured(charge), Input::BankRefunded(refund)) => match refunded(charge, refund)? {
            Some(again) => Decision::Answer(again),
            None => Decision::Record(refund_of(charge, refund)),
        },

        // An undo before its do, and the do that comes late.
        (Absent, Input::Command(Command::Void)) => Decision::Record(Event::Voided(None)),
        (Voided(_), Input::Command(Command::Authorise(offer))) => {
            Decision::Answer(Event::Declined(Refusal { offer: offer.clone(), reason: CALLED_OFF.to_owned() }))
        }

        // Nothing is held that could be let go.
        (Declined(_), Input::Command(Command::Void)) => Decision::Answer(Event::Voided(None)),

        // Said before: told again how it stands.
        (Authorised(hold), Input::Command(Command::Authorise(_)) | Input::BankApproved(_)) => {
            Decision::Answer(Event::Authorised(hold.clone()))
        }
        (Declined(refusal), Input::Command(Command::Authorise(_)) | Input::BankDeclined(_)) => {
            Decision::Answer(Event::Declined(refusal.clone()))
        }
        (
            Captured(charge),
            Input::Command(Command::Authorise(_) | Command::Capture) | Input::BankApproved(_) | Input::BankCaptured,
        ) => Decision::Answer(Event::Captured(charge.hold.clone())),
        (
            CaptureRefused { hold, reason },
            Input::Command(Command::Authorise(_) | Command::Capture)
            | Input::BankApproved(_)
            | Input::BankRefusedCapture(_),
        ) => Decision::Answer(Event::CaptureRefused { hold: hold.clone(), reason: reason.clone() }),
        (Voided(hold), Input::Command(Command::Void) | Input::BankVoided) => {
            Decision::Answer(Event::Voided(hold.clone()))
        }

        (
            Absent | Authorised(_) | Declined(_) | Captured(_) | CaptureRefused { .. } | Voided(_),
            Input::BankRefused(reason),
        ) => return Err(Illegal::Bank(reason.clone())),

        (
            Absent,
            Input::Command(Command::Capture | Command::Refund(_))
            | Input::BankCaptured
            | Input::BankRefusedCapture(_)
            | Input::BankVoided
            | Input::BankRefunded(_),
        )
        | (Authorised(_), Input::Command(Command::Refund(_)) | Input::BankDeclined(_) | Input::BankRefunded(_))
        | (
            Declined(_),
            Input::Command(Command::Capture | Command::Refund(_))
            | Input::BankApproved(_)
            | Input::BankCaptured
            | Input::BankRefusedCapture(_)
            | Input::BankVoided
            | Input::BankRefunded(_),
        )
        | (
            Captured(_),
            Input::Command(Command::Void) | Input::BankDeclined(_) | Input::BankRefusedCapture(_) | Input::BankVoided,
        )
        | (
            CaptureRefused { .. },
            Input::Command(Command::Refund(_)) | Input::BankDeclined(_) | Input::BankCaptured | Input::BankRefunded(_),
        )
        | (
            Voided(_),
            Input::Command(Command::Capture | Command::Refund(_))
            | Input::BankApproved(_)
            | Input::BankDeclined(_)
            | Input::BankCaptured
            | Input::BankRefusedCapture(_)
            | Input::BankRefunded(_),
        ) => return illegal(),
    })
}

/// The fold. It is short, since each event says all there is to know.
pub fn evolve(event: &Event) -> Payment {
    match event {
        Event::Authorised(hold) => Payment::Authorised(hold.clone()),
        Event::Declined(refusal) => Payment::Declined(refusal.clone()),
        Event::Captured(hold) => Payment::Captured(Charge::new(hold.clone())),
        Event::CaptureRefused { hold, reason } => {
            Payment::CaptureRefused { hold: hold.clone(), reason: reason.clone() }
        }
        Event::Voided(hold) => Payment::Voided(hold.clone()),
        Event::Refunded { charge, .. } => Payment::Captured(charge.clone()),
    }
}

/// What is said of a refund that was made before; `None` if it is a new one, and
/// may be made.
fn refunded(charge: &Charge, refund: &Refund) -> Result<Option<Event>, Illegal> {
    let Refund { number, amount: asked } = refund;
    let captured = &charge.hold.offer.amount;
    if asked.currency != captured.currency {
        return Err(Illegal::AnotherCurrency { captured: captured.currency.clone(), asked: asked.currency.clone() });
    }
    match charge.refunds.get(number) {
        Some(was) if *was == asked.amount => {
            Ok(Some(Event::Refunded { charge: charge.clone(), refund: refund.clone() }))
        }
        Some(was) => Err(Illegal::AnotherRefund { number: *number, was: *was, asked: asked.amount }),
        None if (1..=charge.left()).contains(&asked.amount) => Ok(None),
        None => Err(Illegal::BeyondCaptured { number: *number, left: charge.left(), asked: asked.amount }),
    }
}

fn refund_of(charge: &Charge, refund: &Refund) -> Event {
    let mut charge = charge.clone();
    charge.refunds.insert(refund.number, refund.amount.amount);
    Event::Refunded { charge, refund: refund.clone() }
}

/// The attempt whose money is ours, if any; given back or not, it was paid once.
fn captured(attempts: &BTreeMap<i32, Payment>) -> Option<i32> {
    attempts.iter().find(|(_, payment)| matches!(payment, Payment::Captured(_))).map(|(attempt, _)| *attempt)
}

impl Input {
    const fn name(&self) -> &'static str {
        match self {
            Self::Command(Command::Authorise(_)) => "an authorisation",
            Self::Command(Command::Capture) => "a capture",
            Self::Command(Command::Void) => "a void",
            Self::Command(Command::Refund(_)) => "a refund",
            Self::BankApproved(_) => "the bank's approval",
            Self::BankDeclined(_) => "the bank's decline",
            Self::BankCaptured => "the bank's charge",
            Self::BankRefusedCapture(_) => "the bank's refusal to charge",
            Self::BankVoided => "the bank's release",
            Self::BankRefunded(_) => "the bank's refund",
            Self::BankRefused(_) => "the bank's refusal",
        }
    }
}
