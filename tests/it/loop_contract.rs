//! The contract of the service loop and what runs beside it: a toy service over
//! real stores and brokers.
//!
//! A test is a function over a [`World`]: a store, a broker, a clock that the test
//! moves, and the script of the toy's partner. [`everywhere!`] makes one test of
//! it for each pair of a store and a broker, [`two_ways!`] for two pairs in which
//! each adapter comes once.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "loop_contract/calls.rs"]
mod calls;
#[path = "loop_contract/commands.rs"]
mod commands;
#[path = "loop_contract/crashes.rs"]
mod crashes;
#[path = "loop_contract/faults.rs"]
mod faults;
#[path = "loop_contract/held_bus.rs"]
mod held_bus;
#[path = "loop_contract/inspection.rs"]
mod inspection;
#[path = "loop_contract/island.rs"]
mod island;
#[path = "loop_contract/losses.rs"]
mod losses;
#[path = "loop_contract/messages.rs"]
mod messages;
#[path = "loop_contract/operators.rs"]
mod operators;
#[path = "loop_contract/postgres.rs"]
mod postgres;
#[path = "loop_contract/probe.rs"]
mod probe;
#[path = "loop_contract/replicas.rs"]
mod replicas;
#[path = "loop_contract/sharing.rs"]
mod sharing;
#[path = "loop_contract/timers.rs"]
mod timers;
#[path = "loop_contract/toy.rs"]
mod toy;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use platform::bus::embedded::EmbeddedBus;
use platform::bus::redis::RedisBus;
use platform::bus::{Bus, Entry};
use platform::clock::Clock;
use platform::error::{Code, Failure};
use platform::message::{Envelope, Payload, fresh_id};
use platform::runtime::{Pace, Running, Surroundings, declare, start, start_at};
use platform::service_loop::Handle;
use platform::store::Db;
use platform::store::parked::{Backoff, Parked};
use platform::topology::{Topology, partition_of};
use serde_json::value::to_raw_value;
use tempfile::TempDir;

use crate::servers::{PATIENCE, until};
use probe::Probe;
use toy::{Change, IN, Input, OUT, SPEC, Script, Tally};

const NOON: i64 = 1_700_000_000_000;
const PARTITIONS: u32 = 2;
/// Two failures are forgiven, the third makes a dead letter.
const BACKOFF: Backoff = Backoff { first: 1_000, cap: 10_000, attempts: 3 };
/// Longer than any pause of [`BACKOFF`].
const A_WHILE: Duration = Duration::from_secs(15);

/// All that a test has, and that survives the service. Clones are the same world.
#[derive(Clone)]
struct World {
    /// What [`Db::open`] takes.
    address: String,
    /// For looking at it.
    db: Db,
    broker: Arc<Broker>,
    clock: Clock,
    script: Arc<Script>,
    /// Of each stream.
    partitions: u32,
    pace: Pace,
    #[allow(dead_code, reason = "removed at the end")]
    folder: Option<Arc<TempDir>>,
}

enum Broker {
    Embedded(Mutex<Arc<EmbeddedBus>>),
    Redis(String),
}

impl World {
    async fn new(postgres: bool, redis: bool) -> Result<Self> {
        let (address, folder) = if postgres {
            (crate::servers::postgres().await?.fresh_database().await?, None)
        } else {
            let folder = tempfile::tempdir()?;
            (folder.path().join("tally.db").display().to_string(), Some(Arc::new(folder)))
        };
        let broker = if redis {
            Broker::Redis(crate::servers::redis().await?.fresh_namespace().await?)
        } else {
            Broker::Embedded(Mutex::new(EmbeddedBus::open(None).await?))
        };
        let db = Db::open(&address).await?;
        db.migrate(SPEC.migrations).await?;
        Ok(Self {
            address,
            db,
            broker: Arc::new(broker),
            clock: Clock::manual(NOON),
            script: Arc::default(),
            partitions: PARTITIONS,
            pace: Pace::default(),
            folder,
        })
    }

