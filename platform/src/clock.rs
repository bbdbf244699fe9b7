//! The clock: the only source of time, so that tests can move it.
//!
//! Domains never look at a clock; the service loop reads it once a batch and
//! hands the time in. What waits (the delay queue, leases, back-off) waits on
//! [`Clock::sleep_until`], which a manual clock ends when it is moved.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Unix milliseconds, UTC.
pub type Millis = i64;

/// The time, real or moved by hand. Cheap to clone; clones share the hand.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    System,
    Manual(Arc<watch::Sender<Millis>>),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self { kind: Kind::System }
    }

    /// A clock that stands at `start` until it is moved.
    pub fn manual(start: Millis) -> Self {
        Self { kind: Kind::Manual(Arc::new(watch::Sender::new(start))) }
    }

    /// Now.
    pub fn now(&self) -> Millis {
        match &self.kind {
            Kind::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Kind::Manual(hand) => *hand.borrow(),
        }
    }

    /// Moves a manual clock forward and wakes who slept until then.
    ///
    /// # Panics
    /// On a system clock: a test that thinks it moves time must not pass by luck.
    pub fn advance(&self, by: Duration) {
        match &self.kind {
            Kind::System => panic!("the system clock cannot be moved"),
            Kind::Manual(hand) => {
                hand.send_modify(|now| *now = now.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)));
            }
        }
    }

    /// Waits until the clock shows `due` or later.
    pub async fn sleep_until(&self, due: Millis) {
        match &self.kind {
            Kind::System => {
                let wait = due.saturating_sub(self.now());
                if wait > 0 {
                    tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
                }
            }
            Kind::Manual(hand) => {
                // Cannot fail: `self` keeps the sender alive.
                let _ = hand.subscribe().wait_for(|now| *now >= due).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_hand_passes_its_time() {
        let clock = Clock::manual(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(2_000).await;
                clock.now()
            }
        });
        clock.advance(Duration::from_millis(999));
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_millis(1));
        assert_eq!(sleeper.await.expect("the sleeper ends"), 2_000);
    }
}
