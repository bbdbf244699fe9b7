//! A group's reading of partitions of the embedded bus.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Shelf, lock};
use crate::bus::{BusError, Delivery, Position, Subscription};

/// Reads its partitions in turn and sleeps when all are empty.
pub(super) struct EmbeddedSubscription {
    readings: Vec<Reading>,
    /// Rung by whoever appends to one of the partitions.
    bell: Arc<Notify>,
    /// Which partition is asked first, so that none starves.
    turn: usize,
}

/// The place in one partition.
struct Reading {
    shelf: Arc<Shelf>,
    partition: u32,
    group: usize,
    /// What was pending when the reading began is given again: the next of it ...
    again: u64,
    /// ... and where it ends.
    until: u64,
}

impl EmbeddedSubscription {
    /// Starts reading.
    pub(super) fn new(places: Vec<(Arc<Shelf>, u32, usize)>) -> Self {
        let bell = Arc::new(Notify::new());
        let begin = |(shelf, partition, group): (Arc<Shelf>, u32, usize)| {
            let until = lock(&shelf.partitions[partition as usize]).attend(group, &bell);
            Reading { shelf, partition, group, again: 0, until }
        };
        Self { readings: places.into_iter().map(begin).collect(), bell, turn: 0 }
    }
}

impl Reading {
    fn take(&mut self, max: usize, out: &mut Vec<Delivery>) {
        let mut log = lock(&self.shelf.partitions[self.partition as usize]);
        let mut taken = log.pending(self.group, self.again, self.until, max);
        self.again = taken.last().map_or(self.until, |(seq, _)| seq + 1);
        if taken.len() < max {
            taken.append(&mut log.take_new(self.group, max - taken.len()));
        }
        drop(log);
        out.extend(taken.into_iter().map(|(seq, body)| Delivery {
            stream: self.shelf.name.clone(),
            partition: self.partition,
            position: Position { ms: 0, seq },
            body,
        }));
    }
}

#[async_trait]
impl Subscription for EmbeddedSubscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let max = max.max(1);
        loop {
            let mut deliveries = Vec::new();
            for offset in 0..self.readings.len() {
                if deliveries.len() < max {
                    let index = (self.turn + offset) % self.readings.len();
                    self.readings[index].take(max - deliveries.len(), &mut deliveries);
                }
            }
            self.turn = self.turn.wrapping_add(1);
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            // The bell keeps one ring for who is not listening yet: nothing is missed.
            self.bell.notified().await;
        }
    }
}
