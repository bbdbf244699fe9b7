//! What the fake services answer.

use contracts::common::Card;
use contracts::inventory::inventory_server::Inventory;
use contracts::inventory::{self, AdjustStockRequest, QuoteReply, QuoteRequest, UpsertProductRequest};
use contracts::notification::notifications_server::Notifications;
use contracts::notification::{GetPreferenceRequest, MailPreference, Preference, SetPreferenceRequest};
use contracts::order::orders_server::Orders;
use contracts::order::{
    CancelOrderRequest, Order, OrderStatus, PayOrderRequest, PlaceOrderRequest, ReturnOrderRequest,
};
use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_server::Payments;
use contracts::query::query_server::Query;
use contracts::query::{
    GetOrderRequest, GetProductRequest, GetProductsReply, GetProductsRequest, GetTimelinesReply, GetTimelinesRequest,
    ListNotificationsRequest, ListOrdersRequest, ListProductsRequest, ListReadModelsReply, ListReadModelsRequest,
    ListSalesReply, ListSalesRequest, Notification, NotificationEdge, NotificationPage, OrderEdge, OrderPage,
    OrderView, Product, ProductEdge, ProductPage, ReadModel, RebuildProgress, RebuildReadModelRequest, SalesMinute,
    Timeline, TimelineEntry,
};
use platform::grpc::Identity;
use tonic::{Request, Response, Status};

use super::{Fake, order, pounds};

#[tonic::async_trait]
impl Orders for Fake {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Result<Response<Order>, Status> {
        Identity::of(&request)?;
        let request = request.into_inner();
        let mut shop = self.lock();
        let order = order(&format!("order-{}", shop.placed.len() + 1), &request.customer_id);
        shop.orders.insert(order.id.clone(), order.clone());
        shop.placed.push(request);
        Ok(Response::new(order))
    }

    async fn pay_order(&self, request: Request<PayOrderRequest>) -> Result<Response<Order>, Status> {
        let request = request.into_inner();
        let mut shop = self.lock();
        let order = shop.orders.get(&request.order_id).cloned();
        shop.paid.push(request);
        order.map(Response::new).ok_or_else(|| Status::not_found("there is no such order"))
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Result<Response<Order>, Status> {
        Identity::of(&request)?;
        let request = request.into_inner();
        let mut shop = self.lock();
        let order = shop.orders.get_mut(&request.order_id).map(|order| {
            order.set_status(OrderStatus::Cancelled);
            order.version += 1;
            order.clone()
        });
        shop.cancelled.push(request);
        order.map(Response::new).ok_or_else(|| Status::not_found("there is no such order"))
    }

    /// `busy` is being returned already.
    async fn return_order(&self, request: Request<ReturnOrderRequest>) -> Result<Response<Order>, Status> {
        Identity::of(&request)?;
        let request = request.into_inner();
        if request.order_id == "busy" {
            return Err(Status::aborted("a return is under way"));
        }
        let mut shop = self.lock();
        let order = shop.orders.get_mut(&request.order_id).map(|order| {
            order.unwinding = true;
            order.lines[0].returned = 1;
            order.refunded = pounds(50);
            order.clone()
        });
        shop.returned.push(request);
        order.map(Response::new).ok_or_else(|| Status::not_found("there is no such order"))
    }
}

#[tonic::async_trait]
impl Inventory for Fake {
    async fn upsert_product(
        &self,
        request: Request<UpsertProductRequest>,
    ) -> Result<Response<inventory::Product>, Status> {
        Identity::of(&request)?.require_operator()?;
        let UpsertProductRequest { sku, name, price, .. } = request.into_inner();
        Ok(Response::new(inventory::Product { sku, name, price, on_hand: 10, reserved: 3 }))
    }

    async fn adjust_stock(&self, request: Request<AdjustStockRequest>) -> Result<Response<inventory::Product>, Status> {
        let request = request.into_inner();
        let sku = request.sku.clone();
        if request.delta < -7 {
            return Err(Status::failed_precondition("3 of them are reserved"));
        }
        let on_hand = 10 + request.delta;
        self.lock().adjusted.push(request);
        Ok(Response::new(inventory::Product { sku, name: "A".into(), price: pounds(50), on_hand, reserved: 3 }))
    }

