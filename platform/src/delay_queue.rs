//! The **delay queue**: everything that waits, fired when it is due.
//!
//! The truth is in the rows: whatever waits has its due time in its owner's row.
//! The delay queue is the *index* over them, kept by the bus (a sorted set): to
//! schedule is an upsert under (subject, kind, attempt), to cancel only saves
//! work. When an entry fires, its message is obeyed if and only if its due time
//! still equals the row's. So an index that has lost entries, kept old ones, or
//! has too many is only late or idle, never wrong; and it can always be rebuilt.
//!
//! The *mover* sleeps until the next due time and is woken by an earlier one. Where the
//! database is shared it looks at the head of the queue every second, too: another
//! process may have set an earlier timer, and died. It rebuilds the near future of the
//! index from the rows at start, after a loss, after the death of another process, and
//! in a slow sweep.
//!
//! Chapter: `docs/delay-queue.md`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, BusError, Timer, TimerKey};
use crate::clock::{Clock, Millis};
use crate::service::Service;
use crate::store::Db;
use crate::store::parked::{self, Parked};

/// Kind of the timers of parked messages; the message's source follows.
pub(crate) const REDRIVE: &str = "redrive:";

/// Between two sweeps, milliseconds. A rebuild looks two of them ahead.
const SWEEP: i64 = 60_000;
/// Between two looks for timers that other processes have set.
const LOOK: Duration = Duration::from_secs(1);
/// Most timers fired by one call.
const FIRE: usize = 1_000;

/// Where timers are set and taken back. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct DelayQueue {
    instructions: mpsc::UnboundedSender<Instruction>,
}

/// What the mover is told.
#[derive(Debug)]
pub(crate) enum Instruction {
    Schedule(Vec<Timer>),
    Cancel(Vec<TimerKey>),
    Rebuild,
}

impl DelayQueue {
    /// The handle, and what the mover takes.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Instruction>) {
        let (instructions, work) = mpsc::unbounded_channel();
        (Self { instructions }, work)
    }

    /// Sets timers whose due times stand in committed rows.
    ///
    /// # On crash
    /// A timer that was committed and not set is set by the next rebuild.
    pub fn schedule(&self, timers: Vec<Timer>) {
        if !timers.is_empty() {
            // Fails only after the mover has ended, at a stop.
            let _ = self.instructions.send(Instruction::Schedule(timers));
        }
    }

    /// Takes timers back. One that fires all the same is disobeyed.
    pub fn cancel(&self, keys: Vec<TimerKey>) {
        if !keys.is_empty() {
            let _ = self.instructions.send(Instruction::Cancel(keys));
        }
    }

    /// Asks for the index to be rebuilt: the bus has lost its memory, or somebody has died
    /// who may have committed a timer without setting it.
    pub fn rebuild(&self) {
        let _ = self.instructions.send(Instruction::Rebuild);
    }
}

/// The timer of a parked message, if it is to be tried again.
pub(crate) fn redrive_timer(parked: &Parked) -> Option<Timer> {
    Some(redrive_now(&parked.source, &parked.subject, parked.next_due?))
}

/// The timer that makes the first parked message of a line tried at `due`.
pub(crate) fn redrive_now(source: &str, subject: &str, due: Millis) -> Timer {
    Timer { subject: subject.to_owned(), kind: format!("{REDRIVE}{source}"), attempt: 0, due }
}

/// Moves what is due from the queue into the service's timer stream.
pub(crate) struct Mover<S: Service> {
    pub(crate) service: Arc<S>,
    pub(crate) db: Db,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Clock,
    pub(crate) partitions: u32,
}

