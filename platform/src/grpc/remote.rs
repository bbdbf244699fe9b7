//! A connection to the replicas of a service, over sockets: what every call gets on its
//! way out.
//!
//! Its deadline (`deadline.rs`), the token that the port asks for, a replica
//! (`balance.rs`), and a second attempt where the contracts allow one (`retry.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tower::util::BoxCloneSyncService;

use super::Connection;
use super::balance::{Balancer, Resolve};
use super::deadline;
use super::method::Method;
use super::peers::{Peer, Peers};
use super::retry::{self, Call, Payload};

/// How long a call may take that comes without a deadline. Who is at the other end of
/// a socket may never answer, so every call has one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Set by a port that refuses a call because of its token, in the metadata of its
/// UNAUTHENTICATED: `x-orderly-refused: token`. Services refuse, too, those who are not
/// logged in; the two must not be taken for one another.
pub const REFUSED: &str = "x-orderly-refused";
/// The value of [`REFUSED`].
pub const REFUSED_TOKEN: &str = "token";

/// A connection to the replicas of `service` (its full name, as in
/// `OrdersServer::NAME`) at `peers`. Each call carries `token`, for the port, and goes
/// to a replica that serves; if none does, it waits for one up to two seconds. Needs a
/// Tokio runtime. Its background tasks end when its last clone is dropped.
pub fn remote(peers: Peers, service: &'static str, token: &str) -> Connection {
    BoxCloneSyncService::new(Remote::start(peers, service, token, Arc::new(look_up)))
}

fn look_up(peer: Peer) -> BoxFuture<'static, std::io::Result<Vec<std::net::SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((peer.host.as_str(), peer.port)).await?.collect()) })
}

/// See [`remote`].
#[derive(Clone)]
pub(super) struct Remote {
    service: &'static str,
    pub(super) balancer: Arc<Balancer>,
    /// None if the token is none that a header can carry: then the port refuses.
    pub(super) authorization: Option<HeaderValue>,
    /// Whether the last call was refused because of its token: said once, not each time.
    is_refused: Arc<AtomicBool>,
}

impl Remote {
    fn start(peers: Peers, service: &'static str, token: &str, resolve: Resolve) -> Self {
        Self::over(Balancer::start(peers, service, resolve), service, token)
    }

    pub(super) fn over(balancer: Balancer, service: &'static str, token: &str) -> Self {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok();
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Self { service, balancer: Arc::new(balancer), authorization, is_refused: Arc::default() }
    }

    async fn ask(self, request: Request<Body>, method: Method, deadline: Instant) -> Result<Response<Body>, Status> {
        let (mut parts, body) = request.into_parts();
        if let Some(authorization) = &self.authorization {
            parts.headers.insert(AUTHORIZATION, authorization.clone());
        }
        let payload = if method.streams_request {
            Payload::Stream(Some(body))
        } else {
            // All of it, so that it can be sent again, the same bytes.
            let whole = timeout_at(deadline, body.collect()).await.map_err(|_| deadline::exceeded())??;
            Payload::Whole(whole.to_bytes())
        };
        let call = Call { service: self.service, parts, payload, method, deadline };
        let response = retry::answer(&self.balancer, call).await?;
        self.admitted(response)
    }

    /// A wrong token is this process's fault, not the customer's: to him the service
    /// is not there, rather than he not logged in.
    fn admitted(&self, response: Response<Body>) -> Result<Response<Body>, Status> {
        let service = self.service;
        let why = response.headers().get(REFUSED);
        let is_refused = why.is_some_and(|why| why == REFUSED_TOKEN);
        if self.is_refused.swap(is_refused, Ordering::Relaxed) != is_refused {
            if is_refused {
                tracing::error!(
                    service,
                    "a service refuses this process's gRPC token: give all of them the same \
                                          --grpc-token (ORDERLY_GRPC_TOKEN)"
                );
            } else {
                tracing::info!(service, "a service takes this process's gRPC token again");
            }
        }
        if is_refused {
            return Err(retry::unavailable(format!("{service} refuses this process's gRPC token (--grpc-token)")));
        }
        Ok(response)
    }
}

impl Service<Request<Body>> for Remote {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = Method::at(request.uri().path());
        let deadline = deadline::of(request.headers()).unwrap_or_else(|| deadline::after(PATIENCE));
        Box::pin(self.clone().ask(request, method, deadline))
    }
}
