//! The contract of the bus: one suite of tests, run over every adapter.
//!
//! A test is a function over a [`BusFixture`] and knows nothing of the adapter;
//! [`contract!`] makes one test of it for each. What only one adapter can suffer
//! is in `broker_file` (embedded) and `redis_faults` with its neighbours.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "bus_contract/broker_file.rs"]
mod broker_file;
#[path = "bus_contract/publishing.rs"]
mod publishing;
#[path = "bus_contract/reading.rs"]
mod reading;
#[path = "bus_contract/redis_failover.rs"]
mod redis_failover;
#[path = "bus_contract/redis_faults.rs"]
mod redis_faults;
#[path = "bus_contract/redis_memory.rs"]
mod redis_memory;
#[path = "bus_contract/redis_rights.rs"]
mod redis_rights;
#[path = "bus_contract/redis_silence.rs"]
mod redis_silence;
#[path = "bus_contract/redis_tls.rs"]
mod redis_tls;
#[path = "bus_contract/timers.rs"]
mod timers;
#[path = "bus_contract/topics.rs"]
mod topics;

use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use platform::bus::embedded::EmbeddedBus;
use platform::bus::redis::RedisBus;
use platform::bus::{Bus, Delivery, Entry, Position, Subscription};
use platform::topology::Topology;
use tempfile::TempDir;

use crate::servers::PATIENCE;

/// Two groups listen to it, `a` and `b`.
const EVENTS: &str = "test.events";
/// Only `a` listens to it.
const COMMANDS: &str = "test.commands";
/// Nobody listens to it.
const SILENT: &str = "test.silent";
const PARTITIONS: u32 = 4;

/// A broker of its own for one test.
#[async_trait]
trait BusFixture: Send + Sync {
    /// A way to the broker, as one process has it. Another call: as another one.
    async fn bus(&self) -> Result<Arc<dyn Bus>>;

    /// The same, with the test's topology declared.
    async fn declared(&self) -> Result<Arc<dyn Bus>> {
        let bus = self.bus().await?;
        bus.declare(&topology()).await?;
        Ok(bus)
    }
}

fn topology() -> Topology {
    let mut topology = Topology::new(PARTITIONS);
    topology.listen(EVENTS, "a");
    topology.listen(EVENTS, "b");
    topology.listen(COMMANDS, "a");
    topology.declare(SILENT);
    topology
}

struct InMemory(Arc<EmbeddedBus>);

struct WithFile(Arc<EmbeddedBus>, #[allow(dead_code, reason = "removed at the end")] TempDir);

struct OnRedis {
    url: String,
}

#[async_trait]
impl BusFixture for InMemory {
    async fn bus(&self) -> Result<Arc<dyn Bus>> {
        Ok(self.0.clone())
    }
}

#[async_trait]
impl BusFixture for WithFile {
    async fn bus(&self) -> Result<Arc<dyn Bus>> {
        Ok(self.0.clone())
    }
}

#[async_trait]
impl BusFixture for OnRedis {
    async fn bus(&self) -> Result<Arc<dyn Bus>> {
        Ok(RedisBus::connect(&self.url).await?)
    }
}

impl InMemory {
    async fn open() -> Result<Self> {
        Ok(Self(EmbeddedBus::open(None).await?))
    }
}

impl WithFile {
    async fn open() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self(EmbeddedBus::open(Some(&folder.path().join("bus.db"))).await?, folder))
    }
}

impl OnRedis {
    async fn open() -> Result<Self> {
        Ok(Self { url: crate::servers::redis().await?.fresh_namespace().await? })
    }
}

/// Makes a test of each function for each adapter.
macro_rules! contract {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> {
                super::$name(&$crate::bus_contract::InMemory::open().await?).await
            })*
        }
        mod with_file {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> {
                super::$name(&$crate::bus_contract::WithFile::open().await?).await
            })*
        }
        mod on_redis {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> {
                super::$name(&$crate::bus_contract::OnRedis::open().await?).await
            })*
        }
        mod on_redis_with_least_rights {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> {
                super::$name(&$crate::bus_contract::OnRedis::with_least_rights().await?).await
            })*
        }
    };
}
use contract;

fn entry(stream: &str, partition: u32, body: impl Into<Arc<str>>) -> Entry {
    Entry { stream: stream.into(), partition, body: body.into() }
}

/// Entries of one partition with these bodies.
fn entries<T: ToString>(stream: &str, partition: u32, bodies: impl IntoIterator<Item = T>) -> Vec<Entry> {
    bodies.into_iter().map(|body| entry(stream, partition, body.to_string())).collect()
}

/// Publishes under the broker's own incarnation.
async fn publish(bus: &Arc<dyn Bus>, entries: &[Entry]) -> Result<Vec<Position>> {
    Ok(bus.publish(&bus.incarnation().await?, entries).await?)
}

async fn subscribe(bus: &Arc<dyn Bus>, group: &str, stream: &str, partitions: &[u32]) -> Result<Box<dyn Subscription>> {
    let assigned: Vec<_> = partitions.iter().map(|partition| (stream.into(), *partition)).collect();
    Ok(bus.subscribe(group, &assigned).await?)
}

/// Reads exactly `count` deliveries.
async fn take(subscription: &mut Box<dyn Subscription>, count: usize) -> Result<Vec<Delivery>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let max = count - taken.len();
        let next = tokio::time::timeout(PATIENCE, subscription.next(max)).await;
        let next = next.with_context(|| format!("only {} of {count} came", taken.len()))??;
        assert!((1..=max).contains(&next.len()), "asked for at most {max}, got {}", next.len());
        taken.extend(next);
    }
    Ok(taken)
}

/// Shows that nothing else is there: what is published now is what comes next.
async fn assert_nothing_left(
    bus: &Arc<dyn Bus>,
    subscription: &mut Box<dyn Subscription>,
    stream: &str,
    partition: u32,
) -> Result<()> {
    publish(bus, &entries(stream, partition, ["the end"])).await?;
    assert_eq!(bodies(&take(subscription, 1).await?), ["the end"]);
    Ok(())
}

fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.body.as_deref().unwrap_or("(gone)")).collect()
}

async fn ack(bus: &Arc<dyn Bus>, group: &str, deliveries: &[Delivery]) -> Result<()> {
    let place = |delivery: &Delivery| (delivery.stream.clone(), delivery.partition, delivery.position);
    Ok(bus.ack(group, &deliveries.iter().map(place).collect::<Vec<_>>()).await?)
}

/// A random number generator whose seed stands in the output of a failing test.
#[allow(clippy::print_stdout, reason = "the seed repeats the failure")]
fn seeded() -> rand::rngs::StdRng {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    rand::SeedableRng::seed_from_u64(seed)
}
