//! One deadline for all that a request needs.

use std::sync::{Arc, Mutex};

use contracts::query::query_server::QueryServer;
use futures_util::StreamExt;
use platform::grpc::{Connection, deadline, in_process};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::*;

/// What was asked, and by when the answer was wanted.
type Asked = Arc<Mutex<Vec<(String, Option<tokio::time::Instant>)>>>;

fn watched(fixture: &Fixture) -> (Connection, Asked) {
    let asked = Asked::default();
    let (query, calls) = (in_process(QueryServer::new(fixture.shop.clone())), asked.clone());
    let watched = tower::service_fn(move |request: tonic::codegen::http::Request<tonic::body::Body>| {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        calls.lock().expect("whole").push((method, deadline::current()));
        query.clone().oneshot(request)
    });
    (BoxCloneSyncService::new(watched), asked)
}

const ALL: &str = "{ orders { edges { node { lines { product { name } } timeline { summary } } } } }";

#[tokio::test]
async fn all_calls_of_a_request_share_its_deadline_batches_among_them() {
    let fixture = Fixture::new().await;
    let caller = operator(&fixture).await;
    fixture.project("o-1", "c-1", 1);
    let (connection, asked) = watched(&fixture);
    let graphql = GraphQl::new(fixture.api.clone().asking(connection));
    let asker = || Asker { caller: caller.clone(), from: None };

    let response = graphql.execute(asker(), Request::new(ALL)).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let over_http = std::mem::take(&mut *asked.lock().expect("whole"));
    graphql.execute_stream(asker(), Request::new(ALL)).collect::<Vec<_>>().await;
    let over_socket = std::mem::take(&mut *asked.lock().expect("whole"));

    for calls in [over_http, over_socket] {
        let mut methods: Vec<&str> = calls.iter().map(|(method, _)| method.as_str()).collect();
        methods.sort_unstable();
        assert_eq!(methods, ["GetProducts", "GetTimelines", "ListOrders"]);
        let deadline = calls[0].1.expect("a deadline");
        assert!(calls.iter().all(|(_, other)| *other == Some(deadline)), "{calls:?}");
    }
}
