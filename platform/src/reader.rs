//! The reader: carries deliveries from the bus into the service loop.
//!
//! It reads exactly the partitions that are held by lease, each delivery with the
//! hold it was read under. When what is held changes it starts over: first what
//! is pending, then what is new. The queue into the loop is short, so what the
//! loop cannot take stays with the broker. While reading is paused by an injected
//! fault it takes nothing at all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, BusError};
use crate::service::Spec;
use crate::service_loop::Read;
use crate::tenure::Held;

/// Most deliveries in one read.
const READ: usize = 512;

/// Reads until `stop`.
pub(crate) async fn run(
    bus: Arc<dyn Bus>,
    spec: &'static Spec,
    mut held: watch::Receiver<Arc<Held>>,
    deliveries: mpsc::Sender<Read>,
    mut paused: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let streams: Vec<Arc<str>> = spec.hears.iter().chain([&spec.timers]).map(|stream| Arc::from(*stream)).collect();
    let mut pause = Duration::from_millis(20);
    while !stop.is_cancelled() {
        let now_held = held.borrow_and_update().clone();
        let outcome = tokio::select! {
            // The pause first: what is read after it began was not in flight.
            biased;
            () = stop.cancelled() => return,
            () = switched(&mut paused, true) => tokio::select! {
                () = stop.cancelled() => return,
                // Then from the beginning: what is pending, and what is new.
                () = switched(&mut paused, false) => Ok(()),
                // What was held before can be given back, though nothing is read.
                () = changed(&mut held) => Ok(()),
            },
            outcome = read_while_held(&*bus, spec.name, &streams, &now_held, &mut held, &deliveries) => outcome,
        };
        match outcome {
            Ok(()) => pause = Duration::from_millis(20),
            Err(error) => {
                tracing::warn!(service = spec.name, %error, "cannot read from the bus; trying again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(1)),
                }
            }
        }
    }
}

/// Waits until a fault's switch is as wanted; for ever once the switches are gone, with
/// the service.
pub(crate) async fn switched(switch: &mut watch::Receiver<bool>, wanted: bool) {
    if switch.wait_for(|is| *is == wanted).await.is_err() {
        std::future::pending().await
    }
}

/// Waits until what is held has changed; for ever once nothing will be, with the service.
pub(crate) async fn changed(held: &mut watch::Receiver<Arc<Held>>) {
    if held.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Returns when what is held has changed, or the loop has gone.
async fn read_while_held(
    bus: &dyn Bus,
    group: &str,
    streams: &[Arc<str>],
    now_held: &Held,
    held: &mut watch::Receiver<Arc<Held>>,
    deliveries: &mpsc::Sender<Read>,
) -> Result<(), BusError> {
    let assigned: Vec<(Arc<str>, u32)> =
        streams.iter().flat_map(|stream| now_held.keys().map(|partition| (stream.clone(), *partition))).collect();
    if assigned.is_empty() {
        changed(held).await;
        return Ok(());
    }
    let mut subscription = bus.subscribe(group, &assigned).await?;
    loop {
        // Room first: what has been taken from the bus must have a place to go,
        // also if `held` changes meanwhile.
        let room = tokio::select! {
            () = changed(held) => return Ok(()),
            room = deliveries.reserve() => match room {
                Ok(room) => room,
                Err(_) => return std::future::pending().await,
            },
        };
        let batch = tokio::select! {
            () = changed(held) => return Ok(()),
            batch = subscription.next(READ) => batch?,
        };
        let mut read = Read::with_capacity(batch.len());
        read.extend(batch.into_iter().filter_map(|delivery| {
            let hold = now_held.get(&delivery.partition)?.clone();
            Some((delivery, hold))
        }));
        room.send(read);
    }
}
