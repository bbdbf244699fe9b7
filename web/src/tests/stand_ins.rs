//! Services to test the pages against: they answer from memory, as the real ones would.

use std::sync::{Arc, Mutex};

use contracts::common::{Card, Money};
use contracts::inventory::inventory_server::{Inventory, InventoryServer};
use contracts::inventory::{
    AdjustStockRequest, Product as StockedProduct, QuoteReply, QuoteRequest, UpsertProductRequest,
};
use contracts::order::orders_server::{Orders, OrdersServer};
use contracts::order::{Order, OrderLine, OrderStatus, PayOrderRequest, PlaceOrderRequest};
use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_server::{Payments, PaymentsServer};
use contracts::query::query_server::{Query, QueryServer};
use contracts::query::{
    GetOrderRequest, GetProductRequest, ListNotificationsRequest, ListOrdersRequest, ListProductsRequest, Notification,
    NotificationEdge, NotificationPage, OrderEdge, OrderPage, OrderView, Product, ProductEdge, ProductPage,
    TimelineEntry,
};
use gateway::Connections;
use platform::grpc::in_process;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// All services in one. Products are given; orders come by being placed.
#[derive(Clone, Default)]
pub(super) struct StandIns {
    pub(super) products: Arc<Vec<Product>>,
    pub(super) orders: Arc<Mutex<Vec<Placed>>>,
}

/// An order and the command that it came by.
#[derive(Clone)]
pub(super) struct Placed {
    pub(super) command: String,
    pub(super) order: Order,
    pub(super) timeline: Vec<TimelineEntry>,
}

/// The products that the tests know.
pub(super) fn product(sku: &str, name: &str, amount: i64, available: i64) -> Product {
    let currency = "GBP".to_owned();
    Product { sku: sku.to_owned(), name: name.to_owned(), price: Some(Money { amount, currency }), available }
}

impl StandIns {
    pub(super) fn connections(&self) -> Connections {
        Connections {
            orders: in_process(OrdersServer::new(self.clone())),
            inventory: in_process(InventoryServer::new(self.clone())),
            payments: in_process(PaymentsServer::new(self.clone())),
            query: in_process(QueryServer::new(self.clone())),
        }
    }

    fn find(&self, wanted: impl Fn(&Placed) -> bool) -> Option<Placed> {
        self.orders.lock().expect("no panic").iter().find(|placed| wanted(placed)).cloned()
    }

    fn priced(&self, line: &contracts::common::LineRequest) -> Result<OrderLine, Status> {
        let found = self.products.iter().find(|product| product.sku == line.sku);
        let product = found.ok_or_else(|| Status::not_found("there is no such product"))?;
        Ok(OrderLine {
            sku: product.sku.clone(),
            name: product.name.clone(),
            quantity: line.quantity,
            unit_price: product.price.as_ref().map_or(0, |price| price.amount),
        })
    }
}

