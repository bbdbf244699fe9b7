//! The **service loop**: a unit of work over a batch, the same for every service.
//!
//! ```text
//!  gRPC commands (with a reply slot) ─┐
//!  answers of external calls ─────────┤► drain up to N ─► load ─► decide ─► commit ─► reply / ack / wake relay
//!  bus deliveries (with an ack) ──────┘                   (1 tx)   (pure)    (same tx)
//! ```
//!
//! Under load a batch holds hundreds of inputs and costs one commit; idle, it
//! holds one and costs no waiting. Answers and deliveries go before new commands:
//! finish before you start.
//!
//! What can go wrong and what is done about it:
//! * an input is rejected: it alone; its neighbours are committed;
//! * a *conflict* (another replica was faster): reload, decide again;
//! * the store is *unavailable*: commands are told so, deliveries wait;
//! * the outcome of a commit is *unknown*: wait, and decide again, commands too, since
//!   their stored results tell what happened;
//! * the store *refuses* a batch: it is cut in halves until the guilty input
//!   stands alone, which is parked.
//!
//! Chapter: `docs/service-loop.md`.

mod after_commit;
mod intake;
mod item;
mod operator;
mod unit_of_work;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::bus::Delivery;
use crate::clock::Clock;
use crate::delay_queue::DelayQueue;
use crate::error::{Failure, Unavailable};
use crate::executor::Executor;
use crate::ops::faults::Faults;
use crate::relay::RelayHandle;
use crate::service::Service;
use crate::store::inbox::Line;
use crate::store::parked::Backoff;
use crate::store::{Db, StoreError};
use crate::tenure::{Held, Hold};

pub(crate) use after_commit::{AfterCommit, Aftermath, run as run_after_commit};
use intake::Work;
pub(crate) use item::{Answer, Command, Intake, Item, Origin, panic_text};
use operator::OperatorCommand;
pub(crate) use operator::{Operator, Wish};
use unit_of_work::Verdict;

/// Most inputs in one batch.
const BATCH: usize = 1024;
/// Commands that may wait; one more is told OVERLOADED.
const COMMANDS: usize = 8192;
/// Conflicts in a row before a batch is cut in halves.
const CONFLICTS: u32 = 12;

/// Deliveries with the hold under which they were read.
pub(crate) type Read = Vec<(Delivery, Hold)>;

/// Where commands enter. Cheap to clone.
pub struct Handle<S: Service> {
    commands: mpsc::Sender<Command<S>>,
}

impl<S: Service> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { commands: self.commands.clone() }
    }
}

impl<S: Service> Handle<S> {
    /// Submits a command and waits until its transaction has committed.
    ///
    /// `id` is the command's idempotency key, scoped so that no other client's can
    /// be equal; `fingerprint` tells requests under one id apart.
    ///
    /// An empty `id` stores no result, and the same input is decided again whenever it
    /// comes, also after a commit of unknown outcome. It is for an input that brings an
    /// idempotency key of its own, which the service keeps beside the effect. A service
    /// that takes ids from clients never passes an empty one on
    /// ([`text::command_id`](crate::text::command_id) makes one up).
    ///
    /// # Errors
    /// A stored rejection, or unavailability: then it is unknown whether the
    /// command took effect, and asking again with the same id tells.
    pub async fn submit(&self, id: String, fingerprint: String, input: S::Input) -> Result<S::Reply, Failure> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(Command { id, fingerprint, input, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::overloaded("the command queue is full"),
            mpsc::error::TrySendError::Closed(_) => Unavailable::new("the service is stopping"),
        })?;
        answer.await.map_err(|_| Unavailable::new("the service stopped before it answered"))?
    }
}

/// What the loop works with.
pub(crate) struct Parts<S: Service> {
    pub(crate) service: Arc<S>,
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) partitions: u32,
    pub(crate) backoff: Backoff,
    pub(crate) relay: RelayHandle,
    pub(crate) delay_queue: DelayQueue,
    pub(crate) executor: Executor<S>,
    pub(crate) after_commit: AfterCommit,
    pub(crate) faults: Faults,
    /// The partitions that messages are read of.
    pub(crate) held: watch::Receiver<Arc<Held>>,
}

