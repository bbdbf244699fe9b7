//! The gRPC server: everything that is read. It goes past the loop, to the pool of
//! readers; nothing here writes.
//!
//! **Read your own writes.** A command answers with the version that the order has
//! now. Who asks for the order with that `min_version` gets it at this version or
//! later: the call waits for the after-commit notices, two seconds at most, and
//! then answers STALE, which says "ask again" and never shows an older state.
//!
//! A customer sees only their own orders and messages. Somebody else's order is
//! not forbidden but not there, so that ids cannot be probed. The catalogue is
//! everybody's.

#[cfg(test)]
mod tests;

use contracts::common;
use contracts::order::OrderStatus;
use contracts::query::query_server::Query as Server;
use contracts::query::{
    GetOrderRequest, GetProductRequest, ListNotificationsRequest, ListOrdersRequest, ListProductsRequest,
    NotificationEdge, NotificationPage, OrderEdge, OrderPage, OrderView, Product, ProductEdge, ProductPage,
};
use platform::clock::Clock;
use platform::error::{Code, Failure, Rejection, Unavailable};
use platform::grpc::Identity;
use platform::store::{Db, StoreError};
use platform::text;
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status};

use crate::notices::Notices;
use crate::store::reads::{self, Filter, OrderRow, Page};
use crate::{cursor, timeline, view};

/// How long a read waits for a version, milliseconds.
const PATIENCE: i64 = 2_000;
/// Most rows in a page.
const LARGEST_PAGE: i32 = 100;
/// Longest search text, in characters.
const LONGEST_SEARCH: usize = 200;

/// Serves `orderly.query.v1.Query`.
#[derive(Clone)]
pub struct QueryServer {
    db: Db,
    notices: Notices,
    clock: Clock,
}

impl QueryServer {
    /// A server over the service's store and what is announced after its commits.
    pub const fn new(db: Db, notices: Notices, clock: Clock) -> Self {
        Self { db, notices, clock }
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
        let order = reads::order(&self.db, id).await.map_err(unavailable)?;
        if let Some(order) = &order {
            own(order, caller)?;
        }
        Ok(order.filter(|order| order.version >= min_version))
    }

    /// One order, with its timeline if that is asked for.
    async fn view(&self, request: &GetOrderRequest, caller: &Identity) -> Result<OrderView, Failure> {
        text::key("id", &request.id)?;
        let min_version = request.min_version.unwrap_or(0);
        if min_version < 0 {
            return Err(Rejection::bad_input("min_version must not be negative").into());
        }
        let waited = if min_version > 0 { Some(self.order_at(&request.id, min_version, caller).await?) } else { None };
        let (order, events) = if request.with_timeline {
            reads::order_with_events(&self.db, &request.id).await.map_err(unavailable)?.ok_or_else(no_order)?
        } else if let Some(order) = waited {
            (order, Vec::new())
        } else {
            let order = reads::order(&self.db, &request.id).await.map_err(unavailable)?;
            (order.ok_or_else(no_order)?, Vec::new())
        };
        own(&order, caller)?;
        Ok(OrderView { order: Some(view::order(order).map_err(unavailable)?), timeline: timeline::tell(&events) })
    }
}

