//! **Tenure**: which partitions this process holds by lease, kept up to date.
//!
//! A partition has one reader per group and one relay at a time. The lease row is
//! in the service's own database (see [`crate::store::lease`]); this task claims,
//! renews, and tells the reader and the relay when what is held has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::store::lease::{Claimant, Lease};
use crate::store::{Db, StoreError};

/// Partition -> epoch of the lease it is held under.
pub(crate) type Held = BTreeMap<u32, i64>;

/// How long a lease lasts without renewal, milliseconds. Also how long the
/// partitions of a killed process wait for their next holder.
const TTL: i64 = 5_000;
/// Where nobody else can write, nobody else can take over: no renewals needed.
const FOR_EVER: i64 = 100 * 365 * 86_400_000;

/// The name of a partition's lease.
pub(crate) fn lease_name(partition: u32) -> String {
    format!("partition-{partition}")
}

/// Claims what is free and keeps what is held.
pub(crate) struct Tenure {
    db: Db,
    partitions: u32,
    claimant: Claimant,
    leases: BTreeMap<u32, Lease>,
    held: watch::Sender<Arc<Held>>,
}

impl Tenure {
    /// A process that holds nothing yet.
    pub(crate) fn new(db: Db, partitions: u32, holder: String) -> (Self, watch::Receiver<Arc<Held>>) {
        let ttl = if db.is_exclusive() { FOR_EVER } else { TTL };
        let (held, seen) = watch::channel(Arc::new(Held::new()));
        (Self { db, partitions, claimant: Claimant { holder, ttl }, leases: BTreeMap::new(), held }, seen)
    }

    /// Claims and renews until `stop`, then gives everything back.
    ///
    /// Leases live in the machine's time, not in the shop's: a test that moves the
    /// shop's clock does not take partitions away.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let clock = Clock::system();
        let third = Duration::from_millis(TTL.unsigned_abs() / 3);
        loop {
            if let Err(error) = self.turn(clock.now()).await {
                tracing::warn!(%error, "leases could not be renewed");
            }
            let complete = self.leases.len() == self.partitions as usize;
            tokio::select! {
                () = stop.cancelled() => break,
                () = std::future::pending(), if self.db.is_exclusive() && complete => {}
                () = tokio::time::sleep(third), if !(self.db.is_exclusive() && complete) => {}
            }
        }
        let held: Vec<Lease> = std::mem::take(&mut self.leases).into_values().collect();
        self.held.send_replace(Arc::new(Held::new()));
        if let Err(error) = self.claimant.release(&self.db, &held).await {
            tracing::info!(%error, "leases not given back; they will lapse");
        }
    }

    async fn turn(&mut self, now: i64) -> Result<(), StoreError> {
        let held: Vec<Lease> = self.leases.values().cloned().collect();
        let renewed = if self.db.is_exclusive() { held } else { self.claimant.renew(&self.db, &held, now).await? };
        let mut leases: BTreeMap<u32, Lease> =
            renewed.into_iter().filter_map(|lease| Some((partition(&lease.name)?, lease))).collect();
        let free: Vec<String> =
            (0..self.partitions).filter(|partition| !leases.contains_key(partition)).map(lease_name).collect();
        let claimed = self.claimant.claim(&self.db, &free, now).await?;
        leases.extend(claimed.into_iter().filter_map(|lease| Some((partition(&lease.name)?, lease))));
        self.leases = leases;
        let now_held: Held = self.leases.iter().map(|(partition, lease)| (*partition, lease.epoch)).collect();
        self.held.send_if_modified(|held| {
            let changed = **held != now_held;
            if changed {
                tracing::debug!(?now_held, "partitions held");
                *held = Arc::new(now_held);
            }
            changed
        });
        Ok(())
    }
}

fn partition(name: &str) -> Option<u32> {
    name.strip_prefix("partition-")?.parse().ok()
}
