//! What a WebSocket client must not do, and what then happens.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::over_socket::Listening;
use crate::http::socket::Patience;

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

/// Waits for it, but not for ever.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn only_the_one_subprotocol_is_spoken() {
    let gateway = Listening::new().await;
    let (_, answer) = gateway.handshake(&[PROTOCOL]).await.expect("connects");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "graphql-transport-ws");
    let (_, answer) = gateway
        .handshake(&[("sec-websocket-protocol", "graphql-ws, graphql-transport-ws")])
        .await
        .expect("the one of two");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "graphql-transport-ws");
    for wrong in [&[][..], &[("sec-websocket-protocol", "graphql-ws")]] {
        let refused = gateway.handshake(wrong).await;
        assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 400), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_may_not_connect() {
    let gateway = Listening::new().await;
    let own = format!("http://{}", gateway.address);
    assert!(gateway.handshake(&[PROTOCOL, ("origin", &own)]).await.is_ok());
    for other in ["http://evil.example", "null", "http://localhost"] {
        match gateway.handshake(&[PROTOCOL, ("origin", other)]).await {
            Err(Error::Http(answer)) => {
                assert_eq!(answer.status(), 403);
                let body = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned();
                assert!(body.contains("FORBIDDEN"), "{body}");
            }
            _ => panic!("{other} was let in"),
        }
    }
}

#[tokio::test]
async fn what_is_against_the_protocol_closes_the_connection_with_its_code() {
    let gateway = Listening::new().await;
    let session = gateway.fixture.ada().await;
    gateway.fixture.project("o", &session.account.id, 1);
    let watch = "subscription { orderUpdated(id: \"o\") { version } }";

    let mut early = gateway.connect().await;
    early.subscribe("1", watch).await;
    assert_eq!(early.closed_with().await, 4401);

    let mut twice = gateway.connect_as(None).await;
    twice.init(None).await;
    assert_eq!(twice.closed_with().await, 4429);

    let mut doubled = gateway.connect_as(Some(&session.token)).await;
    doubled.subscribe("1", watch).await;
    doubled.subscribe("1", watch).await;
    assert_eq!(doubled.closed_with().await, 4409);

    for token in ["x", "", &"0".repeat(64)] {
        let mut stranger = gateway.connect().await;
        stranger.init(Some(token)).await;
        assert_eq!(stranger.closed_with().await, 4403);
    }

    for wrong in [
        Message::text("hello"),
        Message::text("[]"),
        Message::text(json!({ "type": "start", "id": "1", "payload": { "query": watch } }).to_string()),
        Message::text(json!({ "type": "subscribe", "id": "", "payload": { "query": watch } }).to_string()),
        Message::text(json!({ "type": "subscribe", "id": "x".repeat(129), "payload": {} }).to_string()),
        Message::binary(json!({ "type": "ping" }).to_string().into_bytes()),
        Message::text(" ".repeat((1 << 20) + 1)),
    ] {
        let mut rude = gateway.connect_as(None).await;
        // The other end may have closed before all of it was sent.
        let _ = rude.socket.send(wrong).await;
        assert_eq!(rude.closed_with().await, 4400);
    }
    until("every place to be free", || gateway.sockets.count() == 0).await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_not_waited_for() {
    let gateway = Listening::with(Patience { init: Duration::from_millis(50), ..Patience::default() }).await;
    assert_eq!(gateway.connect().await.closed_with().await, 4408);
}

#[tokio::test]
async fn a_connection_ends_with_its_session() {
    let gateway = Listening::with(Patience { pulse: Duration::from_millis(20), ..Patience::default() }).await;
    let session = gateway.fixture.ada().await;
    gateway.fixture.project("o", &session.account.id, 1);
    let mut client = gateway.connect_as(Some(&session.token)).await;
    client.subscribe("1", "subscription { orderUpdated(id: \"o\") { version } }").await;
    assert_eq!(client.hear().await["type"], "next");
    gateway.fixture.api.log_out(&session.token).await.expect("logs out");
    assert_eq!(client.closed_with().await, 4403);
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_is_noticed() {
    let short = Duration::from_millis(30);
    let gateway = Listening::with(Patience { pulse: short, silence: 3 * short, ..Patience::default() }).await;
    // A client that does not read does not answer pings.
    let deaf = gateway.connect_as(None).await;
    until("the deaf one to be left", || gateway.sockets.count() == 0).await;
    drop(deaf);
}

#[tokio::test]
async fn a_client_that_does_not_take_what_it_asked_for_is_left() {
    let gateway = Listening::with(Patience { sending: Duration::from_millis(100), ..Patience::default() }).await;
    let mut slow = gateway.connect_as(None).await;
    // Each answer has the long name a hundred times: together more than the buffers in between hold.
    let shelf = format!("{{ products(first: 100) {{ nodes {{ {}: sku }} }} }}", "a".repeat(10_000));
    for n in 0..50 {
        slow.subscribe(&n.to_string(), &shelf).await;
    }
    until("the slow one to be left", || gateway.sockets.count() == 0).await;
}

#[tokio::test]
async fn a_client_that_says_goodbye_is_answered() {
    let gateway = Listening::new().await;
    let mut client = gateway.connect_as(None).await;
    client.socket.send(Message::Close(None)).await.expect("sends");
    let answer = tokio::time::timeout(Duration::from_secs(10), client.socket.next()).await.expect("in time");
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
    until("the place to be free", || gateway.sockets.count() == 0).await;
}

#[tokio::test]
async fn a_client_is_asked_whether_it_lives() {
    let gateway = Listening::with(Patience { pulse: Duration::from_millis(20), ..Patience::default() }).await;
    let mut client = gateway.connect_as(None).await;
    for _ in 0..3 {
        let asked = tokio::time::timeout(Duration::from_secs(10), client.socket.next()).await.expect("in time");
        assert!(matches!(asked, Some(Ok(Message::Ping(_)))), "{asked:?}");
    }
}

#[tokio::test]
async fn operations_on_a_connection_and_connections_of_an_account_are_bounded() {
    let gateway = Listening::new().await;
    let session = gateway.fixture.ada().await;
    gateway.fixture.project("o", &session.account.id, 1);
    let mut client = gateway.connect_as(Some(&session.token)).await;
    for n in 0..50 {
        client.subscribe(&n.to_string(), "subscription { orderUpdated(id: \"o\") { version } }").await;
        assert_eq!(client.hear().await["type"], "next");
    }
    client.subscribe("one more", "{ me { id } }").await;
    let refused = client.hear().await;
    assert_eq!(
        (&refused["type"], &refused["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("OVERLOADED"))
    );
    client.say(json!({ "type": "complete", "id": "7" })).await;
    client.subscribe("one more", "{ me { id } }").await;
    assert_eq!(client.hear().await["type"], "next", "one has ended");

    let mut clients = Vec::new();
    for _ in 1..32 {
        clients.push(gateway.connect_as(Some(&session.token)).await);
    }
    let mut one_more = gateway.connect().await;
    one_more.init(Some(&session.token)).await;
    assert_eq!(one_more.closed_with().await, 1013);
    let operator = gateway.fixture.operator().await;
    gateway.connect_as(Some(&operator.token)).await;
    drop(clients);
    until("places to be free", || gateway.sockets.count() < 5).await;
    gateway.connect_as(Some(&session.token)).await;
}
