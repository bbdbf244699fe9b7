//! What an **operator** does with parked messages: redrive, discard, edit.
//!
//! Done by the loop and not beside it, as a unit of work of its own: so nothing is
//! decided about the same line at the same time in this process. The holder of the
//! line's partition may be another process; it is kept from committing for the length
//! of the transaction (`hold_still`), and what it had read before is recognised as old
//! when it comes to commit: by the inbox, the attempts, and the text.
//!
//! None of this is a message, so nothing here stands in the outbox. A redrive only
//! makes the row due; its timer brings it back as any other retry.
//!
//! Chapter: `docs/parked.md`.

use tokio::sync::{mpsc, oneshot};

use super::item::{UNREADABLE, hear};
use super::{CONFLICTS, Intake, Parts, Patience, ServiceLoop};
use crate::bus::Timer;
use crate::clock::Millis;
use crate::delay_queue::redrive_now;
use crate::error::{Failure, Rejection, Unavailable};
use crate::message::Envelope;
use crate::service::Service;
use crate::store::inbox::{self, Line};
use crate::store::parked::{self, Parked, State};
use crate::store::{StoreError, lease};
use crate::tenure::lease_name;
use crate::topology::partition_of;

/// Commands of operators that may wait; one more is told OVERLOADED.
const COMMANDS: usize = 64;

/// A NUL as it is written in JSON.
const NUL: &str = r"\u0000";

/// What shall become of a parked message.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    /// Try it again, now.
    Redrive,
    /// Give it up; its line goes on.
    Discard,
    /// Put this envelope in the place of its own.
    Edit(String),
}

/// An operator's command on its way into the loop.
pub(crate) struct OperatorCommand {
    line: Line,
    sequence: i64,
    wish: Wish,
    reply: oneshot::Sender<Result<(), Failure>>,
}

/// Where operators' commands enter. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operator {
    commands: mpsc::Sender<OperatorCommand>,
}

impl Operator {
    /// The handle, and what the loop takes.
    pub(super) fn new() -> (Self, mpsc::Receiver<OperatorCommand>) {
        let (commands, work) = mpsc::channel(COMMANDS);
        (Self { commands }, work)
    }

    /// Waits until it is done and committed. Asking again is harmless: a second
    /// redrive or edit says the same, a second discard finds nothing.
    ///
    /// # Errors
    /// NOT_FOUND: nothing is parked there. CONFLICT: it stands behind another. BAD_INPUT:
    /// an envelope that cannot stand in its place. Or unavailability; then it is unknown
    /// whether it was done.
    pub(crate) async fn ask(&self, line: Line, sequence: i64, wish: Wish) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(OperatorCommand { line, sequence, wish, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::overloaded("the queue of operators is full"),
            mpsc::error::TrySendError::Closed(_) => Unavailable::new("the service is stopping"),
        })?;
        answer.await.map_err(|_| Unavailable::new("the service stopped before it answered"))?
    }
}

impl<S: Service> ServiceLoop<S> {
    /// Obeys an operator and answers.
    ///
    /// # On crash
    /// Before the commit nothing has happened. After it the rows say all of it: a timer
    /// that was not set any more is set by the mover's rebuild.
    pub(super) async fn obey(&self, command: OperatorCommand) {
        let mut patience = Patience::default();
        let result = loop {
            match self.parts.attempt_operator(&command).await {
                Ok(Ok(timers)) => {
                    self.parts.delay_queue.schedule(timers);
                    break Ok(());
                }
                Ok(Err(rejection)) => break Err(rejection.into()),
                Err(StoreError::Conflict(_) | StoreError::Unknown(_)) if patience.conflicts < CONFLICTS => {
                    patience.conflict().await;
                }
                Err(error) => {
                    break Err(Unavailable::new(format!("store of {}: {error}", self.name())).into());
                }
            }
        };
        // Who asked may have gone; it is done all the same.
        let _ = command.reply.send(result);
    }
}

