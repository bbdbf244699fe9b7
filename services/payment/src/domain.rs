//! An order's payments: a pure state machine per attempt.
//!
//! ```text
//!           approved ─► AUTHORISED ── captured ─► CAPTURED
//!          ╱                 └─────── voided ───► VOIDED
//!   absent ── declined ─► DECLINED                   ▲
//!          ╲                                         │
//!           void (a tombstone) ──────────────────────┘
//! ```
//!
//! A *tombstone* is the mark of an undo that came before its do: the late do is
//! refused without asking the bank, or it would hold money that nobody will ever
//! let go.
//!
//! A command that changes something is first a question to the bank
//! ([`Decision::Ask`]); its answer comes back as an input and only then is
//! anything recorded. A repeated command is told again how the payment stands, and
//! changes nothing. What makes no sense is [`Illegal`]; among that is the void of
//! a captured payment, whose undo is a refund: its place is an edge
//! CAPTURED ─► REFUNDED with a command and an entry of its own.

pub mod ledger;

use std::collections::BTreeMap;

/// An amount in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// Minor units, never below zero.
    pub amount: i64,
    /// ISO 4217; empty where nothing was ever asked for.
    pub currency: String,
}

/// What is kept of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// What the bank knows it by.
    pub token: String,
    /// For people.
    pub last4: String,
}

/// What an authorisation is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// How much.
    pub amount: Money,
    /// From which card.
    pub card: Card,
}

/// An offer that the bank approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What was asked for.
    pub offer: Offer,
    /// The bank's reference.
    pub authorisation_id: String,
}

/// An offer that was declined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for.
    pub offer: Offer,
    /// For people.
    pub reason: String,
}

/// One attempt's payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payment {
    /// Never heard of.
    Absent,
    /// The bank holds the money.
    Authorised(Hold),
    /// The bank said no.
    Declined(Refusal),
    /// The money is ours.
    Captured(Hold),
    /// Let go; a tombstone if nothing was ever held.
    Voided(Option<Hold>),
}

/// What the saga asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Hold the money.
    Authorise(Offer),
    /// Take the money that is held.
    Capture,
    /// Let go of it.
    Void,
}

/// Everything there is to decide about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The saga asks.
    Command(Command),
    /// The bank holds the money.
    BankApproved(Hold),
    /// The bank said no.
    BankDeclined(Refusal),
    /// The bank has taken the money.
    BankCaptured,
    /// The bank has let go of it.
    BankVoided,
    /// The bank will not do what it was asked, and never will. None of the test
    /// cards leads here: it is the place of a capture that is refused for good.
    BankRefused(String),
}

/// What has happened, as it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The money is held.
    Authorised(Hold),
    /// It is not, and will not be for this attempt.
    Declined(Refusal),
    /// The money is ours.
    Captured(Hold),
    /// The money is let go; `None`: none was held.
    Voided(Option<Hold>),
}

/// What an input comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It happened: the state changes, the ledger too, and it is said.
    Record(Event),
    /// It is said, and nothing changes.
    Answer(Event),
    /// The bank must be asked first.
    Ask(Command),
}

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
    use Payment::{Absent, Authorised, Captured, Declined, Voided};
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
        (Authorised(_), Input::Command(Command::Void)) => Decision::Ask(Command::Void),
        (Authorised(hold), Input::BankVoided) => Decision::Record(Event::Voided(Some(hold.clone()))),

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
            Captured(hold),
            Input::Command(Command::Authorise(_) | Command::Capture) | Input::BankApproved(_) | Input::BankCaptured,
        ) => Decision::Answer(Event::Captured(hold.clone())),
        (Voided(hold), Input::Command(Command::Void) | Input::BankVoided) => {
            Decision::Answer(Event::Voided(hold.clone()))
        }

        (Absent | Authorised(_) | Declined(_) | Captured(_) | Voided(_), Input::BankRefused(reason)) => {
            return Err(Illegal::Bank(reason.clone()));
        }
        (Absent, Input::Command(Command::Capture) | Input::BankCaptured | Input::BankVoided)
        | (Authorised(_), Input::BankDeclined(_))
        | (
            Declined(_),
            Input::Command(Command::Capture) | Input::BankApproved(_) | Input::BankCaptured | Input::BankVoided,
        )
        | (Captured(_), Input::Command(Command::Void) | Input::BankDeclined(_) | Input::BankVoided)
        | (
            Voided(_),
            Input::Command(Command::Capture) | Input::BankApproved(_) | Input::BankDeclined(_) | Input::BankCaptured,
        ) => return illegal(),
    })
}

/// The fold. It is short, since each event says all there is to know.
pub fn evolve(event: &Event) -> Payment {
    match event {
        Event::Authorised(hold) => Payment::Authorised(hold.clone()),
        Event::Declined(refusal) => Payment::Declined(refusal.clone()),
        Event::Captured(hold) => Payment::Captured(hold.clone()),
        Event::Voided(hold) => Payment::Voided(hold.clone()),
    }
}

/// The attempt whose money is ours, if any.
fn captured(attempts: &BTreeMap<i32, Payment>) -> Option<i32> {
    attempts.iter().find(|(_, payment)| matches!(payment, Payment::Captured(_))).map(|(attempt, _)| *attempt)
}

impl Payment {
    /// As it stands in the store.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Absent => "ABSENT",
            Self::Authorised(_) => "AUTHORISED",
            Self::Declined(_) => "DECLINED",
            Self::Captured(_) => "CAPTURED",
            Self::Voided(_) => "VOIDED",
        }
    }
}

impl Input {
    const fn name(&self) -> &'static str {
        match self {
            Self::Command(Command::Authorise(_)) => "an authorisation",
            Self::Command(Command::Capture) => "a capture",
            Self::Command(Command::Void) => "a void",
            Self::BankApproved(_) => "the bank's approval",
            Self::BankDeclined(_) => "the bank's decline",
            Self::BankCaptured => "the bank's charge",
            Self::BankVoided => "the bank's release",
            Self::BankRefused(_) => "the bank's refusal",
        }
    }
}

#[cfg(test)]
mod tests;
