//! What a service plugs into the platform: the [`Service`] trait.
//!
//! A service is a set of pure decisions over states that are loaded and saved as
//! sets. Everything else (batching, transactions, conflicts, the outbox, the
//! inbox, retries, parking, timers, external calls) is the same for all services
//! and lives in the [service loop](crate::service_loop).

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bus::{Timer, TimerKey};
use crate::clock::Millis;
use crate::error::{Rejection, Unavailable};
use crate::message::{Envelope, Malformed, Outgoing, fresh_id};
use crate::store::outbox::Outlet;
use crate::store::{Db, Migration, StoreError, Tx};

/// What a service is called, owns, hears and says. Declared in code, once.
#[derive(Debug)]
pub struct Spec {
    /// Its name; also the name of its consumer group.
    pub name: &'static str,
    /// The streams it listens to.
    pub hears: &'static [&'static str],
    /// The stream into which its delay queue fires.
    pub timers: &'static str,
    /// Its ways out.
    pub outlets: &'static [Outlet],
    /// Its own tables.
    pub migrations: &'static [Migration],
}

/// Time and fresh ids, handed into a decision as arguments.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// When the batch is decided, Unix milliseconds.
    pub now: Millis,
}

impl Moment {
    /// A fresh UUIDv7.
    pub fn fresh_id(&self) -> String {
        fresh_id()
    }
}

/// What a message means to the service that heard it.
#[derive(Debug, Clone)]
pub enum Heard<I> {
    /// Something to decide.
    Input(I),
    /// Nothing to this service, such as a type it does not know (yet).
    Ignored,
}

/// What a decision wants done, beside the changes in the batch's states.
#[derive(Debug)]
pub struct Effects<R> {
    /// The answer to a command.
    pub reply: Option<R>,
    /// Messages for the outbox, in order.
    pub messages: Vec<Outgoing>,
    /// Timers to set, after the commit. Their due times stand in saved rows.
    pub timers: Vec<Timer>,
    /// Timers no longer needed; only saves the work of disobeying them.
    pub cancelled: Vec<TimerKey>,
}

impl<R> Default for Effects<R> {
    fn default() -> Self {
        Self { reply: None, messages: Vec::new(), timers: Vec::new(), cancelled: Vec::new() }
    }
}

/// What a decision comes to.
#[derive(Debug)]
pub enum Outcome<R, C> {
    /// Decided.
    Done(Effects<R>),
    /// It needs an answer from outside first. No state was changed; the answer
    /// comes back as an input in the place of this one.
    Call(C),
}

/// One topic's announcement: topic and text.
pub type Announcement = (&'static str, String);

/// A service, as the loop sees it.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Everything that can be decided: commands, events, timers, answers.
    type Input: Send + Sync + 'static;
    /// The answer to a command; stored with its idempotency key.
    type Reply: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
    /// The states that a batch touches: loaded, overlaid, saved.
    type Batch: Send + Sync;
    /// A question to the outside world.
    type Call: Send + 'static;

    /// Its declaration.
    fn spec(&self) -> &'static Spec;

    /// Translates a message. See a service's `consumer.rs`.
    ///
    /// # Errors
    /// The payload is not of its type: a dead letter at once.
    fn hear(&self, message: &Envelope) -> Result<Heard<Self::Input>, Malformed>;

    /// Translates a fired timer; `None` if it means nothing (any more).
    fn wake(&self, timer: &Timer) -> Option<Self::Input>;

    /// Loads what the inputs touch, set-based, one statement a table.
    ///
    /// # Errors
    /// As the store answers.
    async fn load(&self, tx: &mut Tx, inputs: &[&Self::Input]) -> Result<Self::Batch, StoreError>;

    /// Decides one input over the batch as earlier inputs left it. Pure. On a
    /// rejection the batch must be as it was.
    ///
    /// # Errors
    /// The business says no.
    fn decide(
        &self,
        batch: &mut Self::Batch,
        input: &Self::Input,
        moment: Moment,
    ) -> Result<Outcome<Self::Reply, Self::Call>, Rejection>;

    /// Messages about the batch as a whole, said once after its last input, such
    /// as the final level of something that many inputs changed.
    fn closing(&self, _batch: &mut Self::Batch) -> Vec<Outgoing> {
        Vec::new()
    }

    /// Saves what changed, set-based, each key once.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a row was not as it was loaded.
    async fn save(&self, tx: &mut Tx, batch: &Self::Batch, moment: Moment) -> Result<(), StoreError>;

    /// Asks the outside world. Runs beside the loop, never in it; may be asked
    /// again for the same input, so it carries an idempotency key.
    ///
    /// # Errors
    /// No definite answer; the input is parked and tried again.
    async fn call(&self, call: Self::Call) -> Result<Self::Input, Unavailable>;

    /// The timers that stand in the service's rows, due before `before`: the
    /// truth that the delay queue is an index over.
    ///
    /// # Errors
    /// As the store answers.
    async fn timers(&self, _db: &Db, _before: Millis) -> Result<Vec<Timer>, StoreError> {
        Ok(Vec::new())
    }

    /// What to tell those who watch, after the commit. Losing it loses nothing.
    fn announcements(&self, _batch: &Self::Batch) -> Vec<Announcement> {
        Vec::new()
    }
}
