//! gRPC between gateway and services: one kind of connection, in process or over
//! sockets.
//!
//! A generated client takes any [`Connection`]. In `orderly up` it is the generated
//! server itself ([`in_process`]): same codec, same interceptors, no socket. In `orderly
//! serve` it leads to all replicas of a service ([`remote()`]), of which some may be dead,
//! stopping, or not there yet. Either way the caller's identity travels in the metadata
//! of each call, and his [`deadline`] with it.
//!
//! Chapter: `docs/grpc.md`.

mod balance;
pub mod deadline;
mod method;
mod peers;
mod remote;
mod retry;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::server::NamedService;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

pub use peers::{BadPeers, Peers};
pub use remote::{REFUSED, REFUSED_TOKEN, remote};

/// What a generated client talks to. Its own failure is a status too: UNAVAILABLE.
pub type Connection = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// A connection to a generated server in this process. A call obeys the deadline that
/// its caller runs within; it is given none of its own, since nobody here can vanish.
pub fn in_process<S>(server: S) -> Connection
where
    S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(deadline::obeyed(server.map_err(|never| match never {})))
}

/// Who calls: set by the gateway, trusted by the services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Account id.
    pub account: String,
    /// May do what only the people of the shop may.
    pub operator: bool,
}

const ACCOUNT: &str = "x-orderly-account";
const ROLE: &str = "x-orderly-role";

impl Identity {
    /// A request that carries this identity.
    ///
    /// # Errors
    /// The account id is no header text.
    pub fn request<T>(&self, message: T) -> Result<tonic::Request<T>, Status> {
        let mut request = tonic::Request::new(message);
        self.sign(request.metadata_mut())?;
        Ok(request)
    }

    /// Writes this identity into a call's metadata.
    ///
    /// # Errors
    /// The account id is no header text.
    pub fn sign(&self, metadata: &mut MetadataMap) -> Result<(), Status> {
        let account = self.account.parse().map_err(|_| Status::invalid_argument("an account id of plain text"))?;
        metadata.insert(ACCOUNT, account);
        let role = if self.operator { "operator" } else { "user" };
        metadata.insert(ROLE, MetadataValue::from_static(role));
        Ok(())
    }

    /// The identity of whoever sent a request.
    ///
    /// # Errors
    /// UNAUTHENTICATED without one.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self, Status> {
        let text = |key| request.metadata().get(key).and_then(|value| value.to_str().ok());
        match (text(ACCOUNT), text(ROLE)) {
            (Some(account), Some(role)) => Ok(Self { account: account.to_owned(), operator: role == "operator" }),
            _ => Err(Status::unauthenticated("the call carries no identity")),
        }
    }

    /// Refuses everybody but operators.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn require_operator(&self) -> Result<(), Status> {
        if self.operator { Ok(()) } else { Err(Status::permission_denied("for operators only")) }
    }
}

#[cfg(test)]
mod tests;
