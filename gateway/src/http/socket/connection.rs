//! One connection: what a client says, what its operations answer, and time.
//!
//! One task serves a connection, so nothing of it needs a lock. Whatever it sends is
//! sent before it looks at anything else: a client that does not read slows its own
//! subscriptions down (*back-pressure*), holds nobody else up, and is left when one
//! message will not go through. The protocol's pings are answered; whether the client
//! still lives we ask with WebSocket's own, which browsers answer by themselves.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Request;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{AbortHandle, Abortable, BoxStream, SelectAll};
use futures_util::{StreamExt, stream};
use platform::error::Code;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};

use super::Place;
use super::protocol::{Answer, Closing, Said};
use crate::api::{ApiError, Caller};
use crate::graphql::{Asker, Event, refusal};
use crate::http::{Endpoint, bearer};

/// How long what may take. Tests have less patience.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Patience {
    /// Within this the first message must come.
    pub(in crate::http) init: Duration,
    /// How often a client is asked whether it lives, and its session whether it has
    /// ended.
    pub(in crate::http) pulse: Duration,
    /// A client that was not heard for so long is gone.
    pub(in crate::http) silence: Duration,
    /// Within this a message must have been taken.
    pub(in crate::http) sending: Duration,
    /// How long the client may take to close its end.
    pub(in crate::http) parting: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            init: Duration::from_secs(10),
            pulse: Duration::from_secs(20),
            silence: Duration::from_secs(60),
            sending: Duration::from_secs(10),
            parting: Duration::from_secs(1),
        }
    }
}

/// Operations at one time.
const MOST_OPERATIONS: usize = 50;
/// Bytes of an operation's id.
const LONGEST_ID: usize = 128;

/// An operation's event, under its id and number; none when it is over.
type Told = (String, u64, Option<Event>);

/// See the [module](self).
pub(super) struct Connection {
    socket: WebSocket,
    endpoint: Arc<Endpoint>,
    from: Option<IpAddr>,
    place: Place,
    patience: Patience,
    /// After the first message.
    session: Option<Session>,
    /// What runs, by id: its number, and how to end it.
    under_way: HashMap<String, (u64, AbortHandle)>,
    /// The next operation's number. An id may be used again; a number is not, so a
    /// late word of an operation that was ended is known as such.
    next: u64,
    events: SelectAll<BoxStream<'static, Told>>,
    heard: Instant,
}

/// Who is at the other end.
struct Session {
    caller: Caller,
    /// Of a caller who is logged in.
    token: Option<String>,
}

impl Connection {
    pub(super) fn new(socket: WebSocket, endpoint: Arc<Endpoint>, from: Option<IpAddr>, place: Place) -> Self {
        let patience = endpoint.sockets.patience;
        Self {
            socket,
            endpoint,
            from,
            place,
            patience,
            session: None,
            under_way: HashMap::new(),
            next: 0,
            events: SelectAll::new(),
            heard: Instant::now(),
        }
    }

    /// Serves the connection until it ends, and says why.
    pub(super) async fn run(mut self) {
        let closing = match self.talk().await {
            Ok(never) => match never {},
            Err(closing) => closing,
        };
        let Some((code, reason)) = closing.frame() else { return };
        let frame = CloseFrame { code, reason: reason.into() };
        if timeout(self.patience.sending, self.socket.send(Message::Close(Some(frame))))
            .await
            .is_ok_and(|sent| sent.is_ok())
        {
            // What was not read when a connection is dropped may cost the other end
            // the reason.
            let _ = timeout(self.patience.parting, async { while let Some(Ok(_)) = self.socket.recv().await {} }).await;
        }
    }

