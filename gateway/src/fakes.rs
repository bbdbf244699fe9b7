//! Services for the gateway's own tests: the generated server traits over a few
//! maps, connected in process like the real ones. What they were asked is kept.

mod services;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::common::Money;
use contracts::inventory::AdjustStockRequest;
use contracts::inventory::inventory_server::InventoryServer;
use contracts::notification::MailPreference;
use contracts::notification::notifications_server::NotificationsServer;
use contracts::order::orders_server::OrdersServer;
use contracts::order::{
    CancelOrderRequest, Order, OrderLine, OrderStatus, PayOrderRequest, PlaceOrderRequest, ReturnOrderRequest,
};
use contracts::payment::payments_server::PaymentsServer;
use contracts::query::query_server::QueryServer;
use contracts::query::{ListSalesRequest, OrderChanged};
use platform::bus::Bus;
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::grpc::in_process;
use platform::store::Db;

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
    pub(crate) cancelled: Vec<CancelOrderRequest>,
    pub(crate) returned: Vec<ReturnOrderRequest>,
    pub(crate) preferences: HashMap<String, MailPreference>,
    pub(crate) sales: Vec<ListSalesRequest>,
    pub(crate) listed_for: Vec<String>,
    /// What the query service was asked, by the names of the calls.
    pub(crate) asked: Vec<&'static str>,
    /// How many of the next `GetOrder` fail.
    pub(crate) failing: usize,
}

/// A gateway over such services.
pub(crate) struct Fixture {
    pub(crate) api: Api,
    pub(crate) shop: Fake,
    /// The accounts' own.
    pub(crate) clock: Clock,
    bus: Arc<EmbeddedBus>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::open_sqlite(&folder.path().join("gateway.db")).await.expect("opens");
        let clock = Clock::manual(1_700_000_000_000);
        let accounts = Accounts::open(db, clock.clone()).await.expect("migrates");
        accounts.ensure_demo().await.expect("demo accounts");
        let bus = EmbeddedBus::open(None).await.expect("a bus");
        let shop = Fake::default();
        let connections = Connections {
            orders: in_process(OrdersServer::new(shop.clone())),
            inventory: in_process(InventoryServer::new(shop.clone())),
            payments: in_process(PaymentsServer::new(shop.clone())),
            query: in_process(QueryServer::new(shop.clone())),
            notifications: in_process(NotificationsServer::new(shop.clone())),
        };
        Self { api: Api::new(connections, accounts, bus.clone()), shop, clock, bus, _folder: folder }
    }

    pub(crate) async fn ada(&self) -> Session {
        self.api.log_in(DEMO_CUSTOMER, DEMO_PASSWORD, None).await.expect("logs in")
    }

    pub(crate) async fn operator(&self) -> Session {
        self.api.log_in(DEMO_OPERATOR, DEMO_PASSWORD, None).await.expect("logs in")
    }

    /// The read model has an order of this customer at this version.
    pub(crate) fn project(&self, id: &str, customer_id: &str, version: i64) {
        let mut order = order(id, customer_id);
        order.version = version;
        self.shop.lock().orders.insert(id.into(), order);
    }

    /// More is announced at once than whoever listens can hear.
    pub(crate) async fn announce_too_much(&self) {
        let notice = OrderChanged { order_id: "noise".into(), version: 1, ..placed() };
        let bodies = vec![serde_json::to_string(&notice).expect("JSON"); 100_000];
        self.bus.announce("orderly.query.notices", &bodies).await.expect("announces");
    }

    /// And says so to who watches.
    pub(crate) async fn announce(&self, order_id: &str, version: i64) {
        self.announce_all(&[OrderChanged { order_id: order_id.into(), version, ..placed() }]).await;
    }

    /// What one commit has changed.
    pub(crate) async fn announce_all(&self, notices: &[OrderChanged]) {
        let bodies: Vec<_> = notices.iter().map(|notice| serde_json::to_string(notice).expect("JSON")).collect();
        self.bus.announce("orderly.query.notices", &bodies).await.expect("announces");
    }
}

/// One value that is all five services.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Shop>>);

impl Fake {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shop> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A notice of nobody's order.
pub(crate) fn placed() -> OrderChanged {
    OrderChanged { status: OrderStatus::Placed.into(), at: 1_700_000_000_000, ..OrderChanged::default() }
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
        lines: vec![OrderLine { sku: "A".into(), name: "<b>A</b>".into(), quantity: 2, unit_price: 50, returned: 0 }],
        total: pounds(100),
        placed_at: 1_700_000_000_000,
        pay_before: Some(1_700_000_900_000),
        address: None,
        refunded: pounds(0),
        unwinding: false,
        fulfil_at: None,
    }
}
