//! Who drives a rebuild: one task that submits its steps to the service loop, one
//! after the other, and tells how far it is.
//!
//! The task goes on when nobody listens any more: an operator whose connection ends
//! has not changed his mind. What a rebuild is and what a crash leaves of it:
//! [`rebuild`](crate::rebuild).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::query::RebuildProgress;
use platform::error::{Failure, Rejection, Unavailable};
use platform::message::fresh_id;
use platform::service_loop::Handle;
use platform::store::Db;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::unavailable;
use crate::read_model::Model;
use crate::rebuild::{CHUNK, CLEARED, Progress, Step};
use crate::store::reads::standings;
use crate::{Input, Query};

/// Messages that may wait for a slow listener; it misses those in between.
const BACKLOG: usize = 16;
/// How often a step is submitted, while the store or the loop has no room for it.
const TRIES: u32 = 8;

/// The rebuilds of this process.
#[derive(Clone)]
pub(super) struct Rebuilds {
    db: Db,
    handle: Handle<Query>,
    running: Arc<Mutex<BTreeSet<Model>>>,
}

/// A read model's place among the running ones; free again when dropped.
struct Place {
    model: Model,
    running: Arc<Mutex<BTreeSet<Model>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.model);
    }
}

/// What is told of a rebuild.
pub(super) type Told = Result<RebuildProgress, Status>;

impl Rebuilds {
    pub(super) fn new(db: Db, handle: Handle<Query>) -> Self {
        Self { db, handle, running: Arc::default() }
    }

    /// Begins a rebuild and gives what is told of it. The last message says `done`,
    /// or why it has failed.
    ///
    /// # Errors
    /// CONFLICT if this read model is being rebuilt already, here or elsewhere;
    /// UNAVAILABLE if the store does not answer.
    pub(super) async fn begin(&self, model: Model) -> Result<mpsc::Receiver<Told>, Failure> {
        let place = self.place(model)?;
        let events = standings::events(&self.db).await.map_err(unavailable)?;
        let (told, listener) = mpsc::channel(BACKLOG);
        let run = Run { rebuilds: self.clone(), model, id: fresh_id(), folded: 0, events, told };
        let (begun, answer) = oneshot::channel();
        // From here on it does not depend on whether the caller waits.
        tokio::spawn(run.drive(begun, place));
        answer.await.map_err(|_| Unavailable::new("the service is stopping"))??;
        Ok(listener)
    }

    fn place(&self, model: Model) -> Result<Place, Rejection> {
        let is_free = self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(model);
        if !is_free {
            return Err(Rejection::conflict("this read model is being rebuilt already"));
        }
        Ok(Place { model, running: self.running.clone() })
    }

    /// Submits a step until there is an answer. It may come twice: each knows where
    /// its rebuild stands, so its id stores no result.
    async fn submit(&self, step: &(dyn Fn() -> Step + Sync)) -> Result<Progress, Failure> {
        let mut pause = Duration::from_millis(50);
        for _ in 1..TRIES {
            match self.handle.submit(String::new(), String::new(), Input::Rebuild(step())).await {
                Err(Failure::Unavailable(Unavailable { code: _, cause })) => {
                    tracing::debug!(%cause, "a step of a rebuild had no room; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                answer => return answer,
            }
        }
        self.handle.submit(String::new(), String::new(), Input::Rebuild(step())).await
    }
}

/// A rebuild under way.
struct Run {
    rebuilds: Rebuilds,
    model: Model,
    id: String,
    /// Events folded so far.
    folded: i64,
    /// Events of the log when it began.
    events: i64,
    told: mpsc::Sender<Told>,
}

impl Run {
    async fn drive(mut self, begun: oneshot::Sender<Result<(), Failure>>, place: Place) {
        let (model, id, alone) = (self.model, self.id.clone(), self.rebuilds.db.is_exclusive());
        let first = match self.rebuilds.submit(&|| Step::Begin { model, id: id.clone(), alone }).await {
            Ok(progress) => progress,
            Err(failure) => {
                drop(place);
                let _ = begun.send(Err(failure));
                return;
            }
        };
        self.tell(first);
        let _ = begun.send(Ok(()));
        let last = self.fold(first).await.map_err(|failure| {
            tracing::warn!(model = model.as_str(), %failure, "a rebuild has failed; the live rows are whole");
            Status::from(failure)
        });
        // Another rebuild may begin before the last word has been listened to.
        drop(place);
        let _ = self.told.send(last).await;
    }

    /// Folds until the new generation is live, then clears the old one away.
    async fn fold(&mut self, begun: Progress) -> Result<RebuildProgress, Failure> {
        let (model, id) = (self.model, self.id.clone());
        let mut progress = begun;
        while !progress.done {
            let after = progress.position;
            progress = self.rebuilds.submit(&|| Step::Fold { model, id: id.clone(), after, most: CHUNK }).await?;
            self.folded += progress.events;
            if !progress.done {
                self.tell(progress);
            }
        }
        // Asked now, since another rebuild may begin; told when all is done.
        let outcome = standings::outcome(&self.rebuilds.db, model, &id).await;
        if let Err(failure) = self.clear().await {
            // Nobody sees what is left, and the next rebuild takes it along.
            tracing::warn!(model = model.as_str(), %failure, "the rows before a rebuild are not all cleared away");
        }
        let outcome = outcome.map_err(unavailable)?;
        Ok(RebuildProgress {
            events: self.folded,
            done: true,
            rows: outcome.rows,
            differences: outcome.differences,
            ..self.progress(progress)
        })
    }

    async fn clear(&self) -> Result<(), Failure> {
        let model = self.model;
        while !self.rebuilds.submit(&|| Step::Clear { model, most: CLEARED }).await?.done {}
        Ok(())
    }

    fn progress(&self, progress: Progress) -> RebuildProgress {
        RebuildProgress {
            name: self.model.as_str().to_owned(),
            generation: progress.generation,
            folded: self.folded,
            // Orders flow on meanwhile.
            events: self.events.max(self.folded),
            done: false,
            rows: 0,
            differences: 0,
        }
    }

    /// Says how far it is, if somebody listens.
    fn tell(&self, progress: Progress) {
        let _ = self.told.try_send(Ok(self.progress(progress)));
    }
}
