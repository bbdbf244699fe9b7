//! Watching orders: first as they are, then as they become.
//!
//! A notice says only that there is something to see ([`notices`](super::notices));
//! the watcher reads the order itself, through the same door as every query, so
//! that he sees what he may see and nothing that is not committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use platform::error::Code;

use super::notices::feed::Feed;
use super::notices::{Registration, State};
use super::{Api, ApiError, Caller, ChangeStream, OrderStatus, OrderStream, OrderWithTimeline, operator};

/// Orders of a feed that are read at one time.
const AT_ONCE: usize = 16;

/// How long to wait before orders are read again that could not be.
const RETRY: Duration = Duration::from_millis(500);

/// Orders whose last version a feed's watcher remembers, twice over.
const REMEMBERED: usize = 10_000;

impl Api {
    /// The order as it is now, then each higher version as it comes. The watcher
    /// is registered for the notices before the order is read, so none is missed. One
    /// that is not there is waited for, two seconds at most: it may just be placed.
    ///
    /// # Errors
    /// `NOT_FOUND`, and as [`order`](Self::order). Later failures are waited out.
    pub async fn watch(&self, caller: &Caller, id: &str, min_version: Option<i64>) -> Result<OrderStream, ApiError> {
        let registration = self.notices.register(id);
        let mut first = self.get_order(caller, id, min_version, true).await?;
        if first.is_none() && min_version.is_none() {
            // Who has just placed it may be faster than the read model.
            first = self.get_order(caller, id, Some(1), true).await.or_else(|error| match error.code {
                Code::Stale => Ok(None),
                _ => Err(error),
            })?;
        }
        let first = first.ok_or_else(|| ApiError::not_found("there is no such order"))?;
        let shown = first.order.version;
        let watcher = Watcher { api: self.clone(), caller: caller.clone(), registration, shown };
        Ok(stream::iter([first]).chain(stream::unfold(watcher, Watcher::next)).boxed())
    }

    /// Every order that changes from now on, in its newest version, for operators.
    /// Timelines are left empty: [`timelines`](Self::timelines) has them. Versions of
    /// one order may be passed over, and come in ascending order. The stream ends
    /// when a change may have been missed: the watcher fell too far behind, or the
    /// notices could not be heard for a moment. Then watch anew and read what you show.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `FORBIDDEN`, `UNAVAILABLE`. Later failures are waited out.
    pub async fn watch_orders(&self, caller: &Caller) -> Result<OrderStream, ApiError> {
        operator(caller)?;
        let feed = self.notices.feed().await;
        let feed = feed.ok_or_else(|| ApiError::internal("the notices", "cannot be heard"))?;
        let watcher = FeedWatcher { api: self.clone(), caller: caller.clone(), feed, shown: Shown::default() };
        Ok(stream::unfold(watcher, FeedWatcher::next).flat_map(stream::iter).boxed())
    }

    /// Every order that comes to stand at one of `statuses` from now on, for operators: what
    /// the read model's notices say, and no more, so that no order is read for it. Those
    /// that change together come together. A version may be passed over, and none comes after
    /// a higher one. The stream ends as that of [`watch_orders`](Self::watch_orders) does.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `FORBIDDEN`, `UNAVAILABLE`.
    pub async fn watch_changes(&self, caller: &Caller, statuses: &[OrderStatus]) -> Result<ChangeStream, ApiError> {
        operator(caller)?;
        let changes = self.notices.changes(statuses).await;
        let changes = changes.ok_or_else(|| ApiError::internal("the notices", "cannot be heard"))?;
        let watched = stream::unfold((changes, Shown::default()), async |(changes, mut shown)| {
            loop {
                let mut news = changes.next().await?;
                news.retain(|change| shown.is_news(&change.id, change.version));
                if !news.is_empty() {
                    return Some((news, (changes, shown)));
                }
            }
        });
        Ok(watched.boxed())
    }

    /// Ends every watch, now and from now on: called when the gateway stops, since
    /// a live page's connection would never end by itself.
    pub fn end_watches(&self) {
        self.notices.end();
    }

    /// Whether [`end_watches`](Self::end_watches) was called.
    pub(crate) fn has_ended(&self) -> bool {
        *self.notices.state().borrow() == State::Ended
    }

    /// Waits until [`end_watches`](Self::end_watches) is called.
    pub(crate) async fn ended(&self) {
        // An error means that the notices are gone, and the gateway with them.
        let _ = self.notices.state().wait_for(|state| *state == State::Ended).await;
    }
}

/// One order's watcher between two looks.
struct Watcher {
    api: Api,
    caller: Caller,
    registration: Registration,
    /// What the caller was shown last.
    shown: i64,
}

impl Watcher {
    /// Waits for the next version higher than the one shown. A look that fails is
    /// made up for by the next one.
    async fn next(mut self) -> Option<(OrderWithTimeline, Self)> {
        loop {
            self.registration.reason_to_look().await?;
            let id = &self.registration.order_id;
            match self.api.get_order(&self.caller, id, None, true).await {
                Ok(Some(found)) if found.order.version > self.shown => {
                    self.shown = found.order.version;
                    return Some((found, self));
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a watcher's look failed"),
            }
        }
    }
}

/// A watcher of all orders between two looks.
struct FeedWatcher {
    api: Api,
    caller: Caller,
    feed: Feed,
    shown: Shown,
}

impl FeedWatcher {
    /// Waits for changed orders and reads them, some at a time.
    async fn next(mut self) -> Option<(Vec<OrderWithTimeline>, Self)> {
        loop {
            let changed = self.feed.next(AT_ONCE).await?;
            let looks = changed.iter().map(|id| self.api.get_order(&self.caller, id, None, false));
            let found = futures_util::future::join_all(looks).await;
            let (mut orders, mut failed) = (Vec::new(), false);
            for (id, found) in changed.iter().zip(found) {
                match found {
                    Ok(Some(found)) if self.shown.is_news(id, found.order.version) => orders.push(found),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "a watcher's look failed");
                        self.feed.put_back(id);
                        failed = true;
                    }
                }
            }
            if !orders.is_empty() {
                return Some((orders, self));
            }
            if failed {
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// The versions shown last, of the orders that changed last: two halves, of which
/// the older is forgotten when the younger is full.
#[derive(Default)]
struct Shown {
    young: HashMap<Arc<str>, i64>,
    old: HashMap<Arc<str>, i64>,
}

impl Shown {
    /// Whether this version is higher than the last one; remembers it then.
    fn is_news(&mut self, order_id: &Arc<str>, version: i64) -> bool {
        let last = self.young.get(order_id).or_else(|| self.old.get(order_id));
        if last.is_some_and(|last| version <= *last) {
            return false;
        }
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(Arc::clone(order_id), version);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_higher_versions_are_news_and_memory_is_bounded() {
        let mut shown = Shown::default();
        let a: Arc<str> = "a".into();
        assert!(shown.is_news(&a, 2));
        assert!(!shown.is_news(&a, 2));
        assert!(!shown.is_news(&a, 1));
        for n in 0..REMEMBERED {
            shown.is_news(&n.to_string().into(), 1);
        }
        assert!(!shown.is_news(&a, 2), "still in the older half");
        for n in 0..3 * REMEMBERED {
            shown.is_news(&n.to_string().into(), 2);
        }
        assert!(shown.young.len() + shown.old.len() <= 2 * REMEMBERED);
    }
}
