//! What the bank does when it is called, and how good the line is. Pure.
//!
//! | card | the bank and the line |
//! |---|---|
//! | approve | does as it is asked |
//! | decline, insufficient | declines |
//! | slow | does at once as it is asked, and every answer takes 3 s |
//! | unreachable | the first two calls *of each key* do not get through |
//! | lost | the first call *of each key* is obeyed, its answer gets lost |
//! | capture refused | approves, and refuses to hand over what it holds |
//!
//! A bad line is bad for whatever is said over it, so three of them meet captures,
//! voids and refunds as well as authorisations: a charge whose answer is lost is the
//! one that must not be made twice, and so is the refund.

use serde::{Deserialize, Serialize};

use super::{Answer, Operation, Request};
use crate::cards::{self, Conduct};
use crate::domain::Money;

/// Calls of one key that do not get through.
const UNREACHABLE: i64 = 2;
const NOTHING_HELD: &str = "nothing is held";
/// Why a capture is refused.
const WITHDRAWN: &str = "the bank has withdrawn its approval";

/// What the bank keeps under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// What was asked about.
    pub(super) amount: Money,
    /// What was answered; `None` if no call has got through yet.
    pub(super) answer: Option<Answer>,
    /// How often it was asked.
    pub(super) calls: i64,
}

/// Money of a card, held or taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) token: String,
    pub(super) authorisation_id: String,
    pub(super) amount: Money,
    pub(super) state: HoldState,
    /// Minor units given back of what was charged.
    pub(super) refunded: i64,
}

/// What has become of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// It stands.
    Held,
    /// The money is taken; all or part of it may have been given back.
    Charged,
    /// The money is let go.
    Released,
}

/// What comes of a call, line and all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It did not get through.
    NotThrough,
    /// It did, and this is what the bank says.
    Through(Answer, Line),
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// At once.
    Clear,
    /// It takes 3 s.
    Slow,
    /// It gets lost.
    Lost,
}

/// What one call comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) record: Record,
    /// Only if it changed.
    pub(super) hold: Option<Hold>,
    pub(super) reply: Reply,
}

/// Decides one call. `fresh_id` names the authorisation if one is made.
///
/// # Errors
/// What is asked makes no sense, whoever asks: there is nothing (any more) to
/// charge, to let go or to give back, or the key was used for something else.
pub(super) fn decide(
    record: Option<&Record>,
    hold: Option<&Hold>,
    request: &Request,
    fresh_id: String,
) -> Result<Decision, &'static str> {
    let (token, amount) = match (&request.operation, hold) {
        (Operation::Authorise { amount, token }, _) => (token, amount),
        (Operation::Capture | Operation::Void, Some(hold)) => (&hold.token, &hold.amount),
        (Operation::Refund { amount, .. }, Some(hold)) => (&hold.token, amount),
        (Operation::Capture | Operation::Void | Operation::Refund { .. }, None) => return Err(NOTHING_HELD),
    };
    if record.is_some_and(|record| record.amount != *amount) {
        return Err("this key was used for another amount");
    }
    let calls = record.map_or(0, |record| record.calls) + 1;
    let answered = record.and_then(|record| record.answer.clone());
    let record = |answer| Record { amount: amount.clone(), answer, calls };
    let conduct = cards::conduct(token);

    if conduct == Some(Conduct::Unreachable) && calls <= UNREACHABLE {
        return Ok(Decision { record: record(None), hold: None, reply: Reply::NotThrough });
    }
    let (answer, hold) = match answered {
        Some(answer) => (answer, None),
        None => execute(&request.operation, conduct, hold, fresh_id)?,
    };
    let line = line(conduct, calls);
    Ok(Decision { record: record(Some(answer.clone())), hold, reply: Reply::Through(answer, line) })
}

