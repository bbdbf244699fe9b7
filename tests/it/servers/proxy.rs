//! A network that a test can break: a TCP proxy on loopback, in the test's own process, in front of
//! a real server.
//!
//! What a server process can do to its clients, a test does to the server (kill, stop, restart).
//! What lies between the two cannot be had from either: an answer that is lost after the effect, a
//! name that leads elsewhere, a silence in which nobody closes anything. The client under test is
//! given [`Proxy::address`] in place of the server's.
//!
//! Bytes are never changed or lost on a connection that lives: a *silence* holds them back, as TCP
//! does by sending them again, and a *cut* ends the connection both ways. After a silence that
//! should end as a firewall ends it, cut before you call it off.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The two kinds of an unknown outcome: the client cannot tell one from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The server never sees it.
    BeforeForwarding,
    /// The server has done it and said so; its answer is swallowed.
    AfterForwarding,
}

/// Dropped, it cuts everything and is gone.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
    task: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug)]
struct Wire {
    plan: Mutex<Plan>,
    /// A change ends every connection that was there.
    cut: watch::Sender<()>,
    /// While true, nothing passes.
    silent: watch::Sender<bool>,
    sprung: AtomicUsize,
    accepted: AtomicUsize,
    round_trips: AtomicUsize,
}

#[derive(Debug)]
struct Plan {
    target: SocketAddr,
    refuse: bool,
    delay: Duration,
    trap: Option<(&'static [u8], When)>,
    /// Whether the trap stays when it has struck.
    for_ever: bool,
}

/// What the two directions of one connection tell each other.
#[derive(Debug, Default)]
struct Talk {
    /// The next bytes of the server are an answer that nobody may hear.
    swallow_answer: AtomicBool,
    /// The client spoke last.
    asked: AtomicBool,
}

impl Proxy {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free loopback port")?;
        let address = listener.local_addr()?;
        let wire = Arc::new(Wire {
            plan: Mutex::new(Plan { target, refuse: false, delay: Duration::ZERO, trap: None, for_ever: false }),
            cut: watch::Sender::new(()),
            silent: watch::Sender::new(false),
            sprung: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            round_trips: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, wire.clone()));
        Ok(Self { address, wire, task })
    }

    /// In front of the server that a URL names; gives the URL that leads through the proxy.
    ///
    /// # Errors
    /// The URL names no address (`127.0.0.1:5432`), or as [`start`](Self::start).
    pub(crate) async fn before(url: &str) -> Result<(Self, String)> {
        let (scheme, rest) = url.split_once("://").context("not a URL")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (login, host) =
            authority.rsplit_once('@').map_or((String::new(), authority), |(login, host)| (format!("{login}@"), host));
        let proxy = Self::start(host.parse().with_context(|| format!("not an address: {host}"))?).await?;
        let through = format!("{scheme}://{login}{}{path}", proxy.address);
        Ok((proxy, through))
    }

    /// Where clients connect.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go to `target`; the old ones are cut. A failover.
    pub(crate) fn retarget(&self, target: SocketAddr) {
        self.plan().target = target;
        self.cut();
    }

    /// Breaks all connections now. New ones are welcome, unless they are refused.
    pub(crate) fn cut(&self) {
        self.wire.cut.send_replace(());
    }

