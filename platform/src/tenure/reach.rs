//! Whether the broker can be reached from here.
//!
//! A lease says who may, not that he does. A process that reaches the database and not the
//! broker would renew for ever what it cannot work at, and the others could not help. So who
//! has not reached the broker for a while stops renewing, and is followed as the dead are.
//! When it reaches the broker again it comes as a newcomer.
//!
//! The while is long, several leases. Mostly it is the broker itself that is away, for
//! everybody; then nobody can do any better, and after a short absence all go on as they were.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::bus::Bus;

/// After how many leases without the broker it counts as out of reach.
const PATIENCE: u32 = 4;

/// Asks the broker now and then, until dropped.
pub(super) struct Reach {
    is_near: watch::Receiver<bool>,
    _task: Option<AbortOnDropHandle<()>>,
}

impl Reach {
    /// Always near: there is nobody else who could do the work.
    pub(super) fn certain() -> Self {
        Self { is_near: watch::channel(true).1, _task: None }
    }

    /// Asks three times a lease, and more often while there is no answer.
    pub(super) fn watch(bus: Arc<dyn Bus>, lease: Duration) -> Self {
        let (near, is_near) = watch::channel(true);
        let task = tokio::spawn(async move {
            let mut answered = Instant::now();
            loop {
                let answer = timeout(lease, bus.incarnation()).await;
                if matches!(answer, Ok(Ok(_))) {
                    answered = Instant::now();
                }
                let is_answered = matches!(answer, Ok(Ok(_)));
                let now_near = is_answered || answered.elapsed() < lease * PATIENCE;
                near.send_if_modified(|near| std::mem::replace(near, now_near) != now_near);
                sleep(lease / if is_answered { 3 } else { 24 }).await;
            }
        });
        Self { is_near, _task: Some(AbortOnDropHandle::new(task)) }
    }

    pub(super) fn is_lost(&self) -> bool {
        !*self.is_near.borrow()
    }

    /// Waits until the broker answers again.
    pub(super) async fn regained(&mut self) {
        if self.is_near.wait_for(|near| *near).await.is_err() {
            std::future::pending().await
        }
    }
}
