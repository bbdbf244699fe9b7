//! What can be watched.
//!
//! A subscription is a query that is answered again whenever its answer changes.
//! It stands on the API's watches, which register for the notices before they read,
//! so that nothing is missed between the first answer and the second.

use async_graphql::{Context, ID, Subscription as GraphQlSubscription};
use futures_util::{Stream, StreamExt, stream};
use platform::error::Code;

use super::limits;
use super::objects::order::OrderObject;
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
        let api = api(ctx)?.clone();
        let orders = api.watch_orders(caller(ctx)?).await?;
        // Its timeline was not read with it: it comes in batches, if it is asked for.
        let orders = orders.map(|found| Ok(OrderObject::from(found.order)));
        let gap = stream::once(async move { if api.has_ended() { None } else { Some(Err(gap())) } });
        Ok(orders.chain(gap.filter_map(|gap| async { gap })))
    }
}

fn gap() -> ApiError {
    ApiError::new(Code::Unavailable, "some updates may have been missed; subscribe again, and read again what you show")
}
