//! What follows a commit and may be late: acks and announcements.
//!
//! They go to the bus beside the loop, so that a slow broker does not hold up the
//! next batch. An ack is repeated until the broker has taken it.
//!
//! # On crash
//! An ack that was not sent means redelivery, which the inbox recognises. An
//! announcement that was not sent delays a watcher's view until the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::item::Receipt;
use crate::bus::{Bus, BusError};
use crate::service::Announcement;

/// What a batch leaves to be told.
#[derive(Default)]
pub(crate) struct Aftermath {
    pub(crate) acks: Vec<Receipt>,
    pub(crate) announcements: Vec<Announcement>,
}

/// Where the loop hands it over.
#[derive(Clone)]
pub(crate) struct AfterCommit {
    queue: mpsc::UnboundedSender<Aftermath>,
}

impl AfterCommit {
    /// The handle, and what [`run`] takes.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Aftermath>) {
        let (queue, work) = mpsc::unbounded_channel();
        (Self { queue }, work)
    }

    pub(crate) fn hand(&self, aftermath: Aftermath) {
        if !aftermath.acks.is_empty() || !aftermath.announcements.is_empty() {
            // Fails only after the task has ended, at a stop.
            let _ = self.queue.send(aftermath);
        }
    }

    pub(crate) fn ack(&self, receipts: Vec<Receipt>) {
        self.hand(Aftermath { acks: receipts, announcements: Vec::new() });
    }
}

/// Sends acks and announcements until every handle is gone, or, with the broker
/// away, until `stop`.
pub(crate) async fn run(
    bus: Arc<dyn Bus>,
    group: &'static str,
    mut work: mpsc::UnboundedReceiver<Aftermath>,
    stop: CancellationToken,
) {
    while let Some(mut aftermath) = work.recv().await {
        while let Ok(more) = work.try_recv() {
            aftermath.acks.extend(more.acks);
            aftermath.announcements.extend(more.announcements);
        }
        let acks: Vec<_> = aftermath.acks.iter().map(|ack| (ack.stream.clone(), ack.partition, ack.position)).collect();
        let mut pause = Duration::from_millis(20);
        while !acks.is_empty() {
            match bus.ack(group, &acks).await {
                Ok(()) => break,
                // What it has forgotten needs no ack.
                Err(BusError::Reborn) => break,
                Err(error) => {
                    tracing::debug!(group, %error, "ack not taken; trying again");
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(1)),
                    }
                }
            }
        }
        let mut topics: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for (topic, body) in aftermath.announcements {
            topics.entry(topic).or_default().push(body);
        }
        for (topic, bodies) in topics {
            if let Err(error) = bus.announce(topic, &bodies).await {
                tracing::debug!(topic, %error, "announcement lost");
            }
        }
    }
}
