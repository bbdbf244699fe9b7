//! The services themselves, asked by gRPC past the gateway, which would have refused most of this.
//!
//! Run on SQLite and on Postgres, since one hostile text may fail a whole set in one of them (a NUL
//! in Postgres). Text that is no UTF-8 cannot be said with the generated types, so one call is made
//! with a type of the same shape that has bytes in the place of its text.
//!
//! What comes after the sale is in `after_sale.rs`, what only operators ask in `operators.rs`, and
//! the same over the real port, with and without its token, in `over_socket.rs`.

mod after_sale;
mod operators;
mod over_socket;

use std::path::Path;
use std::time::Duration;

use contracts::common::{Address, Card, LineRequest, Money, Page};
use contracts::inventory::inventory_client::InventoryClient;
use contracts::inventory::{AdjustStockRequest, QuoteRequest, UpsertProductRequest};
use contracts::notification::notifications_client::NotificationsClient;
use contracts::ops::ops_client::OpsClient;
use contracts::order::orders_client::OrdersClient;
use contracts::order::{PayOrderRequest, PlaceOrderRequest};
use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_client::PaymentsClient;
use contracts::query::query_client::QueryClient;
use contracts::query::{
    GetOrderRequest, GetProductRequest, ListNotificationsRequest, ListOrdersRequest, ListProductsRequest,
};
use gateway::api::{Caller, CardNumber, Connections, LineRequest as Line, OrderStatus, PlaceOrder};
use orderly::shop::{Options, Shop};
use orderly::{Stores, audit};
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::grpc::Identity;
use platform::store::parked::Backoff;
use tonic::Code::{self, InvalidArgument, NotFound, Ok as Fine, OutOfRange, PermissionDenied, Unauthenticated};
use tonic::{Response, Status};

use super::hostile::{self, Hostile};
use super::{APPROVED, CUSTOMER, OPERATOR, PASSWORD, PATIENCE, PLENTY, assert_none};
use crate::{servers, topologies};

#[tokio::test(flavor = "multi_thread")]
async fn the_services_answer_bad_input_with_its_code_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = Stores::in_folder(folder.path()).await.expect("the stores open");
    ask_everything(stores, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_answer_bad_input_with_its_code_on_postgres() {
    let folder = tempfile::tempdir().expect("a folder");
    let postgres = servers::postgres().await.expect("Postgres starts");
    let url = topologies::databases(postgres).await.expect("databases");
    let stores = Stores::on_postgres(&url).await.expect("the stores open");
    ask_everything(stores, folder.path()).await;
}

async fn ask_everything(stores: Stores, folder: &Path) {
    let bus = EmbeddedBus::open(Some(&folder.join("bus.db"))).await.expect("the bus opens");
    let clock = Clock::system();
    // What is sold arrives at once, and what fails is soon a dead letter.
    let (at_once, backoff) = (Duration::from_millis(1), Backoff { first: 1, cap: 1, attempts: 2 });
    let options = Options { ship_after: at_once, deliver_after: at_once, backoff, ..Options::default() };
    let shop = Shop::start(stores.clone(), bus, clock.clone(), options).await.expect("the shop starts");
    shop.accounts.ensure_demo().await.expect("the demo log-ins are made");
    let session = shop.api.log_in(OPERATOR, PASSWORD, None).await.expect("logs in");
    let mut desk = Desk::open(shop.connections.clone(), shop.ops.clone(), session.account.id).await;
    desk.ask_everything().await;
    assert_none(&desk.wrong);

    buy_something(&shop).await;
    for finding in audit(&stores, &clock).await.expect("the stores answer") {
        assert!(finding.breaches.is_empty(), "{finding:?}");
    }
    shop.stop().await;
    stores.close().await;
}

async fn buy_something(shop: &Shop) {
    let session = shop.api.log_in(CUSTOMER, PASSWORD, None).await.expect("logs in");
    let ada = Caller::Account(session.account);
    let lines = vec![Line { sku: PLENTY.into(), quantity: 1 }];
    let card = Some(CardNumber::from(APPROVED));
    let order = PlaceOrder { lines, card, address: None, customer: None, idempotency_key: None };
    let order = shop.api.place_order(&ada, order).await.expect("the order is taken");
    let confirmed = servers::until("the order arrives", PATIENCE, async || {
        let order = shop.api.order(&ada, &order.id, None).await?;
        Ok(order.filter(|order| order.status == OrderStatus::Delivered))
    });
    confirmed.await.expect("the shop still sells");
}

/// A text of `TokenizeCardRequest`, as bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct TokenizeBytes {
    #[prost(bytes = "vec", tag = "1")]
    number: Vec<u8>,
}

