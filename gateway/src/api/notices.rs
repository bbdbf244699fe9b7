//! Live orders: who watches what, and the one tail that wakes them.
//!
//! The query service announces each order that its read model has changed, after
//! the commit. One task of this process tails the topic and tells whoever watches
//! that order (*fan-out*). A notice carries a version and no state: the watcher
//! reads the order, so that notices may be lost, doubled or overtaken. A watcher
//! registers first and reads second, and so misses none; the task pokes all
//! watchers whenever it may have missed some (a new tail, a tail fallen behind);
//! and every watcher looks by itself now and then, in case a broker lost some.
//!
//! Whoever watches *all* orders has a [`feed`] instead, or is content with what the notices
//! themselves say and has [`changes`]. Both are told when they have a gap.

pub(super) mod changes;
pub(super) mod feed;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contracts::query::OrderChanged;
use platform::bus::Bus;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::OrderStatus;
use changes::{Changes, Everyone, OrderChange};
use feed::{Feed, Feeds};

/// Where the query service announces; bodies are `OrderChanged` as JSON.
const TOPIC: &str = "orderly.query.notices";

/// How often a watcher looks without having been told to.
const SECOND_LOOK: Duration = Duration::from_secs(15);

/// How long to wait before a topic is tailed again that could not be.
const RETRY: Duration = Duration::from_millis(500);

/// How long a feed may wait for the topic to be heard.
const PATIENCE: Duration = Duration::from_secs(2);

/// Notices that are passed on at a time: more than one commit has.
const AT_ONCE: usize = 1_000;

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
    /// Those who watch every order.
    feeds: Feeds,
    /// Those who watch what is announced of every order.
    changes: Everyone,
    /// Set when the gateway stops: no watch goes on.
    ended: bool,
}

type Shared = Arc<Mutex<Watched>>;

/// What the tail and the gateway are at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The topic cannot be heard yet, or just now.
    Deaf,
    /// It is heard: an announcement from now on is not missed.
    Hearing,
    /// The gateway stops.
    Ended,
}

/// The fan-out. Dropping it ends the tail.
pub(super) struct Notices {
    watched: Shared,
    state: Arc<watch::Sender<State>>,
    tail: JoinHandle<()>,
}

impl Notices {
    pub(super) fn start(bus: Arc<dyn Bus>) -> Self {
        let watched = Shared::default();
        let state = Arc::new(watch::Sender::new(State::Deaf));
        let tail = tokio::spawn(tail(bus, Arc::clone(&watched), Arc::clone(&state)));
        Self { watched, state, tail }
    }

    /// Hears of this order from now on.
    pub(super) fn register(&self, order_id: &str) -> Registration {
        Registration::new(&self.watched, order_id)
    }

    /// Hears of every order from now on; `None` if the topic cannot be heard now.
    pub(super) async fn feed(&self) -> Option<Feed> {
        self.hearing().await?;
        Some(Feed::new(&self.watched))
    }

    /// Hears what the notices say of every order that comes to stand at one of
    /// `statuses`; `None` if the topic cannot be heard now.
    pub(super) async fn changes(&self, statuses: &[OrderStatus]) -> Option<Changes> {
        self.hearing().await?;
        Some(Changes::new(&self.watched, statuses))
    }

    /// Waits until the topic is heard, but not for long.
    async fn hearing(&self) -> Option<()> {
        let mut state = self.state.subscribe();
        let heard = state.wait_for(|state| *state != State::Deaf);
        tokio::time::timeout(PATIENCE, heard).await.ok()?.ok().map(drop)
    }

    /// To wait with for [`State::Ended`].
    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Ends every watch, so that the connections behind them can be closed.
    pub(super) fn end(&self) {
        let mut watched = lock(&self.watched);
        watched.ended = true;
        watched.orders.clear();
        watched.feeds.end();
        watched.changes.end();
        self.state.send_replace(State::Ended);
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.tail.abort();
    }
}

/// A watcher's place. Dropping it clears the place if it was the last one's.
pub(super) struct Registration {
    pub(super) order_id: String,
    /// `None` once the watch has ended.
    news: Option<watch::Receiver<News>>,
    watched: Shared,
}

impl Registration {
    fn new(shared: &Shared, order_id: &str) -> Self {
        let mut watched = lock(shared);
        let news = (!watched.ended).then(|| watched.orders.entry(order_id.to_owned()).or_default().subscribe());
        Self { order_id: order_id.to_owned(), news, watched: Arc::clone(shared) }
    }

    /// Waits until there is a reason to look at the order again; `None` when the
    /// watch has ended. A second look is not told from news: looking costs little.
    pub(super) async fn reason_to_look(&mut self) -> Option<()> {
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
async fn tail(bus: Arc<dyn Bus>, watched: Shared, state: Arc<watch::Sender<State>>) {
    let set = |now| {
        state.send_if_modified(|state| {
            let changes = *state != State::Ended && *state != now;
            if changes {
                *state = now;
            }
            changes
        });
    };
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
        set(State::Hearing);
        loop {
            match notices.recv().await {
                Ok(body) => {
                    let (bodies, is_whole) = with_its_neighbours(body, &mut notices);
                    pass_on(&watched, &bodies);
                    if !is_whole {
                        poke(&watched);
                    }
                }
                Err(RecvError::Lagged(_)) => poke(&watched),
                Err(RecvError::Closed) => break,
            }
        }
        set(State::Deaf);
        tokio::time::sleep(RETRY).await;
    }
}

/// What was announced together is passed on together. Also tells whether nothing was
/// missed behind it.
fn with_its_neighbours(first: Arc<str>, notices: &mut broadcast::Receiver<Arc<str>>) -> (Vec<Arc<str>>, bool) {
    let mut bodies = vec![first];
    while bodies.len() < AT_ONCE {
        match notices.try_recv() {
            Ok(body) => bodies.push(body),
            Err(TryRecvError::Lagged(_)) => return (bodies, false),
            // That it is closed is told again to who waits.
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    (bodies, true)
}

fn pass_on(watched: &Mutex<Watched>, notices: &[Arc<str>]) {
    let read = |body: &Arc<str>| match serde_json::from_str(body) {
        Ok(changed) => Some(changed),
        Err(error) => {
            tracing::warn!(%error, "a notice that does not read");
            None
        }
    };
    let changed: Vec<OrderChanged> = notices.iter().filter_map(read).collect();
    let watched = lock(watched);
    for changed in &changed {
        watched.feeds.tell(&changed.order_id);
        if let Some(news) = watched.orders.get(&changed.order_id) {
            news.send_if_modified(|news| {
                let newer = changed.version > news.version;
                news.version = news.version.max(changed.version);
                newer
            });
        }
    }
    watched.changes.tell(changed.into_iter().map(OrderChange::try_from));
}

fn poke(watched: &Mutex<Watched>) {
    let watched = lock(watched);
    watched.feeds.break_off();
    watched.changes.break_off();
    for news in watched.orders.values() {
        news.send_modify(|news| news.pokes += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(order_id: &str, version: i64) -> [Arc<str>; 1] {
        let notice = OrderChanged { order_id: order_id.into(), version, ..OrderChanged::default() };
        [serde_json::to_string(&notice).expect("JSON").into()]
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
