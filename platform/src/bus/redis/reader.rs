//! A group's reading of partitions: a consumer with a connection of its own.
//!
//! A *blocking* read (`XREADGROUP … BLOCK`) holds its connection, so each reader
//! has one, and a consumer name that nobody else has. It first claims the group's
//! *pending entries* (`XAUTOCLAIM`, in id order, whoever held them), then reads
//! what is new (`>`). After any fault it starts over with the pending ones: an
//! answer that was lost on the way is pending too.
//!
//! One reader may leave entries behind after its successor has claimed: its last
//! blocking read can still be waiting in Redis when the process dies. So every now
//! and then a reader takes over what other consumers of its partitions left.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use uuid::Uuid;

use super::declared::Shared;
use super::link::{self, Backoff, RESPONSE_TIMEOUT};
use super::{keys, reply};
use crate::bus::{BusError, Delivery, Subscription};

/// How long one blocking read waits. Short enough to notice a dead peer and to
/// look around; long enough to cost nothing.
const BLOCK: Duration = Duration::from_secs(1);
/// How often to look for what others left, and how long they must have left it.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// How many pending entries are claimed in one go.
const PAGE: usize = 500;

/// What the caller holds. A `next` that is dropped half way leaves its read
/// here, and the following `next` goes on with it: nothing is overtaken.
pub(super) struct RedisSubscription {
    /// `None` while it is in `reading`.
    reader: Option<Box<Reader>>,
    reading: Option<Reading>,
    /// Read, pending at Redis, not yet asked for.
    ready: VecDeque<Delivery>,
}

type Reading = Pin<Box<dyn Future<Output = (Box<Reader>, Result<Vec<Delivery>, BusError>)> + Send>>;

impl RedisSubscription {
    /// Connects, and begins with what is pending.
    pub(super) async fn begin(
        shared: Arc<Shared>,
        group: &str,
        assigned: &[(Arc<str>, u32)],
    ) -> Result<Self, BusError> {
        let track = |(stream, partition): &(Arc<str>, u32)| Track {
            key: keys::partition(stream, *partition),
            stream: stream.clone(),
            partition: *partition,
            claimed: Some("0-0".to_owned()),
        };
        let mut reader = Box::new(Reader {
            tracks: assigned.iter().map(track).collect(),
            shared,
            group: group.to_owned(),
            consumer: Uuid::new_v4().simple().to_string(),
            connection: None,
            backoff: Backoff::default(),
            pause: Duration::ZERO,
            looked: Instant::now(),
        });
        reader.connected().await.map_err(|error| link::translate(&error))?;
        Ok(Self { reader: Some(reader), reading: None, ready: VecDeque::new() })
    }
}

#[async_trait]
impl Subscription for RedisSubscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let max = max.max(1);
        while self.ready.is_empty() {
            if let Some(reader) = self.reader.take() {
                self.reading = Some(Box::pin(reader.read(max)));
            }
            let Some(reading) = &mut self.reading else {
                return Err(BusError::Broken("a reader was lost in a panic".into()));
            };
            let (reader, result) = reading.await;
            self.reading = None;
            self.reader = Some(reader);
            self.ready.extend(result?);
        }
        Ok(self.ready.drain(..max.min(self.ready.len())).collect())
    }
}

/// The consumer.
struct Reader {
    shared: Arc<Shared>,
    group: String,
    consumer: String,
    tracks: Vec<Track>,
    connection: Option<MultiplexedConnection>,
    backoff: Backoff,
    /// To wait before the next attempt to connect.
    pause: Duration,
    /// When it last looked for what others left.
    looked: Instant,
}

/// One assigned partition.
struct Track {
    key: String,
    stream: Arc<str>,
    partition: u32,
    /// From where pending entries are still to be claimed; `None`: all are.
    claimed: Option<String>,
}