/// Where the questions are asked and the wrong answers kept.
struct Desk {
    orders: OrdersClient<platform::grpc::Connection>,
    inventory: InventoryClient<platform::grpc::Connection>,
    payments: PaymentsClient<platform::grpc::Connection>,
    query: QueryClient<platform::grpc::Connection>,
    notifications: NotificationsClient<platform::grpc::Connection>,
    ops: OpsClient<platform::grpc::Connection>,
    raw: platform::grpc::Connection,
    operator: Identity,
    wrong: Vec<String>,
}

impl Desk {
    async fn open(connections: Connections, ops: platform::grpc::Connection, operator: String) -> Self {
        let mut desk = Self {
            raw: connections.payments.clone(),
            orders: OrdersClient::new(connections.orders),
            inventory: InventoryClient::new(connections.inventory),
            payments: PaymentsClient::new(connections.payments),
            query: QueryClient::new(connections.query),
            notifications: NotificationsClient::new(connections.notifications),
            ops: OpsClient::new(ops),
            operator: Identity { account: operator, operator: true },
            wrong: Vec::new(),
        };
        desk.upsert("a product", Fine, |_| {}).await;
        desk.adjust("its stock", Fine, |request| request.delta = 10_000).await;
        desk
    }

    async fn ask_everything(&mut self) {
        for text in hostile::all() {
            self.orders(&text).await;
            self.inventory(&text).await;
            self.payments_and_reads(&text).await;
            self.after_sale(&text).await;
            self.operating(&text).await;
        }
        self.numbers().await;
        self.returns().await;
        self.reports().await;
        self.dead_letters().await;
        self.identities().await;
        self.strangers().await;
        self.too_much().await;
        self.no_text().await;
    }

    fn judge<T>(&mut self, what: &str, wanted: Code, answer: Result<Response<T>, Status>) {
        let (code, message) = match answer {
            Ok(_) => (Fine, String::new()),
            Err(status) => (status.code(), status.message().to_owned()),
        };
        // Whoever shows a message may show it to a browser.
        if code != wanted || hostile::runnable_in(&message).is_some() {
            self.wrong.push(format!("{what}: {code:?}, should be {wanted:?} ({message:.100})"));
        }
    }

    fn ask<T>(&self, message: T) -> tonic::Request<T> {
        self.operator.request(message).expect("a plain account")
    }

    /// Places an order that is right but for what is changed in it.
    async fn place(&mut self, what: &str, wanted: Code, change: impl FnOnce(&mut PlaceOrderRequest)) {
        let mut request = PlaceOrderRequest {
            customer_id: "c-1".into(),
            customer_email: "c@example.com".into(),
            lines: vec![LineRequest { sku: PLENTY.into(), quantity: 1 }],
            ..PlaceOrderRequest::default()
        };
        change(&mut request);
        let answer = self.orders.place_order(self.ask(request)).await;
        self.judge(&format!("PlaceOrder, {what}"), wanted, answer);
    }

    async fn pay(&mut self, what: &str, wanted: Code, change: impl FnOnce(&mut PayOrderRequest)) {
        let card = Card { token: "tok_approve_4242".into(), last4: "4242".into() };
        let mut request =
            PayOrderRequest { order_id: "nobody-s".into(), card: Some(card), ..PayOrderRequest::default() };
        change(&mut request);
        let answer = self.orders.pay_order(self.ask(request)).await;
        self.judge(&format!("PayOrder, {what}"), wanted, answer);
    }

