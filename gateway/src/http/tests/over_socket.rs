//! Subscriptions over a real WebSocket, with a client that shares no code with us.

use std::net::SocketAddr;
use std::time::Duration;

use contracts::order::OrderStatus;
use contracts::query::OrderChanged;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response as Handshake;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::fakes::{Fixture, placed};
use crate::http::router_with;
use crate::http::socket::{Patience, Sockets};

/// A gateway that listens on a port of this machine.
pub(super) struct Listening {
    pub(super) fixture: Fixture,
    pub(super) sockets: Sockets,
    pub(super) address: SocketAddr,
}

impl Listening {
    pub(super) async fn new() -> Self {
        Self::with(Patience::default()).await
    }

    pub(super) async fn with(patience: Patience) -> Self {
        let fixture = Fixture::new().await;
        let sockets = Sockets::new(patience);
        let router = router_with(fixture.api.clone(), sockets.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { fixture, sockets, address }
    }

    /// A handshake with these headers.
    pub(super) async fn handshake(
        &self,
        headers: &[(&'static str, &str)],
    ) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, Handshake), Error> {
        let mut request = format!("ws://{}/graphql", self.address).into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        connect_async(request).await
    }

    /// A connection that has not said anything yet.
    pub(super) async fn connect(&self) -> Client {
        let protocol = [("sec-websocket-protocol", "graphql-transport-ws")];
        Client { socket: self.handshake(&protocol).await.expect("connects").0 }
    }

    /// A connection whose first message was taken.
    pub(super) async fn connect_as(&self, token: Option<&str>) -> Client {
        let mut client = self.connect().await;
        client.init(token).await;
        assert_eq!(client.hear().await, json!({ "type": "connection_ack" }));
        client
    }
}

/// The other end.
pub(super) struct Client {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub(super) async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.expect("sends");
    }

    pub(super) async fn init(&mut self, token: Option<&str>) {
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        self.say(json!({ "type": "connection_init", "payload": payload })).await;
    }

    pub(super) async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    /// The next frame that is no ping.
    async fn frame(&mut self) -> Option<Result<Message, Error>> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), self.socket.next()).await.expect("in time");
            if !matches!(next, Some(Ok(Message::Ping(_) | Message::Pong(_)))) {
                return next;
            }
        }
    }

    pub(super) async fn hear(&mut self) -> Value {
        match self.frame().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("no message: {other:?}"),
        }
    }

    /// The code that the connection is closed with, whatever comes before.
    pub(super) async fn closed_with(&mut self) -> u16 {
        loop {
            match self.frame().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("not closed: {other:?}"),
            }
        }
    }
}

fn version(message: &Value) -> (&str, &Value) {
    (message["id"].as_str().unwrap_or_default(), &message["payload"]["data"]["orderUpdated"]["version"])
}

#[tokio::test]
async fn an_order_is_shown_as_it_is_and_then_each_higher_version() {
    let gateway = Listening::new().await;
    let session = gateway.fixture.ada().await;
    gateway.fixture.project("o", &session.account.id, 1);
    let mut client = gateway.connect_as(Some(&session.token)).await;
    client.subscribe("1", "subscription { orderUpdated(id: \"o\") { version status timeline { type } } }").await;
    let first = client.hear().await;
    assert_eq!(version(&first), ("1", &json!(1)));
    assert_eq!(first["payload"]["data"]["orderUpdated"]["timeline"][0]["type"], "OrderPlaced");
    assert!(first["payload"]["errors"].is_null(), "{first}");

    gateway.fixture.announce("o", 1).await;
    gateway.fixture.project("o", &session.account.id, 3);
    gateway.fixture.announce("o", 3).await;
    assert_eq!(version(&client.hear().await), ("1", &json!(3)), "what was shown is not shown again");
}

