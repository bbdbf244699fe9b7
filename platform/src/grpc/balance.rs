//! **Client-side load balancing** with **health checks**: which replica gets a call.
//!
//! gRPC keeps one HTTP/2 connection open and sends everything over it, so whoever
//! balances *connections* (a name with several addresses, a TCP proxy) balances
//! nothing: all calls of a client go to one replica. So the client itself holds a
//! connection to every replica and chooses for each call.
//!
//! *Who is there*: the names of the [`Peers`] are looked up again and again; every
//! address is a [`Replica`] (`balance/replica.rs`). A name that cannot be looked up
//! keeps the addresses it had. *Who can be asked*: every replica says so itself, over
//! the standard health service (`balance/health.rs`). *Who is asked*: of two that serve,
//! chosen at random, the one with fewer calls under way (**power of two choices**). The
//! least busy of all would be everybody's choice at the same moment; a random one may
//! be busy; the better of two is nearly as good as the best, and asks nobody.
//!
//! tonic has a balancer (`Channel::balance_channel`), but it does not ask for health, and
//! an endpoint that refuses connections stays in it and goes on getting its share of the
//! calls, each of which fails. Hence this one.
//!
//! Chapter: `docs/grpc.md`.

mod health;
mod replica;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::peers::{Peer, Peers};
pub(super) use replica::Chosen;
use replica::Replica;

/// Between two look-ups while somebody serves, and while nobody does.
const RENEWAL: Duration = Duration::from_secs(5);
const SEARCH: Duration = Duration::from_secs(1);
/// How long a look-up may take.
const LOOKUP: Duration = Duration::from_secs(5);
/// How long a call waits for somebody to serve.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks a peer's name up.
pub(super) type Resolve = Arc<dyn Fn(Peer) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The replicas of one service. Its background tasks end when it is dropped.
pub(super) struct Balancer {
    shared: Arc<Shared>,
    _tasks: DropGuard,
}

/// What calls and background tasks see.
struct Shared {
    /// Full name, as health is asked for it.
    service: &'static str,
    replicas: RwLock<Arc<[Arc<Replica>]>>,
    /// Rings when a replica begins or ceases to serve.
    changed: watch::Sender<()>,
}

impl Balancer {
    /// Begins to look for the replicas. Needs a Tokio runtime.
    pub(super) fn start(peers: Peers, service: &'static str, resolve: Resolve) -> Self {
        let shared =
            Arc::new(Shared { service, replicas: RwLock::new(Arc::new([])), changed: watch::Sender::default() });
        let tasks = CancellationToken::new();
        let crew = Crew { peers, resolve, shared: shared.clone(), known: HashMap::new(), here: HashMap::new() };
        let search = crew.run(tasks.clone());
        tokio::spawn(tasks.clone().run_until_cancelled_owned(search));
        Self { shared, _tasks: tasks.drop_guard() }
    }

    /// These replicas, which are taken to serve; nobody asks them whether they do.
    #[cfg(test)]
    pub(super) fn fixed(service: &'static str, addresses: &[SocketAddr]) -> Self {
        let peer = Peer { host: "localhost".into(), port: 1 };
        let replicas = addresses.iter().filter_map(|address| Replica::try_new(*address, &peer)).map(Arc::new);
        let replicas: Arc<[_]> = replicas.collect();
        replicas.iter().for_each(|replica| assert!(replica.begin_to_serve()));
        let shared = Shared { service, replicas: RwLock::new(replicas), changed: watch::Sender::default() };
        Self { shared: Arc::new(shared), _tasks: CancellationToken::new().drop_guard() }
    }

    /// Who serves now.
    #[cfg(test)]
    pub(super) fn serving(&self) -> std::collections::BTreeSet<SocketAddr> {
        self.shared.replicas().iter().filter(|replica| replica.serves()).map(|replica| replica.address).collect()
    }

    /// Whether anything of it, a background task too, is still there when it is gone.
    #[cfg(test)]
    pub(super) fn remains(&self) -> impl Fn() -> bool + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || shared.strong_count() > 0
    }

    /// A replica that serves, if possible none of those already tried. Waits for one
    /// until the deadline, but not longer than [`PATIENCE`].
    pub(super) async fn choose(&self, tried: &[SocketAddr], deadline: Instant) -> Option<Chosen> {
        let mut changed = self.shared.changed.subscribe();
        let patience = deadline.min(Instant::now() + PATIENCE);
        loop {
            changed.mark_unchanged();
            if let Some(chosen) = self.shared.choose(tried) {
                return Some(chosen);
            }
            timeout_at(patience, changed.changed()).await.ok()?.ok()?;
        }
    }

    /// Whether somebody serves who was not tried yet.
    pub(super) fn has_another(&self, tried: &[SocketAddr]) -> bool {
        self.shared.replicas().iter().any(|replica| replica.serves() && !tried.contains(&replica.address))
    }
}

