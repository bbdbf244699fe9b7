//! What can be watched.
//!
//! A subscription is a query that is answered again whenever its answer changes.
//! It stands on the API's watches, which register for the notices before they read,
//! so that nothing is missed between the first answer and the second.

use async_graphql::{Context, ID, Subscription as GraphQlSubscription};
use futures_util::{Stream, StreamExt, stream};
use platform::error::Code;

use super::limits;
use super::objects::order::{OrderChangeObject, OrderObject, OrderStatus};
use super::request::{api, caller};
use crate::api::ApiError;

pub(super) struct Subscription;

/// What can be watched, over a WebSocket.
#[GraphQlSubscription]
impl Subscription {
    /// One of the caller's orders (an operator: anybody's): as it is now, and then each higher
    /// version as soon as the read model has it.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn order_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] id: ID,
        #[graphql(desc = "Begins with this version or a higher one: waits up to two seconds for it, then answers \
                          with code STALE. Give it what a mutation has just answered.")]
        min_version: Option<i32>,
    ) -> Result<impl Stream<Item = OrderObject>, ApiError> {
        let orders = api(ctx)?.watch(caller(ctx)?, &id, min_version.map(i64::from)).await?;
        Ok(orders.map(OrderObject::from))
    }

    /// Every order that changes from now on, in its newest version. Versions may be passed over and
    /// never go back. When a change may have been missed, it ends with code UNAVAILABLE: subscribe
    /// again, and read again what you show. For operators.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn order_updates(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<OrderObject, ApiError>>, ApiError> {
        let orders = api(ctx)?.watch_orders(caller(ctx)?).await?;
        // Its timeline was not read with it: it comes in batches, if it is asked for.
        let orders = orders.map(|found| Ok(OrderObject::from(found.order)));
        Ok(orders.chain(end(ctx)?))
    }

    /// Every order that changes from now on: where it stands, and no more, so that nothing has to be
    /// read for it. Those that change together come together. Versions may be passed over and never
    /// go back. Ends as `orderUpdates` does. For operators.
    #[graphql(complexity = "limits::CALL + 50 * child_complexity")]
    async fn order_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only changes after which the order stands at one of these; left out: all.")] statuses: Option<
            Vec<OrderStatus>,
        >,
    ) -> Result<impl Stream<Item = Result<Vec<OrderChangeObject>, ApiError>>, ApiError> {
        let statuses: Vec<_> = match statuses {
            Some(statuses) => statuses.into_iter().map(Into::into).collect(),
            None => crate::api::OrderStatus::ALL.to_vec(),
        };
        let changes = api(ctx)?.watch_changes(caller(ctx)?, &statuses).await?;
        let changes = changes.map(|changes| Ok(changes.into_iter().map(OrderChangeObject::from).collect()));
        Ok(changes.chain(end(ctx)?))
    }
}

/// The end of a feed: an error if there may be a gap, and nothing if the gateway stops.
fn end<T>(ctx: &Context<'_>) -> Result<impl Stream<Item = Result<T, ApiError>> + use<T>, ApiError> {
    let api = api(ctx)?.clone();
    let gap = stream::once(async move { if api.has_ended() { None } else { Some(Err(gap())) } });
    Ok(gap.filter_map(|gap| async { gap }))
}

fn gap() -> ApiError {
    ApiError::new(Code::Unavailable, "some updates may have been missed; subscribe again, and read again what you show")
}
