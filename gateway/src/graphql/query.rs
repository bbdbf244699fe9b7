//! What can be asked.

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};

use super::connection::Connection;
use super::limits;
use super::objects::order::{OrderObject, OrderStatus};
use super::objects::report::{ReadModelsObject, SalesMinuteObject};
use super::objects::{AccountObject, NotificationObject, ProductObject};
use super::request::{api, caller};
use crate::api::ApiError;

/// Products on a page, if nothing else is said.
const PRODUCTS: i32 = 24;
/// Rows on a page of any other list.
const ROWS: i32 = 20;
/// Windows of sales, if nothing else is said: an hour.
const WINDOWS: i32 = 60;

pub(super) struct Query;

/// What can be asked.
#[Object]
impl Query {
    /// The catalogue in order of SKU; with `search`, what has all its words in SKU or name.
    #[graphql(complexity = "limits::rows(first, child_complexity)")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Words to look for, in any case.")] search: Option<String>,
        #[graphql(desc = "How many, 1 to 100.", default_with = "Some(PRODUCTS)")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Connection<ProductObject>, ApiError> {
        let page =
            api(ctx)?.products(caller(ctx)?, search.as_deref(), first.unwrap_or(PRODUCTS), after.as_deref()).await?;
        Ok(page.into())
    }

    /// One product; null if there is no such SKU.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In any case.")] sku: ID,
    ) -> Result<Option<ProductObject>, ApiError> {
        Ok(api(ctx)?.product(caller(ctx)?, &sku).await?.map(ProductObject::from))
    }

    /// One of the caller's orders (an operator: anybody's); null if there is no such one.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] id: ID,
        #[graphql(desc = "Waits up to two seconds until this version can be read, then answers with code STALE.")]
        min_version: Option<i32>,
        #[graphql(desc = "The order as it was at this moment, from its events; null if it was not placed yet. Not \
                          together with `minVersion`.")]
        at: Option<DateTime<Utc>>,
    ) -> Result<Option<OrderObject>, ApiError> {
        let (api, caller, version) = (api(ctx)?, caller(ctx)?, min_version.map(i64::from));
        if let Some(at) = at {
            if version.is_some() {
                return Err(ApiError::bad_input("either at or minVersion"));
            }
            return Ok(api.order_at(caller, &id, at.timestamp_millis()).await?.map(OrderObject::from));
        }
        // One question instead of two, if the timeline is asked for as well.
        if ctx.look_ahead().field("timeline").exists() {
            Ok(api.order_with_timeline(caller, &id, version).await?.map(OrderObject::from))
        } else {
            Ok(api.order(caller, &id, version).await?.map(OrderObject::from))
        }
    }

    /// The caller's orders, newest first; an operator sees all.
    #[graphql(complexity = "limits::rows(first, child_complexity)")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default_with = "Some(ROWS)")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
        #[graphql(desc = "Only those that stand here.")] status: Option<OrderStatus>,
    ) -> Result<Connection<OrderObject>, ApiError> {
        let page =
            api(ctx)?.orders(caller(ctx)?, first.unwrap_or(ROWS), after.as_deref(), status.map(Into::into)).await?;
        Ok(page.into())
    }

    /// What the caller was told, newest first; an operator sees all.
    #[graphql(complexity = "limits::rows(first, child_complexity)")]
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default_with = "Some(ROWS)")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Connection<NotificationObject>, ApiError> {
        let page = api(ctx)?.notifications(caller(ctx)?, first.unwrap_or(ROWS), after.as_deref()).await?;
        Ok(page.into())
    }

    /// What was sold and given back, minute by minute, newest first; a minute without sales is left
    /// out. For operators.
    #[graphql(complexity = "limits::windows(first, child_complexity)")]
    async fn sales(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Minutes from this one on.")] from: Option<DateTime<Utc>>,
        #[graphql(desc = "Minutes before this one.")] to: Option<DateTime<Utc>>,
        #[graphql(desc = "How many, 1 to 1440.", default_with = "Some(WINDOWS)")] first: Option<i32>,
    ) -> Result<Vec<SalesMinuteObject>, ApiError> {
        let millis = |moment: DateTime<Utc>| moment.timestamp_millis();
        let found = api(ctx)?.sales(caller(ctx)?, from.map(millis), to.map(millis), first.unwrap_or(WINDOWS)).await?;
        Ok(found.into_iter().map(SalesMinuteObject::from).collect())
    }

    /// Where each read model stands, and how far it is behind. For operators.
    #[graphql(complexity = "limits::CALL + 5 * child_complexity")]
    async fn read_models(&self, ctx: &Context<'_>) -> Result<ReadModelsObject, ApiError> {
        Ok(api(ctx)?.read_models(caller(ctx)?).await?.into())
    }

    /// Who the bearer token says the caller is; null without one.
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<AccountObject>, ApiError> {
        Ok(caller(ctx)?.account().cloned().map(AccountObject::from))
    }
}
