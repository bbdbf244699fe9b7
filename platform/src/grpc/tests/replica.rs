//! A server for the tests that can be killed, paused and stopped like a process: it has
//! a thread and a runtime of its own. What it answers is a script.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::ServiceExt as _;

use super::{NOTIFICATIONS, OPS};
use crate::grpc::{Connection, deadline, in_process};

/// A call that arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What is answered: the fields of a message, or a no. Runs on the server's runtime.
pub(super) type Script = Arc<dyn Fn(Seen) -> BoxFuture<'static, Result<(), Status>> + Send + Sync>;

/// Says yes to everything.
pub(super) fn yes() -> Script {
    Arc::new(|_| Box::pin(async { Ok(()) }))
}

/// Says nothing, ever.
pub(super) fn silence() -> Script {
    Arc::new(|_| Box::pin(std::future::pending()))
}

/// Says no.
pub(super) fn no(code: tonic::Code) -> Script {
    Arc::new(move |_| Box::pin(async move { Err(Status::new(code, "as it was told to")) }))
}

/// A running replica.
pub(super) struct Replica {
    pub(super) address: SocketAddr,
    health: HealthReporter,
    seen: Arc<Mutex<Vec<Seen>>>,
    runtime: tokio::runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    kill: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Replica {
    pub(super) async fn start(script: Script) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), script).await
    }

    /// At an address, perhaps one that another had before.
    pub(super) async fn start_at(address: SocketAddr, script: Script) -> Self {
        let (health, health_server) = tonic_health::server::health_reporter();
        for service in [NOTIFICATIONS, OPS] {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel::<()>();
        let (kill, killed) = oneshot::channel::<()>();
        let (ready, is_ready) = oneshot::channel();
        let port = Port { script, seen: seen.clone(), health: in_process(health_server) };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let serving = async {
                let listener = TcpListener::bind(address).await.expect("the address is free");
                let address = listener.local_addr().expect("an address");
                ready.send((address, tokio::runtime::Handle::current())).expect("somebody waits");
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                let ended = async { drop(stopped.await) };
                let server = Server::builder();
                let server = { server }.serve_with_incoming_shutdown(deadline::obeyed(port), incoming, ended);
                tokio::select! {
                    ended = server => ended.expect("serves"),
                    _ = killed => {}
                }
            };
            // Whatever is under way ends with the runtime, and its sockets with it.
            runtime.block_on(serving);
        });
        let (address, runtime) = is_ready.await.expect("starts");
        Self { address, health, seen, runtime, stop: Some(stop), kill: Some(kill), thread: Some(thread) }
    }

    /// The same without a socket.
    pub(super) fn in_process(script: Script) -> Connection {
        let (_, health) = tonic_health::server::health_reporter();
        in_process(Port { script, seen: Arc::default(), health: in_process(health) })
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn say(&self, status: ServingStatus) {
        self.health.set_service_status(NOTIFICATIONS, status).await;
    }

    /// As `kill -9`: nothing is finished, nothing is said.
    pub(super) fn kill(&mut self) {
        drop(self.kill.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("ends");
        }
    }

    /// As `kill -STOP`, until what is returned is dropped: its sockets stand, and nothing
    /// comes out of them.
    pub(super) async fn pause(&self) -> mpsc::Sender<()> {
        let (resume, resumed) = mpsc::channel::<()>();
        let (paused, is_paused) = oneshot::channel();
        self.runtime.spawn(async move {
            paused.send(()).expect("somebody waits");
            // Blocks the only thread that it has.
            let _ = resumed.recv();
        });
        is_paused.await.expect("pauses");
        resume
    }

    /// As `kill -TERM`: what is under way is finished. Whether it has ended is asked of
    /// [`has_ended`](Self::has_ended).
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.kill.take());
    }
}

/// Health, and beside it whatever the script says.
#[derive(Clone)]
struct Port {
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
    health: Connection,
}

impl NamedService for Port {
    const NAME: &'static str = NOTIFICATIONS;
}

impl Service<Request<Body>> for Port {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { script, seen, health } = self.clone();
        Box::pin(async move {
            if request.uri().path().starts_with("/grpc.health.v1.Health/") {
                return Ok(health.oneshot(request).await.unwrap_or_else(Status::into_http));
            }
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let call = Seen { parts, body };
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
            Ok(match script(call).await {
                Ok(()) => empty_message(),
                Err(status) => status.into_http(),
            })
        })
    }
}

/// A message without fields, as gRPC frames it: not compressed, no bytes long.
fn empty_message() -> Response<Body> {
    let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
