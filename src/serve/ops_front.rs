//! The gateway's **Ops** server: one desk for services that run elsewhere.
//!
//! An operator's tools know one address. Each call names a service, and is carried
//! to a process of that service, with the identity of who asked. What is asked of
//! the rows is the same in each of its replicas; an injected fault is in the one
//! process that was asked.

use std::collections::BTreeMap;

use contracts::ops::ops_client::OpsClient;
use contracts::ops::ops_server::Ops;
use contracts::ops::{
    DiscardReply, DiscardRequest, EditReply, EditRequest, InspectRequest, Inspection, ListFaultsReply, ListInboxReply,
    ListLeasesReply, ListOutboxReply, ListParkedReply, ListParkedRequest, ListRequest, ListServicesReply,
    ListServicesRequest, ListTimersReply, RedriveReply, RedriveRequest, SetFaultRequest, TailRequest, TailedMessage,
};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use platform::grpc::{Connection, Identity};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::role::Role;

/// Room for a list of 500 messages.
const LARGEST_ANSWER: usize = 256 << 20;

/// See the [module](self).
pub(crate) struct OpsFront {
    services: BTreeMap<&'static str, OpsClient<Connection>>,
    /// Ends every tail.
    stop: CancellationToken,
}

/// Which process a service is looked into at.
const DESKS: [(&str, Role); 6] = [
    ("order", Role::Order),
    ("payment", Role::Payment),
    ("bank", Role::Payment),
    ("inventory", Role::Inventory),
    ("notification", Role::Notification),
    ("query", Role::Query),
];

impl OpsFront {
    /// A front of these desks. Tails end with `stop`.
    pub(crate) fn new(desks: &BTreeMap<Role, Connection>, stop: CancellationToken) -> Self {
        let client = |connection: &Connection| {
            OpsClient::new(connection.clone())
                .max_decoding_message_size(LARGEST_ANSWER)
                .max_encoding_message_size(LARGEST_ANSWER)
        };
        let services = DESKS.iter().filter_map(|(service, role)| Some((*service, client(desks.get(role)?)))).collect();
        Self { services, stop }
    }

    fn desk(&self, service: &str) -> Result<OpsClient<Connection>, Status> {
        self.services.get(service).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.services.keys().copied().collect();
            Status::not_found(format!("no such service here; there are: {}", known.join(", ")))
        })
    }
}

/// The same request for another server, from the same operator.
fn on<T>(request: Request<T>) -> Result<Request<T>, Status> {
    let identity = Identity::of(&request)?;
    identity.require_operator()?;
    identity.request(request.into_inner())
}

/// A service that does not answer, by the name that the operator asked for: the desks
/// of all services have one name in the contracts.
fn of(service: &str, status: Status) -> Status {
    match status.code() {
        code @ (Code::Unavailable | Code::DeadlineExceeded) => {
            Status::new(code, format!("{service} does not answer: {}", status.message()))
        }
        _ => status,
    }
}

/// Each method carries its request to the desk of the service that it names.
macro_rules! carry {
    ($($method:ident: $request:ty => $reply:ty),* $(,)?) => {
        #[tonic::async_trait]
        impl Ops for OpsFront {
            type TailStream = BoxStream<'static, Result<TailedMessage, Status>>;

            async fn list_services(
                &self,
                request: Request<ListServicesRequest>,
            ) -> Result<Response<ListServicesReply>, Status> {
                on(request)?;
                let services = self.services.keys().map(|name| (*name).to_owned()).collect();
                Ok(Response::new(ListServicesReply { services }))
            }

            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$reply>, Status> {
                let service = request.get_ref().service.clone();
                let mut desk = self.desk(&service)?;
                desk.$method(on(request)?).await.map_err(|status| of(&service, status))
            })*

            /// Relays tell all tails, whichever process they are in.
            async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
                let mut desk = self.desk("order")?;
                let messages = desk.tail(on(request)?).await.map_err(|status| of("order", status))?.into_inner();
                Ok(Response::new(messages.take_until(self.stop.clone().cancelled_owned()).boxed()))
            }
        }
    };
}

carry! {
    inspect: InspectRequest => Inspection,
    list_outbox: ListRequest => ListOutboxReply,
    list_inbox: ListRequest => ListInboxReply,
    list_parked: ListParkedRequest => ListParkedReply,
    list_timers: ListRequest => ListTimersReply,
    list_leases: ListRequest => ListLeasesReply,
    redrive: RedriveRequest => RedriveReply,
    discard: DiscardRequest => DiscardReply,
    edit: EditRequest => EditReply,
    list_faults: ListRequest => ListFaultsReply,
    set_fault: SetFaultRequest => ListFaultsReply,
}
