//! **After-commit notices**: which order is now at which version.
//!
//! Each commit announces the orders it changed on the topic [`NOTICES`], to whoever
//! tails it in any process. A notice is a hint, not a fact: losing one costs a
//! moment. So a waiter always registers first and reads the rows second, and what
//! could have been missed (a lagging tail, a broker that came back) counts as a
//! notice for everybody.
//!
//! One task tails the topic for all waiters of a process; each waits for its own
//! order only, so that a notice costs one look-up however many are waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contracts::order::OrderStatus;
use contracts::query::OrderChanged;
use platform::bus::Bus;
use platform::service::Announcement;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::overlay::OrderState;
use crate::view;

/// The topic: JSON of [`OrderChanged`].
pub const NOTICES: &str = "orderly.query.notices";

/// What is announced about a changed order.
pub(crate) fn announcement(id: &str, order: &OrderState) -> Announcement {
    let notice = OrderChanged {
        order_id: id.to_owned(),
        customer_id: order.customer_id.clone(),
        version: order.course.as_ref().map_or(0, |course| course.version),
        status: order.course.as_ref().map_or(OrderStatus::Unspecified, |course| view::status(course.status)).into(),
        at: order.at,
    };
    (NOTICES, serde_json::to_string(&notice).expect("a contract type is JSON"))
}

/// The notices of a process. Cheap to clone; ends with its last clone.
#[derive(Clone)]
pub struct Notices {
    desk: Arc<Desk>,
    _listening: Arc<Listening>,
}

/// Who waits for which order.
#[derive(Default)]
struct Desk {
    bells: Mutex<HashMap<String, watch::Sender<()>>>,
}

/// Ends the listening task when dropped.
struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Notices {
    /// Listens on the bus from now on, through its outages. To be called within a
    /// tokio runtime.
    pub fn listen(bus: Arc<dyn Bus>) -> Self {
        let desk = Arc::<Desk>::default();
        let task = tokio::spawn(run(bus, desk.clone()));
        Self { desk, _listening: Arc::new(Listening(task.abort_handle())) }
    }

    /// Registers for an order's notices. Read its row after this, not before.
    pub fn watch(&self, order_id: &str) -> Watch {
        let bell = self.desk.bells().entry(order_id.to_owned()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Watch { order_id: order_id.to_owned(), bell: Some(bell), desk: self.desk.clone() }
    }
}

/// A registration; ends when dropped.
pub struct Watch {
    order_id: String,
    /// There until the drop.
    bell: Option<watch::Receiver<()>>,
    desk: Arc<Desk>,
}

impl Watch {
    /// Waits until the order may have changed since the last call, or since the
    /// registration.
    pub async fn changed(&mut self) {
        let rung = match &mut self.bell {
            Some(bell) => bell.changed().await.is_ok(),
            None => false,
        };
        if !rung {
            // The bell goes with its last watch, so it outlives this one.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut bells = self.desk.bells();
        self.bell = None;
        if bells.get(&self.order_id).is_some_and(|bell| bell.receiver_count() == 0) {
            bells.remove(&self.order_id);
        }
    }
}

impl Desk {
    /// Held for moments, never over waiting.
    fn bells(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, notice: &str) {
        let bells = self.bells();
        // Most of the time nobody waits, and a notice need not even be read.
        if bells.is_empty() {
            return;
        }
        match serde_json::from_str::<OrderChanged>(notice) {
            Ok(OrderChanged { order_id, .. }) => {
                if let Some(bell) = bells.get(&order_id) {
                    bell.send_replace(());
                }
            }
            Err(error) => tracing::warn!(%error, "a notice that is none"),
        }
    }

    fn ring_all(&self) {
        for bell in self.bells().values() {
            bell.send_replace(());
        }
    }
}

async fn run(bus: Arc<dyn Bus>, desk: Arc<Desk>) {
    let mut pause = Duration::from_millis(20);
    loop {
        match bus.tail(NOTICES).await {
            Ok(tail) => {
                pause = Duration::from_millis(20);
                desk.ring_all();
                follow(tail, &desk).await;
            }
            Err(error) => tracing::debug!(%error, "notices cannot be heard; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Returns when the tail has ended.
async fn follow(mut tail: broadcast::Receiver<Arc<str>>, desk: &Desk) {
    loop {
        match tail.recv().await {
            Ok(notice) => desk.ring(&notice),
            Err(RecvError::Lagged(_)) => desk.ring_all(),
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices() -> Notices {
        let idle = tokio::spawn(std::future::pending::<()>());
        Notices { desk: Arc::default(), _listening: Arc::new(Listening(idle.abort_handle())) }
    }

    fn notice(order_id: &str) -> String {
        let notice = OrderChanged { order_id: order_id.into(), version: 2, ..OrderChanged::default() };
        serde_json::to_string(&notice).expect("JSON")
    }

    #[tokio::test]
    async fn a_notice_that_comes_after_the_registration_is_not_missed() {
        let notices = notices();
        let mut watch = notices.watch("o-1");
        notices.desk.ring(&notice("o-1"));
        watch.changed().await;
    }

    #[tokio::test]
    async fn a_notice_rings_for_its_own_order_only() {
        let notices = notices();
        let (one, other) = (notices.watch("o-1"), notices.watch("o-2"));
        notices.desk.ring(&notice("o-2"));
        notices.desk.ring("not a notice");
        let rung = |watch: &Watch| watch.bell.as_ref().and_then(|bell| bell.has_changed().ok());
        assert_eq!((rung(&one), rung(&other)), (Some(false), Some(true)));
    }

    #[tokio::test]
    async fn what_may_have_been_missed_rings_for_everybody() {
        let notices = notices();
        let (mut one, mut other) = (notices.watch("o-1"), notices.watch("o-2"));
        notices.desk.ring_all();
        one.changed().await;
        other.changed().await;
    }

    #[tokio::test]
    async fn who_has_stopped_waiting_leaves_nothing_behind() {
        let notices = notices();
        let (one, again) = (notices.watch("o-1"), notices.watch("o-1"));
        drop(one);
        assert_eq!(notices.desk.bells().len(), 1);
        drop(again);
        assert_eq!(notices.desk.bells().len(), 0);
    }
}
