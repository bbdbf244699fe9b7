//! A lease that is held, what is done under it, and the way to give it back in order.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::select_all;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::store::lease::Lease;

/// A lease of ours.
pub(super) struct Ours {
    pub(super) lease: Lease,
    /// What is done under it.
    pub(super) uses: TaskTracker,
    /// Set when it is being given back: when that has to be over.
    pub(super) leaving: Option<Instant>,
}

impl Ours {
    pub(super) fn new(lease: Lease) -> Self {
        Self { lease, uses: TaskTracker::new(), leaving: None }
    }

    /// Whether it can be released.
    pub(super) fn is_through(&self) -> bool {
        self.leaving.is_some_and(|end| self.uses.is_empty() || end <= Instant::now())
    }
}

/// Waits until a lease that is given back can be released; for ever if there is none.
pub(super) async fn through(ours: &BTreeMap<u32, Ours>) {
    let leaving = ours.values().filter_map(|ours| {
        let end = ours.leaving?;
        Some(timeout_at(end, ours.uses.wait()).map(drop).boxed())
    });
    let leaving: Vec<_> = leaving.collect();
    if leaving.is_empty() {
        std::future::pending().await
    } else {
        select_all(leaving).await;
    }
}
