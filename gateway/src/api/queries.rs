//! The questions: asked of the query service, whose read models answer them.
//!
//! A caller sees what is his own, an operator everything. What is somebody else's
//! is answered like what does not exist, so that ids cannot be probed.

use std::collections::HashMap;

use contracts::common;
use contracts::order::OrderStatus as WireStatus;
use contracts::query::{
    GetOrderRequest, GetProductRequest, GetProductsRequest, GetTimelinesRequest, ListNotificationsRequest,
    ListOrdersRequest, ListProductsRequest,
};
use platform::error::Code;
use tokio::time::Instant;

use super::{
    Api, ApiError, Caller, Notification, Order, OrderStatus, OrderWithTimeline, Page, Product, TimelineEntry, answer,
    logged_in, request, validate, wire,
};

/// Products, or timelines, asked for in one question.
pub(crate) const LARGEST_BATCH: usize = 500;

impl Api {
    /// The catalogue in order of SKU: products in whose SKU or name every word of
    /// `search` occurs, `first` (1 to 100) of them after the cursor. As the read model
    /// was at most a tenth of a second ago.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn products(
        &self,
        caller: &Caller,
        search: Option<&str>,
        first: i32,
        after: Option<&str>,
    ) -> Result<Page<Product>, ApiError> {
        let asked = ListProductsRequest { search: validate::search(search)?, page: Some(page(first, after)?) };
        let key = (asked.search.clone(), first, after.map(str::to_owned));
        let ask = || async {
            let found = answer(self.query.clone().list_products(request(caller, asked)?)).await?;
            let edges = wire::edges(found.edges.into_iter().map(|edge| (edge.cursor, edge.node)))?;
            Ok(wire::page(edges, found.has_next, found.total, after))
        };
        self.catalogue.page(key, Instant::now(), ask).await
    }

    /// One product, if there is such a SKU.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn product(&self, caller: &Caller, sku: &str) -> Result<Option<Product>, ApiError> {
        let asked = GetProductRequest { sku: validate::sku(sku)? };
        let found = found(answer(self.query.clone().get_product(request(caller, asked)?)).await)?;
        found.map(Product::try_from).transpose()
    }

    /// Many products in one question: one answer a SKU, in the order of asking.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` (also for more than 500), `UNAVAILABLE`.
    pub async fn products_by_sku(&self, caller: &Caller, skus: &[String]) -> Result<Vec<Option<Product>>, ApiError> {
        validate::batch(skus.len(), LARGEST_BATCH)?;
        let skus = skus.iter().map(|sku| validate::sku(sku)).collect::<Result<Vec<_>, _>>()?;
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        let asked = GetProductsRequest { skus: skus.clone() };
        let found = answer(self.query.clone().get_products(request(caller, asked)?)).await?;
        let found = found.products.into_iter().map(|product| {
            let product = Product::try_from(product)?;
            Ok((product.sku.clone(), product))
        });
        let found = found.collect::<Result<HashMap<_, _>, ApiError>>()?;
        Ok(skus.iter().map(|sku| found.get(sku).cloned()).collect())
    }

    /// One order, if there is such a one that the caller may see. With
    /// `min_version`, waits up to two seconds until the read model has seen it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `STALE`, `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn order(&self, caller: &Caller, id: &str, min_version: Option<i64>) -> Result<Option<Order>, ApiError> {
        Ok(self.get_order(caller, id, min_version, false).await?.map(|found| found.order))
    }

    /// As [`order`](Self::order), with its timeline.
    ///
    /// # Errors
    /// As [`order`](Self::order).
    pub async fn order_with_timeline(
        &self,
        caller: &Caller,
        id: &str,
        min_version: Option<i64>,
    ) -> Result<Option<OrderWithTimeline>, ApiError> {
        self.get_order(caller, id, min_version, true).await
    }

    /// The order and its timeline as they were at a moment, Unix milliseconds,
    /// folded from its events; `None` also if it was not placed yet.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn order_at(&self, caller: &Caller, id: &str, at: i64) -> Result<Option<OrderWithTimeline>, ApiError> {
        let asked = GetOrderRequest {
            id: validate::opaque("order id", id)?.to_owned(),
            min_version: None,
            with_timeline: true,
            at: Some(validate::moment(at)?),
        };
        self.ask_for_order(caller, asked).await
    }

    pub(super) async fn get_order(
        &self,
        caller: &Caller,
        id: &str,
        min_version: Option<i64>,
        with_timeline: bool,
    ) -> Result<Option<OrderWithTimeline>, ApiError> {
        let asked = GetOrderRequest {
            id: validate::opaque("order id", id)?.to_owned(),
            min_version: min_version.map(validate::version).transpose()?,
            with_timeline,
            at: None,
        };
        self.ask_for_order(caller, asked).await
    }

    async fn ask_for_order(
        &self,
        caller: &Caller,
        asked: GetOrderRequest,
    ) -> Result<Option<OrderWithTimeline>, ApiError> {
        let account = logged_in(caller)?;
        let found = found(answer(self.query.clone().get_order(request(caller, asked)?)).await)?;
        let found = found.map(OrderWithTimeline::try_from).transpose()?;
        Ok(found.filter(|found| caller.is_operator() || found.order.customer_id == account.id))
    }

    /// The timelines of many orders in one question, in the order of asking; empty
    /// for those that the caller may not see.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT` (also for more than 500), `UNAVAILABLE`.
    pub async fn timelines(&self, caller: &Caller, ids: &[String]) -> Result<Vec<Vec<TimelineEntry>>, ApiError> {
        logged_in(caller)?;
        validate::batch(ids.len(), LARGEST_BATCH)?;
        for id in ids {
            validate::opaque("order id", id)?;
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let asked = GetTimelinesRequest { order_ids: ids.to_vec() };
        let found = answer(self.query.clone().get_timelines(request(caller, asked)?)).await?;
        let mut found: HashMap<_, _> =
            found.timelines.into_iter().map(|timeline| (timeline.order_id, timeline.entries)).collect();
        let entries = ids.iter().map(|id| found.remove(id).unwrap_or_default());
        Ok(entries.map(|entries| entries.into_iter().map(TimelineEntry::from).collect()).collect())
    }

    /// The caller's orders, newest first; an operator sees everybody's.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn orders(
        &self,
        caller: &Caller,
        first: i32,
        after: Option<&str>,
        status: Option<OrderStatus>,
    ) -> Result<Page<Order>, ApiError> {
        let mut asked = ListOrdersRequest { customer_id: whose(caller)?, status: 0, page: Some(page(first, after)?) };
        asked.set_status(status.map_or(WireStatus::Unspecified, WireStatus::from));
        let found = answer(self.query.clone().list_orders(request(caller, asked)?)).await?;
        let edges = wire::edges(found.edges.into_iter().map(|edge| (edge.cursor, edge.node)))?;
        Ok(wire::page(edges, found.has_next, found.total, after))
    }

    /// What the caller was told, newest first; an operator sees everybody's.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn notifications(
        &self,
        caller: &Caller,
        first: i32,
        after: Option<&str>,
    ) -> Result<Page<Notification>, ApiError> {
        let asked = ListNotificationsRequest { customer_id: whose(caller)?, page: Some(page(first, after)?) };
        let found = answer(self.query.clone().list_notifications(request(caller, asked)?)).await?;
        let edges = wire::edges(found.edges.into_iter().map(|edge| (edge.cursor, edge.node)))?;
        Ok(wire::page(edges, found.has_next, found.total, after))
    }
}

fn page(first: i32, after: Option<&str>) -> Result<common::Page, ApiError> {
    let after = after.map(|cursor| validate::opaque("cursor", cursor)).transpose()?;
    Ok(common::Page { first: validate::first(first)?, after: after.map(str::to_owned) })
}

/// Whose rows a list shows: the caller's own, an operator everybody's (which the
/// contract writes as nobody's in particular).
fn whose(caller: &Caller) -> Result<String, ApiError> {
    let account = logged_in(caller)?;
    Ok(if caller.is_operator() { String::new() } else { account.id.clone() })
}

/// What is not there is an answer, not an error.
fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
