//! The embedded bus: a log with consumer groups inside this process.
//!
//! The same semantics as Redis Streams without a server. Entries live in memory
//! until every group of their stream has acked them; a group's *pending entries*
//! are given again, first and in order, to the next reader of the partition. A
//! stream that nobody listens to keeps nothing.
//!
//! With a path, one SQLite file is written *behind*: a second after a change and
//! at the end. It holds what was not settled then, so that a restart goes on where
//! it stopped, and needs no fsync of its own, because the outboxes cover its loss.
//! Most entries settle within that second and are never written; what is stuck is.
//! What the file must do is to make a loss *noticeable*; `embedded/file.rs`
//! tells how. Timers are not in it; the rows of their owners rebuild
//! the delay queue.
//!
//! Locks are held for moments only and never over I/O or waiting: one per
//! partition, one per delay queue. Their order: queue before partition.

mod delays;
mod file;
mod partition;
mod subscription;
mod topics;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, broadcast};
use tokio::task::AbortHandle;
use uuid::Uuid;

use self::delays::Delays;
use self::file::{File, Found};
use self::partition::{Partition, Restored};
use self::subscription::EmbeddedSubscription;
use self::topics::Topics;
use super::{Bus, BusError, Entry, Fired, GroupInfo, Inspection, Position, Subscription, Timer, TimerKey};
use crate::clock::Millis;
use crate::topology::{Topology, partition_of};

/// How long a change may wait for its writing.
const WRITE_BEHIND: Duration = Duration::from_secs(1);

/// The broker. See the [module](self).
pub struct EmbeddedBus {
    /// This opening's random word.
    epoch: String,
    /// The word that an intact file held.
    previous: Option<String>,
    declared: RwLock<Declared>,
    topics: Topics,
    file: Option<File>,
    /// Rung when the file falls behind.
    behind: Arc<Notify>,
    /// Ends the writing behind.
    writer: Mutex<Option<AbortHandle>>,
    /// Held while the file is brought up to date: one at a time, and whole.
    writing: tokio::sync::Mutex<()>,
}

/// What [`Bus::declare`] made.
#[derive(Default)]
struct Declared {
    /// `None` until the first declaration.
    partitions: Option<u32>,
    shelves: HashMap<Arc<str>, Arc<Shelf>>,
    /// From the file, for streams not declared yet.
    restored: HashMap<(String, u32), Restored>,
}

/// One stream.
struct Shelf {
    name: Arc<str>,
    partitions: Vec<Mutex<Partition>>,
    delays: Mutex<Delays>,
}

