//! The **external-call executor**: questions to the outside world, asked beside
//! the loop and never in it.
//!
//! A slow partner must not stop everybody else. The item that asked stays un-acked
//! while the call is under way; later messages of its subject wait, others go on.
//! The answer enters the loop as an input in the item's place.
//!
//! # On crash
//! The message was not acked, so it is delivered again and the question is asked
//! again, with the same idempotency key.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::error::Unavailable;
use crate::service::Service;
use crate::service_loop::{Answer, Item, panic_text};

/// Calls under way at once.
const AT_ONCE: usize = 1024;

/// Asks, bounded.
pub(crate) struct Executor<S: Service> {
    service: Arc<S>,
    answers: mpsc::UnboundedSender<Answer<S>>,
    permits: Arc<Semaphore>,
    /// Where calls run: not on the thread of the loop, which may belong to the service alone.
    outside: Handle,
}

impl<S: Service> Executor<S> {
    /// An executor whose calls run on the runtime that it is made on.
    pub(crate) fn new(service: Arc<S>, answers: mpsc::UnboundedSender<Answer<S>>) -> Self {
        Self { service, answers, permits: Arc::new(Semaphore::new(AT_ONCE)), outside: Handle::current() }
    }

    /// Asks the question; the answer comes back through the loop's queue.
    pub(crate) fn ask(&self, call: S::Call, item: Item<S>) {
        let (service, answers, permits) = (self.service.clone(), self.answers.clone(), self.permits.clone());
        self.outside.spawn(async move {
            // Never closed, so this only waits for its turn.
            let _permit = permits.acquire_owned().await;
            // A panic is no answer; without one the subject would wait for ever.
            let answer = AssertUnwindSafe(service.call(call))
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| Err(Unavailable::new(format!("the call panicked: {}", panic_text(&*panic)))));
            // Fails only if the loop has stopped: then redelivery asks again.
            let _ = answers.send(Answer { item, answer });
        });
    }
}
