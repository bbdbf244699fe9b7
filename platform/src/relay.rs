//! The **relay**: publishes outbox rows, in order per subject, until they are
//! settled.
//!
//! The service loop hands over the rows of each committed batch; they go straight
//! to the bus. Rows that were not handed over (written before a crash, by another
//! replica, or while the bus was away) are found by a *sweep* over the table: every
//! now and then, and at once when the replica that wrote them gives a
//! [hint](crate::runtime::hints). Rows are marked by id. There is no "greater than the last id seen": the order of ids
//! is not the order of commits, and a row that commits late would be skipped.
//!
//! A row is *settled* once every declared group has acked it, and only then
//! deleted. When the broker has lost its memory, every row that is not settled is
//! published again, in order, before anything new.
//!
//! What is published is told to whoever tails (see [`crate::ops`]). While an injected
//! fault pauses the relay, nothing is published; the rows pile up and are found by the
//! sweep that follows.
//!
//! A relay that slept through its lease may publish once more what its successor has
//! published, and the inbox of the listener recognises it. What it *writes* is fenced
//! like any other commit: it marks and settles nothing that is not its own any more.
//!
//! # On crash
//! Between publishing and marking: the row is published twice, and the inbox of
//! the listener recognises the second.
//!
//! Chapter: `docs/outbox.md`.

mod marks;
mod sweep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, BusError, Entry};
use crate::delay_queue::DelayQueue;
use crate::ops::tail::Demand;
use crate::reader::switched;
use crate::runtime::hints::{self, Hints};
use crate::service::Spec;
use crate::store::outbox::{Mark, OutboxRow, Outlet};
use crate::store::{Db, StoreError};
use crate::tenure::Held;
use marks::Marks;

/// A row and the table it stands in.
pub(crate) type Row = (&'static str, OutboxRow);

/// Most rows published by one call.
const PUBLISH: usize = 4_096;
/// Between two rounds of marking, while there is something to mark.
const MARK_EVERY: Duration = Duration::from_millis(100);
/// Between two sweeps that were hinted at: what is hinted at meanwhile is one sweep.
const HINTED_EVERY: Duration = Duration::from_millis(10);

/// Where the loop hands rows over. Never blocks.
#[derive(Clone)]
pub(crate) struct RelayHandle {
    rows: mpsc::Sender<Vec<Row>>,
    /// Rows were not handed over for lack of room: a sweep must find them.
    missed: Arc<AtomicBool>,
}

impl RelayHandle {
    /// The handle, and what the relay takes.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Vec<Row>>, Arc<AtomicBool>) {
        let (rows, work) = mpsc::channel(64);
        let missed = Arc::new(AtomicBool::new(false));
        (Self { rows, missed: missed.clone() }, work, missed)
    }

    pub(crate) fn hand(&self, rows: Vec<Row>) {
        if !rows.is_empty() && self.rows.try_send(rows).is_err() {
            self.missed.store(true, Ordering::Release);
        }
    }
}

/// Why a session of the relay ended.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a lease is lost")]
    Fenced,
}

/// The relay of one service in one process.
pub(crate) struct Relay {
    pub(crate) spec: &'static Spec,
    pub(crate) db: Db,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) delay_queue: DelayQueue,
    pub(crate) held: watch::Receiver<Arc<Held>>,
    pub(crate) rows: mpsc::Receiver<Vec<Row>>,
    pub(crate) missed: Arc<AtomicBool>,
    /// Whether an injected fault pauses it.
    pub(crate) paused: watch::Receiver<bool>,
    /// Whether somebody tails.
    pub(crate) demand: Demand,
    /// Of other replicas, that they have written rows for us.
    pub(crate) hints: Hints,
    /// Where we give such hints.
    pub(crate) topic: String,
    /// Partitions per stream.
    pub(crate) partitions: u32,
    /// Between two sweeps for rows of other replicas.
    pub(crate) sweep_every: Duration,
}

/// Why a session of the relay ended without a fault.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// The loop has gone, and all it handed over is published.
    Done,
    /// To begin anew: other partitions are held now, or the relay is paused.
    Changed,
}