/// Queues into the loop.
pub(crate) struct Queues<S: Service> {
    commands: mpsc::Receiver<Command<S>>,
    deliveries: mpsc::Receiver<Read>,
    answers: mpsc::UnboundedReceiver<Answer<S>>,
    operators: mpsc::Receiver<OperatorCommand>,
}

/// The sending ends of [`Queues`].
pub(crate) struct Entrances<S: Service> {
    pub(crate) handle: Handle<S>,
    pub(crate) deliveries: mpsc::Sender<Read>,
    pub(crate) answers: mpsc::UnboundedSender<Answer<S>>,
    pub(crate) operator: Operator,
}

/// Makes the queues of a loop.
pub(crate) fn queues<S: Service>() -> (Entrances<S>, Queues<S>) {
    let (commands_in, commands) = mpsc::channel(COMMANDS);
    // Few, since each holds many: what is not read yet stays with the broker.
    let (deliveries_in, deliveries) = mpsc::channel(4);
    let (answers_in, answers) = mpsc::unbounded_channel();
    let (operator, operators) = Operator::new();
    (
        Entrances {
            handle: Handle { commands: commands_in },
            deliveries: deliveries_in,
            answers: answers_in,
            operator,
        },
        Queues { commands, deliveries, answers, operators },
    )
}

/// The loop's own memory, all of it rebuilt by redelivery after a crash.
pub(crate) struct ServiceLoop<S: Service> {
    parts: Parts<S>,
    queues: Queues<S>,
    /// To be decided before anything from the queues.
    ready: VecDeque<Item<S>>,
    /// Messages that came before one that is missing, by line and sequence.
    waiting: HashMap<Line, BTreeMap<i64, Item<S>>>,
    /// Subjects with an external call under way, and what lines up behind it.
    calling: HashMap<String, VecDeque<Item<S>>>,
}

impl<S: Service> ServiceLoop<S> {
    pub(crate) fn new(parts: Parts<S>, queues: Queues<S>) -> Self {
        Self { parts, queues, ready: VecDeque::new(), waiting: HashMap::new(), calling: HashMap::new() }
    }

