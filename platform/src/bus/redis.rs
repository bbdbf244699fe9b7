//! The Redis bus: Redis Streams as a log with consumer groups.
//!
//! How the substrate works. A **stream** is a log; `XADD` appends an entry and
//! gives it an id `<ms>-<seq>` that only grows. A **consumer group** is a place in
//! the log kept by Redis: `XREADGROUP … >` hands each new entry to one consumer of
//! the group and moves the place (the *last delivered id*). What was handed out
//! stands in the group's **pending entries list** until `XACK`; `XAUTOCLAIM` hands
//! it to another consumer when the first one died. `XACK` frees no memory, `XTRIM
//! MINID` does; and a group that is made at `$`, or after trimming, misses what
//! came before, so all are made at `0` before the first `XADD`. A **sorted set** is
//! the delay queue, its scores the due times. **Scripts** run atomically.
//!
//! How we use it. One stream per partition (`orderly.order.0`), one group per
//! service, one consumer per reader; each entry has one field, the message. Redis
//! acknowledges before anything is on its disk and can be emptied at any time;
//! what makes that harmless is the *incarnation*: a random epoch key, which every
//! publish tests in the script that appends, and the server's `run_id`, known per
//! connection. When either changes, the publishers say again what is not settled. So they
//! do when a stream ends before the last place where it was published.
//!
//! One Redis (or a failover pair), not Redis Cluster: the scripts span keys.
//!
//! Chapter: `docs/redis.md`.

mod address;
mod declared;
mod keys;
mod link;
mod published;
mod reader;
mod reply;
mod rights;
mod standing;
mod topics;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use redis::Value;
use tokio::sync::broadcast;

pub use self::address::RedisOptions;
use self::declared::{Shared, fresh_epoch};
use self::reader::RedisSubscription;
use self::topics::Topics;
use super::{Bus, BusError, Entry, Fired, Inspection, Position, Subscription, Timer, TimerKey};
use crate::clock::Millis;
use crate::topology::Topology;

/// The connection to the broker. See the [module](self).
pub struct RedisBus {
    shared: Arc<Shared>,
    topics: Topics,
}

impl RedisBus {
    /// Connects to `redis://[user:password@]host[:port][/database]`, or with TLS to
    /// `rediss://…`. What is in another logical database of the server is not seen.
    ///
    /// # Errors
    /// As [`connect_with`](Self::connect_with).
    pub async fn connect(url: &str) -> Result<Arc<Self>, BusError> {
        Self::connect_with(RedisOptions { url: url.to_owned(), ca: None }).await
    }

    /// Connects, and tries whether the user may do all that will be asked.
    ///
    /// # Errors
    /// The options make no sense, the server cannot be reached or is not trusted, or it
    /// refuses the password or one of the commands. No error shows the password.
    pub async fn connect_with(options: RedisOptions) -> Result<Arc<Self>, BusError> {
        let client = address::client(&options)?;
        let shared = Arc::new(Shared::new(client.clone()));
        let mut live = shared.link.live().await?;
        rights::check(&client, &mut live.connection).await?;
        Ok(Arc::new(Self { shared, topics: Topics::new(client) }))
    }

    fn channel(&self, topic: &str) -> String {
        let client = self.shared.link.client();
        keys::channel(topic, client.get_connection_info().redis_settings().db())
    }
}

/// `<epoch>:<run_id>`.
fn incarnation(epoch: &str, run_id: &str) -> String {
    format!("{epoch}:{run_id}")
}