/// Why a round gave nothing.
enum Fault {
    Redis(RedisError),
    Other(BusError),
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<BusError> for Fault {
    fn from(error: BusError) -> Self {
        Self::Other(error)
    }
}

impl Reader {
    async fn read(mut self: Box<Self>, max: usize) -> (Box<Self>, Result<Vec<Delivery>, BusError>) {
        let mut remade = false;
        loop {
            let fault = match self.round(max).await {
                Ok(deliveries) if deliveries.is_empty() => {
                    remade = false;
                    continue;
                }
                Ok(deliveries) => {
                    self.backoff.reset();
                    return (self, Ok(deliveries));
                }
                Err(fault) => fault,
            };
            self.tracks.iter_mut().for_each(|track| track.claimed = Some("0-0".to_owned()));
            let error = match fault {
                // What is lost is made again, once, with the groups at 0: the publishers
                // will notice and say again what this one has not heard.
                Fault::Redis(error) if link::is_forgotten(&error) && !remade => {
                    remade = true;
                    match self.make_again().await {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Fault::Redis(error) => {
                    if link::breaks_connection(&error) {
                        self.connection = None;
                    }
                    link::translate(&error)
                }
                Fault::Other(error) => error,
            };
            self.pause = self.backoff.failed();
            return (self, Err(error));
        }
    }

    async fn make_again(&self) -> Result<(), BusError> {
        let mut live = self.shared.link.live().await?;
        self.shared.make(&mut live).await.map(drop)
    }

    /// One question to Redis: what is pending, what others left, or what is new.
    async fn round(&mut self, max: usize) -> Result<Vec<Delivery>, Fault> {
        let connection = self.connected().await?;
        if let Some(index) = self.tracks.iter().position(|track| track.claimed.is_some()) {
            return self.claim(connection, index).await;
        }
        if self.looked.elapsed() >= LOOK_AROUND {
            self.looked = Instant::now();
            let left = self.take_over(connection.clone()).await?;
            if !left.is_empty() {
                return Ok(left);
            }
        }
        self.read_new(connection, max).await
    }

    /// After a failure only when its pause is over: an absent server is not stormed.
    async fn connected(&mut self) -> Result<MultiplexedConnection, RedisError> {
        tokio::time::sleep(std::mem::take(&mut self.pause)).await;
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = link::connect(self.shared.link.client(), BLOCK + RESPONSE_TIMEOUT).await?;
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    async fn claim(&mut self, mut connection: MultiplexedConnection, index: usize) -> Result<Vec<Delivery>, Fault> {
        let track = &mut self.tracks[index];
        let from = track.claimed.clone().unwrap_or_default();
        let answer: (String, Value, Option<Value>) = redis::cmd("XAUTOCLAIM")
            .arg((&track.key, &self.group, &self.consumer, 0, from))
            .arg(("COUNT", PAGE))
            .query_async(&mut connection)
            .await?;
        let (cursor, claimed, deleted) = answer;
        track.claimed = (cursor != "0-0").then_some(cursor);
        let mut entries = reply::entries(claimed)?;
        // Trimmed while they were pending: Redis takes them off the list by itself.
        for id in reply::list(deleted.unwrap_or_default())? {
            let position = reply::position(&id)?;
            tracing::warn!(stream = %track.stream, partition = track.partition, %position, "a pending entry is gone");
            entries.push((position, None));
        }
        entries.sort_by_key(|(position, _)| *position);
        Ok(track.deliveries(entries))
    }

    async fn take_over(&mut self, mut connection: MultiplexedConnection) -> Result<Vec<Delivery>, Fault> {
        let mut left = Vec::new();
        for track in &self.tracks {
            let idle = u64::try_from(LOOK_AROUND.as_millis()).unwrap_or(u64::MAX);
            let answer: Value = self
                .shared
                .scripts
                .take_over
                .key(&track.key)
                .arg((&self.group, &self.consumer, idle, PAGE))
                .invoke_async(&mut connection)
                .await?;
            let mut entries = reply::entries(answer)?;
            entries.sort_by_key(|(position, _)| *position);
            left.extend(track.deliveries(entries));
        }
        Ok(left)
    }

    async fn read_new(&self, mut connection: MultiplexedConnection, max: usize) -> Result<Vec<Delivery>, Fault> {
        let mut command = redis::cmd("XREADGROUP");
        command.arg(("GROUP", &self.group, &self.consumer, "COUNT", max));
        command.arg(("BLOCK", u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX), "STREAMS"));
        self.tracks.iter().for_each(|track| {
            command.arg(&track.key);
        });
        self.tracks.iter().for_each(|_| {
            command.arg(">");
        });
        let answer: Value = command.query_async(&mut connection).await?;
        let mut deliveries = Vec::new();
        for stream in reply::list(answer)? {
            let mut parts = reply::list(stream)?.into_iter();
            let key = reply::text(&parts.next().unwrap_or_default()).unwrap_or_default();
            let entries = reply::entries(parts.next().unwrap_or_default())?;
            if let Some(track) = self.tracks.iter().find(|track| track.key == key) {
                deliveries.extend(track.deliveries(entries));
            }
        }
        Ok(deliveries)
    }
}

impl Track {
    fn deliveries(&self, entries: Vec<reply::Found>) -> Vec<Delivery> {
        let deliver =
            |(position, body)| Delivery { stream: self.stream.clone(), partition: self.partition, position, body };
        entries.into_iter().map(deliver).collect()
    }
}
