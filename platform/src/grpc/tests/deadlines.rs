//! How a deadline travels.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use contracts::notification::GetPreferenceRequest;
use contracts::notification::notifications_client::NotificationsClient;
use contracts::ops::TailRequest;
use contracts::ops::ops_client::OpsClient;
use tonic::Code;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::replica::{Replica, Script, Seen, silence, yes};
use super::{Client, NOTIFICATIONS, OPS, code};
use crate::error;
use crate::grpc::deadline::{obeyed, within};

/// What remained of a call when it arrived.
fn remains(seen: &Seen) -> Duration {
    let header = seen.header("grpc-timeout").expect("a deadline");
    let micros = header.strip_suffix('u').expect("microseconds");
    Duration::from_micros(micros.parse().expect("a number"))
}

#[tokio::test]
async fn a_deadline_shrinks_over_two_hops() {
    let last = Replica::start(yes()).await;
    let address = last.address;
    let script: Script = Arc::new(move |_| {
        Box::pin(async move {
            // It would give its own call ten seconds; its caller gave it fewer.
            Client::fixed(NOTIFICATIONS, &[address]).read("ada").await.map(drop)
        })
    });
    let middle = Replica::start(script).await;
    let client = Client::fixed(NOTIFICATIONS, &[middle.address]);
    within(Duration::from_secs(8), client.read("ada")).await.expect("an answer");
    let (first, second) = (remains(&middle.seen()[0]), remains(&last.seen()[0]));
    assert!(second < first && first < Duration::from_secs(8), "{second:?} {first:?}");
}

#[tokio::test]
async fn a_call_without_a_deadline_is_given_one() {
    let replica = Replica::start(yes()).await;
    Client::fixed(NOTIFICATIONS, &[replica.address]).read("ada").await.expect("an answer");
    let given = remains(&replica.seen()[0]);
    assert!(given <= Duration::from_secs(10) && !given.is_zero(), "{given:?}");
}

#[tokio::test]
async fn a_stream_is_given_none() {
    let replica = Replica::start(yes()).await;
    let mut ops = OpsClient::new(Client::fixed(OPS, &[replica.address]).connection());
    within(Duration::from_secs(60), ops.tail(TailRequest::default())).await.expect("begins");
    assert_eq!(replica.seen()[0].header("grpc-timeout"), None);
}

#[tokio::test]
async fn a_call_is_over_when_its_deadline_is() {
    let replica = Replica::start(silence()).await;
    let client = Client::fixed(NOTIFICATIONS, &[replica.address]);
    let over = code(within(Duration::from_millis(200), client.read("ada")).await);
    assert_eq!(over, Code::DeadlineExceeded);
    assert_eq!(error::Code::of_grpc(over), error::Code::Unavailable);
    assert_eq!(code(within(Duration::ZERO, client.read("ada")).await), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_server_drops_what_nobody_waits_for_any_more() {
    let work = Arc::new(());
    let held = work.clone();
    let server = tower::service_fn(move |_: http::Request<Body>| {
        let held = held.clone();
        async move {
            let _held = held;
            std::future::pending::<Result<http::Response<Body>, Infallible>>().await
        }
    });
    let mut request = http::Request::new(Body::empty());
    request.headers_mut().insert("grpc-timeout", "100m".parse().expect("a value"));
    let answer = obeyed(server).oneshot(request).await.expect("an answer");
    let status = tonic::Status::from_header_map(answer.headers()).expect("a status");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(Arc::strong_count(&work), 1, "the work is dropped, and the server with it");
}

#[tokio::test]
async fn in_process_a_call_obeys_its_caller_s_deadline() {
    let mut client = NotificationsClient::new(Replica::in_process(silence()));
    let asked = GetPreferenceRequest { customer_id: "ada".into() };
    let call = within(Duration::from_millis(50), client.get_preference(asked));
    let answer = tokio::time::timeout(Duration::from_secs(120), call).await.expect("not for ever");
    assert_eq!(code(answer), Code::DeadlineExceeded);
}
