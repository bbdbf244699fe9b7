//! One replica: its connection, whether it serves, and what it has under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Response, Uri};
use http_body_util::BodyExt as _;
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};

use crate::grpc::peers::Peer;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a connection may be silent before it is asked whether it is still there,
/// and how long it may take to say so. Also when nobody calls: a dead one is best found
/// before it is needed.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);

/// See the [module](self).
pub(super) struct Replica {
    pub(super) address: SocketAddr,
    pub(super) channel: Channel,
    under_way: AtomicUsize,
    /// Odd while it serves. Each time that it begins or ceases to serve it rises by one,
    /// so that a doubt about an earlier term is told from one about this term.
    term: AtomicU64,
    doubt: Notify,
}

/// A replica that was chosen for a call. The call counts as under way until this is
/// dropped; and since dropping is all it takes, no way out of a call (an error, a
/// deadline, a caller who goes away in the middle) can forget to count down.
pub(in crate::grpc) struct Chosen {
    replica: Arc<Replica>,
    term: u64,
}

impl Replica {
    /// Connects when it is first asked. `None` for an address that no URL can hold: a
    /// link-local one with its zone.
    pub(super) fn try_new(address: SocketAddr, peer: &Peer) -> Option<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        // Who is called by a name is called by that name, whichever address it has.
        let origin: Uri = format!("http://{peer}").parse().ok()?;
        let channel = endpoint
            .origin(origin)
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_ANSWER)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let (under_way, term) = (AtomicUsize::new(0), AtomicU64::new(0));
        Some(Self { address, channel, under_way, term, doubt: Notify::new() })
    }

    pub(super) fn serves(&self) -> bool {
        self.term.load(Ordering::Acquire) % 2 == 1
    }

    /// It says that it serves. Whether that is news.
    pub(super) fn begin_to_serve(&self) -> bool {
        self.turn(0)
    }

    /// It does not say so any more. Whether that is news.
    pub(super) fn cease_to_serve(&self) -> bool {
        self.turn(1)
    }

    /// Ends the term if it is of this parity.
    fn turn(&self, parity: u64) -> bool {
        let next = |term: u64| (term % 2 == parity).then_some(term + 1);
        self.term.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }

    /// Waits until a call doubts that it serves.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    pub(super) fn chosen(self: &Arc<Self>) -> Chosen {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Chosen { replica: self.clone(), term: self.term.load(Ordering::Acquire) }
    }
}

impl Chosen {
    pub(in crate::grpc) fn address(&self) -> SocketAddr {
        self.replica.address
    }

    pub(in crate::grpc) fn channel(&self) -> Channel {
        self.replica.channel.clone()
    }

    /// The call got no answer: the replica gets no more of them until it has said again
    /// that it serves. Says nothing about a replica that has done so since the call began.
    pub(in crate::grpc) fn suspect(&self) {
        let next = self.term + 1;
        let is_news = self.term % 2 == 1
            && self.replica.term.compare_exchange(self.term, next, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_news {
            self.replica.doubt.notify_one();
        }
    }

    /// The call is under way until its answer was read, or dropped.
    pub(in crate::grpc) fn until_read(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _under_way = &self;
                frame
            }))
        })
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.replica.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica() -> Arc<Replica> {
        let peer = Peer { host: "127.0.0.1".into(), port: 1 };
        Arc::new(Replica::try_new(([127, 0, 0, 1], 1).into(), &peer).expect("an address"))
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_is_no_longer_under_way() {
        let replica = replica();
        let (first, second) = (replica.chosen(), replica.chosen());
        assert_eq!(replica.under_way(), 2);
        drop(first);
        let response = second.until_read(Response::new(Body::new("unread".to_owned())));
        assert_eq!(replica.under_way(), 1, "its answer was not read yet");
        drop(response);
        assert_eq!(replica.under_way(), 0);
        drop(replica.chosen().until_read(Response::new(Body::empty())));
        assert_eq!(replica.under_way(), 0);
    }

    #[tokio::test]
    async fn a_doubt_of_an_earlier_term_says_nothing_about_this_one() {
        let replica = replica();
        assert!(replica.begin_to_serve());
        assert!(!replica.begin_to_serve(), "no news");
        let (early, late) = (replica.chosen(), replica.chosen());
        early.suspect();
        assert!(!replica.serves());
        replica.doubted().await;
        assert!(replica.begin_to_serve());
        late.suspect();
        assert!(replica.serves(), "it has said since that it serves");
        replica.chosen().suspect();
        assert!(!replica.serves());
        assert!(!replica.cease_to_serve(), "no news");
    }
}
