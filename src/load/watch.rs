//! The operator's watch: one subscription to all changes of orders, over which the generator sees
//! through the read model what became of its own.
//!
//! It may end with a gap, and a notice may be lost. So whoever is overdue is asked for by id, and
//! after a new begin everyone who is open.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use axum::http::HeaderValue;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::api::{Answer, read};
use super::book::{Book, News, millis};
use super::line::{Address, Line};

/// Where an order may stand that its generator waits for, or that is wrong.
const ENDS: &str = "[CONFIRMED, REJECTED, EXPIRED, CANCELLED, REFUNDED]";
/// How long the shop may take to answer the first words.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for who is overdue.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// An order that was accepted so long ago and of which nothing came is asked for.
const OVERDUE: Duration = Duration::from_secs(5);
/// Orders that are asked for in one request.
const AT_ONCE: usize = 50;

type Socket = WebSocketStream<TcpStream>;

/// What is needed to watch.
pub(super) struct Watch {
    pub(super) address: Rc<Address>,
    pub(super) token: String,
    pub(super) book: Rc<RefCell<Book>>,
    /// Whether the times of decisions are wanted.
    pub(super) times: bool,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Next<'a> {
    #[serde(borrow)]
    data: Option<Changes<'a>>,
}

#[derive(Deserialize)]
struct Changes<'a> {
    #[serde(borrow, rename = "orderChanges")]
    changes: Vec<Change<'a>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    at: Option<Cow<'a, str>>,
}

impl Watch {
    /// Subscribes, and returns when the subscription stands.
    ///
    /// # Errors
    /// The shop does not speak GraphQL over WebSocket, or refuses.
    pub(super) async fn open(&self) -> anyhow::Result<Socket> {
        timeout(PATIENCE, self.try_open()).await.map_err(|_| anyhow!("{}: no answer over WebSocket", self.address))?
    }

    async fn try_open(&self) -> anyhow::Result<Socket> {
        let stream = self.address.connect().await?;
        let mut request = format!("ws://{}{}", self.address.authority, self.address.path()).into_client_request()?;
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        let authorization = format!("Bearer {}", self.token);
        say(&mut socket, &json!({ "type": "connection_init", "payload": { "authorization": authorization } })).await?;
        let fields = if self.times { "id status at" } else { "id status" };
        let query = format!("subscription {{ orderChanges(statuses: {ENDS}) {{ {fields} }} }}");
        say(&mut socket, &json!({ "type": "subscribe", "id": "all", "payload": { "query": query } })).await?;
        // It stands when something that was asked after it is answered.
        say(&mut socket, &json!({ "type": "subscribe", "id": "q", "payload": { "query": "{ me { role } }" } })).await?;
        loop {
            let text = hear(&mut socket).await?;
            let said: Said<'_> = serde_json::from_str(&text).context("no word of the protocol")?;
            match (said.kind.as_ref(), said.id.as_deref()) {
                ("next", Some("q")) => return Ok(socket),
                ("error", _) => bail!("{} refuses the subscription: {}", self.address, reason(said.payload)),
                _ => self.on_said(&said, Instant::now())?,
            }
        }
    }