#[tonic::async_trait]
impl Server for QueryServer {
    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<Product>, Status> {
        let sku = request.into_inner().sku;
        text::key("sku", &sku).map_err(Failure::from)?;
        let product = reads::product(&self.db, &sku).await.map_err(unavailable)?;
        let product = product.ok_or_else(|| Failure::from(Rejection::not_found("there is no such product")))?;
        Ok(Response::new(view::product(product)))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Result<Response<ProductPage>, Status> {
        let ListProductsRequest { search, page } = request.into_inner();
        let patterns = search_patterns(&search).map_err(Failure::from)?;
        let page: Page<reads::ByName> = read_page("products", page.as_ref()).map_err(Failure::from)?;
        let (mut rows, total) = reads::products(&self.db, &patterns, &page).await.map_err(unavailable)?;
        let has_next = cut(&mut rows, &page);
        let edges = rows
            .into_iter()
            .map(|row| ProductEdge {
                cursor: cursor::encode("products", &(&row.name, &row.sku)),
                node: Some(view::product(row)),
            })
            .collect();
        Ok(Response::new(ProductPage { edges, has_next, total }))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<OrderView>, Status> {
        let caller = Identity::of(&request)?;
        Ok(Response::new(self.view(request.get_ref(), &caller).await?))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<OrderPage>, Status> {
        let caller = Identity::of(&request)?;
        let ListOrdersRequest { customer_id, status, page } = request.into_inner();
        let status = OrderStatus::try_from(status)
            .map_err(|_| Failure::from(Rejection::bad_input("status is none of an order")))?;
        let customer = whose(caller, customer_id).map_err(Failure::from)?;
        let filter = Filter { customer, status: view::stored_status(status) };
        let page: Page<reads::Newest> = read_page("orders", page.as_ref()).map_err(Failure::from)?;
        let (mut rows, total) = reads::orders(&self.db, &filter, &page).await.map_err(unavailable)?;
        let has_next = cut(&mut rows, &page);
        let edges = rows
            .into_iter()
            .map(|row| {
                let cursor = cursor::encode("orders", &(row.placed_at, &row.id));
                Ok(OrderEdge { cursor, node: Some(view::order(row)?) })
            })
            .collect::<Result<_, StoreError>>()
            .map_err(unavailable)?;
        Ok(Response::new(OrderPage { edges, has_next, total }))
    }

    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<NotificationPage>, Status> {
        let caller = Identity::of(&request)?;
        let ListNotificationsRequest { customer_id, page } = request.into_inner();
        let filter = Filter { customer: whose(caller, customer_id).map_err(Failure::from)?, status: None };
        let page: Page<reads::Newest> = read_page("notifications", page.as_ref()).map_err(Failure::from)?;
        let (mut rows, total) = reads::notifications(&self.db, &filter, &page).await.map_err(unavailable)?;
        let has_next = cut(&mut rows, &page);
        let edges = rows
            .into_iter()
            .map(|row| NotificationEdge {
                cursor: cursor::encode("notifications", &(row.at, &row.id)),
                node: Some(view::notification(row)),
            })
            .collect();
        Ok(Response::new(NotificationPage { edges, has_next, total }))
    }
}

/// A store that does not answer, or not as it should. The cause is for the log.
fn unavailable(error: StoreError) -> Failure {
    Unavailable::new(error).into()
}

fn no_order() -> Failure {
    Rejection::not_found("there is no such order").into()
}

/// Customers see their own orders only.
fn own(order: &OrderRow, caller: &Identity) -> Result<(), Failure> {
    if caller.operator || order.customer_id == caller.account { Ok(()) } else { Err(no_order()) }
}

/// Whose rows are listed: an operator chooses, anybody else gets their own.
fn whose(caller: Identity, asked: String) -> Result<Option<String>, Rejection> {
    if !caller.operator {
        return Ok(Some(caller.account));
    }
    if asked.is_empty() {
        return Ok(None);
    }
    text::key("customer_id", &asked)?;
    Ok(Some(asked))
}

fn search_patterns(search: &str) -> Result<Vec<String>, Rejection> {
    if search.chars().count() > LONGEST_SEARCH {
        return Err(Rejection::bad_input(format!("search must be at most {LONGEST_SEARCH} characters")));
    }
    let patterns = reads::patterns(search);
    if patterns.iter().any(|pattern| pattern.chars().any(char::is_control)) {
        return Err(Rejection::bad_input("search must not contain control characters"));
    }
    Ok(patterns)
}

fn read_page<K: DeserializeOwned>(list: &str, page: Option<&common::Page>) -> Result<Page<K>, Rejection> {
    let first = page.map_or(0, |page| page.first);
    if !(1..=LARGEST_PAGE).contains(&first) {
        return Err(Rejection::bad_input(format!("page.first must be between 1 and {LARGEST_PAGE}")));
    }
    let after = page.and_then(|page| page.after.as_deref()).map(|after| cursor::decode(list, after)).transpose()?;
    Ok(Page { after, rows: i64::from(first) })
}

/// Takes off the row that only showed that there is a next page.
fn cut<T, K>(rows: &mut Vec<T>, page: &Page<K>) -> bool {
    let shown = usize::try_from(page.rows).unwrap_or(usize::MAX);
    let has_next = rows.len() > shown;
    rows.truncate(shown);
    has_next
}
