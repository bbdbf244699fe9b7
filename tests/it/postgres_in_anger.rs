//! Postgres in anger: which error is of which kind, sessions under faults, and TLS.
//!
//! One suite for what only Postgres does; what both engines promise is in the store's contract, and
//! what a fault comes to for callers and messages in the loop's.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "postgres_in_anger/kinds.rs"]
mod kinds;
#[path = "postgres_in_anger/plans.rs"]
mod plans;
#[path = "postgres_in_anger/sessions.rs"]
mod sessions;
#[path = "postgres_in_anger/silence.rs"]
mod silence;
#[path = "postgres_in_anger/tls.rs"]
mod tls;

use std::time::Duration;

use anyhow::Result;
use platform::store::{Db, Migration, StoreError, StoreOptions, Tx};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::servers::{PATIENCE, postgres, until};

const THINGS: [Migration; 1] = [Migration {
    version: 1,
    name: "things",
    sql: "CREATE TABLE things (key TEXT PRIMARY KEY, n BIGINT NOT NULL CHECK (n <> -666));
          INSERT INTO things VALUES ('a', 0), ('b', 0)",
}];

const ADD: &str = "UPDATE things SET n = things.n + CAST(r.value->>'n' AS BIGINT) FROM jsonb_each($1) AS r
    WHERE things.key = r.value->>'key'";

/// Patience for tests that must see it end.
const IMPATIENT: StoreOptions = StoreOptions { connections: 4, patience: Duration::from_millis(400) };

/// A new database with the table, and its URL.
async fn things() -> Result<(Db, String)> {
    let address = postgres().await?.fresh_database().await?;
    let db = Db::open(&address).await?;
    db.migrate(&THINGS).await?;
    Ok((db, address))
}

fn add(key: &str, n: i64) -> [Value; 1] {
    [json!({ "key": key, "n": n })]
}

async fn added(db: &Db, key: &str, n: i64) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    tx.execute_each(ADD, &add(key, n)).await?;
    tx.commit().await
}

async fn value(db: &Db, key: &str) -> Result<i64, StoreError> {
    let sql = "SELECT n FROM things, jsonb_each($1) AS r WHERE key = r.value->>'key'";
    let rows: Vec<(i64,)> = db.read(sql, &[json!({ "key": key })]).await?;
    Ok(rows[0].0)
}

/// Something in the database's own words: statements that a service would never say.
async fn by_hand(address: &str, sql: &str) -> Result<()> {
    let mut connection = sqlx::PgConnection::connect(address).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The name of the database in a URL.
fn name_of(address: &str) -> &str {
    address.rsplit('/').next().unwrap().split('?').next().unwrap()
}

/// How many sessions the store has with its database.
async fn sessions(address: &str) -> Result<i64> {
    let mut connection = sqlx::PgConnection::connect(address).await?;
    let count = "SELECT COUNT(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'orderly'";
    Ok(sqlx::query_scalar(count).fetch_one(&mut connection).await?)
}