impl Relay {
    /// Relays until the loop has gone (its handle is dropped) and all it handed
    /// over is published, or, with the bus away, until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pause = Duration::from_millis(20);
        loop {
            let held = self.held.borrow_and_update().clone();
            let paused = *self.paused.borrow();
            if paused || held.is_empty() {
                drop(held);
                match self.stand_still(paused, &stop).await {
                    Ending::Done => return,
                    Ending::Changed => continue,
                }
            }
            let began = Instant::now();
            match self.session(&held).await {
                Ok(Ending::Done) => return,
                Ok(Ending::Changed) => {}
                Err(error) => {
                    if began.elapsed() > Duration::from_secs(5) {
                        pause = Duration::from_millis(20);
                    }
                    tracing::warn!(service = self.spec.name, %error, "relay interrupted; starting over");
                    drop(held);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(1)),
                    }
                }
            }
        }
    }

    /// Publishes nothing while it is paused or holds nothing. What is handed over
    /// meanwhile stands in the table, and is found there by a sweep: of the next session,
    /// or of the replica that holds the partition.
    async fn stand_still(&mut self, paused: bool, stop: &CancellationToken) -> Ending {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ending::Done,
                () = switched(&mut self.paused, !paused) => return Ending::Changed,
                changed = self.held.changed() => return if changed.is_err() { Ending::Done } else { Ending::Changed },
                rows = self.rows.recv() => match rows {
                    Some(_) if paused => {}
                    Some(rows) => self.hint(&elsewhere(&rows, &Held::new())).await,
                    None => return Ending::Done,
                },
            }
        }
    }

    /// From taking stock to the next interruption.
    async fn session(&mut self, held: &Held) -> Result<Ending, Interruption> {
        let (incarnation, mut marks) = self.take_bearings(held).await?;
        self.demand.listen(&*self.bus).await;
        // Before anything is published: a broker that is full refuses that, and what has been
        // acked must go on being settled and trimmed, or it stays full.
        marks.write(&self.db, &*self.bus).await?;
        self.sweep(held, &incarnation, &mut marks).await?;
        let shared = !self.db.is_exclusive();
        let mut mark_at = Instant::now() + MARK_EVERY;
        let mut swept = Instant::now();
        let mut sweep_at = swept + self.sweep_every;
        loop {
            if *self.paused.borrow() {
                marks.write(&self.db, &*self.bus).await?;
                return Ok(Ending::Changed);
            }
            if self.missed.swap(false, Ordering::AcqRel) {
                // Marked first, so that the sweep finds only what is new to us.
                marks.write(&self.db, &*self.bus).await?;
                self.sweep(held, &incarnation, &mut marks).await?;
                self.hint(&(0..self.partitions).filter(|partition| !held.contains_key(partition)).collect()).await;
            }
            tokio::select! {
                biased;
                // Before the rows, so that who began to tail sees all that came after.
                () = self.demand.asked(&*self.bus) => {}
                () = switched(&mut self.paused, true) => {}
                // These, too, or rows that never cease would keep them waiting.
                changed = self.held.changed() => {
                    marks.write(&self.db, &*self.bus).await?;
                    // The tenure ends just before a stop; what is left is found by
                    // the next holder's sweep.
                    return Ok(if changed.is_err() { Ending::Done } else { Ending::Changed });
                }
                () = self.hints.heard() => sweep_at = sweep_at.min(swept + HINTED_EVERY),
                () = tokio::time::sleep_until(sweep_at), if shared => {
                    self.sweep(held, &incarnation, &mut marks).await?;
                    swept = Instant::now();
                    sweep_at = swept + self.sweep_every;
                }
                () = tokio::time::sleep_until(mark_at), if marks.any() => {
                    let progress = marks.write_ripe(&self.db, &*self.bus).await?;
                    mark_at = Instant::now() + if progress { MARK_EVERY } else { MARK_EVERY * 10 };
                }
                rows = self.rows.recv() => {
                    let Some(mut rows) = rows else {
                        marks.write(&self.db, &*self.bus).await?;
                        return Ok(Ending::Done);
                    };
                    while rows.len() < PUBLISH {
                        let Ok(more) = self.rows.try_recv() else { break };
                        rows.extend(more);
                    }
                    let elsewhere = elsewhere(&rows, held);
                    rows.retain(|(table, row)| held.contains_key(&partition(row)) && !marks.knows(table, row.id));
                    let publish = self.publish(rows, &incarnation, &mut marks);
                    let (published, ()) = tokio::join!(publish, self.hint(&elsewhere));
                    published?;
                }
            }
            if !marks.any() {
                mark_at = Instant::now() + MARK_EVERY;
            }
        }
    }

    /// Publishes rows in their order and remembers where they came to stand.
    async fn publish(&self, rows: Vec<Row>, incarnation: &str, marks: &mut Marks) -> Result<(), Interruption> {
        if rows.is_empty() {
            return Ok(());
        }
        // A service writes to few streams: a list of them is quicker than a map.
        let mut streams: Vec<Arc<str>> = Vec::new();
        let mut keys = Vec::with_capacity(rows.len());
        let mut entries = Vec::with_capacity(rows.len());
        for (table, row) in rows {
            let stream = match streams.iter().find(|stream| ***stream == *row.stream) {
                Some(stream) => stream.clone(),
                None => {
                    let stream: Arc<str> = row.stream.as_str().into();
                    streams.push(stream.clone());
                    stream
                }
            };
            keys.push((table, row.id));
            entries.push(Entry { stream, partition: partition(&row), body: row.envelope });
        }
        let positions = self.bus.publish(incarnation, &entries).await?;
        self.demand.tell(&*self.bus, &entries).await;
        for (((table, id), entry), position) in keys.into_iter().zip(entries).zip(positions) {
            marks.published(table, entry.stream, entry.partition, Mark { id, position }, false);
        }
        Ok(())
    }

    /// Tells the other replicas of rows in partitions that are theirs.
    async fn hint(&self, partitions: &BTreeSet<u32>) {
        // Where nobody else can write there is nobody to tell.
        if !partitions.is_empty() && !self.db.is_exclusive() {
            hints::give(&*self.bus, &self.topic, hint_text(partitions)).await;
        }
    }

    /// The distinct tables of the service's outlets.
    fn tables(&self) -> Vec<Outlet> {
        let mut tables: Vec<Outlet> = Vec::new();
        for outlet in self.spec.outlets {
            if !tables.iter().any(|known| known.table == outlet.table) {
                tables.push(*outlet);
            }
        }
        tables
    }
}

fn partition(row: &OutboxRow) -> u32 {
    u32::try_from(row.partition).unwrap_or(0)
}

/// The partitions of rows that are not for us to publish.
fn elsewhere(rows: &[Row], held: &Held) -> BTreeSet<u32> {
    rows.iter().map(|(_, row)| partition(row)).filter(|partition| !held.contains_key(partition)).collect()
}

/// What a hint says: `0,3,7`.
fn hint_text(partitions: &BTreeSet<u32>) -> String {
    partitions.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Whether a hint speaks of something that is held.
pub(crate) fn hint_concerns(hint: &str, held: &Held) -> bool {
    hint.split(',').any(|partition| partition.parse().is_ok_and(|partition: u32| held.contains_key(&partition)))
}