/// A panic elsewhere while the lock was held leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EmbeddedBus {
    /// A broker with the file at `path`, or in memory only. A file that is no
    /// database, or contradicts itself, is moved aside and a new one begun.
    ///
    /// # Errors
    /// If the file cannot be made or another process has it open.
    pub async fn open(path: Option<&Path>) -> Result<Arc<Self>, BusError> {
        let epoch = Uuid::new_v4().simple().to_string();
        let (file, found) = match path {
            Some(path) => {
                let (file, found) = File::open(path, &epoch).await?;
                (Some(file), found)
            }
            None => (None, Found::default()),
        };
        let declared = Declared { partitions: found.partitions, restored: found.logs, ..Declared::default() };
        let bus = Arc::new(Self {
            epoch,
            previous: found.previous,
            declared: RwLock::new(declared),
            topics: Topics::default(),
            file,
            behind: Arc::new(Notify::new()),
            writer: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        });
        if bus.file.is_some() {
            let writer = tokio::spawn(write_behind(Arc::downgrade(&bus), bus.behind.clone()));
            *lock(&bus.writer) = Some(writer.abort_handle());
        }
        Ok(bus)
    }

    fn shelf(&self, stream: &str) -> Result<Arc<Shelf>, BusError> {
        let declared = self.declared.read().unwrap_or_else(PoisonError::into_inner);
        declared.shelves.get(stream).cloned().ok_or_else(|| BusError::Broken(format!("no stream {stream:?}")))
    }

    /// The stream's partition and the group's index in it.
    fn place(&self, stream: &str, partition: u32, group: &str) -> Result<(Arc<Shelf>, usize), BusError> {
        let shelf = self.shelf(stream)?;
        let group = lock(shelf.log(partition)?)
            .group(group)
            .ok_or_else(|| BusError::Broken(format!("no group {group:?} listens to {stream:?}")))?;
        Ok((shelf, group))
    }

    fn shelves(&self) -> Vec<Arc<Shelf>> {
        let declared = self.declared.read().unwrap_or_else(PoisonError::into_inner);
        declared.shelves.values().cloned().collect()
    }

    fn changed(&self) {
        if self.file.is_some() {
            self.behind.notify_one();
        }
    }

    /// Brings the file up to date.
    ///
    /// # On crash
    /// One transaction: the file has all of it or nothing; either way it is a true
    /// picture of some moment, and [`Bus::lost_since`] tells who published later.
    async fn write(&self, _alone: &tokio::sync::MutexGuard<'_, ()>) -> Result<(), BusError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut changes = Vec::new();
        for shelf in self.shelves() {
            for (number, log) in shelf.partitions.iter().enumerate() {
                if let Some(unwritten) = lock(log).unwritten() {
                    changes.push((shelf.clone(), number, unwritten));
                }
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let rows = changes.iter().map(|(shelf, number, unwritten)| (&*shelf.name, *number, unwritten));
        let result = file.write(rows).await;
        for (shelf, number, unwritten) in &changes {
            lock(&shelf.partitions[*number]).wrote(unwritten.head, result.is_ok());
        }
        result
    }
}

impl Shelf {
    fn log(&self, partition: u32) -> Result<&Mutex<Partition>, BusError> {
        self.partitions
            .get(partition as usize)
            .ok_or_else(|| BusError::Broken(format!("{:?} has no partition {partition}", self.name)))
    }
}

impl Drop for EmbeddedBus {
    fn drop(&mut self) {
        if let Some(writer) = lock(&self.writer).take() {
            writer.abort();
        }
    }
}

/// Writes while there is a bus, a moment after each change.
async fn write_behind(bus: std::sync::Weak<EmbeddedBus>, behind: Arc<Notify>) {
    loop {
        behind.notified().await;
        tokio::time::sleep(WRITE_BEHIND).await;
        let Some(bus) = bus.upgrade() else { return };
        let alone = bus.writing.lock().await;
        if let Err(error) = bus.write(&alone).await {
            tracing::warn!(%error, "the embedded broker's file is behind; it is tried again");
            behind.notify_one();
        }
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        let count = topology.partitions.max(1);
        let known = self.declared.read().unwrap_or_else(PoisonError::into_inner).partitions;
        if let Some(known) = known.filter(|known| *known != count) {
            return Err(BusError::Broken(format!(
                "this broker was made with {known} partitions, not {count}: go on with {known}, or begin with a new one"
            )));
        }
        if let (Some(file), None) = (&self.file, known) {
            file.set_partitions(count).await?;
        }
        let mut declared = self.declared.write().unwrap_or_else(PoisonError::into_inner);
        declared.partitions = Some(count);
        for stream in &topology.streams {
            if let Some(shelf) = declared.shelves.get(stream.name.as_str()) {
                for log in &shelf.partitions {
                    let mut log = lock(log);
                    stream.groups.iter().for_each(|group| log.listen(group));
                }
                continue;
            }
            let mut make = |number| {
                let restored = declared.restored.remove(&(stream.name.clone(), number)).unwrap_or_default();
                Mutex::new(Partition::restore(restored, &stream.groups))
            };
            let partitions = (0..count).map(&mut make).collect();
            let name: Arc<str> = stream.name.as_str().into();
            let shelf = Arc::new(Shelf { name: name.clone(), partitions, delays: Mutex::default() });
            declared.shelves.insert(name, shelf);
        }
        drop(declared);
        self.changed();
        Ok(())
    }

    async fn incarnation(&self) -> Result<String, BusError> {
        Ok(self.epoch.clone())
    }

    async fn lost_since(&self, known: Option<&str>, newest: &[(Arc<str>, u32, Position)]) -> Result<bool, BusError> {
        let whole = known.is_some_and(|known| known == self.epoch || self.previous.as_deref() == Some(known));
        if !whole {
            return Ok(true);
        }
        for (stream, partition, position) in newest {
            if position.seq > lock(self.shelf(stream)?.log(*partition)?).head() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn publish(&self, known: &str, entries: &[Entry]) -> Result<Vec<Position>, BusError> {
        if known != self.epoch {
            return Err(BusError::Reborn);
        }
        // Neighbours mostly go to the same place: one look-up and one lock for a run
        // of them. All places are looked up first, so that nothing is half published.
        let runs = entries.chunk_by(|a, b| a.partition == b.partition && a.stream == b.stream);
        let places = runs
            .map(|run| {
                let shelf = self.shelf(&run[0].stream)?;
                shelf.log(run[0].partition)?;
                Ok((shelf, run))
            })
            .collect::<Result<Vec<_>, BusError>>()?;
        let mut positions = Vec::with_capacity(entries.len());
        for (shelf, run) in places {
            let mut log = lock(shelf.log(run[0].partition)?);
            for entry in run {
                positions.push(Position { ms: 0, seq: log.append(entry.body.clone()) });
            }
            log.wake();
        }
        self.changed();
        Ok(positions)
    }

    async fn subscribe(&self, group: &str, assigned: &[(Arc<str>, u32)]) -> Result<Box<dyn Subscription>, BusError> {
        let places = assigned
            .iter()
            .map(|(stream, partition)| {
                let (shelf, group) = self.place(stream, *partition, group)?;
                Ok((shelf, *partition, group))
            })
            .collect::<Result<_, BusError>>()?;
        Ok(Box::new(EmbeddedSubscription::new(places)))
    }

    async fn ack(&self, group: &str, done: &[(Arc<str>, u32, Position)]) -> Result<(), BusError> {
        for run in done.chunk_by(|a, b| a.1 == b.1 && a.0 == b.0) {
            let (stream, partition, _) = &run[0];
            let (shelf, group) = self.place(stream, *partition, group)?;
            lock(shelf.log(*partition)?).ack(group, run.iter().map(|(_, _, position)| position.seq));
        }
        self.changed();
        Ok(())
    }

    async fn settled(&self, stream: &str, partition: u32) -> Result<Option<Position>, BusError> {
        let seq = lock(self.shelf(stream)?.log(partition)?).settled();
        Ok((seq > 0).then_some(Position { ms: 0, seq }))
    }

    async fn trim(&self, stream: &str, partition: u32, up_to: Position) -> Result<(), BusError> {
        lock(self.shelf(stream)?.log(partition)?).trim(up_to.seq);
        self.changed();
        Ok(())
    }

    async fn schedule(&self, stream: &str, timers: &[Timer]) -> Result<(), BusError> {
        let shelf = self.shelf(stream)?;
        let mut delays = lock(&shelf.delays);
        timers.iter().for_each(|timer| delays.schedule(timer));
        Ok(())
    }

    async fn cancel(&self, stream: &str, keys: &[TimerKey]) -> Result<(), BusError> {
        let shelf = self.shelf(stream)?;
        let mut delays = lock(&shelf.delays);
        keys.iter().for_each(|key| delays.cancel(key));
        Ok(())
    }

    /// # On crash
    /// Both the queue and what it fired since the last writing are gone; the
    /// owner's rows still say what is due and rebuild the queue.
    async fn fire_due(&self, stream: &str, now: Millis, max: usize) -> Result<Fired, BusError> {
        let shelf = self.shelf(stream)?;
        let count = u32::try_from(shelf.partitions.len()).unwrap_or(u32::MAX);
        let mut delays = lock(&shelf.delays);
        let due: Vec<Timer> = std::iter::from_fn(|| delays.pop_due(now)).take(max).collect();
        let mut woken = vec![false; shelf.partitions.len()];
        for timer in &due {
            let body = serde_json::to_string(timer).map_err(|error| BusError::Broken(error.to_string()))?;
            let partition = partition_of(&timer.subject, count);
            lock(shelf.log(partition)?).append(body.into());
            woken[partition as usize] = true;
        }
        for (log, _) in shelf.partitions.iter().zip(woken).filter(|(_, woken)| *woken) {
            lock(log).wake();
        }
        let fired = Fired { count: due.len(), next_due: delays.next_due() };
        drop(delays);
        if fired.count > 0 {
            self.changed();
        }
        Ok(fired)
    }

    async fn announce(&self, topic: &str, bodies: &[String]) -> Result<(), BusError> {
        self.topics.announce(topic, bodies);
        Ok(())
    }

    async fn tail(&self, topic: &str) -> Result<broadcast::Receiver<Arc<str>>, BusError> {
        Ok(self.topics.tail(topic))
    }

    async fn inspect(&self) -> Result<Inspection, BusError> {
        let mut shelves = self.shelves();
        shelves.sort_by(|a, b| a.name.cmp(&b.name));
        let mut inspection = Inspection::default();
        for shelf in shelves {
            for (partition, log) in (0_u32..).zip(&shelf.partitions) {
                inspection.groups.extend(lock(log).standings().into_iter().map(|standing| GroupInfo {
                    stream: shelf.name.to_string(),
                    partition,
                    group: standing.group.to_string(),
                    length: standing.length,
                    lag: standing.lag,
                    pending: standing.pending,
                }));
            }
            inspection.delayed.push((shelf.name.to_string(), lock(&shelf.delays).len() as u64));
        }
        Ok(inspection)
    }

    async fn close(&self) -> Result<(), BusError> {
        // In this order, or a writing that is under way is cut off.
        let alone = self.writing.lock().await;
        if let Some(writer) = lock(&self.writer).take() {
            writer.abort();
        }
        self.write(&alone).await?;
        match &self.file {
            Some(file) => file.close().await,
            None => Ok(()),
        }
    }
}