    async fn upsert(&mut self, what: &str, wanted: Code, change: impl FnOnce(&mut UpsertProductRequest)) {
        let price = Some(Money { amount: 100, currency: "GBP".into() });
        let mut request = UpsertProductRequest {
            sku: PLENTY.into(),
            name: "Plenty".into(),
            price,
            ..UpsertProductRequest::default()
        };
        change(&mut request);
        let answer = self.inventory.upsert_product(self.ask(request)).await;
        self.judge(&format!("UpsertProduct, {what}"), wanted, answer);
    }

    async fn adjust(&mut self, what: &str, wanted: Code, change: impl FnOnce(&mut AdjustStockRequest)) {
        let mut request = AdjustStockRequest { sku: PLENTY.into(), delta: 1, ..AdjustStockRequest::default() };
        change(&mut request);
        let answer = self.inventory.adjust_stock(self.ask(request)).await;
        self.judge(&format!("AdjustStock, {what}"), wanted, answer);
    }

    async fn orders(&mut self, text: &Hostile) {
        let said = |field: &str| format!("{field} = {}", text.name);
        let value = || text.text.clone();
        self.place(&said("customer"), line(text, 100), |request| request.customer_id = value()).await;
        let email = if text.text.is_empty() { Fine } else { line(text, 254) };
        self.place(&said("email"), email, |request| request.customer_email = value()).await;
        self.place(&said("sku"), key(text, NotFound), |request| request.lines[0].sku = value()).await;
        let command = if text.text.is_empty() { Fine } else { line(text, 400) };
        self.place(&said("command_id"), command, |request| request.command_id = value()).await;
        let card = |token: String, last4: String| Some(Card { token, last4 });
        self.place(&said("token"), key(text, Fine), |request| request.card = card(value(), "4242".into())).await;
        self.place(&said("last4"), InvalidArgument, |request| request.card = card("tok".into(), value())).await;
        let fields: [fn(&mut Address) -> &mut String; 5] = [
            |address| &mut address.recipient,
            |address| &mut address.street,
            |address| &mut address.city,
            |address| &mut address.postal_code,
            |address| &mut address.country,
        ];
        let part = if text.text.is_empty() { Fine } else { line(text, 200) };
        for field in fields {
            let mut address = Address::default();
            *field(&mut address) = value();
            self.place(&said("address"), part, |request| request.address = Some(address)).await;
        }
        self.pay(&said("order_id"), NotFound, |request| request.order_id = value()).await;
        let token = Card { token: value(), last4: "4242".into() };
        self.pay(&said("token"), key(text, NotFound), |request| request.card = Some(token)).await;
        // Of its own, or it would be the other command's.
        let own = Hostile { text: format!("{}pay", text.text), ..text.clone() };
        let command = if line(&own, 400) == Fine { NotFound } else { InvalidArgument };
        self.pay(&said("command_id"), command, |request| request.command_id = own.text).await;
    }

    async fn inventory(&mut self, text: &Hostile) {
        let said = |field: &str| format!("{field} = {}", text.name);
        let value = || text.text.clone();
        self.upsert(&said("sku"), key(text, Fine), |request| request.sku = value()).await;
        self.upsert(&said("name"), line(text, 200), |request| request.name = value()).await;
        let price = Some(Money { amount: 1, currency: value() });
        self.upsert(&said("currency"), InvalidArgument, |request| request.price = price).await;
        self.adjust(&said("sku"), key(text, Fine), |request| request.sku = value()).await;
        let answer = self.inventory.quote(QuoteRequest { skus: vec![PLENTY.into(), value()] }).await;
        self.judge(&said("Quote, sku"), key(text, Fine), answer);
    }

