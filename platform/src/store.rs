//! The store: one `Db`/`Tx` over two engines, SQLite and Postgres.
//!
//! Each statement is written once. It takes one JSON array as `$1` and works on
//! the set: `… FROM jsonb_each($1) AS r`, where `r.value->>'field'` is a text and
//! `CAST(r.value->>'field' AS BIGINT)` a number. SQLite brings `jsonb_each`; on
//! Postgres [`migrate`](Db::migrate) adds the overload. Rows come back through
//! `#[derive(Deserialize)]` structs ([`Row`]), which fit both engines. Columns are TEXT
//! and BIGINT: money in minor units, time in Unix milliseconds. (`jsonb_each`, not
//! `json_each`: it parses the array once instead of every row for every column.) On
//! SQLite a service loop has the same text run row by row (`store/sqlite/by_row.rs`).
//!
//! SQLite has one writer at a time ([`Db::begin`]) and a pool of readers;
//! Postgres has a bounded number of sessions, and whatever waits for it has a bound
//! ([`StoreOptions`]). A *lazy* transaction ([`Db::begin_lazy`]) is not forced
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
mod row;
mod sessions;
mod sqlite;
pub mod survey;
mod tx;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

pub use error::StoreError;
pub use migrate::Migration;
pub use row::Row;
use sessions::Sessions;
use sqlite::{Place, Purpose, Sqlite};
pub use tx::Tx;

/// The bound of a statement that reads or rebuilds whole tables: an audit, a migration.
const UNHURRIED: Duration = Duration::from_secs(600);

/// A statement's text. Always from the source code, never from a request.
pub type Sql = std::borrow::Cow<'static, str>;

/// A service's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    engine: Engine,
}

#[derive(Debug, Clone)]
enum Engine {
    Sqlite(Arc<Sqlite>, Place),
    Postgres(Arc<Sessions>),
}

/// How a store on Postgres is used; SQLite needs none of it.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Most sessions with the server, per process and database. All replicas of all
    /// services together must fit under its `max_connections`.
    pub connections: u32,
    /// The longest that one statement may take. The server ends it then; if nothing is
    /// heard of it for a quarter longer, the session is closed. Waiting for another's
    /// lock may take half of it, doing nothing inside a transaction all of it.
    pub patience: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { connections: 8, patience: Duration::from_secs(10) }
    }
}

