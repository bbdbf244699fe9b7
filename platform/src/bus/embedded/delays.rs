//! The delay queue of one stream, in memory: an upsert index ordered by due time.

use std::collections::{BTreeSet, HashMap};

use crate::bus::{Timer, TimerKey};
use crate::clock::Millis;

/// What waits, findable by key and in the order of its time.
#[derive(Debug, Default)]
pub(super) struct Delays {
    by_key: HashMap<TimerKey, Millis>,
    by_due: BTreeSet<(Millis, TimerKey)>,
}

impl Delays {
    /// Puts a timer in, or moves it.
    pub(super) fn schedule(&mut self, timer: &Timer) {
        let key = timer.key();
        if let Some(old) = self.by_key.insert(key.clone(), timer.due) {
            self.by_due.remove(&(old, key.clone()));
        }
        self.by_due.insert((timer.due, key));
    }

    /// Takes a timer out, if it is there.
    pub(super) fn cancel(&mut self, key: &TimerKey) {
        if let Some(due) = self.by_key.remove(key) {
            self.by_due.remove(&(due, key.clone()));
        }
    }

    /// Takes out the earliest timer that is due.
    pub(super) fn pop_due(&mut self, now: Millis) -> Option<Timer> {
        if self.next_due()? > now {
            return None;
        }
        let (due, key) = self.by_due.pop_first()?;
        self.by_key.remove(&key);
        Some(Timer { subject: key.subject, kind: key.kind, attempt: key.attempt, due })
    }

    /// When the earliest one is due.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}
