//! One order: now, as soon as it is at a version, or as it was.

use contracts::query::{GetOrderRequest, OrderView};
use platform::clock::Millis;
use platform::error::{Code, Failure, Rejection, Unavailable};
use platform::grpc::Identity;
use platform::text;

use super::page::{no_order, own};
use super::{QueryServer, unavailable};
use crate::store::reads::orders::{self, OrderRow};
use crate::{history, timeline, view};

/// How long a read waits for a version, milliseconds.
const PATIENCE: Millis = 2_000;

impl QueryServer {
    /// One order, with its timeline if that is asked for.
    pub(super) async fn view(&self, request: &GetOrderRequest, caller: &Identity) -> Result<OrderView, Failure> {
        text::key("id", &request.id)?;
        if let Some(at) = request.at {
            if request.min_version.is_some() {
                return Err(Rejection::bad_input("at a past moment there is no min_version to wait for").into());
            }
            return self.view_as_of(&request.id, at, request.with_timeline, caller).await;
        }
        let min_version = request.min_version.unwrap_or(0);
        if min_version < 0 {
            return Err(Rejection::bad_input("min_version must not be negative").into());
        }
        let waited = if min_version > 0 { Some(self.order_at(&request.id, min_version, caller).await?) } else { None };
        let (order, events) = if request.with_timeline {
            orders::with_events(&self.db, &request.id).await.map_err(unavailable)?.ok_or_else(no_order)?
        } else if let Some(order) = waited {
            (order, Vec::new())
        } else {
            let order = orders::one(&self.db, &request.id).await.map_err(unavailable)?;
            (order.ok_or_else(no_order)?, Vec::new())
        };
        own(&order.customer_id, caller)?;
        Ok(OrderView { order: Some(view::order(order).map_err(unavailable)?), timeline: timeline::tell(&events) })
    }

    /// An order as it was, with what was known of it by then.
    async fn view_as_of(
        &self,
        id: &str,
        at: Millis,
        with_timeline: bool,
        caller: &Identity,
    ) -> Result<OrderView, Failure> {
        let (events, told) = orders::history(&self.db, id, at, with_timeline).await.map_err(unavailable)?;
        let (placement, course) = history::as_of(&events, at).ok_or_else(no_order)?;
        own(&placement.customer_id, caller)?;
        let order = view::folded(id.to_owned(), &placement, course);
        Ok(OrderView { order: Some(order), timeline: timeline::tell(&told) })
    }

    /// An order, as soon as it is at `min_version` or later.
    ///
    /// An order that is not there at all may be one that has just been placed, so
    /// that is waited for too.
    async fn order_at(&self, id: &str, min_version: i64, caller: &Identity) -> Result<OrderRow, Failure> {
        if let Some(order) = self.visible(id, min_version, caller).await? {
            return Ok(order);
        }
        let deadline = self.clock.now() + PATIENCE;
        // Registered before the next reading: what commits after it, rings.
        let mut watch = self.notices.watch(id);
        loop {
            if let Some(order) = self.visible(id, min_version, caller).await? {
                return Ok(order);
            }
            if self.clock.now() >= deadline {
                return Err(Unavailable { code: Code::Stale, cause: format!("order {id}@{min_version}") }.into());
            }
            tokio::select! {
                () = watch.changed() => {}
                () = self.clock.sleep_until(deadline) => {}
            }
        }
    }

    /// `None`: not there yet, or not at this version yet.
    async fn visible(&self, id: &str, min_version: i64, caller: &Identity) -> Result<Option<OrderRow>, Failure> {
        let order = orders::one(&self.db, id).await.map_err(unavailable)?;
        if let Some(order) = &order {
            own(&order.customer_id, caller)?;
        }
        Ok(order.filter(|order| order.version >= min_version))
    }
}
