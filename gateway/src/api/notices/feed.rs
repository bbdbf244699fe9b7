//! Feeds: for whoever watches every order.
//!
//! A feed is the set of orders that have changed since its owner looked. An order
//! that changes twice before it is looked at stands in it once (*conflation*), so a
//! slow owner costs as much memory as there are orders in motion, and that is
//! bounded too. A feed that may lack a change says so by ending: an owner who
//! knows of the gap can read anew, one who does not shows something wrong for ever.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Shared, lock};

/// Orders that may wait in one feed.
const MOST_WAITING: usize = 50_000;

/// The feeds of a process.
#[derive(Default)]
pub(super) struct Feeds {
    feeds: HashMap<u64, Arc<Waiting>>,
    /// The next feed's number.
    next: u64,
}

/// What waits in a feed.
#[derive(Default)]
struct Waiting {
    orders: Mutex<Orders>,
    /// Rung when there is something to see.
    bell: Notify,
}

#[derive(Default)]
struct Orders {
    /// In the order in which they changed first, each once.
    line: VecDeque<Arc<str>>,
    members: HashSet<Arc<str>>,
    /// Nothing more comes: a change may be missing, or the gateway stops.
    over: bool,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, order_id: &str) {
        let mut orders = self.lock();
        if orders.over || orders.members.contains(order_id) {
            return;
        }
        if orders.line.len() >= MOST_WAITING {
            *orders = Orders { over: true, ..Orders::default() };
        } else {
            let order_id: Arc<str> = order_id.into();
            orders.line.push_back(Arc::clone(&order_id));
            orders.members.insert(order_id);
        }
        drop(orders);
        self.bell.notify_one();
    }

    fn end(&self) {
        *self.lock() = Orders { over: true, ..Orders::default() };
        self.bell.notify_one();
    }
}

impl Feeds {
    /// An order has changed.
    pub(super) fn tell(&self, order_id: &str) {
        for waiting in self.feeds.values() {
            waiting.add(order_id);
        }
    }

    /// Some may have changed without having been heard of: every feed has a gap.
    pub(super) fn break_off(&self) {
        for waiting in self.feeds.values() {
            waiting.end();
        }
    }

    /// The gateway stops.
    pub(super) fn end(&mut self) {
        self.break_off();
        self.feeds.clear();
    }
}

/// One owner's feed. Dropping it ends it.
pub(crate) struct Feed {
    number: u64,
    waiting: Arc<Waiting>,
    watched: Shared,
}

impl Feed {
    pub(super) fn new(shared: &Shared) -> Self {
        let mut watched = lock(shared);
        let waiting = Arc::new(Waiting::default());
        let number = watched.feeds.next;
        if watched.ended {
            waiting.end();
        } else {
            watched.feeds.next += 1;
            watched.feeds.feeds.insert(number, Arc::clone(&waiting));
        }
        Self { number, waiting, watched: Arc::clone(shared) }
    }

    /// Waits until orders have changed and takes at most `most` of them, the longest
    /// waiting first; `None` when the feed is over.
    pub(crate) async fn next(&self, most: usize) -> Option<Vec<Arc<str>>> {
        loop {
            // A permit of the bell outlives the wait for it: nothing is slept through.
            {
                let mut orders = self.waiting.lock();
                if orders.over {
                    return None;
                }
                let count = orders.line.len().min(most);
                let taken: Vec<_> = orders.line.drain(..count).collect();
                for order_id in &taken {
                    orders.members.remove(order_id);
                }
                if !taken.is_empty() {
                    return Some(taken);
                }
            }
            self.waiting.bell.notified().await;
        }
    }

    /// An order that could not be looked at now stands at the end again.
    pub(crate) fn put_back(&self, order_id: &str) {
        self.waiting.add(order_id);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        lock(&self.watched).feeds.feeds.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(shared: &Shared, order_id: &str) {
        lock(shared).feeds.tell(order_id);
    }

    async fn take(feed: &Feed) -> Option<Vec<String>> {
        let taken = tokio::time::timeout(std::time::Duration::from_secs(5), feed.next(2)).await.expect("in time");
        taken.map(|orders| orders.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn an_order_that_changes_twice_waits_once_and_each_owner_sees_all() {
        let shared = Shared::default();
        let (one, two) = (Feed::new(&shared), Feed::new(&shared));
        for order in ["a", "b", "a", "c", "b"] {
            told(&shared, order);
        }
        assert_eq!(take(&one).await, Some(vec!["a".into(), "b".into()]));
        told(&shared, "a");
        assert_eq!(take(&one).await, Some(vec!["c".into(), "a".into()]), "changed again after it was taken");
        assert_eq!(take(&two).await, Some(vec!["a".into(), "b".into()]));
    }

    #[tokio::test]
    async fn a_feed_with_a_gap_ends_and_what_comes_after_is_not_shown() {
        let shared = Shared::default();
        let feed = Feed::new(&shared);
        told(&shared, "a");
        lock(&shared).feeds.break_off();
        told(&shared, "b");
        assert_eq!(take(&feed).await, None);
        assert_eq!(
            take(&Feed::new(&shared).following(&shared, "c")).await,
            Some(vec!["c".into()]),
            "a new one is whole"
        );
    }

    impl Feed {
        fn following(self, shared: &Shared, order_id: &str) -> Self {
            told(shared, order_id);
            self
        }
    }

    #[tokio::test]
    async fn an_owner_who_never_looks_costs_bounded_memory_and_is_told_of_the_gap() {
        let shared = Shared::default();
        let feed = Feed::new(&shared);
        for n in 0..=MOST_WAITING {
            told(&shared, &n.to_string());
        }
        assert!(feed.waiting.lock().line.is_empty());
        assert_eq!(take(&feed).await, None);
    }

    #[tokio::test]
    async fn the_place_is_cleared_and_a_stopped_gateway_has_no_feeds() {
        let shared = Shared::default();
        let feed = Feed::new(&shared);
        assert_eq!(lock(&shared).feeds.feeds.len(), 1);
        drop(feed);
        assert!(lock(&shared).feeds.feeds.is_empty());
        lock(&shared).ended = true;
        assert_eq!(take(&Feed::new(&shared)).await, None);
    }
}
