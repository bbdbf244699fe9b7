//! The composition root: who is wired to what.
//!
//! ```text
//!   web ─► gateway ─► order ─► (quote) inventory
//!             │  ├──► inventory          each service: its own store,
//!             │  ├──► payment ─► bank    its own loop, the bus
//!             │  └──► query
//! ```
//!
//! The arrows are gRPC, here in process; everything else goes through the bus.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use contracts::inventory::inventory_server::InventoryServer;
use contracts::notification::notifications_server::NotificationsServer;
use contracts::order::orders_server::OrdersServer;
use contracts::query::query_server::QueryServer;
use gateway::accounts::Accounts;
use gateway::api::{Api, Connections};
use notification::Mailer;
use platform::bus::Bus;
use platform::clock::{Clock, Millis};
use platform::grpc::{Connection, in_process};
use platform::ops;
use platform::runtime::{self, Running, Surroundings};
use platform::service::Spec;
use platform::store::Db;
use platform::store::parked::Backoff;
use platform::topology::Topology;
use query::notices::Notices;
use tokio_util::sync::CancellationToken;

use crate::Stores;

/// Every service that speaks or listens.
const SPECS: [&Spec; 6] =
    [&order::SPEC, &payment::SPEC, &payment::bank::SPEC, &inventory::SPEC, &notification::SPEC, &query::SPEC];

/// A hundred years, ms: a time that can be added to any date without overflow.
const LONGEST: Millis = 100 * 366 * 24 * 60 * 60 * 1000;

/// Times as many attempts as others make, for who only tells: three hours instead of
/// seven minutes.
const PATIENT: i64 = 20;

/// What a shop is started with, beside its stores and its bus.
#[derive(Clone)]
pub struct Options {
    /// From placing an order to the deadline of its payment.
    pub payment_window: Duration,
    /// From confirming an order to shipping it.
    pub ship_after: Duration,
    /// From shipping an order to its delivery.
    pub deliver_after: Duration,
    /// How long before its deadline a customer is reminded to pay.
    pub remind_before: Duration,
    /// Where mails go out; `None`: messages are kept and shown, not mailed.
    pub mailer: Option<Mailer>,
    /// Partitions per stream.
    pub partitions: u32,
    /// How failing messages are tried again.
    pub backoff: Backoff,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            payment_window: Duration::from_secs(15 * 60),
            ship_after: Duration::from_secs(60),
            deliver_after: Duration::from_secs(120),
            remind_before: Duration::from_secs(5 * 60),
            mailer: None,
            partitions: 1,
            backoff: Backoff::default(),
        }
    }
}

/// A running shop.
pub struct Shop {
    /// What the gateway offers, to GraphQL and web alike.
    pub api: Api,
    /// Accounts and sessions.
    pub accounts: Accounts,
    /// The services themselves, past the gateway: for the shop's own people.
    pub connections: Connections,
    /// What the services show of their inside.
    pub ops: Connection,
    /// Ends every look that would go on for ever.
    tails: CancellationToken,
    bus: Arc<dyn Bus>,
    gateway: Db,
    order: Running<order::Orders>,
    payment: Running<payment::Payment>,
    bank: Running<payment::bank::Bank>,
    stock: Running<inventory::Inventory>,
    notification: Running<notification::Notification>,
    query: Running<query::Query>,
}

