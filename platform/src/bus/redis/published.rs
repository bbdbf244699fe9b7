//! The last place in each partition where this process published.
//!
//! A server that has lost its last second, or a replica that took its place, stands
//! before that place. The connection mostly tells: it breaks, and the next one finds
//! another `run_id`. It does not where something between us and Redis keeps it open over
//! a failover, or where another caller was the one to see it break. The place always tells,
//! since a partition has one relay at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bus::Position;

type Place = (Arc<str>, u32);

/// Empty at first: a relay that takes up the rows of another one tells what it found.
#[derive(Default)]
pub(super) struct Published(Mutex<HashMap<Place, Last>>);

/// Under which incarnation, and where.
#[derive(Clone)]
pub(super) struct Last {
    pub(super) incarnation: Arc<str>,
    pub(super) position: Position,
}

impl Published {
    fn places(&self) -> MutexGuard<'_, HashMap<Place, Last>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last(&self, stream: &str, partition: u32) -> Option<Last> {
        self.places().get(&(Arc::from(stream), partition)).cloned()
    }

    /// Every later place of the same incarnation counts.
    pub(super) fn note<'a>(&self, incarnation: &str, notes: impl Iterator<Item = (&'a Arc<str>, u32, Position)>) {
        let incarnation: Arc<str> = incarnation.into();
        let mut places = self.places();
        for (stream, partition, position) in notes {
            let new = Last { incarnation: incarnation.clone(), position };
            let last = places.entry((stream.clone(), partition)).or_insert_with(|| new.clone());
            if last.incarnation != incarnation || last.position < position {
                *last = new;
            }
        }
    }

    /// Whoever asked has been told of the loss.
    pub(super) fn forget(&self, stream: &str, partition: u32) {
        self.places().remove(&(Arc::from(stream), partition));
    }
}
