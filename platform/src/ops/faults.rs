//! **Fault injection**: a service made to fail in a chosen way, to be watched.
//!
//! The switches live in memory, one set a service and process: a restart ends every
//! fault. Where nothing is switched on they cost one look at an atomic per message.
//!
//! * *Reading paused*: nothing more is taken from the streams, fired timers among
//!   them. What is in flight comes to its end. To its neighbours the service is down,
//!   yet gRPC commands are still decided.
//! * *Relay paused*: nothing leaves the outbox; the rows pile up.
//! * *Message fails*: a message of a type fails instead of being decided, so often as
//!   was said, and takes the road of every failing message: parked, tried again, dead.
//!
//! Chapter: `docs/operations.md`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Most types of messages that may fail at once.
const TYPES: usize = 100;

/// A fault that is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is taken from the streams.
    ReadingPaused,
    /// Nothing leaves the outbox.
    RelayPaused,
    /// Messages of a type fail.
    MessageFails {
        /// Full protobuf name of the payload.
        kind: String,
        /// How often still.
        times: i64,
    },
}

/// Too many types fail already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("messages of {TYPES} types fail already; end one of these faults first")]
pub struct TooMany;

/// One service's switches. Cheap to clone; clones are the same switches.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    switches: Arc<Switches>,
}

#[derive(Debug, Default)]
struct Switches {
    reading_paused: watch::Sender<bool>,
    relay_paused: watch::Sender<bool>,
    /// Whether `failing` holds anything, for who must not wait for a lock.
    any_failing: AtomicBool,
    /// Type -> how often it still fails; never 0.
    failing: Mutex<BTreeMap<String, i64>>,
}

impl Faults {
    /// Switches a fault on. Of a type that fails already, the number is replaced; a
    /// number below 1 ends it.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn set(&self, fault: &Fault) -> Result<(), TooMany> {
        match fault {
            Fault::ReadingPaused => drop(self.switches.reading_paused.send_replace(true)),
            Fault::RelayPaused => drop(self.switches.relay_paused.send_replace(true)),
            Fault::MessageFails { kind, times } => {
                let mut failing = self.failing();
                if *times < 1 {
                    failing.remove(kind);
                } else if failing.len() < TYPES || failing.contains_key(kind) {
                    failing.insert(kind.clone(), *times);
                } else {
                    return Err(TooMany);
                }
                self.look_again(&failing);
            }
        }
        Ok(())
    }

    /// Switches a fault off. `times` does not matter; one that is not on stays so.
    pub fn clear(&self, fault: &Fault) {
        match fault {
            Fault::ReadingPaused => drop(self.switches.reading_paused.send_replace(false)),
            Fault::RelayPaused => drop(self.switches.relay_paused.send_replace(false)),
            Fault::MessageFails { kind, .. } => {
                let mut failing = self.failing();
                failing.remove(kind);
                self.look_again(&failing);
            }
        }
    }

    /// What is switched on.
    pub fn list(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if *self.switches.reading_paused.borrow() {
            faults.push(Fault::ReadingPaused);
        }
        if *self.switches.relay_paused.borrow() {
            faults.push(Fault::RelayPaused);
        }
        let failing = self.failing();
        faults.extend(failing.iter().map(|(kind, times)| Fault::MessageFails { kind: kind.clone(), times: *times }));
        faults
    }

    /// Whether reading is paused, for the reader to watch.
    pub(crate) fn reading_paused(&self) -> watch::Receiver<bool> {
        self.switches.reading_paused.subscribe()
    }

    /// Whether the relay is paused, for the relay to watch.
    pub(crate) fn relay_paused(&self) -> watch::Receiver<bool> {
        self.switches.relay_paused.subscribe()
    }

    /// How often messages of this type shall still fail.
    pub(crate) fn left(&self, kind: &str) -> i64 {
        if !self.switches.any_failing.load(Ordering::Acquire) {
            return 0;
        }
        self.failing().get(kind).copied().unwrap_or(0)
    }

    /// So many messages of these types have failed, and that is committed.
    pub(crate) fn spend(&self, struck: &BTreeMap<String, i64>) {
        if struck.is_empty() {
            return;
        }
        let mut failing = self.failing();
        for (kind, times) in struck {
            if let Some(left) = failing.get_mut(kind) {
                *left -= times;
            }
        }
        failing.retain(|_, left| *left > 0);
        self.look_again(&failing);
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<String, i64>> {
        // Every change under the lock is a single call: a panic leaves nothing half done.
        self.switches.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called with the lock held, or a fault that is set meanwhile would be overlooked.
    fn look_again(&self, failing: &BTreeMap<String, i64>) {
        self.switches.any_failing.store(!failing.is_empty(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(kind: &str, times: i64) -> Fault {
        Fault::MessageFails { kind: kind.to_owned(), times }
    }

    #[test]
    fn what_is_switched_on_is_listed_until_it_is_switched_off() {
        let faults = Faults::default();
        assert!(faults.list().is_empty());
        for fault in [Fault::ReadingPaused, Fault::RelayPaused, fails("a", 2)] {
            faults.set(&fault).expect("there is room");
            faults.set(&fault).expect("twice is once");
            assert_eq!(faults.list(), std::slice::from_ref(&fault));
            faults.clear(&fault);
            faults.clear(&fault);
            assert!(faults.list().is_empty(), "{fault:?}");
        }
    }

    #[test]
    fn a_type_fails_so_often_as_was_said_and_no_other_does() {
        let faults = Faults::default();
        faults.set(&fails("a", 3)).expect("there is room");
        assert_eq!((faults.left("a"), faults.left("b")), (3, 0));
        faults.spend(&BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        assert_eq!(faults.list(), [fails("a", 1)]);
        faults.spend(&BTreeMap::from([("a".to_owned(), 2)]));
        assert!(faults.list().is_empty());
        assert_eq!(faults.left("a"), 0);
    }

    #[test]
    fn a_flood_of_types_is_refused_and_what_is_there_can_still_be_changed() {
        let faults = Faults::default();
        for kind in 0..TYPES {
            faults.set(&fails(&kind.to_string(), 1)).expect("there is room");
        }
        assert_eq!(faults.set(&fails("one more", 1)), Err(TooMany));
        faults.set(&fails("7", 9)).expect("is there already");
        assert_eq!(faults.left("7"), 9);
        faults.set(&fails("7", 0)).expect("ends it");
        faults.set(&fails("one more", 1)).expect("there is room again");
    }
}