    async fn talk(&mut self) -> Result<std::convert::Infallible, Closing> {
        let api = self.endpoint.api.clone();
        let mut stop = std::pin::pin!(api.ended());
        let mut pulse = pulse(self.patience.pulse);
        let late = self.heard + self.patience.init;
        loop {
            tokio::select! {
                () = &mut stop => return Err(Closing::GoingAway),
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.on_message(message).await?,
                    // Too long, no UTF-8, no WebSocket; or simply gone, and then the
                    // close frame is sent to nobody.
                    Some(Err(_)) => return Err(Closing::BadRequest),
                    None => return Err(Closing::Gone),
                },
                Some(told) = self.events.next(), if !self.events.is_empty() => self.on_event(told).await?,
                () = sleep_until(late), if self.session.is_none() => return Err(Closing::Late),
                _ = pulse.tick() => self.on_pulse().await?,
            }
        }
    }

    async fn on_message(&mut self, message: Message) -> Result<(), Closing> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => {
                // The library answers it when it is asked for more.
                let _ = timeout(self.patience.parting, self.socket.recv()).await;
                return Err(Closing::Gone);
            }
            Message::Binary(_) => return Err(Closing::BadRequest),
        };
        match Said::read(&text).ok_or(Closing::BadRequest)? {
            Said::ConnectionInit { payload } => {
                self.on_init(payload.unwrap_or_default().authorization.as_deref()).await
            }
            Said::Subscribe { id, payload } => self.on_subscribe(id, *payload).await,
            Said::Complete { id } => {
                if let Some((_, operation)) = self.under_way.remove(&id) {
                    operation.abort();
                }
                Ok(())
            }
            Said::Ping {} => self.send(Answer::Pong).await,
            Said::Pong {} => Ok(()),
        }
    }

    /// A client without a token is nobody, and may ask what nobody may ask.
    async fn on_init(&mut self, authorization: Option<&str>) -> Result<(), Closing> {
        if self.session.is_some() {
            return Err(Closing::Again);
        }
        let session = match authorization {
            None => Session { caller: Caller::Anonymous, token: None },
            Some(authorization) => {
                let (caller, token) = bearer(&self.endpoint.api, authorization).await.map_err(closing)?;
                Session { caller, token: Some(token.to_owned()) }
            }
        };
        if !self.place.claim(&session.caller, self.from) {
            return Err(Closing::TooMany);
        }
        self.session = Some(session);
        self.send(Answer::ConnectionAck).await
    }

    async fn on_subscribe(&mut self, id: String, request: Request) -> Result<(), Closing> {
        let session = self.session.as_ref().ok_or(Closing::Unauthorised)?;
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(Closing::BadRequest);
        }
        if self.under_way.contains_key(&id) {
            return Err(Closing::Taken);
        }
        if self.under_way.len() >= MOST_OPERATIONS {
            let message = format!("at most {MOST_OPERATIONS} operations at once on a connection");
            let payload = refusal(ApiError::new(Code::Overloaded, message)).errors;
            return self.send(Answer::Error { id: &id, payload }).await;
        }
        let asker = Asker { caller: session.caller.clone(), from: self.from };
        let (operation, registration) = AbortHandle::new_pair();
        let events = Abortable::new(self.endpoint.graphql.execute_stream(asker, request), registration);
        let number = self.next;
        self.next += 1;
        self.under_way.insert(id.clone(), (number, operation));
        let events = events.map(Some).chain(stream::iter([None]));
        self.events.push(events.map(move |event| (id.clone(), number, event)).boxed());
        Ok(())
    }

    async fn on_event(&mut self, (id, number, event): Told) -> Result<(), Closing> {
        if self.under_way.get(&id).is_none_or(|(current, _)| *current != number) {
            return Ok(());
        }
        match event {
            Some(Event::Next(payload)) => self.send(Answer::Next { id: &id, payload }).await,
            Some(Event::Refused(payload)) => {
                self.under_way.remove(&id);
                self.send(Answer::Error { id: &id, payload }).await
            }
            // A watch that ends because the shop stops is not complete: the client
            // shall come again.
            None if self.endpoint.api.has_ended() => Err(Closing::GoingAway),
            None => {
                self.under_way.remove(&id);
                self.send(Answer::Complete { id: &id }).await
            }
        }
    }

    /// Whether both ends of the connection still have a reason to be there.
    async fn on_pulse(&mut self) -> Result<(), Closing> {
        if self.heard.elapsed() > self.patience.silence {
            return Err(Closing::Gone);
        }
        let token = self.session.as_ref().and_then(|session| session.token.as_deref());
        if let Some(token) = token
            && self.endpoint.api.session(token).await.is_ok_and(|caller| caller.is_none())
        {
            return Err(Closing::Forbidden);
        }
        self.put(Message::Ping(Vec::new().into())).await
    }

    async fn send(&mut self, answer: Answer<'_>) -> Result<(), Closing> {
        let text = answer.write().map_err(|error| {
            tracing::error!(%error, "an answer does not write as JSON");
            Closing::Unavailable
        })?;
        self.put(Message::Text(text.into())).await
    }

    async fn put(&mut self, message: Message) -> Result<(), Closing> {
        match timeout(self.patience.sending, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Closing::Gone),
        }
    }
}

fn pulse(every: Duration) -> Interval {
    let mut pulse = interval(every);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick would come at once.
    pulse.reset();
    pulse
}

/// Why a connection is closed whose first message cannot be taken.
fn closing(error: ApiError) -> Closing {
    if error.code == Code::Unauthenticated { Closing::Forbidden } else { Closing::Unavailable }
}
