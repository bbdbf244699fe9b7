//! Starting and stopping a service: its loop and what runs beside it.
//!
//! ```text
//!        reader ──► service loop ──► relay ──► bus
//!                     │     ▲
//!                     ▼     └── executor (external calls)
//!                after-commit, delay queue's mover, tenure (leases)
//! ```
//!
//! On which threads: see [`stage`].

pub(crate) mod hints;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::clock::Clock;
use crate::delay_queue::{DelayQueue, Mover};
use crate::executor::Executor;
use crate::ops::tail::Demand;
use crate::ops::{Faults, Inside};
use crate::relay::{Relay, RelayHandle, hint_concerns};
use crate::service::Service;
use crate::service_loop::{AfterCommit, Handle, Parts, ServiceLoop, queues, run_after_commit};
use crate::store::parked::Backoff;
use crate::store::{Db, StoreError};
use crate::tenure::Tenure;
use crate::topology::Topology;
use crate::{reader, service::Spec};
use hints::{Hints, rows_topic};
use stage::Stage;

/// At a stop: for what is in to be decided, and what was decided to be published.
const IN_TURN: Duration = Duration::from_millis(2_500);
/// And then for the rest to end, when nothing is waited for any more.
const IN_HASTE: Duration = Duration::from_millis(1_500);

/// What a service is started with.
#[derive(Clone)]
pub struct Surroundings {
    /// Its own database.
    pub db: Db,
    /// The bus, with the whole topology declared.
    pub bus: Arc<dyn Bus>,
    /// The shop's clock.
    pub clock: Clock,
    /// Partitions per stream.
    pub partitions: u32,
    /// How failing messages are tried again.
    pub backoff: Backoff,
}

/// How often a service looks after what it shares with its other processes. Where nobody
/// else can write it does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a lease lasts without renewal: the partitions of a process that was killed
    /// wait so long for their next holder. Renewed three times in that time. The same for
    /// all processes of a service, or the quick ones hold the slow ones dead.
    pub lease: Duration,
    /// How long what is in flight may hold up the release of a lease that is given back. What
    /// is not through by then is fenced off, and done by the next holder.
    pub grace: Duration,
    /// Between two sweeps for rows that another process wrote and gave no hint of.
    pub sweep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { lease: Duration::from_secs(5), grace: Duration::from_secs(2), sweep: Duration::from_secs(2) }
    }
}

/// Adds what a service hears and says to the topology.
pub fn declare(spec: &Spec, topology: &mut Topology) {
    for stream in spec.hears {
        topology.listen(stream, spec.name);
    }
    topology.listen(spec.timers, spec.name);
    for outlet in spec.outlets {
        topology.declare(outlet.stream);
    }
}

/// A running service.
pub struct Running<S: Service> {
    handle: Handle<S>,
    inside: Inside,
    /// Ends the reader and the loop, first.
    stop_loop: CancellationToken,
    /// Ends what still waits for a broker or a store that is away, second.
    stop_rest: CancellationToken,
    /// Cancelled when any task has ended.
    ended: CancellationToken,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    stage: Stage,
}

/// Brings the store's schema forward and starts the service.
///
/// # Errors
/// The store cannot be reached or migrated.
pub async fn start<S: Service>(service: Arc<S>, around: Surroundings) -> Result<Running<S>, StoreError> {
    start_at(Pace::default(), service, around).await
}

