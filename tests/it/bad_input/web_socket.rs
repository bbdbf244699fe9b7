//! GraphQL over a WebSocket: hostile first messages, operations and frames.

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::hostile::{self, Hostile};
use super::post::{CODES, Sender};
use super::{APPROVED, CUSTOMER, PATIENCE, assert_none, assert_well, roads, shop};

const WATCH: &str = "subscription($id: ID!, $v: Int) { orderUpdated(id: $id, minVersion: $v) { id status } }";

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What the shop says next.
#[derive(Debug, PartialEq)]
enum Heard {
    Said(Value),
    /// Closed, with this code.
    Closed(u16),
}

impl Socket {
    async fn open() -> Self {
        let url = shop().await.base_url().replacen("http", "ws", 1) + "/graphql";
        let mut request = url.into_client_request().expect("an address");
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
        Self(connect_async(request).await.expect("shakes hands").0)
    }

    /// Opened, and acknowledged as the one whose token it is.
    async fn of(token: Option<&str>) -> Self {
        let mut socket = Self::open().await;
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        socket.say(&json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await.expect("is heard"), Heard::Said(json!({ "type": "connection_ack" })));
        socket
    }

    async fn say(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    /// What can no longer be sent has been refused already.
    async fn send(&mut self, message: Message) {
        let _ = self.0.send(message).await;
    }

    async fn subscribe(&mut self, id: &str, query: &str, variables: &Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(&json!({ "id": id, "type": "subscribe", "payload": payload })).await;
    }

    /// The next message, or how it was closed; 1006 if without a word.
    async fn hear(&mut self) -> Result<Heard> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.context("nothing is said")? {
                Some(Ok(Message::Text(text))) => return Ok(Heard::Said(serde_json::from_str(&text)?)),
                Some(Ok(Message::Close(frame))) => {
                    return Ok(Heard::Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(Heard::Closed(1006)),
            }
        }
    }

    /// The code of the answer to an operation: "" for data, and what its answer must not have.
    async fn answer(&mut self, id: &str) -> (String, Option<String>) {
        let heard = self.hear().await.expect("is heard");
        let Heard::Said(message) = heard else { return (String::new(), Some(format!("{heard:?}"))) };
        let payload = &message["payload"];
        let errors = if payload.is_array() { payload } else { &payload["errors"] };
        let code = errors[0]["extensions"]["code"].as_str().unwrap_or_default().to_owned();
        let known = if code.is_empty() { payload["data"].is_object() } else { CODES.contains(&code.as_str()) };
        // What was begun and refused is over after that.
        if message["type"] == "next" && !code.is_empty() {
            let end = self.hear().await.expect("is heard");
            assert_eq!(end, Heard::Said(json!({ "type": "complete", "id": id })), "{message}");
        }
        let fault = (!known || message["id"] != id).then(|| message.to_string());
        (code, fault)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_argument_of_a_subscription_takes_every_hostile_text_and_number() {
    let token = Sender::of(CUSTOMER).await.token.expect("a token");
    let mut socket = Socket::of(Some(&token)).await;
    let order = roads::awaiting().await;
    let id: fn(&Hostile) -> &'static str = |text| if text.is_key() { "NOT_FOUND" } else { "BAD_USER_INPUT" };
    let bad = "BAD_USER_INPUT";
    let mut cases: Vec<(String, Value, &str)> = Vec::new();
    for text in hostile::all() {
        cases.push((text.name.into(), json!({ "id": text.text }), id(&text)));
        cases.push((format!("minVersion {}", text.name), json!({ "id": order, "v": text.text }), bad));
    }
    for other in [json!(null), json!(true), json!(1.5), json!({}), json!([order])] {
        cases.push((format!("id {other}"), json!({ "id": other }), bad));
    }
    for (version, code) in [
        (json!(-1), bad),
        (json!(i32::MIN), bad),
        (json!(2_147_483_648_i64), bad),
        (json!(1.5), bad),
        (json!("1"), bad),
        (json!(i32::MAX), "STALE"),
    ] {
        cases.push((format!("minVersion {version}"), json!({ "id": order, "v": version }), code));
    }
    let mut wrong = Vec::new();
    for (number, (what, variables, wanted)) in cases.iter().enumerate() {
        let number = number.to_string();
        socket.subscribe(&number, WATCH, variables).await;
        let (code, fault) = socket.answer(&number).await;
        if code != *wanted || fault.is_some() {
            wrong.push(format!("{what}: {code:?}, should be {wanted:?} {fault:?}"));
        }
    }
    assert_none(&wrong);
    // The connection is as good as before.
    socket.subscribe("right", WATCH, &json!({ "id": order, "v": 1 })).await;
    assert_eq!(socket.answer("right").await, (String::new(), None));
    assert_well(shop().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_none_or_too_much_is_refused_and_the_connection_goes_on() {
    let token = Sender::of(CUSTOMER).await.token.expect("a token");
    let mut socket = Socket::of(Some(&token)).await;
    let order = roads::awaiting().await;
    for document in [
        String::new(),
        "\0".into(),
        "subscription { nothing }".into(),
        "subscription { <script>alert(1)</script> }".into(),
        "subscription { orderUpdated { id } }".into(),
        "{".repeat(1_000),
        "[".repeat(200_000),
        format!("subscription {{ {} }}", "orderUpdates { id } ".repeat(20_000)),
        format!("{{ {} }}", (0..20_000).map(|n| format!("a{n}:me{{id}}")).collect::<String>()),
        "subscription { ...a } fragment a on Subscription { ...b } fragment b on Subscription { ...a }".into(),
    ] {
        socket.subscribe("1", &document, &json!({})).await;
        let (code, fault) = socket.answer("1").await;
        assert_eq!((code.as_str(), fault), ("BAD_USER_INPUT", None), "{document:.100}");
    }
    let for_operators = "subscription { orderUpdates { id } }";
    socket.subscribe("1", for_operators, &json!({})).await;
    assert_eq!(socket.answer("1").await, ("FORBIDDEN".into(), None));
    // What is not asked for by the one whose it is, is nobody's; and nobody is told nothing.
    let mut nobody = Socket::of(None).await;
    for (document, code) in [(WATCH, "UNAUTHENTICATED"), (for_operators, "UNAUTHENTICATED")] {
        nobody.subscribe("1", document, &json!({ "id": order })).await;
        assert_eq!(nobody.answer("1").await, (code.into(), None), "{document}");
    }
    let mut stranger = Socket::of(Sender::of_somebody_new().await.token.as_deref()).await;
    stranger.subscribe("1", WATCH, &json!({ "id": order })).await;
    assert_eq!(stranger.answer("1").await, ("NOT_FOUND".into(), None));
    // Mutations come this way too, and have the same bounds.
    let cancel = "mutation($id: ID!, $r: String) { cancelOrder(orderId: $id, reason: $r) { id } }";
    for (socket, reason, code) in [
        (&mut stranger, "not mine", "NOT_FOUND"),
        (&mut socket, "a\u{0}b", "BAD_USER_INPUT"),
        (&mut nobody, APPROVED, "UNAUTHENTICATED"),
    ] {
        socket.subscribe("2", cancel, &json!({ "id": order, "r": reason })).await;
        assert_eq!(socket.answer("2").await, (code.into(), None));
    }
    assert_eq!(roads::ada().await.order(&order).await.expect("is hers")["status"], "AWAITING_PAYMENT");
    assert_well(shop().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_without_a_good_token_closes_the_connection() {
    let long = format!("Bearer {}", "a".repeat(8_000));
    let tokens = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer garbage",
        "Bearer ' OR '1'='1",
        "Bearer <script>alert(1)</script>",
        "Bearer a\0b",
        &long,
    ];
    for token in tokens {
        let mut socket = Socket::open().await;
        socket.say(&json!({ "type": "connection_init", "payload": { "authorization": token } })).await;
        assert_eq!(socket.hear().await.expect("is heard"), Heard::Closed(4403), "{token:.40}");
    }
    // A token that was good until its session was ended.
    let ada = Sender::of(CUSTOMER).await;
    let mut visitor = super::visitor::Visitor::new(shop().await.base_url());
    visitor.set_cookie("orderly_session", ada.token.as_deref().unwrap_or_default());
    visitor.get("/orders").await;
    assert_eq!(visitor.post("/logout", &[]).await.status, 303);
    let mut socket = Socket::open().await;
    let authorization = format!("Bearer {}", ada.token.unwrap_or_default());
    socket.say(&json!({ "type": "connection_init", "payload": { "authorization": authorization } })).await;
    assert_eq!(socket.hear().await.expect("is heard"), Heard::Closed(4403));
    assert_well(shop().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_no_message_closes_its_connection_and_no_other() {
    let mut bystander = Socket::of(Sender::of(CUSTOMER).await.token.as_deref()).await;
    let order = roads::awaiting().await;
    bystander.subscribe("1", WATCH, &json!({ "id": order })).await;
    assert_eq!(bystander.answer("1").await, (String::new(), None));
    let subscribe = |id: &str| {
        let payload = json!({ "query": "{ me { id } }" });
        Message::text(json!({ "id": id, "type": "subscribe", "payload": payload }).to_string())
    };
    let long = "x".repeat(129);
    let frames: Vec<(&str, Message, u16)> = vec![
        ("nothing", Message::text(""), 4400),
        ("no JSON", Message::text("<script>alert(1)</script>"), 4400),
        ("NUL", Message::text("\0"), 4400),
        ("an array", Message::text("[]"), 4400),
        ("another protocol", Message::text("{\"type\":\"start\",\"id\":\"1\"}"), 4400),
        (
            "a number for an id",
            Message::text("{\"type\":\"subscribe\",\"id\":1,\"payload\":{\"query\":\"{ me { id } }\"}}"),
            4400,
        ),
        ("JSON a hundred thousand deep", Message::text("[".repeat(100_000)), 4400),
        ("bytes", Message::binary(vec![0xff; 64]), 4400),
        ("too long", Message::text("x".repeat((1 << 20) + 1)), 4400),
        ("an empty id", subscribe(""), 4400),
        ("a long id", subscribe(&long), 4400),
        ("a second beginning", Message::text("{\"type\":\"connection_init\"}"), 4429),
    ];
    for (what, frame, code) in frames {
        let mut socket = Socket::of(None).await;
        socket.send(frame).await;
        assert_eq!(socket.hear().await.expect("is heard"), Heard::Closed(code), "{what}");
    }
    let mut early = Socket::open().await;
    early.send(subscribe("1")).await;
    assert_eq!(early.hear().await.expect("is heard"), Heard::Closed(4401), "before the first message");

    let cancel = "mutation($id: ID!) { cancelOrder(orderId: $id) { status } }";
    bystander.subscribe("2", cancel, &json!({ "id": order })).await;
    let mut cancelled = false;
    while !cancelled {
        let Heard::Said(message) = bystander.hear().await.expect("is heard") else { panic!("was closed, too") };
        cancelled = message["payload"]["data"]["orderUpdated"]["status"] == "CANCELLED";
    }
    assert_well(shop().await).await;
}
