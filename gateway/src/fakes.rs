//! Services for the gateway's own tests: the generated server traits over a few
//! maps, connected in process like the real ones. What they were asked is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::common::{Card, Money};
use contracts::inventory::inventory_server::{Inventory, InventoryServer};
use contracts::inventory::{self, AdjustStockRequest, QuoteReply, QuoteRequest, UpsertProductRequest};
use contracts::order::orders_server::{Orders, OrdersServer};
use contracts::order::{Order, OrderLine, OrderStatus, PayOrderRequest, PlaceOrderRequest};
use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_server::{Payments, PaymentsServer};
use contracts::query::query_server::{Query, QueryServer};
use contracts::query::{
    GetOrderRequest, GetProductRequest, ListNotificationsRequest, ListOrdersRequest, ListProductsRequest, Notification,
    NotificationEdge, NotificationPage, OrderChanged, OrderEdge, OrderPage, OrderView, Product, ProductEdge,
    ProductPage, TimelineEntry,
};
use platform::bus::Bus;
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::grpc::{Identity, in_process};
use platform::store::Db;
use tonic::{Request, Response, Status};

use crate::accounts::{Accounts, DEMO_CUSTOMER, DEMO_OPERATOR, DEMO_PASSWORD};
use crate::api::{Api, Connections, Session};

/// What the services know and were asked.
#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) orders: HashMap<String, Order>,
    pub(crate) placed: Vec<PlaceOrderRequest>,
    pub(crate) paid: Vec<PayOrderRequest>,
    pub(crate) tokenized: Vec<String>,
    pub(crate) adjusted: Vec<AdjustStockRequest>,
    pub(crate) listed_for: Vec<String>,
    pub(crate) reads: usize,
}

/// A gateway over such services.
pub(crate) struct Fixture {
    pub(crate) api: Api,
    pub(crate) shop: Fake,
    bus: Arc<EmbeddedBus>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::open_sqlite(&folder.path().join("gateway.db")).await.expect("opens");
        let accounts = Accounts::open(db, Clock::system()).await.expect("migrates");
        accounts.ensure_demo().await.expect("demo accounts");
        let bus = EmbeddedBus::open(None).await.expect("a bus");
        let shop = Fake::default();
        let connections = Connections {
            orders: in_process(OrdersServer::new(shop.clone())),
            inventory: in_process(InventoryServer::new(shop.clone())),
            payments: in_process(PaymentsServer::new(shop.clone())),
            query: in_process(QueryServer::new(shop.clone())),
        };
        Self { api: Api::new(connections, accounts, bus.clone()), shop, bus, _folder: folder }
    }

    pub(crate) async fn ada(&self) -> Session {
        self.api.log_in(DEMO_CUSTOMER, DEMO_PASSWORD).await.expect("logs in")
    }

    pub(crate) async fn operator(&self) -> Session {
        self.api.log_in(DEMO_OPERATOR, DEMO_PASSWORD).await.expect("logs in")
    }

    /// The read model has an order of this customer at this version.
    pub(crate) fn project(&self, id: &str, customer_id: &str, version: i64) {
        let mut order = order(id, customer_id);
        order.version = version;
        self.shop.lock().orders.insert(id.into(), order);
    }

    /// And says so to who watches.
    pub(crate) async fn announce(&self, order_id: &str, version: i64) {
        let notice = OrderChanged { order_id: order_id.into(), customer_id: String::new(), version };
        let body = serde_json::to_string(&notice).expect("JSON");
        self.bus.announce("orderly.query.notices", &[body]).await.expect("announces");
    }
}

/// One value that is all four services.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Shop>>);

impl Fake {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shop> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pounds(amount: i64) -> Option<Money> {
    Some(Money { amount, currency: "GBP".into() })
}

fn order(id: &str, customer_id: &str) -> Order {
    Order {
        id: id.into(),
        version: 1,
        status: OrderStatus::Placed.into(),
        status_reason: String::new(),
        customer_id: customer_id.into(),
        lines: vec![OrderLine { sku: "A".into(), name: "<b>A</b>".into(), quantity: 2, unit_price: 50 }],
        total: pounds(100),
        placed_at: 1_700_000_000_000,
        pay_before: Some(1_700_000_900_000),
        address: None,
    }
}

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
        let product = |n| Product { sku: format!("S{n}"), name: "A".into(), price: pounds(50), available: 1 };
        let edges = (0..first).map(|n| ProductEdge { cursor: format!("c{n}"), node: Some(product(n)) }).collect();
        Ok(Response::new(ProductPage { edges, has_next: true, total: 1_000 }))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<OrderView>, Status> {
        let request = request.into_inner();
        let mut shop = self.lock();
        shop.reads += 1;
        let order = shop.orders.get(&request.id).cloned().ok_or_else(|| Status::not_found("no such order"))?;
        if request.min_version.is_some_and(|wanted| order.version < wanted) {
            return Err(Status::out_of_range("not yet"));
        }
        let entry = TimelineEntry {
            at: 1_700_000_000_000,
            service: "order".into(),
            r#type: "OrderPlaced".into(),
            summary: "2 of A".into(),
            event_id: "e-1".into(),
        };
        let timeline = if request.with_timeline { vec![entry] } else { Vec::new() };
        Ok(Response::new(OrderView { order: Some(order), timeline }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<OrderPage>, Status> {
        let customer_id = request.into_inner().customer_id;
        let mut shop = self.lock();
        let edge = |order: &Order| OrderEdge { cursor: order.id.clone(), node: Some(order.clone()) };
        let edges: Vec<_> = shop.orders.values().map(edge).collect();
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
        };
        let edges = vec![NotificationEdge { cursor: "n".into(), node: Some(node) }];
        Ok(Response::new(NotificationPage { edges, has_next: false, total: 1 }))
    }
}
