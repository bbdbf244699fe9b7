//! A bus whose publishing a test can hold up, as a slow broker does, or refuse, as a full one
//! does. All else passes.

use std::sync::Arc;

use async_trait::async_trait;
use platform::bus::{Bus, BusError, Entry, Fired, Inspection, Position, Subscription, Timer, TimerKey};
use platform::clock::Millis;
use platform::topology::Topology;
use tokio::sync::{broadcast, watch};

pub(super) struct HeldBus {
    pub(super) bus: Arc<dyn Bus>,
    /// Closed: a publish waits.
    pub(super) gate: watch::Sender<bool>,
    /// True: a publish is refused.
    pub(super) full: watch::Sender<bool>,
}

#[async_trait]
impl Bus for HeldBus {
    async fn declare(&self, topology: &Topology) -> Result<(), BusError> {
        self.bus.declare(topology).await
    }

    async fn incarnation(&self) -> Result<String, BusError> {
        self.bus.incarnation().await
    }

    async fn lost_since(&self, known: Option<&str>, newest: &[(Arc<str>, u32, Position)]) -> Result<bool, BusError> {
        self.bus.lost_since(known, newest).await
    }

    async fn publish(&self, known: &str, entries: &[Entry]) -> Result<Vec<Position>, BusError> {
        // Cannot fail: this holds the sender.
        let _ = self.gate.subscribe().wait_for(|open| *open).await;
        if *self.full.borrow() {
            return Err(BusError::Unreachable("it is full".into()));
        }
        self.bus.publish(known, entries).await
    }

    async fn subscribe(&self, group: &str, assigned: &[(Arc<str>, u32)]) -> Result<Box<dyn Subscription>, BusError> {
        self.bus.subscribe(group, assigned).await
    }

    async fn ack(&self, group: &str, done: &[(Arc<str>, u32, Position)]) -> Result<(), BusError> {
        self.bus.ack(group, done).await
    }

    async fn settled(&self, stream: &str, partition: u32) -> Result<Option<Position>, BusError> {
        self.bus.settled(stream, partition).await
    }

    async fn trim(&self, stream: &str, partition: u32, up_to: Position) -> Result<(), BusError> {
        self.bus.trim(stream, partition, up_to).await
    }

    async fn schedule(&self, stream: &str, timers: &[Timer]) -> Result<(), BusError> {
        self.bus.schedule(stream, timers).await
    }

    async fn cancel(&self, stream: &str, keys: &[TimerKey]) -> Result<(), BusError> {
        self.bus.cancel(stream, keys).await
    }

    async fn fire_due(&self, stream: &str, now: Millis, max: usize) -> Result<Fired, BusError> {
        self.bus.fire_due(stream, now, max).await
    }

    async fn announce(&self, topic: &str, bodies: &[String]) -> Result<(), BusError> {
        self.bus.announce(topic, bodies).await
    }

    async fn tail(&self, topic: &str) -> Result<broadcast::Receiver<Arc<str>>, BusError> {
        self.bus.tail(topic).await
    }

    async fn inspect(&self) -> Result<Inspection, BusError> {
        self.bus.inspect().await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.bus.close().await
    }
}
