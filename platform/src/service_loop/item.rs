//! An item of a batch: an input, and who wants to know what became of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::bus::{Position, Timer};
use crate::error::{Failure, Rejection, Unavailable};
use crate::message::{Envelope, Malformed};
use crate::service::{Heard, Service};
use crate::store::inbox::Line;
use crate::store::parked::Parked;
use crate::tenure::Hold;

/// A command on its way into the loop.
pub(crate) struct Command<S: Service> {
    pub(crate) id: String,
    pub(crate) fingerprint: String,
    pub(crate) input: S::Input,
    pub(crate) reply: oneshot::Sender<Result<S::Reply, Failure>>,
}

/// A question's answer on its way back, with the item that asked.
pub(crate) struct Answer<S: Service> {
    pub(crate) item: Item<S>,
    pub(crate) answer: Result<S::Input, Unavailable>,
}

/// What there is to decide.
pub(crate) enum Intake<I> {
    /// An input.
    Input(I),
    /// Nothing, but its sequence counts.
    Ignored,
    /// It can never be read: a dead letter.
    Malformed(String),
    /// It failed and shall be parked.
    Failed(String),
}

/// Where an input came from.
pub(crate) enum Origin<R> {
    Command { id: String, fingerprint: String, reply: oneshot::Sender<Result<R, Failure>> },
    Message(Letter),
    Timer(Timer),
}

/// A message, fresh from the bus or from the parked ones.
pub(crate) struct Letter {
    pub(crate) line: Line,
    pub(crate) sequence: i64,
    pub(crate) id: String,
    /// Its type; empty if it cannot be read.
    pub(crate) kind: String,
    pub(crate) stream: Arc<str>,
    pub(crate) body: Arc<str>,
    /// Set if this is a redrive.
    pub(crate) parked: Option<Box<Parked>>,
}

/// What has to be acked once the item is settled.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) stream: Arc<str>,
    pub(crate) partition: u32,
    pub(crate) position: Position,
    /// What it was read under; held until it is acked.
    pub(crate) hold: Hold,
}

pub(crate) struct Item<S: Service> {
    pub(crate) origin: Origin<S::Reply>,
    pub(crate) intake: Intake<S::Input>,
    pub(crate) receipts: Vec<Receipt>,
    /// It comes back from an external call, and its subject is held for it.
    pub(crate) is_answer: bool,
}

impl<S: Service> Item<S> {
    pub(crate) fn of_command(command: Command<S>) -> Self {
        let Command { id, fingerprint, input, reply } = command;
        Self {
            origin: Origin::Command { id, fingerprint, reply },
            intake: Intake::Input(input),
            receipts: Vec::new(),
            is_answer: false,
        }
    }

    /// A message as it was delivered; one that is no envelope gets a line of its
    /// own, so that it is parked alone.
    pub(crate) fn of_message(service: &S, body: Arc<str>, receipt: Receipt) -> Self {
        let (letter, intake) = match Envelope::read(&body).and_then(with_a_line) {
            Ok(envelope) => {
                let intake = hear(service, &envelope);
                (Letter::of(envelope, receipt.stream.clone(), body), intake)
            }
            Err(Malformed(reason)) => {
                let line =
                    (format!("{UNREADABLE}{}.{}", receipt.stream, receipt.partition), receipt.position.to_string());
                let letter = Letter {
                    line,
                    sequence: 1,
                    id: String::new(),
                    kind: String::new(),
                    stream: receipt.stream.clone(),
                    // Postgres keeps no NUL, and what cannot be parked stays pending for ever.
                    body: body.replace('\0', "\u{fffd}").into(),
                    parked: None,
                };
                (letter, Intake::Malformed(reason))
            }
        };
        Self { origin: Origin::Message(letter), intake, receipts: vec![receipt], is_answer: false }
    }

    /// A parked message that is tried again; `receipts` are those of its timer.
    pub(crate) fn of_parked(service: &S, parked: Parked, receipts: Vec<Receipt>) -> Self {
        let body: Arc<str> = parked.envelope.as_str().into();
        let stream: Arc<str> = parked.stream.as_str().into();
        let (id, kind, intake) = match Envelope::read(&body).and_then(with_a_line) {
            Ok(envelope) => {
                let intake = hear(service, &envelope);
                (envelope.id, envelope.kind, intake)
            }
            Err(Malformed(reason)) => (String::new(), String::new(), Intake::Malformed(reason)),
        };
        let line = (parked.source.clone(), parked.subject.clone());
        let letter = Letter { line, sequence: parked.sequence, id, kind, stream, body, parked: Some(Box::new(parked)) };
        Self { origin: Origin::Message(letter), intake, receipts, is_answer: false }
    }

    /// The line of a message.
    pub(super) fn line(&self) -> Option<&Line> {
        match &self.origin {
            Origin::Message(letter) => Some(&letter.line),
            Origin::Command { .. } | Origin::Timer(_) => None,
        }
    }

