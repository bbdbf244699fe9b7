//! The **gRPC port** of a process: its services on one socket, and at the gateway and in
//! `orderly up` every service of the shop.
//!
//! Behind it are the same connections that the gateway uses. What the
//! gateway does for its callers, nobody does here: the identity in a call's metadata
//! is believed. So a call needs the shop's token (`authorization: Bearer …`); only
//! health and reflection, which give nothing away, are open.
//!
//! Health is told per service, and turns to NOT_SERVING before a stop, so that who
//! balances over several shops has left before the port closes.
//!
//! Chapter: `docs/operations.md`.

pub(crate) mod token;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use contracts::FILE_DESCRIPTOR_SET;
use contracts::{inventory, notification, ops, order, payment, query};
use futures_util::future::{BoxFuture, poll_fn};
use gateway::api::Connections;
use platform::grpc::{Connection, REFUSED, REFUSED_TOKEN, in_process};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::metadata::MetadataValue;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use token::Token;

/// Between two questions to a silent client whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A service by its name in the contracts, such as "orderly.order.v1.Orders".
pub(crate) type Named = (&'static str, Connection);

/// Every service that the gateway calls, and the Ops desk.
pub(crate) fn whole_shop(connections: Connections, ops: Connection) -> Vec<Named> {
    let Connections { orders, inventory, payments, query, notifications } = connections;
    vec![
        (order::orders_server::SERVICE_NAME, orders),
        (inventory::inventory_server::SERVICE_NAME, inventory),
        (payment::payments_server::SERVICE_NAME, payments),
        (query::query_server::SERVICE_NAME, query),
        (notification::notifications_server::SERVICE_NAME, notifications),
        (ops::ops_server::SERVICE_NAME, ops),
    ]
}

/// The listening port, and what is served on it.
pub(crate) struct GrpcServer {
    health: HealthReporter,
    /// The services that health tells of.
    names: Vec<&'static str>,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl GrpcServer {
    /// Serves these services, each by its name in the contracts, to who has the token.
    ///
    /// # Errors
    /// The contracts' schema cannot be read, which is a defect of the build.
    pub(crate) async fn start(listener: TcpListener, guarded: Vec<Named>, token: Token) -> anyhow::Result<Self> {
        let (health, health_server) = tonic_health::server::health_reporter();
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let described = reflection().build_v1().context("the contracts cannot be described")?;
        // The same under the name that many clients still ask by.
        let described_alpha = reflection().build_v1alpha().context("the contracts cannot be described")?;
        let names: Vec<&'static str> = guarded.iter().map(|(name, _)| *name).collect();
        for name in &names {
            health.set_service_status(name, ServingStatus::Serving).await;
        }
        let guarded = guarded.into_iter().map(|(name, connection)| (name, Line { connection, open: false }));
        let lines = guarded.chain([open(health_server), open(described), open(described_alpha)]).collect();
        let switchboard = Switchboard { lines: Arc::new(lines), token: Arc::new(token) };
        let stop = CancellationToken::new();
        // Answers are small and wanted now.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().http2_keepalive_interval(Some(KEEPALIVE)).serve_with_incoming_shutdown(
            switchboard,
            incoming,
            stop.clone().cancelled_owned(),
        );
        Ok(Self { health, names, stop, serving: tokio::spawn(server) })
    }

    /// Waits until the server ends by itself, which it should not, and says why.
    pub(crate) async fn failed(&mut self) -> String {
        format!("the gRPC server has ended: {:?}", (&mut self.serving).await)
    }

    /// Says that it no longer serves, takes no more calls, and gives those that are
    /// under way so long to end.
    pub(crate) async fn stop(mut self, grace: Duration) {
        for name in self.names.iter().copied().chain([""]) {
            self.health.set_service_status(name, ServingStatus::NotServing).await;
        }
        self.stop.cancel();
        if !self.serving.is_finished() && tokio::time::timeout(grace, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
    }
}

/// Takes the port, or says which flag helps.
///
/// # Errors
/// Somebody else has it, or it is none of this machine's.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("cannot listen for gRPC on {address}: {error}; choose another address with --grpc-listen")
    })
}

/// A service behind the port.
struct Line {
    connection: Connection,
    /// For everybody, without a token.
    open: bool,
}

fn open<S>(server: S) -> (&'static str, Line)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    (S::NAME, Line { connection: in_process(server), open: true })
}

/// Carries each call to the service in its path, if it may go there.
#[derive(Clone)]
struct Switchboard {
    lines: Arc<HashMap<&'static str, Line>>,
    token: Arc<Token>,
}

impl Switchboard {
    /// The path is `/package.Service/Method`.
    fn connect(&self, request: &Request<Body>) -> Result<Connection, Status> {
        let path = request.uri().path();
        let name = path.trim_start_matches('/').split_once('/').map_or("", |(name, _)| name);
        let line = self.lines.get(name).ok_or_else(|| Status::unimplemented("there is no such service here"))?;
        let said = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if line.open || said.is_some_and(|said| self.token.admits(said)) {
            Ok(line.connection.clone())
        } else {
            let mut refused = Status::unauthenticated("a call needs the shop's token: authorization: Bearer <token>");
            // So that another process of the shop knows that it is refused, and not its customer.
            refused.metadata_mut().insert(REFUSED, MetadataValue::from_static(REFUSED_TOKEN));
            Err(refused)
        }
    }
}

impl Service<Request<Body>> for Switchboard {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let connection = self.connect(&request);
        Box::pin(async move {
            let answer = match connection {
                Ok(connection) => ask(connection, request).await,
                Err(status) => Err(status),
            };
            // A refusal is an answer, too.
            Ok(answer.unwrap_or_else(Status::into_http))
        })
    }
}

async fn ask(mut connection: Connection, request: Request<Body>) -> Result<Response<Body>, Status> {
    poll_fn(|context| connection.poll_ready(context)).await?;
    connection.call(request).await
}