#[tokio::test]
async fn what_the_client_has_ended_says_nothing_more_and_its_id_is_free() {
    let gateway = Listening::new().await;
    let session = gateway.fixture.ada().await;
    for order in ["a", "b"] {
        gateway.fixture.project(order, &session.account.id, 1);
    }
    let mut client = gateway.connect_as(Some(&session.token)).await;
    client.subscribe("x", "subscription { orderUpdated(id: \"a\") { version } }").await;
    assert_eq!(version(&client.hear().await), ("x", &json!(1)));
    client.say(json!({ "type": "complete", "id": "x" })).await;
    client.subscribe("x", "subscription { orderUpdated(id: \"b\") { id version } }").await;
    assert_eq!(client.hear().await["payload"]["data"]["orderUpdated"]["id"], "b");
    gateway.fixture.project("a", &session.account.id, 2);
    gateway.fixture.announce("a", 2).await;
    gateway.fixture.project("b", &session.account.id, 2);
    gateway.fixture.announce("b", 2).await;
    let next = client.hear().await;
    assert_eq!(next["payload"]["data"]["orderUpdated"], json!({ "id": "b", "version": 2 }));
}

#[tokio::test]
async fn an_operation_that_cannot_be_begun_is_answered_with_its_errors_and_the_connection_lives() {
    let gateway = Listening::new().await;
    gateway.fixture.project("theirs", "somebody", 1);
    let mut nobody = gateway.connect_as(None).await;
    let session = gateway.fixture.ada().await;
    let mut ada = gateway.connect_as(Some(&session.token)).await;
    let bomb = (0..28).fold(String::from("{ ...f0 } fragment f28 on Query { me { id } }"), |text, n| {
        text + &format!(" fragment f{n} on Query {{ ...f{} ...f{} }}", n + 1, n + 1)
    });
    let watch = "subscription { orderUpdated(id: \"theirs\") { id } }";
    nobody.subscribe("1", watch).await;
    assert_eq!(nobody.hear().await["payload"][0]["extensions"]["code"], "UNAUTHENTICATED");
    let client = &mut ada;
    for (query, code) in [
        (watch, "NOT_FOUND"),
        ("subscription { orderUpdates { id } }", "FORBIDDEN"),
        ("subscription { orderUpdated(id: \"theirs\", minVersion: 9) { id } }", "STALE"),
        ("subscription { orderUpdated(id: \"theirs\") { nothing } }", "BAD_USER_INPUT"),
        ("subscription { a: orderUpdates { id } b: orderUpdates { id } }", "BAD_USER_INPUT"),
        ("{", "BAD_USER_INPUT"),
        (&bomb, "BAD_USER_INPUT"),
        (&format!("subscription {{ orderUpdates {{ {} }} }}", "timeline { at } ".repeat(9_000)), "BAD_USER_INPUT"),
    ] {
        client.subscribe("1", query).await;
        let answer = client.hear().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!("1")), "{query:.60}: {answer}");
        assert_eq!(answer["payload"][0]["extensions"]["code"], code, "{query:.60}: {answer}");
    }
    ada.say(json!({ "type": "ping", "payload": { "at": 1 } })).await;
    assert_eq!(ada.hear().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn a_query_and_a_mutation_are_answered_once_and_completed() {
    let gateway = Listening::new().await;
    let session = gateway.fixture.ada().await;
    let mut client = gateway.connect_as(Some(&session.token)).await;
    client.subscribe("q", "{ me { email } }").await;
    let me = json!({ "data": { "me": { "email": "ada@example.com" } } });
    assert_eq!(client.hear().await, json!({ "type": "next", "id": "q", "payload": me }));
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "q" }));
    client.subscribe("m", "mutation { cancelOrder(orderId: \"none\") { id } }").await;
    let answer = client.hear().await;
    assert_eq!(
        (&answer["type"], &answer["payload"]["errors"][0]["extensions"]["code"]),
        (&json!("next"), &json!("NOT_FOUND"))
    );
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "m" }));
}

#[tokio::test]
async fn an_operator_sees_every_order_and_is_told_when_some_may_be_missing() {
    let gateway = Listening::new().await;
    let session = gateway.fixture.operator().await;
    let mut client = gateway.connect_as(Some(&session.token)).await;
    client.subscribe("all", "subscription { orderUpdates { id version timeline { summary } } }").await;
    // The subscription stands when it is answered on the same connection after it.
    client.subscribe("q", "{ me { role } }").await;
    assert_eq!(client.hear().await["id"], "q");
    assert_eq!(client.hear().await["type"], "complete");
    gateway.fixture.project("o", "somebody", 2);
    let next = until_shown(&gateway, &mut client).await;
    let shown = json!({ "id": "o", "version": 2, "timeline": [{ "summary": "2 of A in o" }] });
    assert_eq!(next["payload"]["data"]["orderUpdates"], shown, "{next}");

    gateway.fixture.announce_too_much().await;
    let gap = loop {
        let next = client.hear().await;
        if next["payload"]["data"].is_null() {
            break next;
        }
    };
    assert_eq!(gap["payload"]["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{gap}");
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "all" }));
}

