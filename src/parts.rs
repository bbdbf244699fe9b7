//! The **parts** of a shop: one start function per service, the same whether the
//! services share a process (`orderly up`) or have processes of their own
//! (`orderly serve`). Only what they are given differs: which store, which bus,
//! and whether a neighbour is in this process or behind a socket.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use contracts::inventory::inventory_server::InventoryServer;
use contracts::notification::notifications_server::NotificationsServer;
use contracts::order::orders_server::OrdersServer;
use contracts::query::query_server::QueryServer;
use futures_util::future::select_all;
use notification::Mailer;
use platform::bus::Bus;
use platform::clock::{Clock, Millis};
use platform::grpc::{Connection, in_process};
use platform::ops::Inside;
use platform::runtime::{self, Running, Surroundings};
use platform::service::{Service, Spec};
use platform::store::Db;
use platform::store::parked::Backoff;
use platform::topology::Topology;
use query::notices::Notices;

/// Every service that speaks or listens.
pub(crate) const SPECS: [&Spec; 6] =
    [&order::SPEC, &payment::SPEC, &payment::bank::SPEC, &inventory::SPEC, &notification::SPEC, &query::SPEC];

/// A hundred years, ms: a time that can be added to any date without overflow.
const LONGEST: Millis = 100 * 366 * 24 * 60 * 60 * 1000;

/// Times as many attempts as others make, for who only tells: three hours instead of
/// seven minutes.
const PATIENT: i64 = 20;

/// How the shop does business.
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

/// What every part stands on.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Clock,
    pub(crate) options: Options,
}

/// The services of this process that run: stopped, awaited and looked into together.
#[derive(Default)]
pub(crate) struct Parts {
    running: Vec<Box<dyn Part>>,
}

impl Ground {
    /// Declares the whole topology, whichever part of it this process needs: every
    /// stream and group must be there before the first message is.
    ///
    /// # Errors
    /// The bus cannot be reached, or was made with another number of partitions.
    pub(crate) async fn declare(&self) -> anyhow::Result<()> {
        let mut topology = Topology::new(self.options.partitions);
        for spec in SPECS {
            runtime::declare(spec, &mut topology);
        }
        self.bus.declare(&topology).await.context("the streams cannot be made")
    }

    fn around(&self, db: &Db) -> Surroundings {
        Surroundings {
            db: db.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            partitions: self.options.partitions,
            backoff: self.options.backoff,
        }
    }
}

/// Starts the inventory service.
pub(crate) async fn inventory(ground: &Ground, parts: &mut Parts, db: &Db) -> anyhow::Result<Connection> {
    let running = runtime::start(Arc::new(inventory::Inventory), ground.around(db)).await.context("inventory")?;
    let server = inventory::grpc::InventoryServer::new(running.handle(), db.clone());
    parts.add(running);
    Ok(in_process(InventoryServer::new(server)))
}

/// Starts the order service, which asks `inventory` for prices.
pub(crate) async fn order(
    ground: &Ground,
    parts: &mut Parts,
    db: &Db,
    inventory: Connection,
) -> anyhow::Result<Connection> {
    let options = &ground.options;
    let terms = order::Terms {
        payment_window: millis("payment-window", options.payment_window)?,
        ship_after: millis("ship-after", options.ship_after)?,
        deliver_after: millis("deliver-after", options.deliver_after)?,
    };
    let orders = order::Orders::new(inventory, terms);
    let running = runtime::start(Arc::new(orders), ground.around(db)).await.context("order")?;
    let server = order::grpc::OrdersServer::new(running.handle());
    parts.add(running);
    Ok(in_process(OrdersServer::new(server)))
}

/// Starts the payment service, and the simulated bank that it calls.
pub(crate) async fn payment(ground: &Ground, parts: &mut Parts, db: &Db, bank: &Db) -> anyhow::Result<Connection> {
    let running = runtime::start(Arc::new(payment::bank::Bank), ground.around(bank)).await.context("bank")?;
    let to_the_bank = payment::bank::BankClient::new(running.handle(), ground.clock.clone());
    parts.add(running);
    let payments = Arc::new(payment::Payment::new(to_the_bank));
    parts.add(runtime::start(payments, ground.around(db)).await.context("payment")?);
    Ok(in_process(payment::grpc::server()))
}

/// Starts the notification service.
pub(crate) async fn notification(ground: &Ground, parts: &mut Parts, db: &Db) -> anyhow::Result<Connection> {
    let options = &ground.options;
    let settings = notification::Settings {
        reminder_before: millis("remind-before", options.remind_before)?,
        mailer: options.mailer.clone(),
    };
    // Nobody waits for a mail, and a mail server may be away for hours.
    let backoff = Backoff { attempts: options.backoff.attempts.saturating_mul(PATIENT), ..options.backoff };
    let around = Surroundings { backoff, ..ground.around(db) };
    let running =
        runtime::start(Arc::new(notification::Notification::new(settings)), around).await.context("notification")?;
    let server = notification::grpc::NotificationsServer::new(running.handle(), db.clone());
    parts.add(running);
    Ok(in_process(NotificationsServer::new(server)))
}

/// Starts the query service.
pub(crate) async fn query(ground: &Ground, parts: &mut Parts, db: &Db) -> anyhow::Result<Connection> {
    let running = runtime::start(Arc::new(query::Query), ground.around(db)).await.context("query")?;
    let server = query::grpc::QueryServer::new(
        db.clone(),
        Notices::listen(ground.bus.clone()),
        ground.clock.clone(),
        running.handle(),
        ground.bus.clone(),
    );
    parts.add(running);
    Ok(in_process(QueryServer::new(server)))
}

impl Parts {
    fn add<S: Service>(&mut self, running: Running<S>) {
        self.running.push(Box::new(running));
    }

    /// What operators see of them.
    pub(crate) fn insides(&self) -> Vec<Inside> {
        self.running.iter().map(|part| part.inside()).collect()
    }

    /// Waits until a task of one of them ends by itself, and says which; for ever, if
    /// there are none.
    pub(crate) async fn failed(&self) -> String {
        if self.running.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.running.iter().map(|part| part.failed())).await.0
    }

    /// Ends every task at once, as if the process had been killed. For tests.
    pub(crate) fn abort(self) {
        for part in self.running {
            part.abort();
        }
    }

    /// Stops them, the last one first: who asks was started after who answers.
    pub(crate) async fn stop(self) {
        for part in self.running.into_iter().rev() {
            part.stop().await;
        }
    }
}

/// A running service, whatever it decides.
#[async_trait]
trait Part: Send + Sync {
    fn inside(&self) -> Inside;
    async fn failed(&self) -> String;
    fn abort(self: Box<Self>);
    async fn stop(self: Box<Self>);
}

#[async_trait]
impl<S: Service> Part for Running<S> {
    fn inside(&self) -> Inside {
        Running::inside(self)
    }

    async fn failed(&self) -> String {
        Running::failed(self).await
    }

    fn abort(self: Box<Self>) {
        Running::abort(*self);
    }

    async fn stop(self: Box<Self>) {
        Running::stop(*self).await;
    }
}

/// A time that can be reckoned with, of the setting of this name.
fn millis(setting: &str, time: Duration) -> anyhow::Result<Millis> {
    i64::try_from(time.as_millis())
        .ok()
        .filter(|millis| *millis < LONGEST)
        .with_context(|| format!("--{setting}: {} is too long; a hundred years are", humantime::format_duration(time)))
}