/// Like [`start`], at another pace.
///
/// # Errors
/// As [`start`].
pub async fn start_at<S: Service>(pace: Pace, service: Arc<S>, around: Surroundings) -> Result<Running<S>, StoreError> {
    let spec = service.spec();
    around.db.migrate(spec.migrations).await?;
    let stage = Stage::of(spec.name, &around.db)?;
    // What the tasks ask of the store they ask on the stage's threads.
    let db = around.db.on_this_thread();

    let (stop_loop, stop_rest) = (CancellationToken::new(), CancellationToken::new());
    let (relay, rows, missed) = RelayHandle::new();
    let (delay_queue, instructions) = DelayQueue::new();
    let (tenure, held) =
        Tenure::new(db.clone(), around.bus.clone(), spec.name, around.partitions, pace, delay_queue.clone());
    let (after_commit, aftermath) = AfterCommit::new();
    let (entrances, queues) = queues::<S>();
    let faults = Faults::default();
    let inside = Inside::new(service.clone(), &around, entrances.operator, faults.clone());

    let service_loop = ServiceLoop::new(
        Parts {
            service: service.clone(),
            db: db.clone(),
            clock: around.clock.clone(),
            partitions: around.partitions,
            backoff: around.backoff,
            relay,
            delay_queue: delay_queue.clone(),
            executor: Executor::new(service.clone(), entrances.answers),
            after_commit,
            faults: faults.clone(),
            held: held.clone(),
        },
        queues,
    );
    let topic = rows_topic(spec.name);
    let hints = if around.db.is_exclusive() {
        Hints::none()
    } else {
        let held = held.clone();
        Hints::listen(around.bus.clone(), topic.clone(), move |hint| hint_concerns(hint, &held.borrow()))
    };
    let relay = Relay {
        spec,
        db: db.clone(),
        bus: around.bus.clone(),
        delay_queue,
        held: held.clone(),
        rows,
        missed,
        paused: faults.relay_paused(),
        demand: Demand::new(),
        hints,
        topic,
        partitions: around.partitions,
        sweep_every: pace.sweep,
    };
    let mover = Mover { service, db, bus: around.bus.clone(), clock: around.clock, partitions: around.partitions };

    let ended = CancellationToken::new();
    let watched = |task: &'static str, work: BoxFuture<'static, ()>| {
        // Dropped when the task ends, however it ends.
        let guard = ended.clone().drop_guard();
        let run = async move {
            let _guard = guard;
            work.await;
        };
        (task, stage.spawn(run))
    };
    // In the order in which they are awaited at a stop.
    let tasks = vec![
        watched(
            "reader",
            reader::run(
                around.bus.clone(),
                spec,
                held,
                entrances.deliveries,
                faults.reading_paused(),
                stop_loop.clone(),
            )
            .boxed(),
        ),
        watched("loop", service_loop.run(stop_loop.clone()).boxed()),
        watched("after-commit", run_after_commit(around.bus, spec.name, aftermath, stop_rest.clone()).boxed()),
        watched("relay", relay.run(stop_rest.clone()).boxed()),
        watched("mover", mover.run(instructions, stop_rest.clone()).boxed()),
        watched("tenure", tenure.run(stop_rest.clone()).boxed()),
    ];
    Ok(Running { handle: entrances.handle, inside, stop_loop, stop_rest, ended, tasks, stage })
}

impl<S: Service> Running<S> {
    /// Where commands enter.
    pub fn handle(&self) -> Handle<S> {
        self.handle.clone()
    }

    /// What operators see of it, and their way in.
    pub fn inside(&self) -> Inside {
        self.inside.clone()
    }

    /// Waits until one of the service's tasks ends by itself, which none should,
    /// and says which.
    pub async fn failed(&self) -> String {
        self.ended.cancelled().await;
        let task = self.tasks.iter().find(|(_, task)| task.is_finished()).map_or("task", |(task, _)| task);
        format!("the {task} of the {} service has ended", self.inside.name())
    }

    /// Ends every task where it stands, as if the process had been killed. For
    /// tests of what a crash leaves. On SQLite it waits for the batch that is at work.
    pub fn abort(self) {
        for (_, task) in &self.tasks {
            task.abort();
        }
        self.stage.join();
    }

    /// Stops in order: nothing new is read, what is in is decided, what was
    /// decided is published as far as the bus is there, and the store is closed.
    /// What is left over is in the rows.
    ///
    /// It takes no longer than five seconds, whoever is away: what is at work then ends where
    /// it stands, as at a crash.
    pub async fn stop(self) {
        let Self { handle, inside, stop_loop, stop_rest, ended: _, tasks, stage } = self;
        let name = inside.name();
        stop_loop.cancel();
        drop(handle);
        let mut end = Instant::now() + IN_TURN;
        for (task, mut joined) in tasks {
            if task == "mover" && !stop_rest.is_cancelled() {
                stop_rest.cancel();
                end = Instant::now() + IN_HASTE;
            }
            let mut ended = timeout_at(end, &mut joined).await;
            if ended.is_err() && !stop_rest.is_cancelled() {
                stop_rest.cancel();
                end = Instant::now() + IN_HASTE;
                ended = timeout_at(end, &mut joined).await;
            }
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(service = name, task, %error, "task failed"),
                Err(_) => {
                    tracing::warn!(service = name, task, "did not end in time; what it had left is in the store");
                    joined.abort();
                }
            }
        }
        drop(stage);
        inside.db.close().await;
    }
}
