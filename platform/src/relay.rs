//! The **relay**: publishes outbox rows, in order per subject, until they are
//! settled.
//!
//! The service loop hands over the rows of each committed batch; they go straight
//! to the bus. Rows that were not handed over (written before a crash, by another
//! replica, or while the bus was away) are found by a *sweep* over the table. Rows
//! are marked by id. There is no "greater than the last id seen": the order of ids
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
//! # On crash
//! Between publishing and marking: the row is published twice, and the inbox of
//! the listener recognises the second.
//!
//! Chapter: `docs/outbox.md`.

mod marks;
mod sweep;

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
/// Between two sweeps for rows of other replicas.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

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
            let partitions: Vec<u32> = self.held.borrow_and_update().keys().copied().collect();
            if partitions.is_empty() {
                // Nothing to relay; whoever holds the partitions finds our rows.
                match self.held.changed().await {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
            if *self.paused.borrow() {
                match self.stand_still(&stop).await {
                    Ending::Done => return,
                    Ending::Changed => continue,
                }
            }
            let began = Instant::now();
            match self.session(&partitions).await {
                Ok(Ending::Done) => return,
                Ok(Ending::Changed) => {}
                Err(error) => {
                    if began.elapsed() > Duration::from_secs(5) {
                        pause = Duration::from_millis(20);
                    }
                    tracing::warn!(service = self.spec.name, %error, "relay interrupted; starting over");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(1)),
                    }
                }
            }
        }
    }

    /// Publishes nothing until the pause is over. What is handed over meanwhile stands in
    /// the table, and is found there by the sweep of the next session.
    async fn stand_still(&mut self, stop: &CancellationToken) -> Ending {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ending::Done,
                () = switched(&mut self.paused, false) => return Ending::Changed,
                rows = self.rows.recv() => if rows.is_none() {
                    return Ending::Done;
                },
            }
        }
    }

    /// From taking stock to the next interruption.
    async fn session(&mut self, partitions: &[u32]) -> Result<Ending, Interruption> {
        let (incarnation, mut marks) = self.take_bearings(partitions).await?;
        self.demand.listen(&*self.bus).await;
        self.sweep(partitions, &incarnation, &mut marks).await?;
        let shared = !self.db.is_exclusive();
        let mut mark_at = Instant::now() + MARK_EVERY;
        let mut sweep_at = Instant::now() + SWEEP_EVERY;
        loop {
            if *self.paused.borrow() {
                marks.write(&self.db, &*self.bus).await?;
                return Ok(Ending::Changed);
            }
            if self.missed.swap(false, Ordering::AcqRel) {
                // Marked first, so that the sweep finds only what is new to us.
                marks.write(&self.db, &*self.bus).await?;
                self.sweep(partitions, &incarnation, &mut marks).await?;
            }
            tokio::select! {
                biased;
                // Before the rows, so that who began to tail sees all that came after.
                () = self.demand.asked() => {}
                () = switched(&mut self.paused, true) => {}
                rows = self.rows.recv() => {
                    let Some(mut rows) = rows else {
                        marks.write(&self.db, &*self.bus).await?;
                        return Ok(Ending::Done);
                    };
                    while rows.len() < PUBLISH {
                        let Ok(more) = self.rows.try_recv() else { break };
                        rows.extend(more);
                    }
                    rows.retain(|(table, row)| {
                        u32::try_from(row.partition).is_ok_and(|partition| partitions.contains(&partition))
                            && !marks.knows(table, row.id)
                    });
                    self.publish(rows, &incarnation, &mut marks).await?;
                }
                changed = self.held.changed() => {
                    marks.write(&self.db, &*self.bus).await?;
                    // The tenure ends just before a stop; what is left is found by
                    // the next holder's sweep.
                    return Ok(if changed.is_err() { Ending::Done } else { Ending::Changed });
                }
                () = tokio::time::sleep_until(mark_at), if marks.any() => {
                    let progress = marks.write(&self.db, &*self.bus).await?;
                    mark_at = Instant::now() + if progress { MARK_EVERY } else { MARK_EVERY * 10 };
                }
                () = tokio::time::sleep_until(sweep_at), if shared => {
                    marks.write(&self.db, &*self.bus).await?;
                    self.sweep(partitions, &incarnation, &mut marks).await?;
                    sweep_at = Instant::now() + SWEEP_EVERY;
                }
            }
            if !marks.any() {
                mark_at = Instant::now() + MARK_EVERY;
            }
        }
    }

    /// Publishes rows in their order and remembers where they came to stand.
    async fn publish(&self, rows: Vec<Row>, incarnation: &str, marks: &mut Marks) -> Result<(), Interruption> {
        let mut streams: Vec<Arc<str>> = Vec::new();
        let entries: Vec<Entry> = rows
            .iter()
            .map(|(_, row)| {
                let stream = match streams.iter().find(|stream| ***stream == *row.stream) {
                    Some(stream) => stream.clone(),
                    None => {
                        let stream: Arc<str> = row.stream.as_str().into();
                        streams.push(stream.clone());
                        stream
                    }
                };
                Entry {
                    stream,
                    partition: u32::try_from(row.partition).unwrap_or(0),
                    body: row.envelope.as_str().into(),
                }
            })
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        let positions = self.bus.publish(incarnation, &entries).await?;
        self.demand.tell(&*self.bus, &entries).await;
        for (((table, row), entry), position) in rows.iter().zip(entries).zip(positions) {
            marks.published(table, entry.stream, entry.partition, Mark { id: row.id, position }, false);
        }
        Ok(())
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