/// Does what is asked, for the first time, and gives the hold if it changed.
fn execute(
    operation: &Operation,
    conduct: Option<Conduct>,
    hold: Option<&Hold>,
    fresh_id: String,
) -> Result<(Answer, Option<Hold>), &'static str> {
    match (operation, hold) {
        (Operation::Authorise { amount, token }, _) => Ok(authorise(amount, token, conduct, fresh_id)),
        (Operation::Capture, Some(hold)) => capture(hold, conduct),
        (Operation::Void, Some(hold)) => void(hold),
        (Operation::Refund { amount, .. }, Some(hold)) => refund(hold, amount),
        (Operation::Capture | Operation::Void | Operation::Refund { .. }, None) => Err(NOTHING_HELD),
    }
}

fn authorise(amount: &Money, token: &str, conduct: Option<Conduct>, fresh_id: String) -> (Answer, Option<Hold>) {
    let declined = |reason: &str| (Answer::Declined { reason: reason.to_owned() }, None);
    match conduct {
        None => declined("the bank does not know this card"),
        Some(Conduct::Decline) => declined("the bank declined the card"),
        Some(Conduct::InsufficientFunds) => declined("there is not enough money on the card"),
        Some(
            Conduct::Approve | Conduct::Slow | Conduct::Unreachable | Conduct::LostAnswer | Conduct::RefuseCapture,
        ) => {
            let hold = Hold {
                token: token.to_owned(),
                authorisation_id: fresh_id.clone(),
                amount: amount.clone(),
                state: HoldState::Held,
                refunded: 0,
            };
            (Answer::Approved { authorisation_id: fresh_id }, Some(hold))
        }
    }
}

fn capture(hold: &Hold, conduct: Option<Conduct>) -> Result<(Answer, Option<Hold>), &'static str> {
    match hold.state {
        HoldState::Held if conduct == Some(Conduct::RefuseCapture) => {
            Ok((Answer::CaptureRefused { reason: WITHDRAWN.to_owned() }, None))
        }
        HoldState::Held => Ok((Answer::Captured, Some(Hold { state: HoldState::Charged, ..hold.clone() }))),
        HoldState::Charged => Ok((Answer::Captured, None)),
        HoldState::Released => Err("what was held has been let go"),
    }
}

fn void(hold: &Hold) -> Result<(Answer, Option<Hold>), &'static str> {
    match hold.state {
        HoldState::Held => Ok((Answer::Voided, Some(Hold { state: HoldState::Released, ..hold.clone() }))),
        HoldState::Released => Ok((Answer::Voided, None)),
        HoldState::Charged => Err("what was held has been taken"),
    }
}

/// A refund that was made before never comes here: its key has the answer.
fn refund(hold: &Hold, amount: &Money) -> Result<(Answer, Option<Hold>), &'static str> {
    match hold.state {
        HoldState::Held => Err("what is held has not been taken"),
        HoldState::Released => Err("what was held has been let go"),
        HoldState::Charged if amount.currency != hold.amount.currency => Err("it was taken in another currency"),
        HoldState::Charged if (1..=hold.amount.amount - hold.refunded).contains(&amount.amount) => {
            Ok((Answer::Refunded, Some(Hold { refunded: hold.refunded + amount.amount, ..hold.clone() })))
        }
        HoldState::Charged => Err("less than that is left to give back"),
    }
}

/// How the answer to the `calls`th call of a key travels.
fn line(conduct: Option<Conduct>, calls: i64) -> Line {
    match conduct {
        Some(Conduct::LostAnswer) if calls == 1 => Line::Lost,
        Some(Conduct::Slow) => Line::Slow,
        Some(
            Conduct::Approve
            | Conduct::Decline
            | Conduct::InsufficientFunds
            | Conduct::Unreachable
            | Conduct::LostAnswer
            | Conduct::RefuseCapture,
        )
        | None => Line::Clear,
    }
}

impl HoldState {
    /// As it stands in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Charged => "CHARGED",
            Self::Released => "RELEASED",
        }
    }

    /// The state behind a column's text.
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Held, Self::Charged, Self::Released].into_iter().find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests;