#[async_trait]
impl Bus for RedisBus {
    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.shared.declare(topology).await
    }

    async fn incarnation(&self) -> Result<String, BusError> {
        let shared = &self.shared;
        let mut live = shared.link.live().await?;
        let mut get = redis::cmd("GET");
        get.arg(keys::EPOCH);
        let epoch: Option<String> = shared.link.query(&mut live, &get).await?;
        let epoch = match epoch {
            Some(epoch) => epoch,
            None => {
                tracing::warn!("Redis has lost its memory: everything declared is made again");
                shared.make(&mut live).await?
            }
        };
        Ok(incarnation(&epoch, &live.run_id))
    }

    async fn lost_since(&self, known: Option<&str>, newest: &[(Arc<str>, u32, Position)]) -> Result<bool, BusError> {
        let incarnation = self.incarnation().await?;
        if known != Some(incarnation.as_str()) {
            return Ok(true);
        }
        let mut pipeline = redis::pipe();
        for (stream, partition, _) in newest {
            pipeline.cmd("XINFO").arg(("STREAM", keys::partition(stream, *partition)));
        }
        let answers = self.shared.link.run(&mut pipeline).await?;
        for (answer, (_, _, position)) in answers.into_iter().zip(newest) {
            let info = match answer {
                Ok(info) => reply::list(info)?,
                Err(error) if link::is_forgotten(&error) => return Ok(true),
                Err(error) => return Err(link::translate(&error)),
            };
            let last = reply::field(&info, "last-generated-id").unwrap_or_default();
            if last.parse::<Position>()? < *position {
                return Ok(true);
            }
        }
        let newest = newest.iter().map(|(stream, partition, position)| (stream, *partition, *position));
        self.shared.published.note(&incarnation, newest);
        Ok(false)
    }

    async fn publish(&self, known: &str, entries: &[Entry]) -> Result<Vec<Position>, BusError> {
        let shared = &self.shared;
        let mut live = shared.link.live().await?;
        let Some((epoch, _)) = known.split_once(':').filter(|(_, run_id)| *run_id == &*live.run_id) else {
            return Err(BusError::Reborn);
        };
        let mut script = shared.scripts.publish.key(keys::EPOCH);
        script.arg(epoch).arg(fresh_epoch());
        let mut places: HashMap<(&str, u32), usize> = HashMap::new();
        for entry in entries {
            let place = (&*entry.stream, entry.partition);
            if !places.contains_key(&place) {
                shared.check(place, None)?;
                script.key(keys::partition(place.0, place.1));
                let last = shared.published.last(place.0, place.1).filter(|last| *last.incarnation == *known);
                script.arg(last.map_or_else(String::new, |last| reply::id(last.position)));
                // The first key is the epoch's, and Lua counts from 1.
                places.insert(place, places.len() + 2);
            }
        }
        for entry in entries {
            script.arg(places[&(&*entry.stream, entry.partition)]).arg(&*entry.body);
        }
        let answer: Value = match shared.link.invoke(&mut live, &script).await {
            Ok(Value::Nil) => return Err(BusError::Reborn),
            Ok(answer) => answer,
            Err(error) => {
                shared.relieve().await;
                return Err(error);
            }
        };
        let positions: Vec<Position> = reply::list(answer)?.iter().map(reply::position).collect::<Result<_, _>>()?;
        let notes = entries.iter().zip(&positions).map(|(entry, position)| (&entry.stream, entry.partition, *position));
        shared.published.note(known, notes);
        Ok(positions)
    }

    async fn subscribe(&self, group: &str, assigned: &[(Arc<str>, u32)]) -> Result<Box<dyn Subscription>, BusError> {
        for (stream, partition) in assigned {
            self.shared.check((stream, *partition), Some(group))?;
        }
        Ok(Box::new(RedisSubscription::begin(self.shared.clone(), group, assigned).await?))
    }

    async fn ack(&self, group: &str, done: &[(Arc<str>, u32, Position)]) -> Result<(), BusError> {
        let mut ids: HashMap<(&str, u32), Vec<String>> = HashMap::new();
        for (stream, partition, position) in done {
            ids.entry((stream, *partition)).or_default().push(reply::id(*position));
        }
        let mut pipeline = redis::pipe();
        for ((stream, partition), ids) in &ids {
            pipeline.cmd("XACK").arg((keys::partition(stream, *partition), group, ids));
        }
        self.shared.run(&mut pipeline).await.map(drop)
    }

    async fn settled(&self, stream: &str, partition: u32) -> Result<Option<Position>, BusError> {
        let shared = &self.shared;
        let Some(standing) = shared.standing(stream, partition).await? else { return Ok(None) };
        if !standing.whole {
            tracing::warn!(stream, partition, "Redis has lost a stream or a group: it is made again");
            shared.make(&mut shared.link.live().await?).await?;
            shared.published.forget(stream, partition);
            return Err(BusError::Reborn);
        }
        if let Some(last) = shared.published.last(stream, partition) {
            let another = *last.incarnation != *standing.incarnation;
            if !another && standing.last < last.position {
                tracing::warn!(stream, partition, "Redis has lost the end of a stream");
                shared.renew_epoch().await?;
            }
            if another || standing.last < last.position {
                // Told once: from here on the publisher goes by its rows.
                shared.published.forget(stream, partition);
                return Err(BusError::Reborn);
            }
        }
        Ok((standing.settled > Position::default()).then_some(standing.settled))
    }

    async fn trim(&self, stream: &str, partition: u32, up_to: Position) -> Result<(), BusError> {
        self.shared.trim(stream, partition, up_to).await
    }

    async fn schedule(&self, stream: &str, timers: &[Timer]) -> Result<(), BusError> {
        let partitions = self.shared.topology().partitions;
        let members: Vec<_> = timers.iter().map(|timer| keys::scored(timer, partitions)).collect();
        let mut pipeline = redis::pipe();
        if !members.is_empty() {
            pipeline.cmd("ZADD").arg((keys::delayed(stream), members));
        }
        let scheduled = self.shared.run(&mut pipeline).await.map(drop);
        if scheduled.is_err() {
            self.shared.relieve().await;
        }
        scheduled
    }

    async fn cancel(&self, stream: &str, cancelled: &[TimerKey]) -> Result<(), BusError> {
        let partitions = self.shared.topology().partitions;
        let members: Vec<_> = cancelled.iter().map(|key| keys::member(key, partitions)).collect();
        let mut pipeline = redis::pipe();
        if !members.is_empty() {
            pipeline.cmd("ZREM").arg((keys::delayed(stream), members));
        }
        self.shared.run(&mut pipeline).await.map(drop)
    }

    /// # On crash
    /// The script is atomic: whoever calls next finds a timer in the queue, or its
    /// message in the stream.
    async fn fire_due(&self, stream: &str, now: Millis, max: usize) -> Result<Fired, BusError> {
        let shared = &self.shared;
        let mut live = shared.link.live().await?;
        let mut script = shared.scripts.fire_due.key(keys::delayed(stream));
        for partition in 0..shared.topology().partitions {
            script.key(keys::partition(stream, partition));
        }
        script.arg(now).arg(max);
        // A nil at the end of what a script gives is left out.
        let answer: Vec<i64> = shared.link.invoke(&mut live, &script).await?;
        let count = answer.first().and_then(|count| usize::try_from(*count).ok()).unwrap_or_default();
        Ok(Fired { count, next_due: answer.get(1).copied() })
    }

    async fn announce(&self, topic: &str, bodies: &[String]) -> Result<(), BusError> {
        let channel = self.channel(topic);
        let mut pipeline = redis::pipe();
        for body in bodies {
            pipeline.cmd("PUBLISH").arg((&channel, body));
        }
        self.shared.run(&mut pipeline).await.map(drop)
    }

    async fn tail(&self, topic: &str) -> Result<broadcast::Receiver<Arc<str>>, BusError> {
        self.topics.tail(self.channel(topic)).await
    }

    async fn inspect(&self) -> Result<Inspection, BusError> {
        self.shared.inspect().await
    }

    async fn close(&self) -> Result<(), BusError> {
        // Redis keeps everything itself, and consumer names without pending entries
        // are removed by whoever reads next.
        Ok(())
    }
}
