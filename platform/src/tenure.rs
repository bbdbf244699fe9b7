//! **Tenure**: which partitions this process holds by lease, kept up to date, and its
//! **fair share** of them.
//!
//! A partition has one reader per group and one relay at a time. The lease row is
//! in the service's own database (see [`crate::store::lease`]); this task claims,
//! renews, and tells the reader and the relay when what is held has changed.
//!
//! Every process is a *member* as long as it renews. Each computes its [`share`] of the
//! partitions from the members that it sees. Who holds less claims what is free; who
//! holds more gives the surplus back *in order*: it stops reading and relaying it,
//! waits until what was in flight is through, and only then releases the lease, so that
//! the next holder finds nothing half done. Whoever comes, goes, or releases gives a
//! [hint](crate::runtime::hints), and the others take their turn at once.
//!
//! Who has not [reached](reach) the broker for a while stops renewing, and leaves the work to
//! those who can do it.
//!
//! A holder that could not renew in time has lost what it held, as far as it knows. It
//! stops by its own clock, without waiting to be told, and goes on if it finds that
//! nobody has claimed meanwhile.
//!
//! Where the store is exclusive there is nobody to share with: one holder, for ever.
//!
//! Chapter: `docs/leases.md`.

mod ours;
mod reach;
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::bus::Bus;
use crate::delay_queue::DelayQueue;
use crate::runtime::Pace;
use crate::runtime::hints::{self, Hints};
use crate::store::lease::members::Attendance;
use crate::store::lease::{self, Claimant, Lease};
use crate::store::{Db, StoreError};
use ours::{Ours, through};
use reach::Reach;

/// A partition that is held. A clone stands for something that is done under it: a
/// session, a delivery that is in flight.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    /// Of the lease.
    pub(crate) epoch: i64,
    /// Keeps the lease from being given back in order.
    _stay: TaskTrackerToken,
}

impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        self.epoch == other.epoch
    }
}

/// What is held, by partition.
pub(crate) type Held = BTreeMap<u32, Hold>;

/// Where nobody else can write, nobody else can take over: no renewals needed.
const FOR_EVER: i64 = 100 * 365 * 86_400_000;

/// The name of a partition's lease.
pub(crate) fn lease_name(partition: u32) -> String {
    format!("partition-{partition}")
}

fn partition(lease: &Lease) -> Option<u32> {
    lease.name.strip_prefix("partition-")?.parse().ok()
}

/// (name, epoch) of leases, as [`lease::fence`] takes them.
pub(crate) fn leases(held: &Held) -> Vec<(String, i64)> {
    held.iter().map(|(partition, hold)| (lease_name(*partition), hold.epoch)).collect()
}

/// What a round found out and did.
struct Round {
    /// Before it asked for the time.
    began: Instant,
    attendance: Attendance,
    claimed: Vec<Lease>,
    share: usize,
    /// Something that we want is free, and could not be had.
    hungry: bool,
}

/// Why the pause between two rounds has ended.
enum Wake {
    Stop,
    Look,
    /// The leases were not renewed in time.
    Lapsed,
    /// What is given back is not in use any more.
    Through,
}

/// Claims its share and keeps what is held.
pub(crate) struct Tenure {
    db: Db,
    bus: Arc<dyn Bus>,
    partitions: u32,
    claimant: Claimant,
    grace: Duration,
    /// Asked to look again when a process has gone without a word.
    delay_queue: DelayQueue,
    topic: String,
    hints: Hints,
    reach: Reach,
    ours: BTreeMap<u32, Ours>,
    /// Until when the leases stand at least, by our own clock.
    valid_until: Instant,
    held: watch::Sender<Arc<Held>>,
}

