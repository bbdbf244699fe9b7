//! The stores: one database per service, none shared.

use std::path::Path;

use anyhow::{Context as _, bail};
use platform::store::{Db, StoreError};

use crate::settings::{self, Databases};

/// One database for each who keeps something. The bank is another company; its
/// database is here because it is simulated here.
#[derive(Clone)]
pub struct Stores {
    /// Orders and their events.
    pub order: Db,
    /// The ledger.
    pub payment: Db,
    /// The simulated bank's books.
    pub bank: Db,
    /// Catalogue, stock, reservations.
    pub inventory: Db,
    /// Messages to customers.
    pub notification: Db,
    /// Event log and read models.
    pub query: Db,
    /// Accounts and sessions.
    pub gateway: Db,
}

/// Stands in a database URL for the name of the service.
const PLACEHOLDER: &str = "{service}";

impl Stores {
    /// SQLite files in a folder, made if they are missing.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub async fn in_folder(folder: &Path) -> Result<Self, StoreError> {
        Self::open(|service| folder.join(format!("{service}.db")).to_string_lossy().into_owned()).await
    }

    /// SQLite files that are there already, for a look from outside.
    ///
    /// # Errors
    /// A file is missing or cannot be opened.
    pub async fn in_existing_folder(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("order.db");
        if !file.is_file() {
            bail!("{} is no data folder of orderly: there is no {}", folder.display(), file.display());
        }
        Self::in_folder(folder).await.with_context(|| format!("the stores in {} cannot be opened", folder.display()))
    }

    /// Postgres databases, one per service; `{service}` in the URL stands for
    /// order, payment, bank, inventory, notification, query and gateway.
    ///
    /// # Errors
    /// The placeholder is missing, or a database cannot be reached.
    pub async fn on_postgres(url: &str) -> anyhow::Result<Self> {
        if !url.contains(PLACEHOLDER) {
            bail!("the database URL must contain {PLACEHOLDER}: each service has a database of its own");
        }
        Self::open(|service| url.replace(PLACEHOLDER, service)).await.context("the databases cannot be opened")
    }

    /// The databases that the settings name.
    ///
    /// # Errors
    /// One is not named, or cannot be reached.
    pub(crate) async fn on(databases: &Databases) -> anyhow::Result<Self> {
        let open = async |service| databases.open(service, &settings::EVERY).await;
        Ok(Self {
            order: open("order").await?,
            payment: open("payment").await?,
            bank: open("bank").await?,
            inventory: open("inventory").await?,
            notification: open("notification").await?,
            query: open("query").await?,
            gateway: open("gateway").await?,
        })
    }

    async fn open(address: impl Fn(&str) -> String) -> Result<Self, StoreError> {
        let [order, payment, bank, inventory, notification, query, gateway] =
            ["order", "payment", "bank", "inventory", "notification", "query", "gateway"].map(&address);
        Ok(Self {
            order: Db::open(&order).await?,
            payment: Db::open(&payment).await?,
            bank: Db::open(&bank).await?,
            inventory: Db::open(&inventory).await?,
            notification: Db::open(&notification).await?,
            query: Db::open(&query).await?,
            gateway: Db::open(&gateway).await?,
        })
    }

    /// Closes all of them.
    pub async fn close(&self) {
        for db in
            [&self.order, &self.payment, &self.bank, &self.inventory, &self.notification, &self.query, &self.gateway]
        {
            db.close().await;
        }
    }
}
