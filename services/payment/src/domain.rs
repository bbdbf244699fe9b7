//! An order's payments: a pure state machine per attempt.
//!
//! ```text
//!           approved ─► AUTHORISED ──── captured ────► CAPTURED ─┐ refunded: all or
//!          ╱              │     └ refused ─► CAPTURE_            │ part of it, 1, 2 …
//!   absent                │ voided           REFUSED    ▲────────┘
//!     │ │╲                ▼                     │ voided
//!     │ │ declined      VOIDED ◄────────────────┘
//!     │ └──► DECLINED     ▲
//!     └─ void ────────────┘ a tombstone
//! ```
//!
//! A *tombstone* is the mark of an undo that came before its do: the late do is
//! refused without asking the bank, or it would hold money that nobody will ever
//! let go.
//!
//! The two undos do not overlap. What is *held* is let go by a void, also when the
//! bank will not hand it over ([`Payment::CaptureRefused`] is still a hold). What is
//! *captured* is given back by refunds, each with a number of its own, and never
//! more than was captured.
//!
//! A command that changes something is first a question to the bank
//! ([`Decision::Ask`]); its answer comes back as an input and only then is
//! anything recorded. A repeated command is told again how the payment stands, and
//! changes nothing. What makes no sense is [`Illegal`].

mod decide;
pub mod ledger;

use std::collections::BTreeMap;

pub use decide::{Illegal, decide, evolve};

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

/// Money that is ours, and what of it was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// What was captured, all of it.
    pub hold: Hold,
    /// Minor units given back, by the number of the refund, in the hold's currency.
    pub refunds: BTreeMap<i32, i64>,
}

/// Money to give back, or given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// From 1, within the order. The same number is the same refund.
    pub number: i32,
    /// How much.
    pub amount: Money,
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
    Captured(Charge),
    /// The bank holds the money and will not hand it over.
    CaptureRefused {
        /// What it still holds.
        hold: Hold,
        /// For people.
        reason: String,
    },
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
    /// Give back what was taken, all or part of it.
    Refund(Refund),
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
    /// The bank will not hand over what it holds, for this reason, and never will.
    BankRefusedCapture(String),
    /// The bank has let go of it.
    BankVoided,
    /// The bank has given it back.
    BankRefunded(Refund),
    /// To the bank the question makes no sense, and never will. None of the test
    /// cards leads here; books that differ do.
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
    /// The money is held and will never be ours.
    CaptureRefused {
        /// What the bank holds.
        hold: Hold,
        /// For people.
        reason: String,
    },
    /// The money is let go; `None`: none was held.
    Voided(Option<Hold>),
    /// Money is given back.
    Refunded {
        /// The charge with all its refunds, this one among them.
        charge: Charge,
        /// This one.
        refund: Refund,
    },
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

impl Charge {
    /// Money that was just captured.
    pub const fn new(hold: Hold) -> Self {
        Self { hold, refunds: BTreeMap::new() }
    }

    /// Minor units that have not been given back.
    pub fn left(&self) -> i64 {
        self.hold.offer.amount.amount - self.refunds.values().sum::<i64>()
    }
}

impl Payment {
    /// As it stands in the store.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Absent => "ABSENT",
            Self::Authorised(_) => "AUTHORISED",
            Self::Declined(_) => "DECLINED",
            Self::Captured(_) => "CAPTURED",
            Self::CaptureRefused { .. } => "CAPTURE_REFUSED",
            Self::Voided(_) => "VOIDED",
        }
    }
}

#[cfg(test)]
mod tests;
