//! The contract of the store: one suite of tests, run over both engines, and on SQLite both ways:
//! as those ask who share their thread, and row by row, as a service loop does on its own.
//!
//! A test is a function over a [`Store`] and knows the engine only where the
//! promise itself differs; [`contract!`] makes one test of it for each. SQLite is
//! a file of its own, Postgres a database of its own in the shared server.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "store_contract/concurrency.rs"]
mod concurrency;
#[path = "store_contract/inbox.rs"]
mod inbox;
#[path = "store_contract/leases.rs"]
mod leases;
#[path = "store_contract/migrations.rs"]
mod migrations;
#[path = "store_contract/outbox.rs"]
mod outbox;
#[path = "store_contract/parked.rs"]
mod parked;
#[path = "store_contract/transactions.rs"]
mod transactions;

use anyhow::Result;
use platform::store::{Db, Migration, StoreError, Tx};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The table of the tests. `version` is what concurrent changes are tested by.
const THINGS: [Migration; 1] = [Migration {
    version: 1,
    name: "things",
    sql: "CREATE TABLE things (
              key TEXT PRIMARY KEY, n BIGINT NOT NULL CHECK (n <> -666), note TEXT, version BIGINT NOT NULL)",
}];

const INSERT: &str = "INSERT INTO things (key, n, note, version)
    SELECT r.value->>'key', CAST(r.value->>'n' AS BIGINT), r.value->>'note', 1 FROM jsonb_each($1) AS r";

const UPDATE: &str = "UPDATE things SET n = CAST(r.value->>'n' AS BIGINT), version = things.version + 1
    FROM jsonb_each($1) AS r
    WHERE things.key = r.value->>'key' AND things.version = CAST(r.value->>'version' AS BIGINT)";

/// A store of its own for one test.
struct Store {
    /// What [`Db::open`] takes.
    address: String,
    db: Db,
    #[allow(dead_code, reason = "removed at the end")]
    folder: Option<TempDir>,
}

impl Store {
    async fn sqlite() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = folder.path().join("store.db").display().to_string();
        Ok(Self { db: Db::open(&address).await?, address, folder: Some(folder) })
    }

    async fn sqlite_row_by_row() -> Result<Self> {
        let store = Self::sqlite().await?;
        Ok(Self { db: store.db.on_this_thread(), ..store })
    }

    async fn postgres() -> Result<Self> {
        let address = crate::servers::postgres().await?.fresh_database().await?;
        Ok(Self { db: Db::open(&address).await?, address, folder: None })
    }

    fn is_postgres(&self) -> bool {
        self.address.starts_with("postgres://")
    }

    /// The store with the platform's tables and the table of the tests.
    async fn ready(&self) -> Result<&Db> {
        self.db.migrate(&THINGS).await?;
        Ok(&self.db)
    }
}

/// Makes a test of each function for each engine.
macro_rules! contract {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)] async fn $name() -> anyhow::Result<()> {
                super::$name(&$crate::store_contract::Store::sqlite().await?).await
            })*
        }
        mod on_sqlite_row_by_row {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)] async fn $name() -> anyhow::Result<()> {
                super::$name(&$crate::store_contract::Store::sqlite_row_by_row().await?).await
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)] async fn $name() -> anyhow::Result<()> {
                super::$name(&$crate::store_contract::Store::postgres().await?).await
            })*
        }
    };
}
use contract;

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Thing {
    key: String,
    n: i64,
    note: Option<String>,
    version: i64,
}

#[derive(serde::Deserialize)]
struct Number {
    n: i64,
}

fn thing(key: &str, n: i64) -> Value {
    json!({ "key": key, "n": n, "note": null })
}

/// A new value for a thing that was read in this version.
fn changed(key: &str, n: i64, version: i64) -> Value {
    json!({ "key": key, "n": n, "version": version })
}

async fn insert(db: &Db, things: &[Value]) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    tx.execute(INSERT, &things).await?;
    tx.commit().await
}

/// Everything there is, sorted by key.
async fn all(db: &Db) -> Result<Vec<Thing>, StoreError> {
    db.read("SELECT key, n, note, version FROM things WHERE $1 <> '' ORDER BY key", &[0; 0]).await
}

async fn keys(db: &Db) -> Result<Vec<String>, StoreError> {
    Ok(all(db).await?.into_iter().map(|thing| thing.key).collect())
}

async fn count_in(tx: &mut Tx, table: &str) -> Result<i64, StoreError> {
    let rows: Vec<Number> = tx.fetch(format!("SELECT COUNT(*) AS n FROM {table} WHERE $1 <> ''"), &[0; 0]).await?;
    Ok(rows[0].n)
}

async fn count(db: &Db, table: &str) -> Result<i64, StoreError> {
    let mut tx = db.snapshot().await?;
    count_in(&mut tx, table).await
}

/// A random number generator whose seed stands in the output of a failing test.
#[allow(clippy::print_stdout, reason = "the seed repeats the failure")]
fn seeded() -> rand::rngs::StdRng {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    rand::SeedableRng::seed_from_u64(seed)
}
