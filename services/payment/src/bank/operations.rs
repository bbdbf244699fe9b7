//! What the bank does when it is called, and how good the line is. Pure.
//!
//! | card | the bank and the line |
//! |---|---|
//! | approve | does as it is asked |
//! | decline, insufficient | declines |
//! | slow | the authorisation is made at once, its answer takes 3 s |
//! | unreachable | the first two calls *of each key* do not get through |
//! | lost | the first call *of each key* is obeyed, its answer gets lost |
//!
//! A bad line is bad for whatever is said over it, so the last two meet captures
//! and voids as well as authorisations: a charge whose answer is lost is the one
//! that must not be made twice.

use serde::{Deserialize, Serialize};

use super::{Answer, Operation, Request};
use crate::cards::{self, Conduct};
use crate::domain::Money;

/// Calls of one key that do not get through.
const UNREACHABLE: i64 = 2;

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
}

/// What has become of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// It stands.
    Held,
    /// The money is taken.
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
/// charge or to let go, or the key was used for something else.
pub(super) fn decide(
    record: Option<&Record>,
    hold: Option<&Hold>,
    request: &Request,
    fresh_id: String,
) -> Result<Decision, &'static str> {
    let (token, amount) = match (&request.operation, hold) {
        (Operation::Authorise { amount, token }, _) => (token, amount),
        (Operation::Capture | Operation::Void, Some(hold)) => (&hold.token, &hold.amount),
        (Operation::Capture | Operation::Void, None) => return Err("nothing is held"),
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
    let line = line(conduct, &request.operation, calls);
    Ok(Decision { record: record(Some(answer.clone())), hold, reply: Reply::Through(answer, line) })
}

/// Does what is asked, for the first time, and gives the hold if it changed.
fn execute(
    operation: &Operation,
    conduct: Option<Conduct>,
    hold: Option<&Hold>,
    fresh_id: String,
) -> Result<(Answer, Option<Hold>), &'static str> {
    let declined = |reason: &str| Ok((Answer::Declined { reason: reason.to_owned() }, None));
    match operation {
        Operation::Authorise { amount, token } => match conduct {
            None => declined("the bank does not know this card"),
            Some(Conduct::Decline) => declined("the bank declined the card"),
            Some(Conduct::InsufficientFunds) => declined("there is not enough money on the card"),
            Some(Conduct::Approve | Conduct::Slow | Conduct::Unreachable | Conduct::LostAnswer) => {
                let hold = Hold {
                    token: token.clone(),
                    authorisation_id: fresh_id.clone(),
                    amount: amount.clone(),
                    state: HoldState::Held,
                };
                Ok((Answer::Approved { authorisation_id: fresh_id }, Some(hold)))
            }
        },
        Operation::Capture => match hold.map(|hold| hold.state) {
            Some(HoldState::Held) => Ok((Answer::Captured, changed(hold, HoldState::Charged))),
            Some(HoldState::Charged) => Ok((Answer::Captured, None)),
            Some(HoldState::Released) => Err("what was held has been let go"),
            None => Err("nothing is held"),
        },
        Operation::Void => match hold.map(|hold| hold.state) {
            Some(HoldState::Held) => Ok((Answer::Voided, changed(hold, HoldState::Released))),
            Some(HoldState::Released) => Ok((Answer::Voided, None)),
            Some(HoldState::Charged) => Err("what was held has been taken"),
            None => Err("nothing is held"),
        },
    }
}

fn changed(hold: Option<&Hold>, state: HoldState) -> Option<Hold> {
    hold.map(|hold| Hold { state, ..hold.clone() })
}

/// How the answer to the `calls`th call of a key travels.
fn line(conduct: Option<Conduct>, operation: &Operation, calls: i64) -> Line {
    match (conduct, operation) {
        (Some(Conduct::LostAnswer), _) if calls == 1 => Line::Lost,
        (Some(Conduct::Slow), Operation::Authorise { .. }) => Line::Slow,
        _ => Line::Clear,
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
mod tests {
    use super::*;

    fn request(operation: Operation) -> Request {
        Request { order_id: "o-1".into(), attempt: 1, operation }
    }

    fn authorise(amount: i64, token: &str) -> Request {
        request(Operation::Authorise { amount: Money { amount, currency: "GBP".into() }, token: token.into() })
    }

    #[test]
    fn a_key_that_is_used_again_gives_the_first_answer_and_moves_nothing() {
        let call = authorise(100, "tok_approve_4242");
        let first = decide(None, None, &call, "auth_1".into()).expect("approved");
        let again = decide(Some(&first.record), first.hold.as_ref(), &call, "auth_2".into()).expect("approved");
        assert_eq!(again.reply, first.reply);
        assert_eq!(again.hold, None);
        assert_eq!(again.record.calls, 2);
    }

    #[test]
    fn a_key_that_is_used_for_another_amount_is_refused() {
        let first = decide(None, None, &authorise(100, "tok_approve_4242"), "auth_1".into()).expect("approved");
        let other = authorise(101, "tok_approve_4242");
        assert!(decide(Some(&first.record), first.hold.as_ref(), &other, "auth_2".into()).is_err());
    }

    #[test]
    fn what_is_let_go_cannot_be_charged_and_what_is_charged_cannot_be_let_go() {
        let held = decide(None, None, &authorise(100, "tok_approve_4242"), "auth_1".into()).expect("approved").hold;
        for (first, then) in [(Operation::Capture, Operation::Void), (Operation::Void, Operation::Capture)] {
            let done = decide(None, held.as_ref(), &request(first), String::new()).expect("done");
            assert!(decide(None, done.hold.as_ref(), &request(then), String::new()).is_err());
        }
        for operation in [Operation::Capture, Operation::Void] {
            assert_eq!(decide(None, None, &request(operation), String::new()), Err("nothing is held"));
        }
    }

    #[test]
    fn a_token_that_it_never_gave_out_is_declined() {
        let declined = decide(None, None, &authorise(100, "tok_made_up"), "auth_1".into()).expect("an answer");
        assert!(matches!(declined.reply, Reply::Through(Answer::Declined { .. }, Line::Clear)), "{declined:?}");
        assert_eq!(declined.hold, None);
    }
}
