//! The inside of one running service, as operators see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::faults::Faults;
use crate::bus::{Bus, Timer};
use crate::clock::{Clock, Millis};
use crate::delay_queue::redrive_timer;
use crate::error::{Failure, Unavailable};
use crate::runtime::Surroundings;
use crate::service::{Service, Spec};
use crate::service_loop::{Operator, Wish};
use crate::store::outbox::Outlet;
use crate::store::survey::{self, OutboxCounts, OutboxLine};
use crate::store::{Db, StoreError, parked};

/// Reads the timers of a service's rows that are due before a time.
type Timers = Arc<dyn Fn(Millis) -> BoxFuture<'static, Result<Vec<Timer>, StoreError>> + Send + Sync>;

/// A service without its type: its tables, its streams, its switches, and the way into
/// its loop for who changes a parked message. Cheap to clone.
#[derive(Clone)]
pub struct Inside {
    pub(crate) db: Db,
    pub(super) spec: &'static Spec,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) clock: Clock,
    operator: Operator,
    faults: Faults,
    timers: Timers,
}

impl Inside {
    pub(crate) fn new<S: Service>(service: Arc<S>, around: &Surroundings, operator: Operator, faults: Faults) -> Self {
        let (spec, db) = (service.spec(), around.db.clone());
        let timers: Timers = Arc::new(move |before| {
            let (service, db) = (service.clone(), db.clone());
            async move { service.timers(&db, before).await }.boxed()
        });
        let Surroundings { db, bus, clock, .. } = around.clone();
        Self { db, spec, bus, clock, operator, faults, timers }
    }

    /// The service's name.
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// Its switches for injected faults.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Tries a parked message again, now; one attempt, however many it has had.
    ///
    /// # Errors
    /// NOT_FOUND: nothing is parked there. CONFLICT: it stands behind another.
    /// Unavailability: it is unknown whether it was done; asking again is harmless.
    pub async fn redrive(&self, source: &str, subject: &str, sequence: i64) -> Result<(), Failure> {
        self.wish(source, subject, sequence, Wish::Redrive).await
    }

    /// Gives a parked message up: its sequence counts as seen, and what lined up
    /// behind it goes on.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive).
    pub async fn discard(&self, source: &str, subject: &str, sequence: i64) -> Result<(), Failure> {
        self.wish(source, subject, sequence, Wish::Discard).await
    }

    /// Puts another envelope in the place of a parked message's own. One that waits for
    /// its retry is tried at once; a dead letter stays one until it is redriven.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive), and BAD_INPUT: it is no envelope, of another
    /// place, or the service cannot read it.
    pub async fn edit(&self, source: &str, subject: &str, sequence: i64, envelope: String) -> Result<(), Failure> {
        self.wish(source, subject, sequence, Wish::Edit(envelope)).await
    }

    async fn wish(&self, source: &str, subject: &str, sequence: i64, wish: Wish) -> Result<(), Failure> {
        self.operator.ask((source.to_owned(), subject.to_owned()), sequence, wish).await
    }

    /// Whatever waits in the rows, next due first: the service's own timers and parked
    /// messages.
    pub(super) async fn timers(&self) -> Result<Vec<Timer>, StoreError> {
        let mut timers = (self.timers)(Millis::MAX).await?;
        timers.extend(parked::retries(&self.db, Millis::MAX).await?.iter().filter_map(redrive_timer));
        timers.sort_by(|a, b| (a.due, &a.subject, &a.kind).cmp(&(b.due, &b.subject, &b.kind)));
        Ok(timers)
    }

    /// What its outbox tables hold together.
    pub(super) async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        let mut sum = OutboxCounts::default();
        for table in self.tables() {
            let counts = survey::outbox_counts(&self.db, table).await?;
            sum.unpublished += counts.unpublished;
            sum.unsettled += counts.unsettled;
            sum.oldest = match (sum.oldest, counts.oldest) {
                (0, oldest) | (oldest, 0) => oldest,
                (a, b) => a.min(b),
            };
        }
        Ok(sum)
    }

    /// The unsettled rows of its outbox tables, oldest first.
    pub(super) async fn outbox(&self, first: u32) -> Result<Vec<OutboxLine>, StoreError> {
        let mut lines = Vec::new();
        for table in self.tables() {
            lines.extend(survey::outbox(&self.db, table, first).await?);
        }
        lines.sort_by_key(|line| (line.time, line.id));
        lines.truncate(first as usize);
        Ok(lines)
    }

    /// The streams that it hears, with what waits for it there: length, lag, pending.
    pub(super) async fn streams(&self) -> Result<BTreeMap<String, (u64, u64, u64)>, Unavailable> {
        let inspection = self.bus.inspect().await.map_err(Unavailable::new)?;
        let mut streams: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
        for group in inspection.groups.into_iter().filter(|group| group.group == self.spec.name) {
            let sum = streams.entry(group.stream).or_default();
            *sum = (sum.0 + group.length, sum.1 + group.lag, sum.2 + group.pending);
        }
        Ok(streams)
    }

    /// The distinct tables of its outlets.
    fn tables(&self) -> Vec<&'static str> {
        let mut tables = Vec::new();
        for Outlet { table, .. } in self.spec.outlets {
            if !tables.contains(table) {
                tables.push(table);
            }
        }
        tables
    }
}
