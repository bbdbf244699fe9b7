//! A listener on the toy's events, which tells what it heard.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use platform::bus::Bus;
use platform::message::Envelope;
use tokio::task::JoinHandle;

use super::toy::{Changed, OUT};
use super::{PATIENCE, World, until};

/// The group that it reads as.
pub(super) const GROUP: &str = "probe";

/// Reads and acks until it is dropped; errors of the broker only delay it.
pub(super) struct Probe {
    heard: Arc<Mutex<Vec<Envelope>>>,
    task: JoinHandle<()>,
}

impl Probe {
    pub(super) async fn start(world: &World) -> Result<Self> {
        let heard = Arc::<Mutex<Vec<Envelope>>>::default();
        let task = tokio::spawn(listen(world.bus().await?, world.partitions, heard.clone()));
        Ok(Self { heard, task })
    }

    /// The changes of one account, each once, in the order of their sequence, which
    /// must be without gaps; `None` while one is missing.
    pub(super) fn changes(&self, name: &str) -> Option<Vec<Changed>> {
        let heard = self.heard.lock().unwrap();
        let mut envelopes: Vec<_> = heard.iter().filter(|envelope| envelope.subject == name).collect();
        envelopes.sort_by_key(|envelope| envelope.sequence);
        // Said twice is the same message twice, not two of one sequence.
        envelopes.dedup_by(|a, b| a.id == b.id);
        let gapless = (1..).zip(&envelopes).all(|(sequence, envelope)| envelope.sequence == sequence);
        gapless.then(|| envelopes.iter().map(|envelope| envelope.payload().unwrap()).collect())
    }

    /// Waits until the account was said to have changed by these amounts, in this order.
    pub(super) async fn until_changed(&self, name: &str, amounts: &[i64]) -> Result<()> {
        until(&format!("{name} changed by {amounts:?}"), PATIENCE, async || {
            let changes = self.changes(name).unwrap_or_default();
            Ok(changes.iter().map(|change| change.n).eq(amounts.iter().copied()).then_some(()))
        })
        .await
    }

    /// Waits until so many changes were said of the account; the last one's balance.
    pub(super) async fn until_count(&self, name: &str, count: usize) -> Result<i64> {
        until(&format!("{count} changes of {name}"), PATIENCE, async || {
            Ok(self
                .changes(name)
                .filter(|changes| changes.len() == count)
                .and_then(|changes| Some(changes.last()?.balance)))
        })
        .await
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(bus: Arc<dyn Bus>, partitions: u32, heard: Arc<Mutex<Vec<Envelope>>>) {
    let assigned: Vec<_> = (0..partitions).map(|partition| (OUT.into(), partition)).collect();
    loop {
        if let Ok(mut subscription) = bus.subscribe(GROUP, &assigned).await {
            while let Ok(deliveries) = subscription.next(500).await {
                let said = deliveries.iter().filter_map(|delivery| delivery.body.as_deref());
                heard.lock().unwrap().extend(said.map(|body| Envelope::parse(body).unwrap()));
                let places: Vec<_> =
                    deliveries.iter().map(|one| (one.stream.clone(), one.partition, one.position)).collect();
                // Not taken: it comes again, to who begins anew. (The reader has a connection of its
                // own, which may be there again when the one for acks is not yet.)
                if bus.ack(GROUP, &places).await.is_err() {
                    break;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