    /// Runs until `stop`, then finishes the commands that are already in.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while let Some(work) = self.gather(&stop).await {
            match work {
                Work::Batch(items) => self.process(items, &stop).await,
                Work::Operator(command) => self.obey(command).await,
            }
            // The others of this thread have their turn: what was decided is published before
            // more is, and what was published meanwhile makes the next batch larger.
            tokio::task::yield_now().await;
        }
    }

    /// Brings a batch to its end: committed, parked, answered, or (at a stop while
    /// the store is away) left to redelivery.
    async fn process(&mut self, items: Vec<Item<S>>, stop: &CancellationToken) {
        let mut stack = vec![items];
        let mut patience = Patience::default();
        while let Some(items) = stack.pop() {
            if items.is_empty() {
                continue;
            }
            match self.parts.attempt(&items).await {
                Ok(done) => {
                    patience = Patience::default();
                    self.conclude(items, done);
                }
                Err(StoreError::Conflict(cause)) if patience.conflicts < CONFLICTS => {
                    tracing::debug!(service = self.name(), %cause, "conflict; deciding again");
                    patience.conflict().await;
                    stack.push(items);
                }
                // Not counted among the conflicts: an outage must not end in parking the innocent.
                Err(StoreError::Unknown(cause)) => {
                    tracing::info!(service = self.name(), %cause, "outcome of a commit unknown; deciding again");
                    if patience.in_doubt(stop).await {
                        stack.push(items);
                    }
                }
                Err(StoreError::Unavailable(cause)) => {
                    let failure = Unavailable::new(format!("store of {}: {cause}", self.name()));
                    let rest = items.into_iter().filter_map(|item| item.refuse_command(&failure)).collect::<Vec<_>>();
                    if rest.is_empty() {
                        continue;
                    }
                    tracing::warn!(service = self.name(), %cause, waiting = rest.len(), "store unavailable; waiting");
                    if patience.unavailable(stop).await {
                        stack.push(rest);
                    }
                }
                Err(StoreError::Refused(cause) | StoreError::Conflict(cause)) => {
                    patience = Patience::default();
                    self.bisect(items, &cause, &mut stack);
                }
            }
        }
    }

    /// Cuts a refused batch in halves, or deals with the guilty one.
    fn bisect(&mut self, mut items: Vec<Item<S>>, cause: &str, stack: &mut Vec<Vec<Item<S>>>) {
        if items.len() > 1 {
            let second = items.split_off(items.len() / 2);
            stack.push(second);
            stack.push(items);
            return;
        }
        for item in items {
            tracing::error!(service = self.name(), input = %item.describe(), %cause, "refused by the store");
            let failure = Unavailable::new(format!("{}: {cause}", item.describe()));
            let Some(item) = item.refuse_command(&failure) else { continue };
            if item.can_be_parked() {
                stack.push(vec![item.fail(cause)]);
            } else if matches!(item.origin, Origin::Timer(_)) {
                // Its row still says that it is due, and the sweep sets it again. Left
                // pending it would hold back all that fires after it.
                self.parts.after_commit.ack(item.receipts);
            } else {
                // Not even parking it works: let go and leave it pending.
                tracing::error!(service = self.name(), input = %item.describe(), "cannot be parked");
                self.release(&item);
            }
        }
    }

    /// After the commit: replies, acks, timers, the relay; and whoever waited for
    /// one of these items.
    ///
    /// # On crash
    /// Everything here repeats or repairs: replies are asked for again under the
    /// same command id, acks by redelivery and the inbox, timers and messages are
    /// rebuilt from their rows.
    fn conclude(&mut self, items: Vec<Item<S>>, done: unit_of_work::Done<S>) {
        self.parts.faults.spend(&done.struck);
        self.parts.relay.hand(done.rows);
        self.parts.delay_queue.schedule(done.timers);
        self.parts.delay_queue.cancel(done.cancelled);
        let mut aftermath = Aftermath { acks: Vec::new(), announcements: done.announcements };
        for (mut item, verdict) in items.into_iter().zip(done.verdicts) {
            if item.is_answer {
                item.is_answer = false;
                self.release(&item);
            }
            match verdict {
                Verdict::Settled => {
                    self.wake_waiting(&item);
                    aftermath.acks.append(&mut item.receipts);
                }
                Verdict::Reply(result) => item.reply(result.map_err(Failure::from)),
                Verdict::Call(call) => {
                    if let Some(subject) = item.subject() {
                        self.calling.entry(subject.to_owned()).or_default();
                    }
                    self.parts.executor.ask(call, item);
                }
                Verdict::Queue => self.queue_behind_call(item),
                Verdict::Wait => self.wait_for_missing(item),
                // A later holder of the partition has it, or will.
                Verdict::Fenced => {}
            }
        }
        self.parts.after_commit.hand(aftermath);
    }

    fn name(&self) -> &'static str {
        self.parts.service.spec().name
    }
}

/// How long to put up with a store that will not.
#[derive(Default)]
struct Patience {
    conflicts: u32,
    outages: u32,
}

impl Patience {
    /// A short pause of random length, so that two replicas do not meet again.
    async fn conflict(&mut self) {
        self.conflicts += 1;
        let most = 1_u64 << self.conflicts.min(6);
        let pause = rand::random_range(0..=most);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// A growing pause; `false` if it was ended by `stop`.
    async fn unavailable(&mut self, stop: &CancellationToken) -> bool {
        self.outage(stop, 2_000).await
    }

    /// The same, and short: somebody waits for an answer, and the next try tells whether the
    /// store is there at all.
    async fn in_doubt(&mut self, stop: &CancellationToken) -> bool {
        self.outage(stop, 400).await
    }

    async fn outage(&mut self, stop: &CancellationToken, longest: u64) -> bool {
        self.outages += 1;
        let pause = Duration::from_millis((50_u64 << self.outages.min(6)).min(longest));
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}
