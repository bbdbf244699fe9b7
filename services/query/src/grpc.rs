//! The gRPC server: everything that is read. It goes past the loop, to the pool of
//! readers; only a rebuild writes, step by step through the loop.
//!
//! **Read your own writes.** A command answers with the version that the order has
//! now. Who asks for the order with that `min_version` gets it at this version or
//! later: the call waits for the after-commit notices, two seconds at most, and
//! then answers STALE, which says "ask again" and never shows an older state.
//!
//! A customer sees only their own orders and messages. Somebody else's order is
//! not forbidden but not there, so that ids cannot be probed. The catalogue is
//! everybody's; sales and the state of the read models are the operators'.

mod orders;
mod page;
mod rebuilds;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use contracts::order::OrderStatus;
use contracts::query::query_server::Query as Server;
use contracts::query::{
    GetOrderRequest, GetProductRequest, GetProductsReply, GetProductsRequest, GetTimelinesReply, GetTimelinesRequest,
    ListNotificationsRequest, ListOrdersRequest, ListProductsRequest, ListReadModelsReply, ListReadModelsRequest,
    ListSalesReply, ListSalesRequest, NotificationEdge, NotificationPage, OrderEdge, OrderPage, OrderView, Product,
    ProductEdge, ProductPage, RebuildReadModelRequest, Timeline,
};
use platform::bus::Bus;
use platform::clock::Clock;
use platform::error::{Failure, Rejection, Unavailable};
use platform::grpc::Identity;
use platform::service_loop::Handle;
use platform::store::{Db, StoreError};
use platform::text;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use self::page::{cut, many, read_page, search_patterns, whose};
use self::rebuilds::Rebuilds;
use crate::notices::Notices;
use crate::read_model::Model;
use crate::store::reads::{self, Filter, Newest, Page, orders as rows, products, standings};
use crate::{Query, SPEC, cursor, timeline, view};

/// Most windows in an answer: a day.
const MOST_WINDOWS: i32 = 1_440;

/// Serves `orderly.query.v1.Query`.
#[derive(Clone)]
pub struct QueryServer {
    db: Db,
    notices: Notices,
    clock: Clock,
    bus: Arc<dyn Bus>,
    rebuilds: Rebuilds,
}

impl QueryServer {
    /// A server over the service's store, what is announced after its commits, its
    /// loop, and the bus, which knows what the service has not heard yet.
    pub fn new(db: Db, notices: Notices, clock: Clock, handle: Handle<Query>, bus: Arc<dyn Bus>) -> Self {
        let rebuilds = Rebuilds::new(db.clone(), handle);
        Self { db, notices, clock, bus, rebuilds }
    }

