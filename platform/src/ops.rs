//! **Ops**: what a running service shows of its inside, and what an operator may do
//! there. The generic server behind the console and the command line.
//!
//! It knows the platform's tables (outbox, inbox, parked, leases) and what every
//! service has (timers, streams), and no business word. A service in this process is
//! an [`Inside`]; [`server`] makes the gRPC server over all of them. Reads go past the
//! service loop; whatever changes a row goes through it, so that nothing is decided
//! about the same line at the same time.
//!
//! Operators only: the identity comes with each call, as everywhere.
//!
//! Chapter: `docs/operations.md`.

pub(crate) mod faults;
mod grpc;
mod inside;
pub(crate) mod tail;

use std::collections::BTreeMap;

use contracts::ops::ops_server::OpsServer;
use tokio_util::sync::CancellationToken;

pub use faults::{Fault, Faults, TooMany};
pub use inside::Inside;

/// The server over the services of this process.
pub struct Desk {
    services: BTreeMap<&'static str, Inside>,
    /// Ends every tail.
    stop: CancellationToken,
}

/// The generated server, for in-process connections and for a socket. Tails end with
/// `stop`: an answer without an end would keep a server from stopping.
pub fn server(services: impl IntoIterator<Item = Inside>, stop: CancellationToken) -> OpsServer<Desk> {
    let services = services.into_iter().map(|inside| (inside.name(), inside)).collect();
    OpsServer::new(Desk { services, stop })
}
