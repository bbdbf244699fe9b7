//! The delay queue of one stream, in memory: an upsert index ordered by due time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::bus::{Timer, TimerKey};
use crate::clock::Millis;

/// When a timer is due, and its number: those of one moment stand in the order in which they
/// were put in, and to find a place no texts are compared.
type Place = (Millis, u64);

/// What waits, findable by key and in the order of its time.
#[derive(Debug, Default)]
pub(super) struct Delays {
    by_key: HashMap<Arc<TimerKey>, Place>,
    by_due: BTreeMap<Place, Arc<TimerKey>>,
    /// How many were ever put in.
    count: u64,
}

impl Delays {
    /// Puts a timer in, or moves it.
    pub(super) fn schedule(&mut self, timer: &Timer) {
        let key = Arc::new(timer.key());
        self.count += 1;
        let place = (timer.due, self.count);
        if let Some(old) = self.by_key.insert(key.clone(), place) {
            self.by_due.remove(&old);
        }
        self.by_due.insert(place, key);
    }

    /// Takes a timer out, if it is there.
    pub(super) fn cancel(&mut self, key: &TimerKey) {
        if let Some(place) = self.by_key.remove(key) {
            self.by_due.remove(&place);
        }
    }

    /// Takes out the earliest timer that is due.
    pub(super) fn pop_due(&mut self, now: Millis) -> Option<Timer> {
        if self.next_due()? > now {
            return None;
        }
        let ((due, _), key) = self.by_due.pop_first()?;
        self.by_key.remove(&key);
        let TimerKey { subject, kind, attempt } = Arc::unwrap_or_clone(key);
        Some(Timer { subject, kind, attempt, due })
    }

    /// When the earliest one is due.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.by_due.first_key_value().map(|((due, _), _)| *due)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}
