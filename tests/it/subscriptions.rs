//! Watching orders over WebSocket, as any GraphQL client would: `graphql-transport-ws`, written
//! down here frame by frame, against the real binary.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::servers::until;
use crate::shop::{Client, Shop, ShopOptions};

const PATIENCE: Duration = Duration::from_secs(30);
const APPROVED: &str = "4242 4242 4242 4242";
pub(crate) const WATCH: &str = "subscription($id: ID!) { orderUpdated(id: $id) { id version status } }";
const WATCH_ALL: &str = "subscription { orderUpdates { id version status } }";

/// A socket to a gateway.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Shakes hands as a page of `origin` would, or as a program without one.
    async fn open(base_url: &str, origin: Option<&str>) -> Result<Self, Error> {
        let url = base_url.replacen("http", "ws", 1) + "/graphql";
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().expect("a header"));
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self(socket))
    }

    /// Opens and is acknowledged.
    pub(crate) async fn connect(base_url: &str, token: &str) -> Result<Self> {
        let mut socket = Self::open(base_url, None).await?;
        let payload = json!({ "authorization": format!("Bearer {token}") });
        socket.say(&json!({ "type": "connection_init", "payload": payload })).await?;
        assert_eq!(socket.hear().await?["type"], "connection_ack");
        Ok(socket)
    }

    /// Subscribes under an id of the socket's own.
    pub(crate) async fn subscribe(&mut self, id: &str, query: &str, variables: Value) -> Result<()> {
        self.say(&json!({ "id": id, "type": "subscribe", "payload": { "query": query, "variables": variables } })).await
    }

    async fn say(&mut self, message: &Value) -> Result<()> {
        Ok(self.0.send(Message::text(message.to_string())).await?)
    }

    /// The next message that is not the other side's sign of life.
    pub(crate) async fn hear(&mut self) -> Result<Value> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.0.next()).await.context("nothing is said")?;
            let message: Value = match frame.context("the socket has ended")?? {
                Message::Text(text) => serde_json::from_str(&text)?,
                Message::Close(why) => bail!("closed: {why:?}"),
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => continue,
            };
            match message["type"].as_str() {
                Some("ping") => self.say(&json!({ "type": "pong" })).await?,
                Some("pong") => {}
                _ => return Ok(message),
            }
        }
    }
}

async fn place(client: &Client, card: Option<&str>) -> String {
    let order = client.place_order(&[("MUG-ENAMEL-BLUE", 1)], card, None).await.expect("is taken");
    order["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sees_every_turn_of_an_order_over_a_websocket_and_no_version_twice() {
    let shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
    let ada = shop.client().log_in("ada@example.com", "orderly").await.expect("logs in");
    let mut socket = Socket::connect(shop.base_url(), ada.token().expect("logged in")).await.expect("connects");
    // At once: the read model may not even have the order yet.
    let id = place(&ada, None).await;
    socket.subscribe("1", WATCH, json!({ "id": id })).await.expect("is sent");
    let now = socket.hear().await.expect("the order as it is");
    assert_eq!((&now["type"], &now["id"]), (&json!("next"), &json!("1")), "{now}");
    ada.await_status(&id, "AWAITING_PAYMENT", PATIENCE).await.expect("is reserved");

    let pay = "mutation($id: ID!, $card: String!) { payOrder(orderId: $id, card: $card) { id } }";
    ada.query(pay, json!({ "id": id, "card": APPROVED })).await.expect("the card is taken");
    let (mut version, mut status) = (now["payload"]["data"]["orderUpdated"]["version"].as_i64(), String::new());
    while status != "CONFIRMED" {
        let news = socket.hear().await.expect("news")["payload"]["data"]["orderUpdated"].take();
        assert!(news["version"].as_i64() > version, "{news} after version {version:?}");
        version = news["version"].as_i64();
        status = news["status"].as_str().expect("a status").to_owned();
    }
    socket.say(&json!({ "id": "1", "type": "complete" })).await.expect("is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_an_order_is_not_shown_it_by_a_subscription_either() {
    let shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
    let ada = shop.client().log_in("ada@example.com", "orderly").await.expect("logs in");
    let bob = shop.client().sign_up("bob@example.com", "a long password").await.expect("signs up");
    let id = place(&ada, None).await;
    ada.await_status(&id, "AWAITING_PAYMENT", PATIENCE).await.expect("is reserved");
    let mut socket = Socket::connect(shop.base_url(), bob.token().expect("logged in")).await.expect("connects");
    for (query, variables, code) in [(WATCH, json!({ "id": id }), "NOT_FOUND"), (WATCH_ALL, json!({}), "FORBIDDEN")] {
        socket.subscribe("1", query, variables).await.expect("is sent");
        let answer = socket.hear().await.expect("an answer");
        assert!(answer.to_string().contains(code), "{query}: {answer}");
        assert!(!answer.to_string().contains("AWAITING_PAYMENT"), "{answer}");
        if answer["type"] == "next" {
            assert_eq!(socket.hear().await.expect("the end")["type"], "complete");
        }
    }
    let foreign = Socket::open(shop.base_url(), Some("https://evil.example")).await;
    assert!(matches!(&foreign, Err(Error::Http(answer)) if answer.status() == 403), "{:?}", foreign.err());
    let same = Socket::open(shop.base_url(), Some(shop.base_url())).await;
    assert!(same.is_ok(), "a page of the shop itself: {:?}", same.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_everybody_s_orders_over_one_subscription() {
    let shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
    let operator = shop.client().log_in("operator@example.com", "orderly").await.expect("logs in");
    let ada = shop.client().log_in("ada@example.com", "orderly").await.expect("logs in");
    let mut socket = Socket::connect(shop.base_url(), operator.token().expect("logged in")).await.expect("connects");
    socket.subscribe("all", WATCH_ALL, json!({})).await.expect("is sent");
    // Whoever subscribes hears what comes after that; when it took effect only an update tells.
    let mut placed = Vec::new();
    let first = until("an update", PATIENCE, async || {
        placed.push(place(&ada, Some(APPROVED)).await);
        let heard = tokio::time::timeout(Duration::from_secs(1), socket.hear()).await;
        heard.ok().transpose()
    });
    first.await.expect("an update");
    placed.push(place(&ada, Some(APPROVED)).await);
    let mut seen = Vec::new();
    loop {
        let news = socket.hear().await.expect("news")["payload"]["data"]["orderUpdates"].take();
        let id = news["id"].as_str().expect("an id").to_owned();
        assert!(placed.contains(&id), "{id} is none of {placed:?}");
        let turn = (id, news["version"].as_i64());
        assert!(!seen.contains(&turn), "{turn:?} was told twice");
        seen.push(turn);
        if news["status"] == "CONFIRMED"
            && Some(news["id"].as_str().expect("an id")) == placed.last().map(String::as_str)
        {
            break;
        }
    }
}
