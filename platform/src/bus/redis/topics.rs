//! Topics: Redis publish/subscribe, heard by one connection a process.
//!
//! A channel keeps nothing and knows no groups: who listens now hears it. The
//! connection feeds a local broadcast per topic. It is made when the first tail is
//! asked for. When it breaks, every tail ends: what is said now is not heard, and only
//! the end tells so. Whoever still wants to hear asks again, and looks for himself what
//! he may have missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, Msg, RedisResult};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::link::{self, Backoff, in_time};
use crate::bus::BusError;

/// How many announcements a slow tail may fall behind before it misses some.
const TAIL_CAPACITY: usize = 4096;
/// How often the connection is asked whether it lives.
const PING: Duration = Duration::from_secs(5);
/// How long anything may take.
const TIMEOUT: Duration = Duration::from_secs(3);

type Receiver = broadcast::Receiver<Arc<str>>;
type Request = (String, oneshot::Sender<Result<Receiver, BusError>>);

/// Hands out tails; the work is done by one task.
pub(super) struct Topics {
    requests: mpsc::Sender<Request>,
    task: AbortHandle,
}

impl Topics {
    pub(super) fn new(client: Client) -> Self {
        let (requests, incoming) = mpsc::channel(64);
        let listener = Listener {
            client,
            topics: HashMap::new(),
            connection: None,
            backoff: Backoff::default(),
            retry_at: Instant::now(),
            last_error: None,
        };
        Self { requests, task: tokio::spawn(listener.run(incoming)).abort_handle() }
    }

    /// Hears the channel from now on: the subscription is confirmed.
    pub(super) async fn tail(&self, channel: String) -> Result<Receiver, BusError> {
        let (answer, answered) = oneshot::channel();
        let ended = || BusError::Unreachable("the bus was closed".into());
        self.requests.send((channel, answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Listener {
    client: Client,
    topics: HashMap<String, broadcast::Sender<Arc<str>>>,
    connection: Option<(PubSubSink, PubSubStream)>,
    backoff: Backoff,
    /// No attempt to connect before this time: whoever asks sooner gets the last error.
    retry_at: Instant,
    last_error: Option<BusError>,
}

async fn timely<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    in_time(TIMEOUT, work).await
}

impl Listener {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut ping = tokio::time::interval(PING);
        loop {
            let connected = self.connection.is_some();
            tokio::select! {
                request = requests.recv() => {
                    let Some((channel, answer)) = request else { return };
                    let result = self.tail(channel).await;
                    // Whoever asked may have gone; its topic goes with the next message.
                    let _ = answer.send(result);
                }
                message = heard(&mut self.connection) => match message {
                    Some(message) => self.pass_on(&message).await,
                    None => self.lost(),
                },
                _ = ping.tick(), if connected => {
                    if let Some((sink, _)) = &mut self.connection
                        && timely(sink.ping::<redis::Value>()).await.is_err()
                    {
                        self.lost();
                    }
                }
            }
        }
    }

    /// Gives the connection up, and ends every tail: only so does who tails learn that
    /// something may have been missed. He asks again.
    fn lost(&mut self) {
        self.connection = None;
        self.topics.clear();
    }

    /// Connects, or says why not, for a moment to everybody.
    async fn connect(&mut self) -> Result<(), BusError> {
        match timely(listen(&self.client)).await {
            Ok(connection) => {
                self.connection = Some(connection);
                self.backoff.reset();
                Ok(())
            }
            Err(error) => {
                let error = link::translate(&error);
                self.retry_at = Instant::now() + self.backoff.failed();
                self.last_error = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn tail(&mut self, channel: String) -> Result<Receiver, BusError> {
        if self.connection.is_none() {
            match &self.last_error {
                // Not one attempt for each of many callers.
                Some(error) if Instant::now() < self.retry_at => return Err(error.clone()),
                _ => self.connect().await?,
            }
        }
        if let Some(tails) = self.topics.get(&channel) {
            return Ok(tails.subscribe());
        }
        if let Some((sink, _)) = &mut self.connection
            && let Err(error) = timely(sink.subscribe(&channel)).await
        {
            self.lost();
            return Err(link::translate(&error));
        }
        let (tails, tail) = broadcast::channel(TAIL_CAPACITY);
        self.topics.insert(channel, tails);
        Ok(tail)
    }

    async fn pass_on(&mut self, message: &Msg) {
        let channel = message.get_channel_name();
        let Some(tails) = self.topics.get(channel) else { return };
        let body = String::from_utf8_lossy(message.get_payload_bytes());
        let unheard = tails.send(body.into()).is_err();
        if unheard {
            let channel = channel.to_owned();
            self.topics.remove(&channel);
            if let Some((sink, _)) = &mut self.connection
                && timely(sink.unsubscribe(&channel)).await.is_err()
            {
                self.lost();
            }
        }
    }
}

async fn listen(client: &Client) -> RedisResult<(PubSubSink, PubSubStream)> {
    Ok(client.get_async_pubsub().await?.split())
}

/// The next message; `None` if the connection has ended; never, if there is none.
async fn heard(connection: &mut Option<(PubSubSink, PubSubStream)>) -> Option<Msg> {
    match connection {
        Some((_, stream)) => stream.next().await,
        None => std::future::pending().await,
    }
}
