//! Connections over sockets, against servers on loopback that are killed, paused,
//! stopped and started anew.

mod calls;
mod deadlines;
mod replica;
mod retries;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contracts::notification::notifications_client::NotificationsClient;
use contracts::notification::{GetPreferenceRequest, Preference, SetPreferenceRequest};
use contracts::ops::ops_client::OpsClient;
use contracts::ops::{RedriveReply, RedriveRequest};
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;

use super::balance::Balancer;
use super::remote::Remote;
use super::{Connection, Peers};
use replica::Replica;

const NOTIFICATIONS: &str = "orderly.notification.v1.Notifications";
const OPS: &str = "orderly.ops.v1.Ops";

/// Waits for something that takes as long as it takes.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let patient = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), patient).await.expect(what);
}

/// The addresses that a name stands for, which may change.
#[derive(Clone, Default)]
struct Name(Arc<Mutex<Vec<SocketAddr>>>);

impl Name {
    fn means(&self, addresses: &[SocketAddr]) {
        *self.0.lock().expect("whole") = addresses.to_vec();
    }
}

/// A remote connection, and its inside.
struct Client {
    remote: Remote,
    name: Name,
}

impl Client {
    /// Of replicas that are asked whether they serve.
    fn of(service: &'static str, replicas: &[&Replica]) -> Self {
        let name = Name::default();
        name.means(&replicas.iter().map(|replica| replica.address).collect::<Vec<_>>());
        let known = name.clone();
        let resolve = Arc::new(move |_| -> futures_util::future::BoxFuture<'static, _> {
            let addresses = known.0.lock().expect("whole").clone();
            Box::pin(async move { Ok(addresses) })
        });
        let peers = Peers::try_new("http://service.test:8081").expect("peers");
        let balancer = Balancer::start(peers, service, resolve);
        Self { remote: Remote::over(balancer, service, "0123456789abcdef"), name }
    }

    /// Of replicas that are taken to serve.
    fn fixed(service: &'static str, addresses: &[SocketAddr]) -> Self {
        let balancer = Balancer::fixed(service, addresses);
        Self { remote: Remote::over(balancer, service, "0123456789abcdef"), name: Name::default() }
    }

    fn connection(&self) -> Connection {
        BoxCloneSyncService::new(self.remote.clone())
    }

    /// A read: may be repeated.
    async fn read(&self, customer: &str) -> Result<Preference, Status> {
        let asked = GetPreferenceRequest { customer_id: customer.into() };
        let mut client = NotificationsClient::new(self.connection());
        client.get_preference(asked).await.map(tonic::Response::into_inner)
    }

    /// A command with an id: may be repeated.
    async fn set(&self, id: &str) -> Result<Preference, Status> {
        let asked = SetPreferenceRequest { command_id: id.into(), customer_id: "ada".into(), mail: 1 };
        let mut client = NotificationsClient::new(self.connection());
        client.set_preference(asked).await.map(tonic::Response::into_inner)
    }

    /// A command without one: must not be repeated.
    async fn redrive(&self, subject: &str) -> Result<RedriveReply, Status> {
        let asked = RedriveRequest { subject: subject.into(), ..Default::default() };
        let mut request = tonic::Request::new(asked);
        request.set_timeout(Duration::from_secs(60));
        OpsClient::new(self.connection()).redrive(request).await.map(tonic::Response::into_inner)
    }

    /// Waits until exactly these serve.
    async fn sees(&self, replicas: &[&Replica]) {
        let wanted = replicas.iter().map(|replica| replica.address).collect();
        until("the right replicas serve", async || self.remote.balancer.serving() == wanted).await;
    }
}

/// An address where nobody listens.
fn nowhere() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address")
}

fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> Code {
    answer.expect_err("a no").code()
}