    async fn quote(&self, _: Request<QuoteRequest>) -> Result<Response<QuoteReply>, Status> {
        Err(Status::unimplemented("not asked by a gateway"))
    }
}

#[tonic::async_trait]
impl Payments for Fake {
    async fn tokenize_card(&self, request: Request<TokenizeCardRequest>) -> Result<Response<Card>, Status> {
        let number = request.into_inner().number;
        let last4 = number.get(number.len().saturating_sub(4)..).unwrap_or_default().to_owned();
        self.lock().tokenized.push(number);
        Ok(Response::new(Card { token: "tok_1".into(), last4 }))
    }
}

#[tonic::async_trait]
impl Query for Fake {
    /// `BROKEN` fails as no service should, `HUGE` costs more than an `Int` holds.
    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<Product>, Status> {
        let sku = request.into_inner().sku;
        self.lock().asked.push("GetProduct");
        let amount = match sku.as_str() {
            "BROKEN" => return Err(Status::internal("password=hunter2 at 10.0.0.1")),
            "BUSY" => return Err(Status::resource_exhausted("queue of 10.0.0.1")),
            "NONE" => return Err(Status::not_found("no such SKU")),
            "HUGE" => i64::from(i32::MAX) + 1,
            _ => 50,
        };
        let available = i64::from(i32::MAX) + 1;
        Ok(Response::new(Product { sku, name: "A".into(), price: pounds(amount), available }))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Result<Response<ProductPage>, Status> {
        let first = request.into_inner().page.map_or(0, |page| page.first);
        self.lock().asked.push("ListProducts");
        let product = |n| Product { sku: format!("S{n}"), name: "A".into(), price: pounds(50), available: 1 };
        let edges = (0..first).map(|n| ProductEdge { cursor: format!("c{n}"), node: Some(product(n)) }).collect();
        Ok(Response::new(ProductPage { edges, has_next: true, total: 1_000 }))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<OrderView>, Status> {
        let request = request.into_inner();
        let mut shop = self.lock();
        shop.asked.push("GetOrder");
        if shop.failing > 0 {
            shop.failing -= 1;
            return Err(Status::unavailable("not now"));
        }
        let order = shop.orders.get(&request.id).cloned().ok_or_else(|| Status::not_found("no such order"))?;
        if request.at.is_some_and(|at| at < order.placed_at) {
            return Err(Status::not_found("not placed yet"));
        }
        if request.min_version.is_some_and(|wanted| order.version < wanted) {
            return Err(Status::out_of_range("not yet"));
        }
        let timeline = if request.with_timeline { vec![entry(&order.id)] } else { Vec::new() };
        Ok(Response::new(OrderView { order: Some(order), timeline }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<OrderPage>, Status> {
        let customer_id = request.into_inner().customer_id;
        let mut shop = self.lock();
        shop.asked.push("ListOrders");
        let edge = |order: &Order| OrderEdge { cursor: order.id.clone(), node: Some(order.clone()) };
        let mut edges: Vec<_> = shop.orders.values().map(edge).collect();
        edges.sort_by(|a, b| a.cursor.cmp(&b.cursor));
        shop.listed_for.push(customer_id);
        let total = i64::try_from(edges.len()).unwrap_or(0);
        Ok(Response::new(OrderPage { edges, has_next: false, total }))
    }

    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<NotificationPage>, Status> {
        let customer_id = request.into_inner().customer_id;
        let node = Notification {
            id: "n-1".into(),
            customer_id,
            order_id: "order-1".into(),
            title: "Hello".into(),
            body: "It is on its way.".into(),
            at: 1_700_000_000_000,
            topic: "order-shipped".into(),
            mailed_at: Some(1_700_000_001_000),
        };
        let edges = vec![NotificationEdge { cursor: "n".into(), node: Some(node) }];
        Ok(Response::new(NotificationPage { edges, has_next: false, total: 1 }))
    }

    /// Of one's own orders only, as the real one.
    async fn get_timelines(
        &self,
        request: Request<GetTimelinesRequest>,
    ) -> Result<Response<GetTimelinesReply>, Status> {
        let identity = Identity::of(&request)?;
        let mut shop = self.lock();
        shop.asked.push("GetTimelines");
        let timeline = |order_id: String| {
            let order = shop.orders.get(&order_id);
            let own = order.is_some_and(|order| identity.operator || order.customer_id == identity.account);
            let entries = if own { vec![entry(&order_id)] } else { Vec::new() };
            Timeline { order_id, entries }
        };
        let timelines = request.into_inner().order_ids.into_iter().map(timeline).collect();
        Ok(Response::new(GetTimelinesReply { timelines }))
    }

    async fn get_products(&self, request: Request<GetProductsRequest>) -> Result<Response<GetProductsReply>, Status> {
        self.lock().asked.push("GetProducts");
        let product = |sku| Product { sku, name: "A".into(), price: pounds(50), available: 7 };
        let skus = request.into_inner().skus.into_iter().rev().filter(|sku| sku != "GONE");
        Ok(Response::new(GetProductsReply { products: skus.map(product).collect() }))
    }

    async fn list_sales(&self, request: Request<ListSalesRequest>) -> Result<Response<ListSalesReply>, Status> {
        Identity::of(&request)?.require_operator()?;
        self.lock().sales.push(request.into_inner());
        let minute = SalesMinute {
            minute: 1_700_000_040_000,
            currency: "GBP".into(),
            orders: 2,
            pieces: 5,
            revenue: 250,
            refunded: 50,
        };
        Ok(Response::new(ListSalesReply { minutes: vec![minute] }))
    }

    async fn list_read_models(
        &self,
        request: Request<ListReadModelsRequest>,
    ) -> Result<Response<ListReadModelsReply>, Status> {
        Identity::of(&request)?.require_operator()?;
        let model = |name: &str, folded_at, rebuilding_at| ReadModel {
            name: name.into(),
            generation: 1,
            position: 40,
            lag: 2,
            folded_at,
            rebuilding_at,
        };
        let models = vec![model("orders", 1_700_000_000_000, Some(1_700_000_001_000)), model("sales", 0, None)];
        Ok(Response::new(ListReadModelsReply { models, head: 41, unheard: 1 }))
    }

    type RebuildReadModelStream = futures_util::stream::Empty<Result<RebuildProgress, Status>>;

    async fn rebuild_read_model(
        &self,
        _: Request<RebuildReadModelRequest>,
    ) -> Result<Response<Self::RebuildReadModelStream>, Status> {
        Err(Status::unimplemented("not asked by a gateway"))
    }
}

#[tonic::async_trait]
impl Notifications for Fake {
    async fn get_preference(&self, request: Request<GetPreferenceRequest>) -> Result<Response<Preference>, Status> {
        Identity::of(&request)?;
        let customer_id = request.into_inner().customer_id;
        let mail = self.lock().preferences.get(&customer_id).copied().unwrap_or(MailPreference::All);
        Ok(Response::new(Preference { customer_id, mail: mail.into() }))
    }

    async fn set_preference(&self, request: Request<SetPreferenceRequest>) -> Result<Response<Preference>, Status> {
        Identity::of(&request)?;
        let request = request.into_inner();
        let mail = request.mail();
        let customer_id = request.customer_id;
        self.lock().preferences.insert(customer_id.clone(), mail);
        Ok(Response::new(Preference { customer_id, mail: mail.into() }))
    }
}

fn entry(order_id: &str) -> TimelineEntry {
    TimelineEntry {
        at: 1_700_000_000_000,
        service: "order".into(),
        r#type: "OrderPlaced".into(),
        summary: format!("2 of A in {order_id}"),
        event_id: "e-1".into(),
    }
}