impl Db {
    /// Opens (or makes) a SQLite file.
    ///
    /// # Errors
    /// The file cannot be opened, or is no database.
    pub async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || Sqlite::open(&path))
            .await
            .map_err(|error| StoreError::Unavailable(format!("the file was not opened: {error}")))?;
        Ok(Self { engine: Engine::Sqlite(Arc::new(opened?), Place::Aside) })
    }

    /// The same store, for who has a thread of his own: on SQLite its statements run on the
    /// thread that asks, and that waits for the disk at each commit; sets are worked on row by
    /// row, with values bound instead of written as JSON.
    pub fn on_this_thread(&self) -> Self {
        match &self.engine {
            Engine::Sqlite(sqlite, _) => Self { engine: Engine::Sqlite(sqlite.clone(), Place::Here) },
            Engine::Postgres(_) => self.clone(),
        }
    }

    /// Connects to a Postgres database: `postgres://user:password@host:port/database`.
    /// `?sslmode=verify-full&sslrootcert=FILE` speaks TLS, and only with a server whose
    /// certificate is of that host and by that authority, or one that the system knows.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: the URL, the login, the database's name or the
    /// certificate is wrong. [`StoreError::Unavailable`]: the server cannot be reached.
    /// Both name the place, and not the password.
    pub async fn connect_postgres(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, StoreOptions::default()).await
    }

    /// `postgres://…` connects to a server, anything else is a SQLite file's path.
    ///
    /// # Errors
    /// As [`open_sqlite`](Self::open_sqlite) and [`connect_postgres`](Self::connect_postgres).
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        Self::open_with(address, StoreOptions::default()).await
    }

    /// Like [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(address: &str, options: StoreOptions) -> Result<Self, StoreError> {
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            Ok(Self { engine: Engine::Postgres(Sessions::open(address, options).await?) })
        } else {
            Self::open_sqlite(Path::new(address)).await
        }
    }

    /// Like [`open_with`](Self::open_with), for a server that may be starting just now:
    /// while it is unavailable, tries again for as long as `wait`, and logs that it does.
    /// What is refused is refused at once.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_patiently(address: &str, options: StoreOptions, wait: Duration) -> Result<Self, StoreError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            match Self::open_with(address, options).await {
                Err(StoreError::Unavailable(cause)) if begun.elapsed() + pause < wait => {
                    tracing::warn!(%cause, again_in = ?pause, "the store is not there yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                result => return result,
            }
        }
    }

    /// Whether this process alone can write here (a SQLite file behind the data
    /// folder's lock). Then a lease of an earlier process is void at once.
    pub const fn is_exclusive(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(..))
    }

    /// Begins a write transaction whose commit is durable.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite, place) => Ok(Tx::sqlite(sqlite.begin(Purpose::Durable, *place).await?)),
            Engine::Postgres(sessions) => Ok(Tx::postgres(sessions.begin("BEGIN").await?, sessions.patience())),
        }
    }

    /// Begins a write transaction whose commit may be lost in a power cut.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn begin_lazy(&self) -> Result<Tx, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite, place) => Ok(Tx::sqlite(sqlite.begin(Purpose::Lazy, *place).await?)),
            Engine::Postgres(sessions) => {
                let session = sessions.begin("BEGIN; SET LOCAL synchronous_commit TO off").await?;
                Ok(Tx::postgres(session, sessions.patience()))
            }
        }
    }

    /// Begins a read-only transaction that sees one moment of the store.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn snapshot(&self) -> Result<Tx, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite, place) => Ok(Tx::sqlite(sqlite.begin(Purpose::Snapshot, *place).await?)),
            Engine::Postgres(sessions) => {
                let session = sessions.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                Ok(Tx::postgres(session, sessions.patience()))
            }
        }
    }

    /// Like [`snapshot`](Self::snapshot), for who reads whole tables and thinks in
    /// between: a statement, and a pause, may take ten minutes.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn unhurried_snapshot(&self) -> Result<Tx, StoreError> {
        let Engine::Postgres(sessions) = &self.engine else { return self.snapshot().await };
        let session = sessions
            .begin(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout TO '10min';
                 SET LOCAL idle_in_transaction_session_timeout TO '10min'",
            )
            .await?;
        Ok(Tx::postgres(session, UNHURRIED))
    }

    /// Reads outside a transaction. `args` becomes the JSON array `$1`.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the statement.
    pub async fn read<T: Row>(&self, sql: impl Into<Sql>, args: &impl Serialize) -> Result<Vec<T>, StoreError> {
        let (sql, json) = (sql.into(), json(args)?);
        match &self.engine {
            Engine::Sqlite(sqlite, place) => sqlite.read(sql, json, *place).await,
            Engine::Postgres(sessions) => sessions.read(sql, json).await,
        }
    }

    /// Closes all connections, after what is under way.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite, _) => sqlite.close().await,
            Engine::Postgres(sessions) => sessions.close().await,
        }
    }
}

fn json(args: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(args).map_err(|error| StoreError::Refused(format!("arguments are no JSON: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Setting {
        synchronous: i64,
    }

    async fn synchronous(mut tx: Tx) -> i64 {
        let rows: Vec<Setting> =
            tx.fetch("SELECT synchronous FROM pragma_synchronous WHERE $1 <> ''", &[0; 0]).await.unwrap();
        rows[0].synchronous
    }

    #[tokio::test]
    async fn what_is_durable_on_sqlite_is_so_after_what_is_lazy() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open_sqlite(&folder.path().join("store.db")).await.unwrap();
        let (normal, full) = (1, 2);
        assert_eq!(synchronous(db.begin().await.unwrap()).await, full);
        assert_eq!(synchronous(db.begin_lazy().await.unwrap()).await, normal);
        assert_eq!(synchronous(db.begin().await.unwrap()).await, full);
    }
}
