//! The composition root of `orderly up`: who is wired to what.
//!
//! ```text
//!   web ─► gateway ─► order ─► (quote) inventory
//!             │  ├──► inventory          each service: its own store,
//!             │  ├──► payment ─► bank    its own loop, the bus
//!             │  └──► query
//! ```
//!
//! The arrows are gRPC, here in process; everything else goes through the bus. The
//! same parts in processes of their own are [`crate::serve`].

use std::sync::Arc;

use anyhow::Context as _;
use gateway::accounts::Accounts;
use gateway::api::{Api, Connections};
use platform::bus::Bus;
use platform::clock::Clock;
use platform::grpc::{Connection, in_process};
use platform::ops;
use platform::store::Db;
use tokio_util::sync::CancellationToken;

use crate::Stores;
use crate::parts::{self, Ground, Parts};

pub use crate::parts::Options;

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
    parts: Parts,
}

impl Shop {
    /// Declares the topology, brings every store forward and starts every service.
    ///
    /// # Errors
    /// The bus or a store cannot be reached, or is not what it should be.
    pub async fn start(stores: Stores, bus: Arc<dyn Bus>, clock: Clock, options: Options) -> anyhow::Result<Self> {
        let ground = Ground { bus: bus.clone(), clock: clock.clone(), options };
        ground.declare().await?;
        let mut parts = Parts::default();
        let inventory = parts::inventory(&ground, &mut parts, &stores.inventory).await?;
        let connections = Connections {
            orders: parts::order(&ground, &mut parts, &stores.order, inventory.clone()).await?,
            inventory,
            payments: parts::payment(&ground, &mut parts, &stores.payment, &stores.bank).await?,
            notifications: parts::notification(&ground, &mut parts, &stores.notification).await?,
            query: parts::query(&ground, &mut parts, &stores.query).await?,
        };
        let tails = CancellationToken::new();
        let ops = in_process(ops::server(parts.insides(), &parts::SPECS, tails.clone()));
        let accounts = Accounts::open(stores.gateway.clone(), clock).await.context("gateway")?;
        let api = Api::new(connections.clone(), accounts.clone(), bus.clone());
        Ok(Self { api, accounts, connections, ops, tails, bus, gateway: stores.gateway, parts })
    }

    /// Waits until a part of the shop ends by itself, and says which.
    pub async fn failed(&self) -> String {
        self.parts.failed().await
    }

    /// Ends what watches, of customers and operators alike: answers that have no end of
    /// their own, and would keep a server from stopping.
    pub fn end_watches(&self) {
        self.api.end_watches();
        self.tails.cancel();
    }

    /// Ends every task at once, as if the process had been killed. For tests.
    pub fn abort(self) {
        self.parts.abort();
    }

    /// Stops every service: what was taken is decided, what was decided is published as
    /// far as the bus is there.
    pub async fn stop(self) {
        self.tails.cancel();
        drop((self.api, self.connections, self.ops));
        self.parts.stop().await;
        self.gateway.close().await;
        close(&*self.bus).await;
    }
}

/// The orderly end of a bus.
pub(crate) async fn close(bus: &dyn Bus) {
    if let Err(error) = bus.close().await {
        tracing::info!(%error, "the bus was not closed; the outboxes cover what it forgets");
    }
}
