//! Changes: for whoever watches every order and needs no more than the notices say.
//!
//! A notice names an order, its version, where it stands and since when. Handing that on
//! costs a copy, where a [`feed`](super::feed) costs a question to the query service: the
//! difference between *event notification* and *event-carried state transfer*. What waits
//! for a slow owner is bounded, and one that may lack a change says so by ending.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::query::OrderChanged;
use platform::clock::Millis;
use tokio::sync::Notify;

use super::{Shared, lock};
use crate::api::{ApiError, OrderStatus};

/// Changes that may wait for one owner.
const MOST_WAITING: usize = 50_000;

/// Changes that are taken at one time.
const MOST_TAKEN: usize = 1_000;

/// That an order stands somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderChange {
    /// The order's id.
    pub id: Arc<str>,
    /// The number of events it has had.
    pub version: i64,
    /// Where it stands.
    pub status: OrderStatus,
    /// When that was decided, Unix milliseconds.
    pub at: Millis,
}

impl TryFrom<OrderChanged> for OrderChange {
    type Error = ApiError;

    fn try_from(changed: OrderChanged) -> Result<Self, ApiError> {
        let status = changed.status().try_into()?;
        Ok(Self { id: changed.order_id.into(), version: changed.version, status, at: changed.at })
    }
}

/// All who watch, in this process.
#[derive(Default)]
pub(super) struct Everyone {
    waiting: HashMap<u64, Arc<Waiting>>,
    /// The next one's number.
    next: u64,
}

/// What waits for one owner.
struct Waiting {
    /// The changes that are wanted.
    statuses: Vec<OrderStatus>,
    line: Mutex<Line>,
    /// Rung when there is something to see.
    bell: Notify,
}

#[derive(Default)]
struct Line {
    changes: VecDeque<OrderChange>,
    /// Nothing more comes: a change may be missing, or the gateway stops.
    over: bool,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, changes: &[OrderChange]) {
        let mut line = self.lock();
        if line.over {
            return;
        }
        line.changes.extend(changes.iter().filter(|change| self.statuses.contains(&change.status)).cloned());
        if line.changes.len() > MOST_WAITING {
            *line = Line { over: true, ..Line::default() };
        }
        let has_news = line.over || !line.changes.is_empty();
        drop(line);
        if has_news {
            self.bell.notify_one();
        }
    }

    fn end(&self) {
        *self.lock() = Line { over: true, ..Line::default() };
        self.bell.notify_one();
    }
}

impl Everyone {
    /// Orders have changed, one commit's or some together. One that does not say how is a
    /// gap: a service of another version has announced it.
    pub(super) fn tell(&self, changes: impl Iterator<Item = Result<OrderChange, ApiError>>) {
        if self.waiting.is_empty() {
            return;
        }
        match changes.collect::<Result<Vec<_>, _>>() {
            Ok(changes) => self.waiting.values().for_each(|waiting| waiting.add(&changes)),
            Err(error) => {
                tracing::warn!(%error, "a notice that does not say where the order stands");
                self.break_off();
            }
        }
    }

    /// Some may have changed without having been heard of.
    pub(super) fn break_off(&self) {
        self.waiting.values().for_each(|waiting| waiting.end());
    }

    /// The gateway stops.
    pub(super) fn end(&mut self) {
        self.break_off();
        self.waiting.clear();
    }
}

/// One owner's place. Dropping it clears it.
pub(crate) struct Changes {
    number: u64,
    waiting: Arc<Waiting>,
    watched: Shared,
}

impl Changes {
    pub(super) fn new(shared: &Shared, statuses: &[OrderStatus]) -> Self {
        let waiting =
            Arc::new(Waiting { statuses: statuses.to_vec(), line: Mutex::default(), bell: Notify::default() });
        let mut watched = lock(shared);
        let number = watched.changes.next;
        if watched.ended {
            waiting.end();
        } else {
            watched.changes.next += 1;
            watched.changes.waiting.insert(number, Arc::clone(&waiting));
        }
        Self { number, waiting, watched: Arc::clone(shared) }
    }

    /// Waits for changes and takes those that are there, at most a thousand, the longest
    /// waiting first; `None` when it is over.
    pub(crate) async fn next(&self) -> Option<Vec<OrderChange>> {
        loop {
            // A permit of the bell outlives the wait for it: nothing is slept through.
            {
                let mut line = self.waiting.lock();
                if line.over {
                    return None;
                }
                if !line.changes.is_empty() {
                    let count = line.changes.len().min(MOST_TAKEN);
                    return Some(line.changes.drain(..count).collect());
                }
            }
            self.waiting.bell.notified().await;
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        lock(&self.watched).changes.waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: &str, status: OrderStatus) -> OrderChange {
        OrderChange { id: id.into(), version: 1, status, at: 0 }
    }

    fn tell(shared: &Shared, changes: &[OrderChange]) {
        lock(shared).changes.tell(changes.iter().cloned().map(Ok));
    }

    async fn take(changes: &Changes) -> Option<Vec<OrderChange>> {
        tokio::time::timeout(std::time::Duration::from_secs(5), changes.next()).await.expect("in time")
    }

    #[tokio::test]
    async fn what_comes_together_is_taken_together_and_only_what_is_wanted() {
        let shared = Shared::default();
        let ends = Changes::new(&shared, &[OrderStatus::Confirmed, OrderStatus::Rejected]);
        let all = Changes::new(&shared, &OrderStatus::ALL);
        let told = [
            change("a", OrderStatus::Paid),
            change("b", OrderStatus::Confirmed),
            change("c", OrderStatus::Placed),
            change("d", OrderStatus::Rejected),
        ];
        tell(&shared, &told);
        assert_eq!(take(&ends).await, Some(vec![told[1].clone(), told[3].clone()]));
        assert_eq!(take(&all).await, Some(told.to_vec()));
    }

    #[tokio::test]
    async fn a_notice_that_does_not_say_where_the_order_stands_is_a_gap() {
        let shared = Shared::default();
        let changes = Changes::new(&shared, &OrderStatus::ALL);
        lock(&shared).changes.tell([OrderChange::try_from(OrderChanged::default())].into_iter());
        assert_eq!(take(&changes).await, None);
    }

    #[tokio::test]
    async fn an_owner_who_never_looks_costs_bounded_memory_and_is_told_of_the_gap() {
        let shared = Shared::default();
        let changes = Changes::new(&shared, &[OrderStatus::Placed]);
        let many = vec![change("a", OrderStatus::Placed); MOST_WAITING];
        tell(&shared, &many);
        assert_eq!(take(&changes).await.map(|taken| taken.len()), Some(MOST_TAKEN));
        tell(&shared, &many);
        assert!(changes.waiting.lock().changes.is_empty());
        assert_eq!(take(&changes).await, None);
    }

    #[tokio::test]
    async fn the_place_is_cleared_and_a_stopped_gateway_has_none() {
        let shared = Shared::default();
        let changes = Changes::new(&shared, &OrderStatus::ALL);
        assert_eq!(lock(&shared).changes.waiting.len(), 1);
        drop(changes);
        assert!(lock(&shared).changes.waiting.is_empty());
        lock(&shared).ended = true;
        assert_eq!(take(&Changes::new(&shared, &OrderStatus::ALL)).await, None);
    }
}
