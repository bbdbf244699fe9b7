//! What was declared: making it, making it again after a loss, looking at it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use redis::{Client, Pipeline, Script, Value};
use uuid::Uuid;

use super::link::{self, Link, Live};
use super::published::Published;
use super::{keys, reply};
use crate::bus::{BusError, GroupInfo, Inspection};
use crate::topology::Topology;

/// What the bus and its readers share.
pub(super) struct Shared {
    pub(super) link: Link,
    pub(super) scripts: Scripts,
    pub(super) published: Published,
    /// When this process last freed something in a full server.
    pub(super) made_room: Mutex<Option<Instant>>,
    /// Made again when Redis has lost it.
    topology: RwLock<Arc<Topology>>,
}

/// Sent by their hash; a server that does not know one yet is sent its text.
pub(super) struct Scripts {
    pub(super) make: Script,
    pub(super) publish: Script,
    pub(super) settled: Script,
    pub(super) fire_due: Script,
    pub(super) take_over: Script,
}

impl Shared {
    /// Nothing declared, not connected yet.
    pub(super) fn new(client: Client) -> Self {
        Self {
            link: Link::new(client),
            scripts: Scripts {
                make: Script::new(include_str!("make.lua")),
                publish: Script::new(include_str!("publish.lua")),
                settled: Script::new(include_str!("settled.lua")),
                fire_due: Script::new(include_str!("fire_due.lua")),
                take_over: Script::new(include_str!("take_over.lua")),
            },
            published: Published::default(),
            made_room: Mutex::default(),
            topology: RwLock::new(Arc::new(Topology::new(1))),
        }
    }

    pub(super) fn topology(&self) -> Arc<Topology> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses what was not declared: a place, or a group that listens there.
    pub(super) fn check(&self, (stream, partition): (&str, u32), group: Option<&str>) -> Result<(), BusError> {
        let topology = self.topology();
        let known = topology.streams.iter().find(|known| known.name == stream);
        match (known.filter(|_| partition < topology.partitions), group) {
            (None, _) => Err(BusError::Broken(format!("no partition {partition} of a stream {stream:?}"))),
            (Some(known), Some(group)) if !known.groups.iter().any(|known| known == group) => {
                Err(BusError::Broken(format!("no group {group:?} listens to {stream:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Makes what is missing, and remembers all of it.
    pub(super) async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        let topology = Topology { partitions: topology.partitions.max(1), streams: topology.streams.clone() };
        let mut live = self.link.live().await?;
        self.agree(&mut live, topology.partitions).await?;
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(topology);
        self.make(&mut live).await.map(drop)
    }

    /// Stores the number of partitions, or compares it with the stored one. (Read first:
    /// a full server refuses `SET` also where it would change nothing.)
    async fn agree(&self, live: &mut Live, count: u32) -> Result<(), BusError> {
        let mut get = redis::cmd("GET");
        get.arg(keys::PARTITIONS);
        let mut known: Option<u32> = self.link.query(live, &get).await?;
        if known.is_none() {
            let mut set = redis::cmd("SET");
            set.arg((keys::PARTITIONS, count, "NX"));
            self.link.query::<Value>(live, &set).await?;
            known = self.link.query(live, &get).await?;
        }
        match known {
            Some(known) if known == count => Ok(()),
            None => Err(BusError::Unreachable("it forgets what it was just told".into())),
            Some(known) => Err(BusError::Broken(format!(
                "this broker was made with {known} partitions, not {count}: go on with {known}, or begin with a new one"
            ))),
        }
    }

    /// Makes every group that is missing, and gives the epoch: a new one if any was.
    pub(super) async fn make(&self, live: &mut Live) -> Result<String, BusError> {
        let topology = self.topology();
        self.agree(live, topology.partitions).await?;
        let mut script = self.scripts.make.key(keys::EPOCH);
        script.arg(fresh_epoch());
        let heard = places(&topology).filter(|(stream, _)| !topology.groups(stream).is_empty());
        // The first key is the epoch's, and Lua counts from 1.
        for (index, (stream, partition)) in (2_usize..).zip(heard) {
            script.key(keys::partition(stream, partition));
            for group in topology.groups(stream) {
                script.arg(index).arg(group);
            }
        }
        self.link.invoke(live, &script).await
    }

    /// The memory was found not to be whole: a new epoch tells everybody.
    pub(super) async fn renew_epoch(&self) -> Result<(), BusError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg((keys::EPOCH, fresh_epoch()));
        self.run(&mut pipeline).await.map(drop)
    }

    /// One line for each group of each partition, and the delay queues.
    pub(super) async fn inspect(&self) -> Result<Inspection, BusError> {
        let topology = self.topology();
        let mut pipeline = redis::pipe();
        for (stream, partition) in places(&topology) {
            let key = keys::partition(stream, partition);
            pipeline.cmd("XLEN").arg(&key);
            pipeline.cmd("XINFO").arg(("GROUPS", &key));
        }
        for stream in &topology.streams {
            pipeline.cmd("ZCARD").arg(keys::delayed(&stream.name));
        }
        let mut answers = self.link.run(&mut pipeline).await?.into_iter().map(|answer| match answer {
            // Nobody has published to it yet.
            Err(error) if link::is_forgotten(&error) => Ok(Value::Nil),
            answer => answer.map_err(|error| link::translate(&error)),
        });
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let mut inspection = Inspection::default();
        for (stream, partition) in places(&topology) {
            let length = count(&next()?);
            let mut groups = Vec::new();
            for group in reply::list(next()?)? {
                let group = reply::list(group)?;
                groups.push(GroupInfo {
                    stream: stream.to_owned(),
                    partition,
                    group: reply::field(&group, "name").unwrap_or_default(),
                    length,
                    // Redis cannot tell after deletions in the middle: then at most all.
                    lag: reply::number(&group, "lag").unwrap_or(length),
                    pending: reply::number(&group, "pending").unwrap_or_default(),
                });
            }
            inspection.groups.append(&mut groups);
        }
        for stream in &topology.streams {
            inspection.delayed.push((stream.name.clone(), count(&next()?)));
        }
        inspection.groups.sort_by(|a, b| (&a.stream, a.partition).cmp(&(&b.stream, b.partition)));
        inspection.delayed.sort();
        Ok(inspection)
    }

    /// Runs the commands; fails if one of them did.
    pub(super) async fn run(&self, pipeline: &mut Pipeline) -> Result<Vec<Value>, BusError> {
        let answers = self.link.run(pipeline).await?;
        answers.into_iter().collect::<Result<_, _>>().map_err(|error| link::translate(&error))
    }
}

pub(super) fn fresh_epoch() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Every partition of every stream.
pub(super) fn places(topology: &Topology) -> impl Iterator<Item = (&str, u32)> {
    topology
        .streams
        .iter()
        .flat_map(|stream| (0..topology.partitions).map(move |partition| (stream.name.as_str(), partition)))
}

fn count(value: &Value) -> u64 {
    reply::text(value).and_then(|count| count.parse().ok()).unwrap_or_default()
}