    /// Events that the broker has for this service and the service has not acked.
    async fn undelivered(&self) -> Result<i64, Failure> {
        let inspection = self.bus.inspect().await.map_err(Unavailable::new)?;
        let ours = inspection.groups.iter().filter(|group| group.group == SPEC.name);
        let events = ours.filter(|group| SPEC.hears.contains(&group.stream.as_str()));
        let count = events.map(|group| group.lag.saturating_add(group.pending)).fold(0, u64::saturating_add);
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

#[tonic::async_trait]
impl Server for QueryServer {
    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<Product>, Status> {
        let sku = request.into_inner().sku;
        text::key("sku", &sku).map_err(Failure::from)?;
        let product = products::by_sku(&self.db, &[sku]).await.map_err(unavailable)?.pop();
        let product = product.ok_or_else(|| Failure::from(Rejection::not_found("there is no such product")))?;
        Ok(Response::new(view::product(product)))
    }

    async fn get_products(&self, request: Request<GetProductsRequest>) -> Result<Response<GetProductsReply>, Status> {
        let skus = request.into_inner().skus;
        many("skus", &skus).map_err(Failure::from)?;
        let products = products::by_sku(&self.db, &skus).await.map_err(unavailable)?;
        Ok(Response::new(GetProductsReply { products: products.into_iter().map(view::product).collect() }))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Result<Response<ProductPage>, Status> {
        let ListProductsRequest { search, page } = request.into_inner();
        let patterns = search_patterns(&search).map_err(Failure::from)?;
        let page: Page<products::ByName> = read_page("products", page.as_ref()).map_err(Failure::from)?;
        let (mut rows, total) = products::search(&self.db, &patterns, &page).await.map_err(unavailable)?;
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
        let page: Page<Newest> = read_page("orders", page.as_ref()).map_err(Failure::from)?;
        let (mut rows, total) = rows::list(&self.db, &filter, &page).await.map_err(unavailable)?;
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

    async fn get_timelines(
        &self,
        request: Request<GetTimelinesRequest>,
    ) -> Result<Response<GetTimelinesReply>, Status> {
        let caller = Identity::of(&request)?;
        let ids = request.into_inner().order_ids;
        many("order_ids", &ids).map_err(Failure::from)?;
        let customer = (!caller.operator).then_some(caller.account.as_str());
        let events = rows::timelines(&self.db, &ids, customer).await.map_err(unavailable)?;
        let timelines = ids
            .into_iter()
            .map(|order_id| {
                let entries = events.get(&order_id).map(|events| timeline::tell(events)).unwrap_or_default();
                Timeline { order_id, entries }
            })
            .collect();
        Ok(Response::new(GetTimelinesReply { timelines }))
    }

    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<NotificationPage>, Status> {
        let caller = Identity::of(&request)?;
        let ListNotificationsRequest { customer_id, page } = request.into_inner();
        let filter = Filter { customer: whose(caller, customer_id).map_err(Failure::from)?, status: None };
        let page: Page<Newest> = read_page("notifications", page.as_ref()).map_err(Failure::from)?;
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

    async fn list_sales(&self, request: Request<ListSalesRequest>) -> Result<Response<ListSalesReply>, Status> {
        Identity::of(&request)?.require_operator()?;
        let ListSalesRequest { from, to, first } = request.into_inner();
        if !(1..=MOST_WINDOWS).contains(&first) {
            let refusal = Rejection::bad_input(format!("first must be between 1 and {MOST_WINDOWS}"));
            return Err(Failure::from(refusal).into());
        }
        let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
        let rows = standings::sales(&self.db, from, to, i64::from(first)).await.map_err(unavailable)?;
        Ok(Response::new(ListSalesReply { minutes: rows.into_iter().map(view::sales_minute).collect() }))
    }

    async fn list_read_models(
        &self,
        request: Request<ListReadModelsRequest>,
    ) -> Result<Response<ListReadModelsReply>, Status> {
        Identity::of(&request)?.require_operator()?;
        // The broker before the log: what is logged in between counts twice, and
        // nothing is left out.
        let undelivered = self.undelivered().await?;
        let rows = standings::read_models(&self.db).await.map_err(unavailable)?;
        let (head, parked) = rows.first().map_or((0, 0), |row| (row.head, row.parked));
        let (unheard, now) = (undelivered.saturating_add(parked), self.clock.now());
        let models = rows.into_iter().map(|row| view::read_model(row, unheard, now)).collect();
        Ok(Response::new(ListReadModelsReply { models, head, unheard }))
    }

    type RebuildReadModelStream = BoxStream<contracts::query::RebuildProgress>;

    async fn rebuild_read_model(
        &self,
        request: Request<RebuildReadModelRequest>,
    ) -> Result<Response<Self::RebuildReadModelStream>, Status> {
        Identity::of(&request)?.require_operator()?;
        let name = request.into_inner().name;
        let model = Model::parse(&name)
            .ok_or_else(|| Failure::from(Rejection::not_found("there is no read model of this name")))?;
        let told = self.rebuilds.begin(model).await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }
}

/// A store that does not answer, or not as it should. The cause is for the log.
fn unavailable(error: StoreError) -> Failure {
    Unavailable::new(error).into()
}