impl Tenure {
    /// A process that holds nothing yet.
    pub(crate) fn new(
        db: Db,
        bus: Arc<dyn Bus>,
        service: &str,
        partitions: u32,
        pace: Pace,
        delay_queue: DelayQueue,
    ) -> (Self, watch::Receiver<Arc<Held>>) {
        let holder = uuid::Uuid::now_v7().to_string();
        let alone = db.is_exclusive();
        let ttl = if alone { FOR_EVER } else { i64::try_from(pace.lease.as_millis()).unwrap_or(FOR_EVER) };
        let topic = hints::members_topic(service);
        let hints = if alone {
            Hints::none()
        } else {
            let me = holder.clone();
            Hints::listen(bus.clone(), topic.clone(), move |who| who != me)
        };
        let reach = if alone { Reach::certain() } else { Reach::watch(bus.clone(), pace.lease) };
        let (held, seen) = watch::channel(Arc::new(Held::new()));
        let tenure = Self {
            db,
            bus,
            partitions,
            claimant: Claimant { holder, ttl },
            grace: pace.grace,
            delay_queue,
            topic,
            hints,
            reach,
            ours: BTreeMap::new(),
            valid_until: Instant::now(),
            held,
        };
        (tenure, seen)
    }

    /// Claims and renews until `stop`, then gives everything back.
    ///
    /// Leases live in the database's time, not in the shop's: a test that moves the
    /// shop's clock does not take partitions away.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let alone = self.db.is_exclusive();
        if alone {
            self.hold_alone(&stop).await;
        } else {
            self.share_out(&stop).await;
        }
        self.held.send_replace(Arc::default());
        let held: Vec<Lease> = std::mem::take(&mut self.ours).into_values().map(|ours| ours.lease).collect();
        match self.claimant.leave(&self.db, &held).await {
            Ok(()) if alone => {}
            Ok(()) => {
                // Without it the others take over all the same, a little later.
                let hint = hints::give(&*self.bus, &self.topic, self.claimant.holder.clone());
                let _ = tokio::time::timeout(Duration::from_secs(1), hint).await;
            }
            Err(error) => tracing::info!(%error, "leases not given back; they will lapse"),
        }
    }

    fn third(&self) -> Duration {
        Duration::from_millis(self.claimant.ttl.unsigned_abs() / 3)
    }

    /// For ever, once everything is claimed.
    async fn hold_alone(&mut self, stop: &CancellationToken) {
        loop {
            let missing: Vec<String> =
                (0..self.partitions).filter(|partition| !self.ours.contains_key(partition)).map(lease_name).collect();
            let claimed = match lease::time(&self.db).await {
                Ok(now) => self.claimant.claim(&self.db, &missing, missing.len(), now).await,
                Err(error) => Err(error),
            };
            match claimed {
                Ok(claimed) => {
                    self.ours
                        .extend(claimed.into_iter().filter_map(|lease| Some((partition(&lease)?, Ours::new(lease)))));
                    self.publish();
                }
                Err(error) => tracing::warn!(%error, "leases could not be claimed"),
            }
            if self.ours.len() == self.partitions as usize {
                return stop.cancelled().await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Round after round, until `stop`.
    async fn share_out(&mut self, stop: &CancellationToken) {
        let third = self.third();
        loop {
            if self.reach.is_lost() {
                tracing::warn!("the broker is out of reach; the partitions are left to others");
                self.suspend();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.reach.regained() => {}
                }
            }
            let mut pause = third;
            match self.timely(self.round()).await {
                Ok(round) => {
                    if round.hungry {
                        pause = third / 8;
                    }
                    self.apply(round);
                }
                Err(error) => tracing::warn!(%error, "leases could not be renewed"),
            }
            match self.wait(pause, stop).await {
                Wake::Stop => return,
                Wake::Look => {}
                Wake::Lapsed => self.suspend(),
                Wake::Through => self.release().await,
            }
        }
    }

    /// Does something with the store. If it takes so long that the leases may have
    /// lapsed, nothing is held until it is done.
    async fn timely<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            done = &mut work => return done,
            () = sleep_until(self.valid_until) => self.suspend(),
        }
        work.await
    }

    /// Renews, looks round, and claims what is missing to our share.
    async fn round(&self) -> Result<Round, StoreError> {
        let began = Instant::now();
        let now = lease::time(&self.db).await?;
        let attendance = self.claimant.attend(&self.db, now).await?;
        let share = share::fair(&attendance.members, &self.claimant.holder, self.partitions);
        let ours: BTreeSet<u32> = attendance.leases.iter().filter_map(partition).collect();
        let staying =
            ours.iter().filter(|partition| self.ours.get(partition).is_none_or(|ours| ours.leaving.is_none()));
        let wanted = share.saturating_sub(staying.count());
        let free: Vec<String> = (0..self.partitions)
            .filter(|partition| !ours.contains(partition))
            .map(lease_name)
            .filter(|name| !attendance.taken.contains(name))
            .collect();
        let claimed = self.claimant.claim(&self.db, &free, wanted, now).await?;
        let hungry = claimed.len() < wanted.min(free.len());
        Ok(Round { began, attendance, claimed, share, hungry })
    }

    /// Takes over what a round found, and begins to give back what is too much.
    fn apply(&mut self, round: Round) {
        let Round { began, attendance, claimed, share, .. } = round;
        let newcomer = began >= self.valid_until;
        self.valid_until = began + Duration::from_millis(self.claimant.ttl.unsigned_abs());
        let mut before = std::mem::take(&mut self.ours);
        for lease in attendance.leases.into_iter().chain(claimed) {
            let Some(partition) = partition(&lease) else { continue };
            let ours = match before.remove(&partition).filter(|known| known.lease.epoch == lease.epoch) {
                Some(known) => Ours { lease, ..known },
                // Claimed now, or before by a commit whose answer was lost.
                None => Ours::new(lease),
            };
            self.ours.insert(partition, ours);
        }
        if !before.is_empty() {
            tracing::info!(partitions = ?before.keys(), "leases lost to another process");
        }
        let staying: Vec<u32> =
            self.ours.iter().filter(|(_, ours)| ours.leaving.is_none()).map(|(partition, _)| *partition).collect();
        for partition in staying.iter().skip(share) {
            if let Some(ours) = self.ours.get_mut(partition) {
                ours.leaving = Some(Instant::now() + self.grace);
                ours.uses.close();
            }
        }
        self.publish();
        if !attendance.gone.is_empty() {
            tracing::info!(members = ?attendance.gone, "processes of this service have gone without a word");
            // They may have committed timers that they had not set yet.
            self.delay_queue.rebuild();
        }
        if newcomer || !attendance.gone.is_empty() {
            self.tell();
        }
    }

    /// Waits for a reason to go on.
    async fn wait(&self, pause: Duration, stop: &CancellationToken) -> Wake {
        let holding = !self.held.borrow().is_empty();
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
            // First, for who wakes up late: nothing must be done under a lease that is lost.
            () = sleep_until(self.valid_until), if holding => Wake::Lapsed,
            () = through(&self.ours) => Wake::Through,
            () = self.hints.heard() => Wake::Look,
            () = sleep(pause) => Wake::Look,
        }
    }

    /// Gives back what is not in use any more, and tells the others.
    async fn release(&mut self) {
        let through: Vec<Lease> =
            self.ours.values().filter(|ours| ours.is_through()).map(|ours| ours.lease.clone()).collect();
        match self.timely(self.claimant.release(&self.db, &through)).await {
            Ok(()) => {
                self.ours.retain(|_, ours| !through.contains(&ours.lease));
                self.tell();
            }
            Err(error) => {
                tracing::warn!(%error, "leases could not be given back");
                sleep(self.third() / 8).await;
            }
        }
    }

    fn tell(&self) {
        let (bus, topic, holder) = (self.bus.clone(), self.topic.clone(), self.claimant.holder.clone());
        // Beside the rounds, which must not wait for the broker.
        tokio::spawn(async move { hints::give(&*bus, &topic, holder).await });
    }

    /// Nothing is held, as far as we know.
    fn suspend(&self) {
        self.show(Held::new());
    }

    fn publish(&self) {
        let staying = self.ours.iter().filter(|(_, ours)| ours.leaving.is_none());
        self.show(
            staying
                .map(|(partition, ours)| (*partition, Hold { epoch: ours.lease.epoch, _stay: ours.uses.token() }))
                .collect(),
        );
    }

    fn show(&self, now_held: Held) {
        self.held.send_if_modified(|held| {
            let changed = **held != now_held;
            if changed {
                let epochs: BTreeMap<u32, i64> =
                    now_held.iter().map(|(partition, hold)| (*partition, hold.epoch)).collect();
                tracing::debug!(now_held = ?epochs, "partitions held");
                *held = Arc::new(now_held);
            }
            changed
        });
    }
}