#[tokio::test]
async fn an_operator_sees_what_the_notices_say_together_without_an_order_being_read() {
    let gateway = Listening::new().await;
    let session = gateway.fixture.operator().await;
    let mut client = gateway.connect_as(Some(&session.token)).await;
    client
        .subscribe("all", "subscription { orderChanges(statuses: [PLACED, EXPIRED]) { id version status at } }")
        .await;
    let first = until_shown(&gateway, &mut client).await;
    let change = |id: &str, version: i64, status: &str| json!({ "id": id, "version": version, "status": status, "at": "2023-11-14T22:13:20+00:00" });
    assert_eq!(first["payload"]["data"]["orderChanges"][0], change("o", 2, "PLACED"), "{first}");
    let notice = |id: &str, version, status: OrderStatus| OrderChanged {
        order_id: id.into(),
        version,
        status: status.into(),
        ..placed()
    };
    let commit = [
        notice("a", 1, OrderStatus::Placed),
        notice("a", 2, OrderStatus::AwaitingPayment),
        notice("b", 3, OrderStatus::Expired),
        notice("b", 3, OrderStatus::Expired),
        notice("b", 2, OrderStatus::Placed),
        notice("c", 1, OrderStatus::Placed),
    ];
    gateway.fixture.announce_all(&commit).await;
    let mut shown: Vec<Value> = Vec::new();
    while !shown.iter().any(|change| change["id"] == "c") {
        let next = client.hear().await;
        shown.extend(next["payload"]["data"]["orderChanges"].as_array().cloned().expect("changes"));
    }
    let expected = [change("a", 1, "PLACED"), change("b", 3, "EXPIRED"), change("c", 1, "PLACED")];
    assert_eq!(shown, expected, "only what was asked for, and no version after a higher one or twice");
    assert!(gateway.fixture.shop.lock().asked.is_empty(), "no service is asked");

    gateway.fixture.announce_too_much().await;
    let gap = loop {
        let next = client.hear().await;
        if next["payload"]["data"].is_null() {
            break next;
        }
    };
    assert_eq!(gap["payload"]["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{gap}");
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "all" }));
    let ada = gateway.fixture.ada().await;
    let mut client = gateway.connect_as(Some(&ada.token)).await;
    client.subscribe("all", "subscription { orderChanges { id } }").await;
    assert!(client.hear().await.to_string().contains("FORBIDDEN"));
}

/// Announces the order until it is shown: the subscription may just have begun.
async fn until_shown(gateway: &Listening, client: &mut Client) -> Value {
    loop {
        gateway.fixture.announce("o", 2).await;
        if let Ok(next) = tokio::time::timeout(Duration::from_millis(100), client.hear()).await {
            return next;
        }
    }
}

#[tokio::test]
async fn a_stopping_gateway_sends_its_clients_away_so_that_they_come_again() {
    let gateway = Listening::new().await;
    let session = gateway.fixture.ada().await;
    gateway.fixture.project("o", &session.account.id, 1);
    let mut watching = gateway.connect_as(Some(&session.token)).await;
    watching.subscribe("1", "subscription { orderUpdated(id: \"o\") { version } }").await;
    assert_eq!(version(&watching.hear().await), ("1", &json!(1)));
    let (mut idle, mut silent) = (gateway.connect_as(None).await, gateway.connect().await);
    gateway.fixture.api.end_watches();
    assert!(matches!(watching.frame().await, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1001));
    assert_eq!(idle.closed_with().await, 1001);
    assert_eq!(silent.closed_with().await, 1001);
    assert_eq!(gateway.connect().await.closed_with().await, 1001, "and whoever comes later");
}