impl<S: Service> Mover<S> {
    /// Runs until `stop`.
    pub(crate) async fn run(self, mut instructions: mpsc::UnboundedReceiver<Instruction>, stop: CancellationToken) {
        let mut pause = Duration::from_millis(20);
        while !stop.is_cancelled() {
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.session(&mut instructions) => outcome,
            };
            if let Err(cause) = outcome {
                tracing::warn!(service = self.service.spec().name, cause, "delay queue halted; rebuilding it");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(1)),
                }
            }
        }
    }

    /// From a rebuild to the next failure.
    async fn session(&self, instructions: &mut mpsc::UnboundedReceiver<Instruction>) -> Result<(), String> {
        let stream = self.service.spec().timers;
        let known = self.bus.incarnation().await.map_err(|error| error.to_string())?;
        let mut sweep_at = self.rebuild().await?;
        let mut next_due = Some(self.clock.now());
        let shared = !self.db.is_exclusive();
        let mut look_at = Instant::now() + LOOK;
        loop {
            if next_due.is_some_and(|due| due <= self.clock.now()) {
                // What we know to be due may have been forgotten with all the rest.
                if self.bus.incarnation().await.map_err(|error| error.to_string())? != known {
                    return Err(BusError::Reborn.to_string());
                }
                let fired =
                    self.bus.fire_due(stream, self.clock.now(), FIRE).await.map_err(|error| error.to_string())?;
                next_due = fired.next_due;
                look_at = Instant::now() + LOOK;
                continue;
            }
            let wake_at = next_due.map_or(sweep_at, |due| due.min(sweep_at));
            tokio::select! {
                instruction = instructions.recv() => {
                    // Closed at a stop: nothing more will be asked.
                    let Some(instruction) = instruction else { return std::future::pending().await };
                    let earliest = self.obey(instruction, instructions).await?;
                    next_due = match (next_due, earliest) {
                        (Some(next), Some(earliest)) => Some(next.min(earliest)),
                        (next, earliest) => next.or(earliest),
                    };
                }
                // Not by the shop's clock: the others go on while a test holds that still.
                () = tokio::time::sleep_until(look_at), if shared => next_due = Some(self.clock.now()),
                () = self.clock.sleep_until(wake_at) => {
                    if self.clock.now() >= sweep_at {
                        sweep_at = self.rebuild().await?;
                        next_due = Some(self.clock.now());
                    }
                }
            }
        }
    }

    /// Obeys an instruction and those that wait behind it; gives the earliest due time set.
    async fn obey(
        &self,
        instruction: Instruction,
        instructions: &mut mpsc::UnboundedReceiver<Instruction>,
    ) -> Result<Option<Millis>, String> {
        let stream = self.service.spec().timers;
        let mut earliest: Option<Millis> = None;
        let mut next = Some(instruction);
        let (mut timers, mut keys) = (Vec::new(), Vec::new());
        let mut rebuild = false;
        while let Some(instruction) = next {
            match instruction {
                // A key that is set after it was taken back must stay set.
                Instruction::Schedule(more) => {
                    if !keys.is_empty() {
                        self.bus.cancel(stream, &std::mem::take(&mut keys)).await.map_err(|error| error.to_string())?;
                    }
                    timers.extend(more);
                }
                Instruction::Cancel(more) => {
                    keys.extend(more);
                    if !timers.is_empty() {
                        earliest = self.set(&mut timers, earliest).await?;
                    }
                }
                Instruction::Rebuild => rebuild = true,
            }
            next = if timers.len() + keys.len() < 10_000 { instructions.try_recv().ok() } else { None };
        }
        if !timers.is_empty() {
            earliest = self.set(&mut timers, earliest).await?;
        }
        if !keys.is_empty() {
            self.bus.cancel(stream, &keys).await.map_err(|error| error.to_string())?;
        }
        if rebuild {
            self.rebuild().await?;
            earliest = Some(self.clock.now());
        }
        Ok(earliest)
    }

    async fn set(&self, timers: &mut Vec<Timer>, earliest: Option<Millis>) -> Result<Option<Millis>, String> {
        let timers = std::mem::take(timers);
        self.bus.schedule(self.service.spec().timers, &timers).await.map_err(|error| error.to_string())?;
        Ok(timers.iter().map(|timer| timer.due).chain(earliest).min())
    }

    /// Frees what has fired and was acked, since no relay writes to this stream and
    /// trims it. What fails now is freed by the next sweep.
    async fn trim(&self) {
        let stream = self.service.spec().timers;
        for partition in 0..self.partitions {
            let trimmed = match self.bus.settled(stream, partition).await {
                Ok(Some(settled)) => self.bus.trim(stream, partition, settled).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = trimmed {
                tracing::debug!(stream, partition, %error, "not trimmed");
            }
        }
    }

    /// Sets what the rows say is due within two sweeps; gives the next sweep's time.
    async fn rebuild(&self) -> Result<Millis, String> {
        self.trim().await;
        let now = self.clock.now();
        let before = now + 2 * SWEEP;
        let mut timers = self.service.timers(&self.db, before).await.map_err(|error| error.to_string())?;
        let retries = parked::retries(&self.db, before).await.map_err(|error| error.to_string())?;
        timers.extend(retries.iter().filter_map(redrive_timer));
        if !timers.is_empty() {
            self.bus.schedule(self.service.spec().timers, &timers).await.map_err(|error| error.to_string())?;
        }
        Ok(now + SWEEP)
    }
}
