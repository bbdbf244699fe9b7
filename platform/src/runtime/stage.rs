//! The **stage** of a service: the threads on which its tasks run.
//!
//! * On Postgres all waiting is for sockets, and the tasks share tokio's workers with
//!   everything else in the process.
//! * On SQLite a statement is a function call and a commit waits for the disk, so the service
//!   has one thread of its own, which carries its name. All its tasks run there, one at a
//!   time: a batch is loaded, decided, committed, handed to the relay and published without
//!   waking another thread, and a slow disk holds up this service and nobody else.
//!
//! What comes in (commands, deliveries, answers of external calls) comes through queues, which
//! do not care on which thread they are filled.

use std::future::Future;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::store::{Db, StoreError};

/// Where tasks are put. When it is dropped, an own thread ends as soon as they have.
pub(super) struct Stage {
    runtime: Handle,
    own: Option<Own>,
}

struct Own {
    thread: Option<thread::JoinHandle<()>>,
    tasks: TaskTracker,
}

impl Stage {
    /// The stage for a service with this store.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn of(service: &'static str, db: &Db) -> Result<Self, StoreError> {
        if !db.is_exclusive() {
            return Ok(Self { runtime: Handle::current(), own: None });
        }
        let none_left = |error| StoreError::Unavailable(format!("no thread for the {service} service: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(none_left)?;
        let (handle, tasks) = (runtime.handle().clone(), TaskTracker::new());
        let all = tasks.clone();
        let run = move || runtime.block_on(all.wait());
        let thread = thread::Builder::new().name(service.to_owned()).spawn(run).map_err(none_left)?;
        Ok(Self { runtime: handle, own: Some(Own { thread: Some(thread), tasks }) })
    }

    /// Runs a task here.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match &self.own {
            Some(own) => self.runtime.spawn(own.tasks.track_future(task)),
            None => self.runtime.spawn(task),
        }
    }

    /// Waits until an own thread has ended: what it was at when its tasks were aborted, a
    /// commit perhaps, is over then.
    pub(super) fn join(mut self) {
        let Some(thread) = self.own.as_mut().and_then(|own| {
            own.tasks.close();
            own.thread.take()
        }) else {
            return;
        };
        if thread.join().is_err() {
            tracing::error!("the thread of a service panicked");
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.tasks.close();
    }
}