    async fn payments_and_reads(&mut self, text: &Hostile) {
        let said = |field: &str| format!("{field} = {}", text.name);
        let value = || text.text.clone();
        let page = || Some(Page { first: 1, after: None });
        let after = || Some(Page { first: 1, after: Some(value()) });
        let answer = self.payments.tokenize_card(TokenizeCardRequest { number: value() }).await;
        self.judge(&said("TokenizeCard, number"), InvalidArgument, answer);
        // Of its own, since a path has just become a product.
        let sku = if text.is_key() { format!("{}/none", text.text) } else { value() };
        let answer = self.query.get_product(GetProductRequest { sku }).await;
        self.judge(&said("GetProduct, sku"), key(text, NotFound), answer);
        // White space of any kind parts the words.
        let words = value().split_whitespace().all(|word| !word.chars().any(char::is_control));
        let search = if words && text.text.chars().count() <= 200 { Fine } else { InvalidArgument };
        let answer = self.query.list_products(ListProductsRequest { search: value(), page: page() }).await;
        self.judge(&said("ListProducts, search"), search, answer);
        let answer = self.query.list_products(ListProductsRequest { search: String::new(), page: after() }).await;
        self.judge(&said("ListProducts, after"), InvalidArgument, answer);
        let order = GetOrderRequest { id: value(), ..GetOrderRequest::default() };
        let answer = self.query.get_order(self.ask(order)).await;
        self.judge(&said("GetOrder, id"), key(text, NotFound), answer);
        let orders = ListOrdersRequest { customer_id: value(), status: 0, page: page() };
        let answer = self.query.list_orders(self.ask(orders)).await;
        let customer = if text.text.is_empty() { Fine } else { key(text, Fine) };
        self.judge(&said("ListOrders, customer_id"), customer, answer);
        let orders = ListOrdersRequest { customer_id: String::new(), status: 0, page: after() };
        let answer = self.query.list_orders(self.ask(orders)).await;
        self.judge(&said("ListOrders, after"), InvalidArgument, answer);
        let told = ListNotificationsRequest { customer_id: value(), page: page() };
        let answer = self.query.list_notifications(self.ask(told)).await;
        self.judge(&said("ListNotifications, customer_id"), customer, answer);
    }

    async fn numbers(&mut self) {
        for quantity in [0, -1, 1_000_001, 2_147_483_648, i64::MAX, i64::MIN] {
            let what = format!("quantity {quantity}");
            self.place(&what, InvalidArgument, |request| request.lines[0].quantity = quantity).await;
        }
        for amount in [0, -1, 2_147_483_648, i64::MAX, i64::MIN] {
            let price = Some(Money { amount, currency: "GBP".into() });
            self.upsert(&format!("amount {amount}"), InvalidArgument, |request| request.price = price).await;
        }
        self.upsert("no price", InvalidArgument, |request| request.price = None).await;
        for delta in [2_147_483_648, i64::MAX] {
            self.adjust(&format!("delta {delta}"), InvalidArgument, |request| request.delta = delta).await;
        }
        for delta in [-2_147_483_648, i64::MIN] {
            let what = format!("delta {delta}");
            self.adjust(&what, Code::FailedPrecondition, |request| request.delta = delta).await;
        }
        self.adjust("an unknown product", NotFound, |request| request.sku = "NOT-SOLD".into()).await;
        self.place("an unknown product", NotFound, |request| request.lines[0].sku = "NOT-SOLD".into()).await;
        self.place("no lines", InvalidArgument, |request| request.lines.clear()).await;
        self.pay("no card", InvalidArgument, |request| request.card = None).await;
        for first in [0, -1, 101, i32::MAX, i32::MIN] {
            let page = Some(Page { first, after: None });
            let orders = ListOrdersRequest { customer_id: String::new(), status: 0, page };
            let answer = self.query.list_orders(self.ask(orders)).await;
            self.judge(&format!("ListOrders, first {first}"), InvalidArgument, answer);
        }
        for status in [-1, 11, i32::MAX, i32::MIN] {
            let page = Some(Page { first: 1, after: None });
            let orders = ListOrdersRequest { customer_id: String::new(), status, page };
            let answer = self.query.list_orders(self.ask(orders)).await;
            self.judge(&format!("ListOrders, status {status}"), InvalidArgument, answer);
        }
        for (min_version, wanted) in
            [(-1, InvalidArgument), (i64::MIN, InvalidArgument), (0, NotFound), (i64::MAX, OutOfRange)]
        {
            let order = GetOrderRequest {
                id: "nobody-s".into(),
                min_version: Some(min_version),
                with_timeline: true,
                at: None,
            };
            let answer = self.query.get_order(self.ask(order)).await;
            self.judge(&format!("GetOrder, min_version {min_version}"), wanted, answer);
        }
    }

