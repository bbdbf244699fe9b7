//! The bus: the port through which messages travel, with two adapters.
//!
//! The store is the truth, the bus is transport: whatever it loses, the outboxes
//! publish again. The semantics are those of a log with consumer groups: entries
//! have positions, each group has its own place in each partition, an entry that
//! was delivered and not acked is *pending* and is delivered again first when the
//! partition gets a new reader.
//!
//! Adapters: [`embedded`] (in this process) and [`redis`](mod@redis) (Redis Streams). Both
//! pass the one contract suite in `tests/it/bus_contract.rs`.

pub mod embedded;
pub mod redis;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::clock::Millis;
use crate::topology::Topology;

/// An entry's place in its partition. Sortable; larger is later.
///
/// Redis calls it an entry id, `<ms>-<seq>`; the embedded bus counts in `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Milliseconds part.
    pub ms: u64,
    /// Sequence part.
    pub seq: u64,
}

/// Zero-padded, so that the text sorts like the position.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:020}", self.ms, self.seq)
    }
}

impl FromStr for Position {
    type Err = BusError;

    fn from_str(text: &str) -> Result<Self, BusError> {
        text.split_once('-')
            .and_then(|(ms, seq)| Some(Self { ms: ms.parse().ok()?, seq: seq.parse().ok()? }))
            .ok_or_else(|| BusError::Broken(format!("{text:?} is no position")))
    }
}

/// Something to publish.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The stream's declared name, without partition.
    pub stream: Arc<str>,
    /// Which partition of it.
    pub partition: u32,
    /// The text to carry.
    pub body: Arc<str>,
}

/// Something delivered to a group: pending until it is acked.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The stream's declared name, without partition.
    pub stream: Arc<str>,
    /// Which partition of it.
    pub partition: u32,
    /// Where in it.
    pub position: Position,
    /// The text; `None` if the entry was trimmed away while it was pending.
    pub body: Option<Arc<str>>,
}

/// What the delay queue holds: fires at `due`, into the queue's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// The aggregate's id.
    pub subject: String,
    /// What waits.
    pub kind: String,
    /// Which try of it; (subject, kind, attempt) is the upsert key.
    pub attempt: i64,
    /// When. The fired message carries it; it is obeyed only if the row agrees.
    pub due: Millis,
}

/// The key of a timer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerKey {
    /// The aggregate's id.
    pub subject: String,
    /// What waits.
    pub kind: String,
    /// Which try of it.
    pub attempt: i64,
}

impl Timer {
    /// The key that schedule and cancel go by.
    pub fn key(&self) -> TimerKey {
        TimerKey { subject: self.subject.clone(), kind: self.kind.clone(), attempt: self.attempt }
    }
}

/// What [`Bus::fire_due`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired {
    /// How many timers were moved into the stream.
    pub count: usize,
    /// When the next one is due, if any is left.
    pub next_due: Option<Millis>,
}

/// One group's standing in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupInfo {
    /// The stream's declared name.
    pub stream: String,
    /// Which partition.
    pub partition: u32,
    /// The group.
    pub group: String,
    /// Entries in the partition.
    pub length: u64,
    /// Entries not yet delivered to the group.
    pub lag: u64,
    /// Entries delivered and not acked.
    pub pending: u64,
}

/// What can be seen from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Every group of every partition.
    pub groups: Vec<GroupInfo>,
    /// Delay queue name and number of timers in it.
    pub delayed: Vec<(String, u64)>,
}

/// What can go wrong with a bus.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// The broker is not the one the caller knew: it lost its memory, or may have.
    /// Publish again what is not settled.
    #[error("the broker has lost its memory")]
    Reborn,
    /// The broker cannot be reached now. Retry.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    /// The broker answered something that it should not.
    #[error("the broker is broken: {0}")]
    Broken(String),
}

/// The port. Every call may be retried; publishing twice is allowed, the inbox
/// of the listener sorts it out.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Makes every stream, partition and group that is missing, groups at `0`.
    /// Must have succeeded before anything else is called.
    ///
    /// # Errors
    /// Also if the broker was made with another number of partitions.
    async fn declare(&self, topology: &Topology) -> Result<(), BusError>;

    /// A random word that lives as long as the broker's memory is whole.
    async fn incarnation(&self) -> Result<String, BusError>;

    /// Whether something published under `known` may be gone. `newest` are the
    /// last positions that the asker knows to have published.
    async fn lost_since(&self, known: Option<&str>, newest: &[(Arc<str>, u32, Position)]) -> Result<bool, BusError>;

    /// Appends the entries in order and says where they came to stand.
    ///
    /// # Errors
    /// [`BusError::Reborn`] if the broker's incarnation is not `known`; then
    /// nothing was published. On any other error some may have been.
    async fn publish(&self, known: &str, entries: &[Entry]) -> Result<Vec<Position>, BusError>;

    /// Takes up reading for `group`: first everything pending, in order, whoever
    /// left it, then what is new. The caller holds the partitions' leases.
    async fn subscribe(&self, group: &str, assigned: &[(Arc<str>, u32)]) -> Result<Box<dyn Subscription>, BusError>;

    /// Marks deliveries as done for `group`.
    async fn ack(&self, group: &str, done: &[(Arc<str>, u32, Position)]) -> Result<(), BusError>;

    /// The position up to which every group of the partition has acked everything.
    /// `None` if nothing is settled yet. Where nobody listens, all that was published
    /// is settled. Compare it only with positions of the same incarnation.
    ///
    /// # Errors
    /// [`BusError::Reborn`] if the broker has forgotten the stream or a group of it.
    async fn settled(&self, stream: &str, partition: u32) -> Result<Option<Position>, BusError>;

    /// Frees entries up to and including `up_to`.
    async fn trim(&self, stream: &str, partition: u32, up_to: Position) -> Result<(), BusError>;

    /// Upserts timers into the delay queue of `stream` (where they will fire).
    async fn schedule(&self, stream: &str, timers: &[Timer]) -> Result<(), BusError>;

    /// Takes timers out. Unknown ones are ignored.
    async fn cancel(&self, stream: &str, keys: &[TimerKey]) -> Result<(), BusError>;

    /// Moves at most `max` due timers into the stream, atomically: a timer is in
    /// the queue or in the stream, never in neither.
    async fn fire_due(&self, stream: &str, now: Millis, max: usize) -> Result<Fired, BusError>;

    /// Tells everybody who tails `topic` right now; nothing is kept.
    async fn announce(&self, topic: &str, bodies: &[String]) -> Result<(), BusError>;

    /// Hears what is announced on `topic` from now on, in any process. The tail ends when
    /// something may have been missed (the connection broke, or the bus was closed): ask
    /// for a new one, then look at what it is about.
    async fn tail(&self, topic: &str) -> Result<broadcast::Receiver<Arc<str>>, BusError>;

    /// Lengths, lags and pending counts.
    async fn inspect(&self) -> Result<Inspection, BusError>;

    /// Writes down what a later process can use. For an orderly end.
    async fn close(&self) -> Result<(), BusError>;
}

/// A group's reading of its assigned partitions.
#[async_trait]
pub trait Subscription: Send {
    /// Waits until there is something, then gives at most `max` deliveries.
    /// Cancel-safe: what was not returned is returned by the next call, or delivered
    /// by a later subscription.
    ///
    /// # Errors
    /// After an error the subscription may be asked again: it pauses by itself while
    /// the broker is away, and then begins again with what is pending, so that what
    /// was given before the error and is not acked yet comes a second time.
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError>;
}
