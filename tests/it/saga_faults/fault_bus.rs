//! A bus that crashes the shop at a chosen message, or delivers everything twice.
//!
//! It stands around the real embedded bus. A *crash* here is: from this moment the
//! bus does nothing more for anybody, and the test is told, aborts every task of
//! the shop as a killed process would, and starts it again on the same stores.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use platform::bus::{Bus, BusError, Delivery, Entry, Fired, Inspection, Position, Subscription, Timer, TimerKey};
use platform::message::Envelope;
use platform::topology::Topology;
use tokio::sync::{broadcast, watch};

/// When, around the hearing of a message, the shop crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The message was published and is never heard.
    Before,
    /// It was heard and its effect committed, but the broker never learns of it.
    After,
}

/// A message by who hears it and what it is.
pub(crate) type Step = (String, String);

/// Where a delivery stands: group, stream, partition, position.
type Place = (String, Arc<str>, u32, Position);

/// What shall go wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) crash: Option<(Step, Phase)>,
    pub(crate) repeat_everything: bool,
}

pub(crate) struct FaultBus {
    inner: Arc<dyn Bus>,
    state: Arc<State>,
}

struct State {
    plan: Plan,
    heard: Mutex<BTreeSet<Step>>,
    /// What stands at a position, for the time of its ack.
    delivered: Mutex<HashMap<Place, String>>,
    fired: AtomicBool,
    crashed: watch::Sender<bool>,
}

impl FaultBus {
    pub(crate) fn around(inner: Arc<dyn Bus>, plan: Plan) -> Self {
        let state = State {
            plan,
            heard: Mutex::default(),
            delivered: Mutex::default(),
            fired: AtomicBool::new(false),
            crashed: watch::Sender::new(false),
        };
        Self { inner, state: Arc::new(state) }
    }

    /// Everything that was heard so far, by whom.
    pub(crate) fn heard(&self) -> BTreeSet<Step> {
        self.state.heard.lock().expect("no test panics with it").clone()
    }

    /// Becomes true at the crash.
    pub(crate) fn crashed(&self) -> watch::Receiver<bool> {
        self.state.crashed.subscribe()
    }
}

impl State {
    fn is_the_step(&self, group: &str, kind: &str, phase: Phase) -> bool {
        matches!(&self.plan.crash, Some(((at_group, at_kind), at_phase))
            if at_group == group && at_kind == kind && *at_phase == phase)
            && !self.fired.swap(true, Ordering::AcqRel)
    }

    async fn crash(&self) -> ! {
        self.crashed.send_replace(true);
        std::future::pending().await
    }

    async fn unless_crashed(&self) {
        if *self.crashed.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

fn kind(body: &str) -> String {
    match Envelope::parse(body) {
        Ok(envelope) => envelope.short_kind().to_owned(),
        Err(_) => {
            serde_json::from_str::<Timer>(body).map_or_else(|_| "?".to_owned(), |timer| format!("timer {}", timer.kind))
        }
    }
}

#[async_trait]
impl Bus for FaultBus {
    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.inner.declare(topology).await
    }

    async fn incarnation(&self) -> Result<String, BusError> {
        self.inner.incarnation().await
    }

    async fn lost_since(&self, known: Option<&str>, newest: &[(Arc<str>, u32, Position)]) -> Result<bool, BusError> {
        self.inner.lost_since(known, newest).await
    }

    async fn publish(&self, known: &str, entries: &[Entry]) -> Result<Vec<Position>, BusError> {
        self.state.unless_crashed().await;
        self.inner.publish(known, entries).await
    }

    async fn subscribe(&self, group: &str, assigned: &[(Arc<str>, u32)]) -> Result<Box<dyn Subscription>, BusError> {
        let inner = self.inner.subscribe(group, assigned).await?;
        Ok(Box::new(FaultSubscription { inner, group: group.to_owned(), state: self.state.clone() }))
    }

    async fn ack(&self, group: &str, done: &[(Arc<str>, u32, Position)]) -> Result<(), BusError> {
        self.state.unless_crashed().await;
        let kinds: Vec<String> = {
            let delivered = self.state.delivered.lock().expect("no test panics with it");
            done.iter()
                .filter_map(|(stream, partition, position)| {
                    delivered.get(&(group.to_owned(), stream.clone(), *partition, *position)).cloned()
                })
                .collect()
        };
        if kinds.iter().any(|kind| self.state.is_the_step(group, kind, Phase::After)) {
            self.state.crash().await;
        }
        self.inner.ack(group, done).await
    }

    async fn settled(&self, stream: &str, partition: u32) -> Result<Option<Position>, BusError> {
        self.inner.settled(stream, partition).await
    }

    async fn trim(&self, stream: &str, partition: u32, up_to: Position) -> Result<(), BusError> {
        self.inner.trim(stream, partition, up_to).await
    }

    async fn schedule(&self, stream: &str, timers: &[Timer]) -> Result<(), BusError> {
        self.state.unless_crashed().await;
        self.inner.schedule(stream, timers).await
    }

    async fn cancel(&self, stream: &str, keys: &[TimerKey]) -> Result<(), BusError> {
        self.inner.cancel(stream, keys).await
    }

    async fn fire_due(&self, stream: &str, now: i64, max: usize) -> Result<Fired, BusError> {
        self.state.unless_crashed().await;
        self.inner.fire_due(stream, now, max).await
    }

    async fn announce(&self, topic: &str, bodies: &[String]) -> Result<(), BusError> {
        self.inner.announce(topic, bodies).await
    }

    async fn tail(&self, topic: &str) -> Result<broadcast::Receiver<Arc<str>>, BusError> {
        self.inner.tail(topic).await
    }

    async fn inspect(&self) -> Result<Inspection, BusError> {
        self.inner.inspect().await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.inner.close().await
    }
}

struct FaultSubscription {
    inner: Box<dyn Subscription>,
    group: String,
    state: Arc<State>,
}

#[async_trait]
impl Subscription for FaultSubscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let batch = self.inner.next(max).await?;
        self.state.unless_crashed().await;
        let mut out = Vec::with_capacity(batch.len() * 2);
        for delivery in batch {
            let kind = delivery.body.as_deref().map(kind).unwrap_or_default();
            self.state.heard.lock().expect("no test panics with it").insert((self.group.clone(), kind.clone()));
            if self.state.is_the_step(&self.group, &kind, Phase::Before) {
                self.state.crash().await;
            }
            self.state
                .delivered
                .lock()
                .expect("no test panics with it")
                .insert((self.group.clone(), delivery.stream.clone(), delivery.partition, delivery.position), kind);
            if self.state.plan.repeat_everything {
                out.push(delivery.clone());
            }
            out.push(delivery);
        }
        Ok(out)
    }
}
