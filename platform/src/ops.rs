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

use crate::service::Spec;

/// The server over the services of this process.
pub struct Desk {
    services: BTreeMap<&'static str, Inside>,
    /// Every stream of the shop, sorted: those of services elsewhere can be tailed too.
    streams: Vec<&'static str>,
    /// Ends every tail.
    stop: CancellationToken,
}

/// The generated server, for in-process connections and for a socket: the services of
/// this process, and the specs of all services, whose streams can be tailed from
/// anywhere. Tails end with `stop`: an answer without an end would keep a server from
/// stopping.
pub fn server(
    services: impl IntoIterator<Item = Inside>,
    specs: &[&'static Spec],
    stop: CancellationToken,
) -> OpsServer<Desk> {
    let services = services.into_iter().map(|inside| (inside.name(), inside)).collect();
    let mut streams: Vec<&'static str> = specs
        .iter()
        .flat_map(|spec| spec.hears.iter().copied().chain(spec.outlets.iter().map(|outlet| outlet.stream)))
        .collect();
    streams.sort_unstable();
    streams.dedup();
    OpsServer::new(Desk { services, streams, stop })
}
