//! **Hints**: "look now" between the processes of one service.
//!
//! Whatever a process has to find out stands in the service's own database, and each
//! looks there every now and then. A hint only brings the next look forward. It is an
//! announcement on a topic of the bus: nothing is kept, nothing is promised, and one
//! that is lost costs waiting.
//!
//! Many hints are one look: they ring a bell that holds a single stroke.
//!
//! Not `LISTEN`/`NOTIFY`, though the database could do it: the commit of a transaction
//! that notifies takes a lock on the whole database, so that all commits would queue
//! up behind each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::AbortOnDropHandle;

use crate::bus::Bus;

/// Between two attempts to listen.
const AGAIN: Duration = Duration::from_secs(1);

/// The topic on which processes of a service say that rows of others wait.
pub(crate) fn rows_topic(service: &str) -> String {
    format!("orderly.{service}.rows")
}

/// The topic on which processes of a service say that they came, went, or gave leases back.
pub(crate) fn members_topic(service: &str) -> String {
    format!("orderly.{service}.members")
}

/// The listening side. Hears until it is dropped.
pub(crate) struct Hints {
    bell: Arc<Notify>,
    _task: Option<AbortOnDropHandle<()>>,
}

impl Hints {
    /// Never rings: there is no other process.
    pub(crate) fn none() -> Self {
        Self { bell: Arc::default(), _task: None }
    }

    /// Rings for every hint that `concerns` us, and whenever some may have been missed.
    pub(crate) fn listen(
        bus: Arc<dyn Bus>,
        topic: String,
        concerns: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let bell = Arc::<Notify>::default();
        let ring = bell.clone();
        let task = tokio::spawn(async move {
            loop {
                match bus.tail(&topic).await {
                    Ok(mut hints) => {
                        ring.notify_one();
                        loop {
                            match hints.recv().await {
                                Ok(hint) if !concerns(&hint) => {}
                                Ok(_) | Err(RecvError::Lagged(_)) => ring.notify_one(),
                                Err(RecvError::Closed) => break,
                            }
                        }
                    }
                    Err(error) => tracing::debug!(topic, %error, "hints are not heard"),
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
        Self { bell, _task: Some(AbortOnDropHandle::new(task)) }
    }

    /// Waits until there was a hint since the last time. Cancel-safe.
    pub(crate) async fn heard(&self) {
        self.bell.notified().await;
    }
}

/// Gives a hint. Losing it costs waiting, and nothing else.
pub(crate) async fn give(bus: &dyn Bus, topic: &str, hint: String) {
    if let Err(error) = bus.announce(topic, &[hint]).await {
        tracing::debug!(topic, %error, "hint lost");
    }
}