impl<S: Service> Parts<S> {
    /// One transaction; gives the timers to set.
    async fn attempt_operator(&self, command: &OperatorCommand) -> Result<Result<Vec<Timer>, Rejection>, StoreError> {
        let OperatorCommand { line, sequence, wish, .. } = command;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        lease::hold_still(&mut tx, &lease_name(partition_of(&line.1, self.partitions))).await?;
        let key = (line.clone(), *sequence);
        let Some(row) = parked::find(&mut tx, &[(line, *sequence)]).await?.remove(&key) else {
            return Ok(Err(Rejection::not_found("no such message is parked (any more)")));
        };
        let first = parked::first_of_line(&mut tx, line).await?.unwrap_or(*sequence);
        let standing =
            Standing { row, first, last: inbox::load(&mut tx, [line]).await?.get(line).map_or(0, |at| at.last) };
        let step = match standing.judge(wish, now, |envelope| self.reads(envelope)) {
            Ok(step) => step,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let timers = match step {
            Step::Keep(row) => {
                parked::save(&mut tx, std::slice::from_ref(&row)).await?;
                row.next_due.map(|due| redrive_now(&line.0, &line.1, due)).into_iter().collect()
            }
            Step::Remove { moved } => {
                let removed = [(line.0.clone(), line.1.clone(), *sequence)];
                inbox::save(
                    &mut tx,
                    &moved.map(|(from, to)| (line.clone(), from, to)).into_iter().collect::<Vec<_>>(),
                    now,
                )
                .await?;
                parked::remove(&mut tx, &removed).await?;
                parked::promote(&mut tx, &removed, now).await?;
                // If nothing stood behind it, the timer finds no row and is disobeyed.
                vec![redrive_now(&line.0, &line.1, now)]
            }
        };
        tx.commit().await?;
        Ok(Ok(timers))
    }

    /// Whether the service can read an envelope at all.
    fn reads(&self, envelope: &Envelope) -> Result<(), String> {
        match hear(&*self.service, envelope) {
            Intake::Malformed(reason) | Intake::Failed(reason) => Err(reason),
            Intake::Input(_) | Intake::Ignored => Ok(()),
        }
    }
}

/// A parked message and its place in its line.
struct Standing {
    row: Parked,
    /// The first parked one of the line.
    first: i64,
    /// The last one of the line that was obeyed or discarded.
    last: i64,
}

/// What to do with the row.
#[derive(Debug, Clone)]
enum Step {
    /// Write it like this.
    Keep(Parked),
    /// Take it away, and move the line from here to there.
    Remove { moved: Option<(i64, i64)> },
}

impl Standing {
    /// Pure. `reads` tells whether the service can read an envelope.
    fn judge(
        self,
        wish: &Wish,
        now: Millis,
        reads: impl FnOnce(&Envelope) -> Result<(), String>,
    ) -> Result<Step, Rejection> {
        let Self { row, first, last } = self;
        let behind = |what: &str| {
            Rejection::conflict(format!(
                "it stands behind number {first} of its line and cannot be {what} before that one is done or discarded"
            ))
        };
        match wish {
            Wish::Redrive if row.sequence != first => Err(behind("tried")),
            Wish::Redrive => {
                Ok(Step::Keep(Parked { state: State::Retry.as_str().to_owned(), next_due: Some(now), ..row }))
            }
            Wish::Discard if row.sequence != first => Err(behind("discarded")),
            // Those between were never seen, and would be skipped with it.
            Wish::Discard if row.sequence > last + 1 => {
                Err(Rejection::conflict(format!("number {} of its line has not come yet", last + 1)))
            }
            Wish::Discard => Ok(Step::Remove { moved: (row.sequence > last).then_some((last, row.sequence)) }),
            Wish::Edit(text) => {
                edited(&row, text, reads)?;
                // Due at once, so that a try that is under way with the old text is
                // followed by one with the new. A dead letter stays one until a redrive.
                let next_due = row.next_due.map(|_| now);
                Ok(Step::Keep(Parked { envelope: text.clone(), next_due, ..row }))
            }
        }
    }
}

/// Refuses a text that cannot stand in the row's place.
fn edited(row: &Parked, text: &str, reads: impl FnOnce(&Envelope) -> Result<(), String>) -> Result<(), Rejection> {
    // Its place in the stream is all that it has of a line: nothing could be heard in it.
    if row.source.starts_with(UNREADABLE) {
        return Err(Rejection::conflict("it never was a message; discard it, and let its sender say it again"));
    }
    // A NUL would fail every set that it is written in, on Postgres. As JSON it can stand
    // there only in this form.
    if text.contains(NUL) {
        return Err(Rejection::bad_input("an envelope has no NUL in it"));
    }
    let envelope = Envelope::parse(text).map_err(|malformed| Rejection::bad_input(malformed.0))?;
    let place = (envelope.source.as_str(), envelope.subject.as_str(), envelope.sequence);
    if place != (row.source.as_str(), row.subject.as_str(), row.sequence) {
        return Err(Rejection::bad_input("source, subject and sequence are its place in its line and must stay"));
    }
    reads(&envelope).map_err(Rejection::bad_input)
}

#[cfg(test)]
mod tests;
