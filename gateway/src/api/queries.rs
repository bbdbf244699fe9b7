//! The questions: asked of the query service, whose read models answer them.

use contracts::common;
use contracts::order::OrderStatus as WireStatus;
use contracts::query::{
    GetOrderRequest, GetProductRequest, ListNotificationsRequest, ListOrdersRequest, ListProductsRequest,
};
use platform::error::Code;

use super::{
    Api, ApiError, Caller, Notification, Order, OrderStatus, OrderWithTimeline, Page, Product, answer, logged_in,
    request, validate, wire,
};

impl Api {
    pub(super) async fn list_products(
        &self,
        caller: &Caller,
        search: Option<&str>,
        first: i32,
        after: Option<&str>,
    ) -> Result<Page<Product>, ApiError> {
        let asked = ListProductsRequest { search: validate::search(search)?, page: Some(page(first, after)?) };
        let found = answer(self.query.clone().list_products(request(caller, asked)?)).await?;
        let edges = wire::edges(found.edges.into_iter().map(|edge| (edge.cursor, edge.node)))?;
        Ok(wire::page(edges, found.has_next, found.total, after))
    }

    pub(super) async fn get_product(&self, caller: &Caller, sku: &str) -> Result<Option<Product>, ApiError> {
        let asked = GetProductRequest { sku: validate::sku(sku)? };
        let found = found(answer(self.query.clone().get_product(request(caller, asked)?)).await)?;
        found.map(Product::try_from).transpose()
    }

    /// Somebody else's order is answered like one that does not exist, so that ids
    /// cannot be probed.
    pub(super) async fn get_order(
        &self,
        caller: &Caller,
        id: &str,
        min_version: Option<i64>,
        with_timeline: bool,
    ) -> Result<Option<OrderWithTimeline>, ApiError> {
        let account = logged_in(caller)?;
        let asked = GetOrderRequest {
            id: validate::opaque("order id", id)?.to_owned(),
            min_version: min_version.map(validate::version).transpose()?,
            with_timeline,
        };
        let found = found(answer(self.query.clone().get_order(request(caller, asked)?)).await)?;
        let found = found.map(OrderWithTimeline::try_from).transpose()?;
        Ok(found.filter(|found| caller.is_operator() || found.order.customer_id == account.id))
    }

    pub(super) async fn list_orders(
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

    pub(super) async fn list_notifications(
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
