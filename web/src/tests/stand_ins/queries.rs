//! The stand-in for the query service.

use contracts::query::query_server::Query;
use contracts::query::{
    GetOrderRequest, GetProductRequest, GetProductsReply, GetProductsRequest, GetTimelinesReply, GetTimelinesRequest,
    ListNotificationsRequest, ListOrdersRequest, ListProductsRequest, ListReadModelsReply, ListReadModelsRequest,
    ListSalesReply, ListSalesRequest, NotificationEdge, NotificationPage, OrderEdge, OrderPage, OrderView, Product,
    ProductEdge, ProductPage, RebuildProgress, RebuildReadModelRequest,
};
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::{Answer, StandIns, number};

#[tonic::async_trait]
impl Query for StandIns {
    async fn get_product(&self, request: Request<GetProductRequest>) -> Answer<Product> {
        let sku = &request.get_ref().sku;
        let found = self.products.iter().find(|product| product.sku == *sku);
        found.cloned().map(Response::new).ok_or_else(|| Status::not_found("there is no such product"))
    }

    async fn get_products(&self, request: Request<GetProductsRequest>) -> Answer<GetProductsReply> {
        let skus = &request.get_ref().skus;
        let found = self.products.iter().filter(|product| skus.contains(&product.sku));
        Ok(Response::new(GetProductsReply { products: found.cloned().collect() }))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Answer<ProductPage> {
        let words = request.get_ref().search.to_lowercase();
        let matching = self.products.iter().filter(|product| product.name.to_lowercase().contains(&words));
        let edges: Vec<_> =
            matching.map(|product| ProductEdge { cursor: product.sku.clone(), node: Some(product.clone()) }).collect();
        let total = number(edges.len());
        Ok(Response::new(ProductPage { edges, has_next: total > 1, total }))
    }

    /// As it was: the status after being placed and no more, with the timeline up to then.
    async fn get_order(&self, request: Request<GetOrderRequest>) -> Answer<OrderView> {
        let asked = request.get_ref().clone();
        let mut state = self.state();
        let mut found = state.order(&request, &asked.id)?.clone();
        if asked.min_version.is_some_and(|least| least > found.order.version) {
            return Err(Status::new(platform::error::Code::Stale.grpc(), "not yet"));
        }
        if let Some(at) = asked.at {
            if at < found.order.placed_at {
                return Err(Status::not_found("there was no such order"));
            }
            found.timeline.retain(|entry| entry.at <= at);
            found.order.version = number(found.timeline.len());
            found.order.set_status(contracts::order::OrderStatus::Placed);
        }
        Ok(Response::new(OrderView { order: Some(found.order), timeline: found.timeline }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Answer<OrderPage> {
        let asked = request.get_ref();
        let state = self.state();
        let mine = state.orders.iter().filter(|placed| {
            (asked.customer_id.is_empty() || placed.order.customer_id == asked.customer_id)
                && (asked.status == 0 || asked.status == placed.order.status)
        });
        let edges: Vec<_> = mine
            .map(|placed| OrderEdge { cursor: placed.order.id.clone(), node: Some(placed.order.clone()) })
            .collect();
        let first = usize::try_from(asked.page.as_ref().map_or(20, |page| page.first)).expect("a page");
        let total = number(edges.len());
        let has_next = edges.len() > first;
        Ok(Response::new(OrderPage { edges: edges.into_iter().take(first).collect(), has_next, total }))
    }

    async fn get_timelines(&self, _: Request<GetTimelinesRequest>) -> Answer<GetTimelinesReply> {
        Err(Status::unimplemented("no page asks for it"))
    }

    async fn list_notifications(&self, request: Request<ListNotificationsRequest>) -> Answer<NotificationPage> {
        let customer_id = &request.get_ref().customer_id;
        let state = self.state();
        let told = state.notifications.iter().filter(|told| customer_id.is_empty() || told.customer_id == *customer_id);
        let edges: Vec<_> =
            told.map(|told| NotificationEdge { cursor: told.id.clone(), node: Some(told.clone()) }).collect();
        let total = number(edges.len());
        Ok(Response::new(NotificationPage { edges, has_next: false, total }))
    }

    async fn list_sales(&self, request: Request<ListSalesRequest>) -> Answer<ListSalesReply> {
        let asked = request.get_ref();
        let state = self.state();
        let minutes = state.sales.iter().filter(|window| asked.to.is_none_or(|to| window.minute < to));
        let first = usize::try_from(asked.first).expect("a page");
        Ok(Response::new(ListSalesReply { minutes: minutes.take(first).cloned().collect() }))
    }

    async fn list_read_models(&self, _: Request<ListReadModelsRequest>) -> Answer<ListReadModelsReply> {
        let models = self.state().models.clone();
        Ok(Response::new(ListReadModelsReply { models, head: 1_234, unheard: 5 }))
    }

    type RebuildReadModelStream = BoxStream<'static, Result<RebuildProgress, Status>>;

    async fn rebuild_read_model(&self, _: Request<RebuildReadModelRequest>) -> Answer<Self::RebuildReadModelStream> {
        Err(Status::unimplemented("no page asks for it"))
    }
}