impl Shared {
    fn replicas(&self) -> Arc<[Arc<Replica>]> {
        self.replicas.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn choose(&self, tried: &[SocketAddr]) -> Option<Chosen> {
        let replicas = self.replicas();
        let (mut candidates, again): (Vec<_>, Vec<_>) =
            replicas.iter().filter(|replica| replica.serves()).partition(|replica| !tried.contains(&replica.address));
        if candidates.is_empty() {
            candidates = again;
        }
        let replica = match candidates.len() {
            0 => return None,
            1 => candidates[0],
            among => {
                let first = rand::random_range(..among);
                // Any but the first: each as likely as the others.
                let second = (first + rand::random_range(1..among)) % among;
                let (first, second) = (candidates[first], candidates[second]);
                if second.under_way() < first.under_way() { second } else { first }
            }
        };
        // It may have ceased to serve meanwhile; then the call finds out.
        Some(replica.chosen())
    }

    fn somebody_serves(&self) -> bool {
        self.replicas().iter().any(|replica| replica.serves())
    }
}

/// Who keeps the list of replicas: one task.
struct Crew {
    peers: Peers,
    resolve: Resolve,
    shared: Arc<Shared>,
    /// What each name stood for when it was looked up last.
    known: HashMap<Peer, Vec<SocketAddr>>,
    /// The replicas, and what ends their health checks when they are let go.
    here: HashMap<SocketAddr, (Arc<Replica>, DropGuard)>,
}

impl Crew {
    async fn run(mut self, tasks: CancellationToken) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            self.look_up().await;
            self.admit(&tasks);
            let looked_up = Instant::now();
            loop {
                changed.mark_unchanged();
                let pause = if self.shared.somebody_serves() { RENEWAL } else { SEARCH };
                // Jitter, so that the replicas of a client do not ask in step.
                let pause = pause.mul_f64(rand::random_range(0.8..1.2));
                tokio::select! {
                    () = sleep_until(looked_up + pause) => break,
                    // Perhaps the last one that served: then it is time to look earlier.
                    _ = changed.changed() => {}
                }
            }
        }
    }

    /// What the names stand for now. One that cannot be looked up stands for what it did.
    async fn look_up(&mut self) {
        let resolve = &self.resolve;
        let looks = self.peers.iter().map(|peer| async move {
            let found = timeout(LOOKUP, resolve(peer.clone())).await;
            (peer, found.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())))
        });
        for (peer, found) in join_all(looks).await {
            match found {
                Ok(addresses) => {
                    self.known.insert(peer.clone(), addresses);
                }
                Err(error) => tracing::debug!(service = self.shared.service, %peer, %error, "a name was not found"),
            }
        }
    }

    /// Takes in the replicas that are new, and lets go of those that no name stands for
    /// any more. What they have under way they finish: a connection lives until then.
    fn admit(&mut self, tasks: &CancellationToken) {
        let named: HashMap<SocketAddr, &Peer> = (self.peers.iter())
            .flat_map(|peer| self.known.get(peer).into_iter().flatten().map(move |address| (*address, peer)))
            .collect();
        let before = self.here.len();
        self.here.retain(|address, _| named.contains_key(address));
        let mut is_changed = self.here.len() < before;
        for (address, peer) in named {
            if self.here.contains_key(&address) {
                continue;
            }
            let Some(replica) = Replica::try_new(address, peer) else {
                tracing::debug!(service = self.shared.service, %address, "an address that cannot be called");
                continue;
            };
            let (replica, ended) = (Arc::new(replica), tasks.child_token());
            let follow = health::follow(replica.clone(), self.shared.clone());
            tokio::spawn(ended.clone().run_until_cancelled_owned(follow));
            self.here.insert(address, (replica, ended.drop_guard()));
            is_changed = true;
        }
        if is_changed {
            let replicas: Arc<[_]> = self.here.values().map(|(replica, _)| replica.clone()).collect();
            tracing::debug!(service = self.shared.service, replicas = replicas.len(), "the replicas have changed");
            *self.shared.replicas.write().unwrap_or_else(PoisonError::into_inner) = replicas;
            self.shared.changed.send_replace(());
        }
    }
}