    /// A way to the broker, as a process of its own has it.
    async fn bus(&self) -> Result<Arc<dyn Bus>> {
        let bus: Arc<dyn Bus> = match &*self.broker {
            Broker::Embedded(bus) => bus.lock().unwrap().clone(),
            Broker::Redis(url) => RedisBus::connect(url).await?,
        };
        let mut topology = Topology::new(self.partitions);
        declare(&SPEC, &mut topology);
        topology.listen(OUT, probe::GROUP);
        bus.declare(&topology).await?;
        Ok(bus)
    }

    /// Starts the service, as a process of its own.
    async fn start(&self) -> Result<Running<Tally>> {
        self.start_on(self.bus().await?).await
    }

    async fn start_on(&self, bus: Arc<dyn Bus>) -> Result<Running<Tally>> {
        let around = Surroundings {
            db: Db::open(&self.address).await?,
            bus,
            clock: self.clock.clone(),
            partitions: self.partitions,
            backoff: BACKOFF,
        };
        Ok(start_at(self.pace, Arc::new(Tally { script: self.script.clone() }), around).await?)
    }

    /// The broker loses everything. The embedded one is a new one from here on,
    /// as after a restart without its file.
    async fn lose_the_broker(&self) -> Result<()> {
        match &*self.broker {
            Broker::Embedded(bus) => *bus.lock().unwrap() = EmbeddedBus::open(None).await?,
            Broker::Redis(url) => {
                let mut connection = redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await?;
                redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await?;
            }
        }
        Ok(())
    }

    /// Publishes texts into the toy's stream, in the partitions of their subjects.
    async fn publish(&self, texts: &[(&str, String)]) -> Result<()> {
        let bus = self.bus().await?;
        let entries: Vec<_> = texts
            .iter()
            .map(|(subject, text)| Entry {
                stream: IN.into(),
                partition: partition_of(subject, self.partitions),
                body: text.as_str().into(),
            })
            .collect();
        bus.publish(&bus.incarnation().await?, &entries).await?;
        Ok(())
    }

    /// Publishes changes: subject (which is the account's name), sequence, amount.
    async fn say(&self, changes: &[(&str, i64, i64)]) -> Result<()> {
        let texts: Vec<_> = changes
            .iter()
            .map(|(name, sequence, n)| (*name, letter(name, *sequence, &Change { name: (*name).to_owned(), n: *n })))
            .collect();
        self.publish(&texts).await
    }

    async fn balances(&self) -> Result<BTreeMap<String, i64>> {
        let rows: Vec<(String, i64)> =
            self.db.read("SELECT name, balance FROM accounts WHERE $1 <> ''", &[0; 0]).await?;
        Ok(rows.into_iter().collect())
    }

    async fn balance(&self, name: &str) -> Result<i64> {
        Ok(self.balances().await?.get(name).copied().unwrap_or(0))
    }

    async fn until_balance(&self, name: &str, balance: i64) -> Result<()> {
        let what = format!("{name} has {balance}");
        until(&what, PATIENCE, async || Ok((self.balance(name).await? == balance).then_some(()))).await
    }

    async fn parked(&self) -> Result<Vec<Parked>> {
        Ok(self
            .db
            .read(
                "SELECT source, subject, sequence, stream, envelope, state, attempts, errors, next_due, parked_at
                 FROM parked WHERE $1 <> '' ORDER BY source, subject, sequence",
                &[0; 0],
            )
            .await?)
    }

    /// Waits until exactly these are parked: subject, sequence, state, attempts.
    async fn until_parked(&self, wanted: &[(&str, i64, &str, i64)]) -> Result<Vec<Parked>> {
        until(&format!("parked: {wanted:?}"), PATIENCE, async || {
            let parked = self.parked().await?;
            let is: Vec<_> = parked
                .iter()
                .map(|row| (row.subject.as_str(), row.sequence, row.state.as_str(), row.attempts))
                .collect();
            Ok((is == wanted).then_some(parked.clone()))
        })
        .await
    }

    async fn count(&self, table: &str) -> Result<i64> {
        let rows: Vec<(i64,)> = self.db.read(format!("SELECT COUNT(*) FROM {table} WHERE $1 <> ''"), &[0; 0]).await?;
        Ok(rows[0].0)
    }

    async fn until_everything_is_settled(&self) -> Result<()> {
        until("the outbox is empty", PATIENCE, async || Ok((self.count("outbox").await? == 0).then_some(()))).await
    }

