//! What can be asked.

use async_graphql::{Context, ID, Object};

use super::connection::Connection;
use super::limits;
use super::objects::{AccountObject, NotificationObject, OrderObject, OrderStatus, ProductObject};
use crate::api::{Api, ApiError, Caller};

/// The API under the schema.
pub(super) fn api<'a>(ctx: &Context<'a>) -> Result<&'a Api, ApiError> {
    ctx.data_opt().ok_or_else(|| ApiError::internal("the schema", "was built without an API"))
}

/// Who sent the request.
pub(super) fn caller<'a>(ctx: &Context<'a>) -> Result<&'a Caller, ApiError> {
    ctx.data_opt().ok_or_else(|| ApiError::internal("the schema", "was asked without a caller"))
}

/// Products on a page, if nothing else is said.
const PRODUCTS: i32 = 24;
/// Rows on a page of any other list.
const ROWS: i32 = 20;

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
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In any case.")] sku: ID,
    ) -> Result<Option<ProductObject>, ApiError> {
        Ok(api(ctx)?.product(caller(ctx)?, &sku).await?.map(ProductObject::from))
    }

    /// One of the caller's orders (an operator: anybody's); null if there is no such one.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] id: ID,
        #[graphql(desc = "Waits up to two seconds until this version can be read, then answers with code STALE.")]
        min_version: Option<i32>,
    ) -> Result<Option<OrderObject>, ApiError> {
        let (api, caller, version) = (api(ctx)?, caller(ctx)?, min_version.map(i64::from));
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

    /// Who the bearer token says the caller is; null without one.
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<AccountObject>, ApiError> {
        Ok(caller(ctx)?.account().cloned().map(AccountObject::from))
    }
}