    /// Whether new connections are closed at once. Those that there are go on.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.plan().refuse = refuse;
    }

    /// Whether the network is silent: bytes and connections are taken and nothing passes, in
    /// neither direction, not even the end of a connection. What was held back passes afterwards,
    /// if its connection has not been cut.
    pub(crate) fn swallow(&self, silent: bool) {
        self.wire.silent.send_replace(silent);
    }

    /// How long each chunk of either direction is under way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.plan().delay = delay;
    }

    /// Sets a trap: the connection whose client next sends `pattern` is cut, as `when` says. The
    /// bytes that the server sends next are taken for its answer. Strikes once.
    pub(crate) fn cut_at(&self, pattern: &'static [u8], when: When) {
        let mut plan = self.plan();
        (plan.trap, plan.for_ever) = (Some((pattern, when)), false);
    }

    /// The same, and it strikes each time until it is [called off](Self::spare).
    pub(crate) fn cut_at_each(&self, pattern: &'static [u8], when: When) {
        let mut plan = self.plan();
        (plan.trap, plan.for_ever) = (Some((pattern, when)), true);
    }

    /// No trap any more.
    pub(crate) fn spare(&self) {
        self.plan().trap = None;
    }

    /// How many traps have struck.
    pub(crate) fn sprung(&self) -> usize {
        self.wire.sprung.load(Ordering::SeqCst)
    }

    /// How many connections have been made through it.
    pub(crate) fn accepted(&self) -> usize {
        self.wire.accepted.load(Ordering::SeqCst)
    }

    /// How often a server has answered a client, over all connections: what is asked in one breath
    /// and answered in another counts once.
    pub(crate) fn round_trips(&self) -> usize {
        self.wire.round_trips.load(Ordering::SeqCst)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.wire.plan()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect("nobody panics while he holds the plan")
    }

    /// What a chunk goes through on its way.
    async fn travel(&self) {
        let delay = self.plan().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        // Cannot fail: the wire owns the sender.
        let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
    }

    /// Takes the trap away if `seen` has its pattern.
    fn strike(&self, seen: &[u8]) -> Option<When> {
        let mut plan = self.plan();
        let (pattern, when) = plan.trap?;
        seen.windows(pattern.len()).any(|window| window == pattern).then(|| {
            plan.trap = plan.trap.filter(|_| plan.for_ever);
            when
        })
    }
}

async fn accept(listener: TcpListener, wire: Arc<Wire>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of file descriptors: of no use to anybody, and it may pass.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        if !wire.plan().refuse {
            wire.accepted.fetch_add(1, Ordering::SeqCst);
            connections.spawn(carry(client, wire.clone()));
        }
    }
}

/// One connection, until either side or the test ends it.
async fn carry(client: TcpStream, wire: Arc<Wire>) {
    // Before the target is read: who is turned elsewhere in between is cut.
    let mut cut = wire.cut.subscribe();
    let target = wire.plan().target;
    let talk = Talk::default();
    let both_ways = async {
        let Ok(server) = TcpStream::connect(target).await else { return };
        // A test that waits for Nagle's algorithm is a slow test.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
        tokio::select! {
            _ = upward(client_in, server_out, &wire, &talk) => {}
            _ = downward(server_in, client_out, &wire, &talk) => {}
        }
    };
    tokio::select! {
        biased;
        _ = cut.changed() => {}
        () = both_ways => {}
    }
}

async fn upward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wire: &Wire, talk: &Talk) -> std::io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    // The end of what went before, since a pattern may come in two pieces.
    let mut seen = Vec::new();
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            wire.travel().await;
            return Ok(());
        }
        wire.travel().await;
        seen.extend_from_slice(&chunk[..length]);
        match wire.strike(&seen) {
            Some(When::BeforeForwarding) => {
                wire.sprung.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            Some(When::AfterForwarding) => talk.swallow_answer.store(true, Ordering::SeqCst),
            None => {}
        }
        seen.drain(..seen.len().saturating_sub(64));
        talk.asked.store(true, Ordering::SeqCst);
        to.write_all(&chunk[..length]).await?;
    }
}

async fn downward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wire: &Wire, talk: &Talk) -> std::io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut chunk).await?;
        if talk.swallow_answer.load(Ordering::SeqCst) {
            wire.sprung.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        wire.travel().await;
        if length == 0 {
            return Ok(());
        }
        if talk.asked.swap(false, Ordering::SeqCst) {
            wire.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        to.write_all(&chunk[..length]).await?;
    }
}