#[tonic::async_trait]
impl Query for StandIns {
    async fn get_product(&self, request: Request<GetProductRequest>) -> Answer<Product> {
        let sku = &request.get_ref().sku;
        let found = self.products.iter().find(|product| product.sku == *sku);
        found.cloned().map(Response::new).ok_or_else(|| Status::not_found("there is no such product"))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Answer<ProductPage> {
        let words = request.get_ref().search.to_lowercase();
        let matching = self.products.iter().filter(|product| product.name.to_lowercase().contains(&words));
        let edges: Vec<_> =
            matching.map(|product| ProductEdge { cursor: product.sku.clone(), node: Some(product.clone()) }).collect();
        let total = i64::try_from(edges.len()).expect("few");
        let has_next = total > 1;
        Ok(Response::new(ProductPage { edges, has_next, total }))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Answer<OrderView> {
        let asked = request.get_ref();
        let found = self.find(|placed| placed.order.id == asked.id);
        let found = found.ok_or_else(|| Status::not_found("there is no such order"))?;
        if asked.min_version.is_some_and(|least| least > found.order.version) {
            return Err(Status::new(platform::error::Code::Stale.grpc(), "not yet"));
        }
        Ok(Response::new(OrderView { order: Some(found.order), timeline: found.timeline }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Answer<OrderPage> {
        let asked = request.get_ref();
        let orders = self.orders.lock().expect("no panic");
        let mine = orders.iter().filter(|placed| {
            (asked.customer_id.is_empty() || placed.order.customer_id == asked.customer_id)
                && (asked.status == 0 || asked.status == placed.order.status)
        });
        let edges: Vec<_> = mine
            .map(|placed| OrderEdge { cursor: placed.order.id.clone(), node: Some(placed.order.clone()) })
            .collect();
        let total = i64::try_from(edges.len()).expect("few");
        Ok(Response::new(OrderPage { edges, has_next: false, total }))
    }

    async fn list_notifications(&self, request: Request<ListNotificationsRequest>) -> Answer<NotificationPage> {
        let customer_id = request.get_ref().customer_id.clone();
        let told = self.find(|placed| placed.order.customer_id == customer_id).map(|placed| NotificationEdge {
            cursor: "1".to_owned(),
            node: Some(Notification {
                id: "1".to_owned(),
                customer_id,
                order_id: placed.order.id,
                title: "Your order is <confirmed>".to_owned(),
                body: "Thank you. Everything is packed and on its way to you.".to_owned(),
                at: placed.order.placed_at,
            }),
        });
        let edges: Vec<_> = told.into_iter().collect();
        let total = i64::try_from(edges.len()).expect("few");
        Ok(Response::new(NotificationPage { edges, has_next: false, total }))
    }
}

#[tonic::async_trait]
impl Orders for StandIns {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Answer<Order> {
        let asked = request.into_inner();
        if let Some(known) = self.find(|placed| placed.command == asked.command_id) {
            return Ok(Response::new(known.order));
        }
        let lines: Vec<OrderLine> = asked.lines.iter().map(|line| self.priced(line)).collect::<Result<_, _>>()?;
        let amount = lines.iter().map(|line| line.unit_price * line.quantity).sum();
        let mut orders = self.orders.lock().expect("no panic");
        let placed_at = platform::clock::Clock::system().now();
        let order = Order {
            id: format!("019ab3f0-0000-7000-8000-{:012x}", orders.len() + 0x3f9a2c),
            version: 2,
            status: OrderStatus::AwaitingPayment.into(),
            status_reason: String::new(),
            customer_id: asked.customer_id,
            lines,
            total: Some(Money { amount, currency: "GBP".to_owned() }),
            placed_at,
            pay_before: Some(placed_at + 900_000),
            address: asked.address,
        };
        orders.push(Placed {
            command: asked.command_id,
            order: order.clone(),
            timeline: vec![entry(placed_at, "order", "OrderPlaced", "Order placed: <b>2</b> items")],
        });
        Ok(Response::new(order))
    }

    async fn pay_order(&self, request: Request<PayOrderRequest>) -> Answer<Order> {
        let asked = request.into_inner();
        let mut orders = self.orders.lock().expect("no panic");
        let found = orders.iter_mut().find(|placed| placed.order.id == asked.order_id);
        let placed = found.ok_or_else(|| Status::not_found("there is no such order"))?;
        if placed.order.status != i32::from(OrderStatus::AwaitingPayment) {
            return Err(Status::aborted("the order does not wait for a card"));
        }
        placed.order.version += 1;
        placed.order.status = OrderStatus::Confirmed.into();
        Ok(Response::new(placed.order.clone()))
    }
}

/// An entry of a timeline.
pub(super) fn entry(at: i64, service: &str, kind: &str, summary: &str) -> TimelineEntry {
    TimelineEntry {
        at,
        service: service.to_owned(),
        r#type: kind.to_owned(),
        summary: summary.to_owned(),
        event_id: format!("{kind}-{at}"),
    }
}

#[tonic::async_trait]
impl Payments for StandIns {
    async fn tokenize_card(&self, request: Request<TokenizeCardRequest>) -> Answer<Card> {
        let number = &request.get_ref().number;
        Ok(Response::new(Card { token: "tok".to_owned(), last4: number[number.len() - 4..].to_owned() }))
    }
}

#[tonic::async_trait]
impl Inventory for StandIns {
    async fn upsert_product(&self, _: Request<UpsertProductRequest>) -> Answer<StockedProduct> {
        Err(Status::unimplemented("no page asks for it"))
    }

    async fn adjust_stock(&self, _: Request<AdjustStockRequest>) -> Answer<StockedProduct> {
        Err(Status::unimplemented("no page asks for it"))
    }

    async fn quote(&self, _: Request<QuoteRequest>) -> Answer<QuoteReply> {
        Err(Status::unimplemented("no page asks for it"))
    }
}
