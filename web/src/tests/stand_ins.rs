//! Services to test the pages against: they answer from memory, as the real ones would.

mod commands;
mod queries;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use contracts::common::Money;
use contracts::inventory::inventory_server::InventoryServer;
use contracts::notification::MailPreference;
use contracts::notification::notifications_server::NotificationsServer;
use contracts::order::orders_server::OrdersServer;
use contracts::order::{Order, OrderStatus};
use contracts::payment::payments_server::PaymentsServer;
use contracts::query::query_server::QueryServer;
use contracts::query::{Notification, Product, ReadModel, SalesMinute, TimelineEntry};
use gateway::Connections;
use platform::grpc::{Identity, in_process};
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// All services in one. Products are given; orders come by being placed.
#[derive(Clone, Default)]
pub(super) struct StandIns {
    products: Arc<Vec<Product>>,
    state: Arc<Mutex<State>>,
}

/// What has happened, and what the tests have laid out.
#[derive(Default)]
pub(super) struct State {
    pub(super) orders: Vec<Placed>,
    /// Command id -> its first answer.
    answered: HashMap<String, Order>,
    pub(super) notifications: Vec<Notification>,
    pub(super) mail: HashMap<String, MailPreference>,
    pub(super) sales: Vec<SalesMinute>,
    pub(super) models: Vec<ReadModel>,
    /// The notification service cannot be reached.
    pub(super) no_notifications: bool,
    /// The order service cannot be reached.
    pub(super) no_orders: bool,
}

/// An order and what is told of it.
#[derive(Clone)]
pub(super) struct Placed {
    pub(super) order: Order,
    pub(super) timeline: Vec<TimelineEntry>,
}

/// The products that the tests know.
pub(super) fn product(sku: &str, name: &str, amount: i64, available: i64) -> Product {
    let currency = "GBP".to_owned();
    Product { sku: sku.to_owned(), name: name.to_owned(), price: Some(Money { amount, currency }), available }
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

impl StandIns {
    pub(super) fn selling(products: Vec<Product>) -> Self {
        Self { products: Arc::new(products), ..Self::default() }
    }

    pub(super) fn connections(&self) -> Connections {
        Connections {
            orders: in_process(OrdersServer::new(self.clone())),
            inventory: in_process(InventoryServer::new(self.clone())),
            payments: in_process(PaymentsServer::new(self.clone())),
            query: in_process(QueryServer::new(self.clone())),
            notifications: in_process(NotificationsServer::new(self.clone())),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// Brings the last order placed to where a test wants it: one version on.
    pub(super) fn change(&self, status: OrderStatus, change: impl FnOnce(&mut Placed)) {
        let mut state = self.state();
        let placed = state.orders.last_mut().expect("an order");
        placed.order.version += 1;
        placed.order.set_status(status);
        change(placed);
    }
}

impl State {
    /// The order, if the caller may see it.
    fn order<T>(&mut self, request: &Request<T>, id: &str) -> Result<&mut Placed, Status> {
        let identity = Identity::of(request)?;
        let found = self.orders.iter_mut().find(|placed| placed.order.id == id);
        let mine = found.filter(|placed| identity.operator || placed.order.customer_id == identity.account);
        mine.ok_or_else(|| Status::not_found("there is no such order"))
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).expect("few")
}
