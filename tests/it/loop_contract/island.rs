//! A replica on an island: a thread and a runtime of its own, which a test can freeze.
//!
//! Frozen, nothing of it moves: no task, no timer, no answer of a server that has
//! arrived. Its connections stay open, as those of a process do that was stopped by a
//! signal, or of a machine that is moved to another host.

use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use platform::runtime::Running;
use platform::service_loop::Handle;
use tokio::runtime::{Builder, Handle as Runtime};
use tokio::sync::oneshot;

use super::World;
use super::toy::Tally;

pub(super) struct Island {
    runtime: Runtime,
    pub(super) handle: Handle<Tally>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Island {
    /// Starts a replica there.
    pub(super) async fn start(world: &World) -> Result<Self> {
        let (world, (started, start)) = (world.clone(), oneshot::channel());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let running: Running<Tally> = world.start().await?;
                let _ = started.send((Runtime::current(), running.handle()));
                // An error is the test's end.
                let _ = stopped.await;
                running.stop().await;
                Ok(())
            })
        });
        match start.await {
            Ok((runtime, handle)) => Ok(Self { runtime, handle, stop, thread }),
            Err(_) => {
                Err(thread.join().map_or_else(|_| anyhow!("it panicked"), |end| end.err().unwrap_or(anyhow!("?"))))
            }
        }
    }

    /// Stops everything there where it stands, until what is returned is dropped.
    pub(super) async fn freeze(&self) -> Result<mpsc::Sender<()>> {
        let (thaw, thawed) = mpsc::channel::<()>();
        let (frozen, is_frozen) = oneshot::channel();
        self.runtime.spawn(async move {
            let _ = frozen.send(());
            // Blocks the only thread of the runtime, which is the purpose.
            let _ = thawed.recv();
        });
        is_frozen.await?;
        Ok(thaw)
    }

    /// Stops in order.
    pub(super) async fn stop(self) -> Result<()> {
        let Self { stop, thread, handle, .. } = self;
        drop(handle);
        let _ = stop.send(());
        tokio::task::spawn_blocking(move || thread.join()).await?.map_err(|_| anyhow!("the island panicked"))?
    }
}
