//! Live orders: who watches what, and the one tail that wakes them.
//!
//! The query service announces each order that its read model has changed, after
//! the commit. One task of this process tails the topic and tells whoever watches
//! that order (*fan-out*). A notice carries a version and no state: the watcher
//! reads the order, so that notices may be lost, doubled or overtaken. A watcher
//! registers first and reads second, and so misses none; the task pokes all
//! watchers whenever it may have missed some (a new tail, a tail fallen behind);
//! and every watcher looks by itself now and then, in case a broker lost some.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contracts::query::OrderChanged;
use futures_util::{StreamExt, stream};
use platform::bus::Bus;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Api, ApiError, Caller, OrderStream, OrderWithTimeline};

/// Where the query service announces; bodies are `OrderChanged` as JSON.
const TOPIC: &str = "orderly.query.notices";

/// How often a watcher looks without having been told to.
const SECOND_LOOK: Duration = Duration::from_secs(15);

/// How long to wait before a topic is tailed again that could not be.
const RETRY: Duration = Duration::from_millis(500);

/// The highest version announced since the watcher registered, and how often all
/// were told to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct News {
    version: i64,
    pokes: u64,
}

/// Who watches what.
#[derive(Default)]
struct Watched {
    /// By order id; a sender leaves with its last receiver.
    orders: HashMap<String, watch::Sender<News>>,
    /// Set when the gateway stops: no watch goes on.
    ended: bool,
}

type Shared = Arc<Mutex<Watched>>;

/// The fan-out. Dropping it ends the tail.
pub(super) struct Notices {
    watched: Shared,
    tail: JoinHandle<()>,
}

impl Notices {
    pub(super) fn start(bus: Arc<dyn Bus>) -> Self {
        let watched = Shared::default();
        let tail = tokio::spawn(tail(bus, Arc::clone(&watched)));
        Self { watched, tail }
    }

    /// Ends every watch, so that the connections behind them can be closed.
    pub(super) fn end(&self) {
        let mut watched = lock(&self.watched);
        watched.ended = true;
        watched.orders.clear();
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.tail.abort();
    }
}

/// A watcher's place. Dropping it clears the place if it was the last one's.
struct Registration {
    order_id: String,
    /// `None` once the watch has ended.
    news: Option<watch::Receiver<News>>,
    watched: Shared,
}

impl Registration {
    /// Hears of this order from now on.
    fn new(shared: &Shared, order_id: &str) -> Self {
        let mut watched = lock(shared);
        let news = (!watched.ended).then(|| watched.orders.entry(order_id.to_owned()).or_default().subscribe());
        Self { order_id: order_id.to_owned(), news, watched: Arc::clone(shared) }
    }

    /// Waits until there is a reason to look at the order again; `None` when the
    /// watch has ended. A second look is not told from news: looking costs little.
    async fn reason_to_look(&mut self) -> Option<()> {
        let news = self.news.as_mut()?;
        if let Ok(Err(_)) = tokio::time::timeout(SECOND_LOOK, news.changed()).await {
            self.news = None;
        }
        self.news.as_ref().map(|_| ())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut watched = lock(&self.watched);
        self.news = None;
        if watched.orders.get(&self.order_id).is_some_and(|sender| sender.receiver_count() == 0) {
            watched.orders.remove(&self.order_id);
        }
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tails the topic for as long as the gateway lives.
async fn tail(bus: Arc<dyn Bus>, watched: Shared) {
    loop {
        let mut notices = match bus.tail(TOPIC).await {
            Ok(notices) => notices,
            Err(error) => {
                tracing::warn!(%error, "cannot hear the notices; live pages fall back to looking by themselves");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        // Whatever was said before this tail began was missed.
        poke(&watched);
        loop {
            match notices.recv().await {
                Ok(body) => match serde_json::from_str(&body) {
                    Ok(changed) => pass_on(&watched, &changed),
                    Err(error) => tracing::warn!(%error, "a notice that does not read"),
                },
                Err(RecvError::Lagged(_)) => poke(&watched),
                Err(RecvError::Closed) => break,
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn pass_on(watched: &Mutex<Watched>, changed: &OrderChanged) {
    if let Some(news) = lock(watched).orders.get(&changed.order_id) {
        news.send_if_modified(|news| {
            let newer = changed.version > news.version;
            news.version = news.version.max(changed.version);
            newer
        });
    }
}

fn poke(watched: &Mutex<Watched>) {
    for news in lock(watched).orders.values() {
        news.send_modify(|news| news.pokes += 1);
    }
}

/// One watcher between two looks.
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

impl Api {
    pub(super) async fn watch_order(
        &self,
        caller: &Caller,
        id: &str,
        min_version: Option<i64>,
    ) -> Result<OrderStream, ApiError> {
        // Registered before it is read: what happens in between is told.
        let registration = Registration::new(&self.notices.watched, id);
        let first = self.get_order(caller, id, min_version, true).await?;
        let first = first.ok_or_else(|| ApiError::not_found("there is no such order"))?;
        let shown = first.order.version;
        let watcher = Watcher { api: self.clone(), caller: caller.clone(), registration, shown };
        Ok(stream::iter([first]).chain(stream::unfold(watcher, Watcher::next)).boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(order_id: &str, version: i64) -> OrderChanged {
        OrderChanged { order_id: order_id.into(), customer_id: "c".into(), version }
    }

    fn has_news(registration: &mut Registration) -> bool {
        let news = registration.news.as_mut().expect("registered");
        let changed = news.has_changed().expect("the sender lives");
        news.mark_unchanged();
        changed
    }

    #[test]
    fn only_the_watched_order_and_only_a_higher_version_is_news() {
        let watched = Shared::default();
        let mut registration = Registration::new(&watched, "a");
        pass_on(&watched, &changed("b", 1));
        assert!(!has_news(&mut registration));
        pass_on(&watched, &changed("a", 2));
        assert!(has_news(&mut registration));
        pass_on(&watched, &changed("a", 2));
        pass_on(&watched, &changed("a", 1));
        assert!(!has_news(&mut registration), "doubled and overtaken notices are none");
        poke(&watched);
        assert!(has_news(&mut registration), "a tail that may have missed some makes all look");
    }

    #[test]
    fn the_last_watcher_to_leave_clears_the_place() {
        let watched = Shared::default();
        let (one, two) = (Registration::new(&watched, "a"), Registration::new(&watched, "a"));
        drop(one);
        assert_eq!(lock(&watched).orders.len(), 1);
        drop(two);
        assert!(lock(&watched).orders.is_empty());
    }

    #[tokio::test]
    async fn a_stopping_gateway_ends_every_watch() {
        let watched = Shared::default();
        let mut before = Registration::new(&watched, "a");
        {
            let mut watched = lock(&watched);
            watched.ended = true;
            watched.orders.clear();
        }
        assert_eq!(before.reason_to_look().await, None);
        assert_eq!(Registration::new(&watched, "a").reason_to_look().await, None);
    }
}
