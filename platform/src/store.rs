//! The store: one `Db`/`Tx` over two engines, SQLite and Postgres.
//!
//! Each statement is written once. It takes one JSON array as `$1` and works on
//! the set: `… FROM jsonb_each($1) AS r`, where `r.value->>'field'` is a text and
//! `CAST(r.value->>'field' AS BIGINT)` a number. SQLite brings `jsonb_each`; on
//! Postgres [`migrate`](Db::migrate) adds the overload. Rows come back through
//! `#[derive(sqlx::FromRow)]` structs, which fit both engines. Columns are TEXT
//! and BIGINT: money in minor units, time in Unix milliseconds. (`jsonb_each`, not
//! `json_each`: it parses the array once instead of every row for every column.)
//!
//! SQLite has one writer at a time ([`Db::begin`]) and a pool of readers;
//! Postgres has one pool. A *lazy* transaction ([`Db::begin_lazy`]) is not forced
//! to the disk by its own commit; it is for book-keeping whose loss repeats work
//! and loses nothing, such as the relay's marks.
//!
//! Chapter: `docs/store.md`.

mod error;
pub mod idempotency;
pub mod inbox;
pub mod lease;
mod migrate;
pub mod outbox;
pub mod parked;
pub mod survey;
mod tx;

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, FromRow};
use tokio::sync::Mutex;

pub use error::StoreError;
pub use migrate::Migration;
pub use tx::Tx;

/// How long a Postgres connection may lie idle before it is tried first.
const IDLE: Duration = Duration::from_millis(500);

/// A row type that both engines can fill.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// A statement's text. Always from the source code, never from a request.
pub type Sql = std::borrow::Cow<'static, str>;

/// A service's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    engine: Engine,
}

#[derive(Debug, Clone)]
enum Engine {
    Sqlite(Arc<Sqlite>),
    Postgres(PgPool),
}

/// One SQLite file: a durable writer, a lazy writer, and readers.
#[derive(Debug)]
struct Sqlite {
    /// Held by whichever transaction writes, so that the two writers never meet
    /// in SQLite's own lock, which waits by polling.
    writing: Arc<Mutex<()>>,
    /// `synchronous=FULL`: the commit returns when the disk has it.
    durable: SqlitePool,
    /// `synchronous=NORMAL`: survives the process, not a power cut.
    lazy: SqlitePool,
    readers: SqlitePool,
}

impl Db {
    /// Opens (or makes) a SQLite file.
    ///
    /// # Errors
    /// The file cannot be opened, or is no database.
    pub async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        // Whose work it is can be seen in a profile.
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let thread_name = move |_| name.clone();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(10))
            .pragma("cache_size", "-8000")
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", "4000")
            .statement_cache_capacity(256)
            .row_buffer_size(1024)
            .thread_name(thread_name)
            .disable_statement_logging();
        let writer = |synchronous| {
            let options = options.clone().synchronous(synchronous);
            sqlite_pool(1).connect_with(options)
        };
        Ok(Self {
            engine: Engine::Sqlite(Arc::new(Sqlite {
                writing: Arc::new(Mutex::new(())),
                durable: writer(SqliteSynchronous::Full).await?,
                lazy: writer(SqliteSynchronous::Normal).await?,
                readers: sqlite_pool(4).connect_lazy_with(options.clone().pragma("query_only", "on")),
            })),
        })
    }

    /// Connects to a Postgres database.
    ///
    /// # Errors
    /// The URL is wrong or the server cannot be reached.
    pub async fn connect_postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.statement_cache_capacity(256).disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            // One that has been idle may have died with its server; a busy one says
            // so by itself.
            .before_acquire(|connection, idle| {
                Box::pin(async move {
                    if idle.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self { engine: Engine::Postgres(pool) })
    }

    /// `postgres://…` connects to a server, anything else is a SQLite file's path.
    ///
    /// # Errors
    /// As [`open_sqlite`](Self::open_sqlite) and [`connect_postgres`](Self::connect_postgres).
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            Self::connect_postgres(address).await
        } else {
            Self::open_sqlite(Path::new(address)).await
        }
    }

    /// Whether this process alone can write here (a SQLite file behind the data
    /// folder's lock). Then a lease of an earlier process is void at once.
    pub const fn is_exclusive(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(_))
    }

    /// Begins a write transaction whose commit is durable.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => {
                let guard = sqlite.writing.clone().lock_owned().await;
                Ok(Tx::sqlite(sqlite.durable.begin_with("BEGIN IMMEDIATE").await?, Some(guard)))
            }
            Engine::Postgres(pool) => Ok(Tx::postgres(pool.begin().await?)),
        }
    }

    /// Begins a write transaction whose commit may be lost in a power cut.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn begin_lazy(&self) -> Result<Tx, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => {
                let guard = sqlite.writing.clone().lock_owned().await;
                Ok(Tx::sqlite(sqlite.lazy.begin_with("BEGIN IMMEDIATE").await?, Some(guard)))
            }
            Engine::Postgres(pool) => {
                Ok(Tx::postgres(pool.begin_with("BEGIN; SET LOCAL synchronous_commit TO off").await?))
            }
        }
    }

    /// Begins a read-only transaction that sees one moment of the store.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn snapshot(&self) -> Result<Tx, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => Ok(Tx::sqlite(sqlite.readers.begin().await?, None)),
            Engine::Postgres(pool) => {
                Ok(Tx::postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?))
            }
        }
    }

    /// Reads outside a transaction. `args` becomes the JSON array `$1`.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the statement.
    pub async fn read<T: Row>(&self, sql: impl Into<Sql>, args: &impl Serialize) -> Result<Vec<T>, StoreError> {
        let (sql, json) = (AssertSqlSafe(sql.into()), json(args)?);
        Ok(match &self.engine {
            Engine::Sqlite(sqlite) => sqlx::query_as(sql).bind(json).fetch_all(&sqlite.readers).await?,
            Engine::Postgres(pool) => sqlx::query_as(sql).bind(json).fetch_all(pool).await?,
        })
    }

    /// Closes all connections, after what is under way.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => {
                sqlite.readers.close().await;
                sqlite.lazy.close().await;
                sqlite.durable.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

/// SQLite connections are never dropped for age: opening one costs more than
/// keeping it.
fn sqlite_pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn json(args: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(args).map_err(|error| StoreError::Refused(format!("arguments are no JSON: {error}")))
}