    /// Waits until the service has acked all that it was given.
    async fn until_everything_is_acked(&self) -> Result<()> {
        let bus = self.bus().await?;
        until("everything is acked", PATIENCE, async || {
            let groups = bus.inspect().await?.groups;
            let mut ours = groups.iter().filter(|group| group.group == SPEC.name);
            Ok(ours.all(|group| group.lag == 0 && group.pending == 0).then_some(()))
        })
        .await
    }

    /// Submits commands such that all are in the queue before the next unit of work
    /// begins; answers in the same order.
    async fn in_one_go(&self, handle: &Handle<Tally>, commands: Vec<Command>) -> Result<Vec<Result<i64, Failure>>> {
        let before = self.script.loads();
        self.script.work.send_replace(false);
        let plug = tokio::spawn(submit(handle.clone(), command(&fresh_id(), Input::add("plug", 0))));
        let loading = async || Ok((self.script.loads() > before).then_some(()));
        until("the loop is at work", PATIENCE, loading).await?;
        let all = join_all(commands.into_iter().map(|command| submit(handle.clone(), command)));
        // Unconstrained, so that one poll is one poll of each of them.
        let mut all = pin!(tokio::task::unconstrained(all));
        tokio::select! {
            biased;
            _ = &mut all => anyhow::bail!("answered while the loop was held"),
            () = std::future::ready(()) => {}
        }
        self.script.work.send_replace(true);
        plug.await??;
        Ok(all.await)
    }
}

/// A command: id, fingerprint, input.
type Command = (String, String, Input);

/// One whose fingerprint is that of its input.
fn command(id: &str, input: Input) -> Command {
    (id.to_owned(), format!("{input:?}"), input)
}

async fn submit(handle: Handle<Tally>, (id, fingerprint, input): Command) -> Result<i64, Failure> {
    handle.submit(id, fingerprint, input).await
}

async fn add(running: &Running<Tally>, id: &str, name: &str, n: i64) -> Result<i64, Failure> {
    submit(running.handle(), command(id, Input::add(name, n))).await
}

/// The code of a failure, `None` of a success.
fn code(result: &Result<i64, Failure>) -> Option<Code> {
    result.as_ref().err().map(Failure::code)
}

/// Where the messages of the outside world come from, mostly.
const OUTSIDE: &str = "/test";

/// A message of the outside world, as text.
fn letter<T: Payload>(subject: &str, sequence: i64, payload: &T) -> String {
    letter_from(OUTSIDE, subject, sequence, payload)
}

fn letter_from<T: Payload>(source: &str, subject: &str, sequence: i64, payload: &T) -> String {
    let envelope = Envelope {
        id: fresh_id(),
        kind: T::type_name(),
        source: source.into(),
        subject: subject.into(),
        sequence,
        time: NOON,
        dataschema: "1".into(),
        correlation_id: subject.into(),
        causation_id: "test".into(),
        traceparent: None,
        deliver_at: None,
        data: to_raw_value(payload).unwrap(),
        text: None,
    };
    serde_json::to_string(&envelope).unwrap()
}

macro_rules! on {
    ($pair:ident, $postgres:literal, $redis:literal, $($name:ident)*) => {
        mod $pair {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)] async fn $name() -> anyhow::Result<()> {
                super::$name(&$crate::loop_contract::World::new($postgres, $redis).await?).await
            })*
        }
    };
}
use on;

/// Makes a test of each function for each store and broker.
macro_rules! everywhere {
    ($($name:ident)*) => {
        on! { sqlite_embedded, false, false, $($name)* }
        on! { sqlite_redis, false, true, $($name)* }
        on! { postgres_embedded, true, false, $($name)* }
        on! { postgres_redis, true, true, $($name)* }
    };
}
use everywhere;

/// Makes two tests of each function: of the embedded adapters, and of the servers.
macro_rules! two_ways {
    ($($name:ident)*) => {
        on! { embedded, false, false, $($name)* }
        on! { servers, true, true, $($name)* }
    };
}
use two_ways;

/// A random number generator whose seed stands in the output of a failing test.
#[allow(clippy::print_stdout, reason = "the seed repeats the failure")]
fn seeded() -> rand::rngs::StdRng {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    rand::SeedableRng::seed_from_u64(seed)
}