    /// Watches for ever: subscribes again whenever the subscription has ended.
    pub(super) async fn run(&self, mut socket: Option<Socket>) {
        let mut line = match Line::try_new(&self.address, Some(&self.token)) {
            Ok(line) => line,
            // The same was used to log in.
            Err(_) => return,
        };
        loop {
            match socket.take() {
                Some(mut open) => {
                    tokio::select! {
                        ended = self.follow(&mut open) => tracing::info!(?ended, "the subscription has ended"),
                        () = self.look(&mut line) => {}
                    }
                    self.book.borrow_mut().resubscribed += 1;
                }
                None => match self.open().await {
                    Ok(open) => {
                        socket = Some(open);
                        self.ask_for(&mut line, true).await;
                    }
                    Err(error) => {
                        tracing::info!(%error, "cannot subscribe again yet");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
    }

    /// Until the subscription ends.
    async fn follow(&self, socket: &mut Socket) -> anyhow::Result<()> {
        loop {
            let text = hear(socket).await?;
            let seen = Instant::now();
            let said: Said<'_> = serde_json::from_str(&text).context("no word of the protocol")?;
            match (said.kind.as_ref(), said.id.as_deref()) {
                ("ping", _) => say(socket, &json!({ "type": "pong" })).await?,
                ("complete" | "error", Some("all")) => return Ok(()),
                _ => self.on_said(&said, seen)?,
            }
        }
    }

    fn on_said(&self, said: &Said<'_>, seen: Instant) -> anyhow::Result<()> {
        let (Some("all"), Some(payload)) = (said.id.as_deref(), said.payload) else { return Ok(()) };
        let Ok(Next { data: Some(Changes { changes }) }) = serde_json::from_str(payload.get()) else {
            bail!("the subscription has a gap: {}", payload.get());
        };
        let mut book = self.book.borrow_mut();
        for Change { id, status, at } in changes {
            book.hear(&id, News { status: status.into_owned(), at: at.as_deref().and_then(millis) }, seen);
        }
        Ok(())
    }

    /// Asks for who is overdue, again and again.
    async fn look(&self, line: &mut Line) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.ask_for(line, false).await;
        }
    }

    /// Asks where orders stand: those that are overdue, or all that are open. A question that
    /// is not answered is put again with the next look.
    pub(super) async fn ask_for(&self, line: &mut Line, all: bool) {
        let before = Instant::now().checked_sub(OVERDUE).unwrap_or_else(Instant::now);
        let wanted = self.book.borrow().overdue(before, all);
        for some in wanted.chunks(AT_ONCE) {
            let mut query = String::from("{");
            for (n, (id, expires)) in some.iter().enumerate() {
                let timeline = if *expires && self.times { "timeline { at type }" } else { "" };
                // Writing to a string cannot fail.
                let _ = write!(query, " o{n}: order(id: {}) {{ status {timeline} }}", json!(id));
            }
            query.push_str(" }");
            let Ok((status, answer)) = line.post(super::api::body(&query, &json!({}))).await else { return };
            let seen = Instant::now();
            let Answer::Done(data) = read::<Value>(status, &answer) else { return };
            let mut book = self.book.borrow_mut();
            for (n, (id, _)) in some.iter().enumerate() {
                let order = &data[format!("o{n}")];
                if let Some(status) = order["status"].as_str() {
                    let before = book.open();
                    book.hear_answer(id, News { status: status.to_owned(), at: expired_at(order) }, seen);
                    book.asked += u64::from(book.open() < before);
                }
            }
        }
    }
}

/// When an order's expiry was decided, by its timeline.
fn expired_at(order: &Value) -> Option<i64> {
    let timeline = order["timeline"].as_array()?;
    let expired = timeline.iter().find(|entry| entry["type"] == "OrderExpired")?;
    expired["at"].as_str().and_then(millis)
}

fn reason(payload: Option<&RawValue>) -> String {
    let errors: Option<Value> = payload.and_then(|payload| serde_json::from_str(payload.get()).ok());
    let error = errors.map(|errors| errors[0].clone()).unwrap_or_default();
    let code = error["extensions"]["code"].as_str().unwrap_or("no code");
    if code == "FORBIDDEN" {
        return "this account is no operator's; name one with --email and ORDERLY_PASSWORD".to_owned();
    }
    format!("{} ({code})", error["message"].as_str().unwrap_or("without a word"))
}

async fn say(socket: &mut Socket, message: &Value) -> anyhow::Result<()> {
    Ok(socket.send(Message::text(message.to_string())).await?)
}

/// The next text.
async fn hear(socket: &mut Socket) -> anyhow::Result<tokio_tungstenite::tungstenite::Utf8Bytes> {
    loop {
        match socket.next().await.context("the connection has ended")?? {
            Message::Text(text) => return Ok(text),
            Message::Close(why) => bail!("the shop closed the connection: {why:?}"),
            Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
        }
    }
}