impl Shop {
    /// Declares the topology, brings every store forward and starts every service.
    ///
    /// # Errors
    /// The bus or a store cannot be reached, or is not what it should be.
    pub async fn start(stores: Stores, bus: Arc<dyn Bus>, clock: Clock, options: Options) -> anyhow::Result<Self> {
        let mut topology = Topology::new(options.partitions);
        for spec in SPECS {
            runtime::declare(spec, &mut topology);
        }
        bus.declare(&topology).await.context("the streams cannot be made")?;
        let around = |db: &Db| Surroundings {
            db: db.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            partitions: options.partitions,
            backoff: options.backoff,
        };

        let stock =
            runtime::start(Arc::new(inventory::Inventory), around(&stores.inventory)).await.context("inventory")?;
        let inventory = in_process(InventoryServer::new(inventory::grpc::InventoryServer::new(
            stock.handle(),
            stores.inventory.clone(),
        )));
        let terms = order::Terms {
            payment_window: millis("the payment window", options.payment_window)?,
            ship_after: millis("the time until shipping", options.ship_after)?,
            deliver_after: millis("the time until delivery", options.deliver_after)?,
        };
        let orders = order::Orders::new(inventory.clone(), terms);
        let order = runtime::start(Arc::new(orders), around(&stores.order)).await.context("order")?;
        let bank = runtime::start(Arc::new(payment::bank::Bank), around(&stores.bank)).await.context("bank")?;
        let to_the_bank = payment::bank::BankClient::new(bank.handle(), clock.clone());
        let payment = runtime::start(Arc::new(payment::Payment::new(to_the_bank)), around(&stores.payment))
            .await
            .context("payment")?;
        let settings = notification::Settings {
            reminder_before: millis("the time from reminder to deadline", options.remind_before)?,
            mailer: options.mailer.clone(),
        };
        // Nobody waits for a mail, and a mail server may be away for hours.
        let backoff = Backoff { attempts: options.backoff.attempts.saturating_mul(PATIENT), ..options.backoff };
        let around_notification = Surroundings { backoff, ..around(&stores.notification) };
        let notification = runtime::start(Arc::new(notification::Notification::new(settings)), around_notification)
            .await
            .context("notification")?;
        let query = runtime::start(Arc::new(query::Query), around(&stores.query)).await.context("query")?;

        let connections = Connections {
            orders: in_process(OrdersServer::new(order::grpc::OrdersServer::new(order.handle()))),
            inventory,
            payments: in_process(payment::grpc::server()),
            query: in_process(QueryServer::new(query::grpc::QueryServer::new(
                stores.query.clone(),
                Notices::listen(bus.clone()),
                clock.clone(),
                query.handle(),
                bus.clone(),
            ))),
            notifications: in_process(NotificationsServer::new(notification::grpc::NotificationsServer::new(
                notification.handle(),
                stores.notification.clone(),
            ))),
        };
        let tails = CancellationToken::new();
        let insides =
            [order.inside(), payment.inside(), bank.inside(), stock.inside(), notification.inside(), query.inside()];
        let ops = in_process(ops::server(insides, tails.clone()));
        let accounts = Accounts::open(stores.gateway.clone(), clock.clone()).await.context("gateway")?;
        let api = Api::new(connections.clone(), accounts.clone(), bus.clone());
        Ok(Self {
            api,
            accounts,
            connections,
            ops,
            tails,
            bus,
            gateway: stores.gateway,
            order,
            payment,
            bank,
            stock,
            notification,
            query,
        })
    }

    /// Waits until a part of the shop ends by itself, and says which.
    pub async fn failed(&self) -> String {
        tokio::select! {
            what = self.order.failed() => what,
            what = self.payment.failed() => what,
            what = self.bank.failed() => what,
            what = self.stock.failed() => what,
            what = self.notification.failed() => what,
            what = self.query.failed() => what,
        }
    }

    /// Ends what watches, of customers and operators alike: answers that have no end of
    /// their own, and would keep a server from stopping.
    pub fn end_watches(&self) {
        self.api.end_watches();
        self.tails.cancel();
    }

    /// Ends every task at once, as if the process had been killed. For tests.
    pub fn abort(self) {
        self.order.abort();
        self.payment.abort();
        self.bank.abort();
        self.stock.abort();
        self.notification.abort();
        self.query.abort();
    }

    /// Stops every service in order: who asks before who answers.
    pub async fn stop(self) {
        self.tails.cancel();
        drop((self.api, self.connections, self.ops));
        self.order.stop().await;
        self.payment.stop().await;
        self.bank.stop().await;
        self.stock.stop().await;
        self.notification.stop().await;
        self.query.stop().await;
        self.gateway.close().await;
        if let Err(error) = self.bus.close().await {
            tracing::info!(%error, "the bus was not closed; the outboxes cover what it forgets");
        }
    }
}

fn millis(what: &str, time: Duration) -> anyhow::Result<Millis> {
    i64::try_from(time.as_millis())
        .ok()
        .filter(|millis| *millis < LONGEST)
        .with_context(|| format!("{what} is too long"))
}