    /// Line and sequence of a parked message that is tried again.
    pub(super) fn redriven(&self) -> Option<(&Line, i64)> {
        match &self.origin {
            Origin::Message(letter) if letter.parked.is_some() => Some((&letter.line, letter.sequence)),
            Origin::Message(_) | Origin::Command { .. } | Origin::Timer(_) => None,
        }
    }

    /// The id under which a command's result is stored, if it is to be stored at all.
    pub(super) fn command_id(&self) -> Option<&str> {
        match &self.origin {
            Origin::Command { id, .. } => (!id.is_empty()).then_some(id),
            Origin::Message(_) | Origin::Timer(_) => None,
        }
    }

    /// What there is to decide, if there is.
    pub(super) const fn input(&self) -> Option<&S::Input> {
        match &self.intake {
            Intake::Input(input) => Some(input),
            Intake::Ignored | Intake::Malformed(_) | Intake::Failed(_) => None,
        }
    }

    /// The aggregate that external calls are serialised by.
    pub(crate) fn subject(&self) -> Option<&str> {
        match &self.origin {
            Origin::Message(letter) => Some(&letter.line.1),
            Origin::Command { .. } | Origin::Timer(_) => None,
        }
    }

    /// What later messages name as their cause.
    pub(crate) fn cause(&self) -> &str {
        match &self.origin {
            Origin::Command { id, .. } => id,
            Origin::Message(letter) => &letter.id,
            Origin::Timer(timer) => &timer.kind,
        }
    }

    /// For the log. Names no content.
    pub(crate) fn describe(&self) -> String {
        match &self.origin {
            Origin::Command { id, .. } => format!("command {id}"),
            Origin::Message(letter) => format!("message {} {}#{}", letter.line.0, letter.line.1, letter.sequence),
            Origin::Timer(timer) => format!("timer {} of {}", timer.kind, timer.subject),
        }
    }

    /// Answers a command; anything else has nobody to answer.
    pub(crate) fn reply(self, result: Result<S::Reply, Failure>) {
        if let Origin::Command { reply, .. } = self.origin {
            // The caller may have gone; the result is stored all the same.
            let _ = reply.send(result);
        }
    }

    /// Tells a command that it cannot be done now; gives anything else back.
    pub(crate) fn refuse_command(self, why: &Unavailable) -> Option<Self> {
        match self.origin {
            Origin::Command { .. } => {
                self.reply(Err(why.clone().into()));
                None
            }
            Origin::Message(_) | Origin::Timer(_) => Some(self),
        }
    }

    /// Whether it can be parked: a message that has not failed already. A timer is
    /// not parked: its row is still there, and the sweep will set it again.
    pub(crate) const fn can_be_parked(&self) -> bool {
        match (&self.origin, &self.intake) {
            (Origin::Message(_), Intake::Failed(_)) | (Origin::Command { .. } | Origin::Timer(_), _) => false,
            (Origin::Message(_), Intake::Input(_) | Intake::Ignored | Intake::Malformed(_)) => true,
        }
    }

    /// Turns a message into one that shall be parked.
    pub(crate) fn fail(mut self, cause: &str) -> Self {
        self.intake = Intake::Failed(cause.to_owned());
        self
    }
}

impl Letter {
    fn of(envelope: Envelope, stream: Arc<str>, body: Arc<str>) -> Self {
        let Envelope { id, kind, source, subject, sequence, .. } = envelope;
        Self { line: (source, subject), sequence, id, kind, stream, body, parked: None }
    }
}

/// Begins the source of what is no message of any line; its place in the stream follows.
pub(super) const UNREADABLE: &str = "unreadable:";

/// Longest source or subject in bytes. Both are a key, and Postgres indexes no key
/// of more than about 2,700 bytes.
const LONGEST_NAME: usize = 1_000;

/// An envelope whose line can be a key of the inbox, on either engine.
fn with_a_line(envelope: Envelope) -> Result<Envelope, Malformed> {
    for name in [&envelope.source, &envelope.subject] {
        if name.len() > LONGEST_NAME || name.contains('\0') {
            return Err(Malformed("its source or subject is too long or contains a NUL".to_owned()));
        }
    }
    Ok(envelope)
}

/// A panic is a fault of that message alone.
pub(super) fn hear<S: Service>(service: &S, envelope: &Envelope) -> Intake<S::Input> {
    match catch_unwind(AssertUnwindSafe(|| service.hear(envelope))) {
        Ok(Ok(Heard::Input(input))) => Intake::Input(input),
        Ok(Ok(Heard::Ignored)) => Intake::Ignored,
        Ok(Err(Malformed(reason))) => Intake::Malformed(reason),
        Err(panic) => Intake::Malformed(format!("hearing it panicked: {}", panic_text(&*panic))),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A result that is stored under a command's id.
pub(crate) type StoredResult<R> = Result<R, Rejection>;