    async fn identities(&mut self) {
        let customer = Identity { account: "c-2".into(), operator: false };
        let place = PlaceOrderRequest {
            customer_id: "c-1".into(),
            lines: vec![LineRequest { sku: PLENTY.into(), quantity: 1 }],
            ..PlaceOrderRequest::default()
        };
        let answer = self.orders.place_order(customer.request(place.clone()).expect("plain")).await;
        self.judge("PlaceOrder for another", PermissionDenied, answer);
        let answer = self.orders.place_order(place).await;
        self.judge("PlaceOrder of nobody", Unauthenticated, answer);
        let adjust = AdjustStockRequest { sku: PLENTY.into(), delta: 1, command_id: String::new() };
        let answer = self.inventory.adjust_stock(customer.request(adjust.clone()).expect("plain")).await;
        self.judge("AdjustStock of a customer", PermissionDenied, answer);
        let answer = self.inventory.adjust_stock(adjust).await;
        self.judge("AdjustStock of nobody", Unauthenticated, answer);
        assert!(Identity { account: "a\nb".into(), operator: true }.request(()).is_err());
    }

    async fn too_much(&mut self) {
        let line = |n: usize| LineRequest { sku: format!("S-{n}"), quantity: 1 };
        self.place("1,000 lines", InvalidArgument, |request| request.lines = (0..1_000).map(line).collect()).await;
        let skus = (0..1_000).map(|n| format!("S-{n}")).collect();
        let answer = self.inventory.quote(QuoteRequest { skus }).await;
        self.judge("Quote, 1,000 SKUs", InvalidArgument, answer);
        // More than a message may have: refused before it is read.
        let large = "x".repeat(10 << 20);
        self.place("10 MB of email", OutOfRange, |request| request.customer_email = large.clone()).await;
        self.upsert("10 MB of name", OutOfRange, |request| request.name = large).await;
    }

    /// Bytes that are no UTF-8 where a text should be. That is no message of the schema, for which
    /// gRPC itself has the code.
    async fn no_text(&mut self) {
        for bytes in [&b"\xff\xfe"[..], b"4242\xc3\x28", b"\xed\xa0\x80"] {
            let codec = tonic_prost::ProstCodec::<TokenizeBytes, Card>::default();
            let path = http::uri::PathAndQuery::from_static("/orderly.payment.v1.Payments/TokenizeCard");
            let mut client = tonic::client::Grpc::new(self.raw.clone());
            client.ready().await.expect("is ready");
            let answer = client.unary(self.ask(TokenizeBytes { number: bytes.to_vec() }), path, codec).await;
            self.judge("TokenizeCard, no UTF-8", Code::Internal, answer);
        }
    }
}

/// What the services take as a line of text.
fn line(text: &Hostile, most: usize) -> Code {
    let fits = !text.is_blank() && !text.has_control() && text.text.chars().count() <= most;
    if fits { Fine } else { InvalidArgument }
}

/// What the services take as a key, and what they answer to one that they do not know.
fn key(text: &Hostile, unknown: Code) -> Code {
    if text.is_key() { unknown } else { InvalidArgument }
}
