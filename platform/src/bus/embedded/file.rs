//! The embedded bus's file: a picture of what was not settled, written behind.
//!
//! SQLite in WAL mode without fsync: a killed process loses at most what came
//! after the last writing, a machine that loses its power may damage the file.
//! Neither matters as long as it is *noticed*, because then the outboxes publish
//! again. So four things are looked at when the file is opened:
//!
//! * the **epoch**, a random word that each opening writes anew. A publisher that
//!   remembers a word that is neither the present nor the one found here was not
//!   talking to this file (which is absent, or an older copy);
//! * the **heads**: who remembers a position beyond it published after the last
//!   writing;
//! * the **boot**: unless it was closed in order (then it was synced), a file from
//!   before the machine started may be damaged in ways that cannot be seen;
//! * the **entries** from the slowest group's watermark to the head, which must be
//!   there without a gap, and SQLite's own check.
//!
//! A file that is no database, or fails a check of the last kind, is moved aside.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use super::partition::{Restored, Unwritten};
use crate::bus::BusError;

/// Every write takes one JSON array, as everywhere in the shop.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS property (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS partition (
        stream TEXT NOT NULL, number BIGINT NOT NULL, head BIGINT NOT NULL,
        PRIMARY KEY (stream, number)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS watermark (
        stream TEXT NOT NULL, number BIGINT NOT NULL, listener TEXT NOT NULL, settled BIGINT NOT NULL,
        PRIMARY KEY (stream, number, listener)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS entry (
        stream TEXT NOT NULL, number BIGINT NOT NULL, seq BIGINT NOT NULL, body TEXT,
        PRIMARY KEY (stream, number, seq)) WITHOUT ROWID;";

const EPOCH: &str = "epoch";
const PARTITIONS: &str = "partitions";
/// The machine's start during which the file was written; empty once closed in order.
const BOOT: &str = "boot";

/// At most so many entries in one statement: a bound on the size of its argument.
const CHUNK: usize = 10_000;

/// How long to wait for a process that is just letting go of the file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The open file.
pub(super) struct File {
    /// `None` after closing. The lock is held over I/O: there are no two writers.
    connection: Mutex<Option<SqliteConnection>>,
}

/// What an intact file held.
#[derive(Default)]
pub(super) struct Found {
    /// The epoch before this opening; `None` if something may be lost.
    pub(super) previous: Option<String>,
    pub(super) partitions: Option<u32>,
    pub(super) logs: HashMap<(String, u32), Restored>,
}

/// Why a file cannot be used.
enum Unusable {
    /// Its content is no good; another one can take its place.
    Content(String),
    /// It cannot be reached; so could not another one.
    Access(String),
}

impl From<sqlx::Error> for Unusable {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_CORRUPT, SQLITE_NOTADB, and SQLITE_ERROR: not our tables.
        let code = error.as_database_error().and_then(|error| error.code());
        match code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
            Some(1 | 11 | 26) => Self::Content(error.to_string()),
            _ => Self::Access(error.to_string()),
        }
    }
}

fn broken(error: impl std::fmt::Display) -> BusError {
    BusError::Broken(format!("the broker's file: {error}"))
}

impl File {
    /// Opens or makes the file and stamps it with the new `epoch`.
    ///
    /// # On crash
    /// The stamp is synced before anything is published under it. A crash before:
    /// the old stamp is still there; after: nobody has heard of the new one.
    pub(super) async fn open(path: &Path, epoch: &str) -> Result<(Self, Found), BusError> {
        let (connection, found) = match Self::try_open(path, epoch).await {
            Ok(opened) => opened,
            Err(Unusable::Access(error)) => return Err(broken(format!("{}: {error}", path.display()))),
            Err(Unusable::Content(error)) => {
                let aside = move_aside(path).map_err(broken)?;
                tracing::warn!(
                    path = %path.display(), aside = %aside.display(), %error,
                    "the broker's file cannot be used and was moved aside; the outboxes publish again"
                );
                Self::try_open(path, epoch).await.map_err(|error| match error {
                    Unusable::Content(error) | Unusable::Access(error) => broken(error),
                })?
            }
        };
        Ok((Self { connection: Mutex::new(Some(connection)) }, found))
    }

    async fn try_open(path: &Path, epoch: &str) -> Result<(SqliteConnection, Found), Unusable> {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(LOCK_TIMEOUT)
            .connect()
            .await?;
        let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
        if verdict != "ok" {
            return Err(Unusable::Content(verdict));
        }
        sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
        let mut properties: HashMap<String, String> =
            sqlx::query_as("SELECT name, value FROM property").fetch_all(&mut connection).await?.into_iter().collect();
        let boot = boot();
        let undamaged = properties.get(BOOT).is_some_and(|found| found.is_empty() || Some(found) == boot.as_ref());
        let found = Found {
            previous: properties.remove(EPOCH).filter(|_| undamaged),
            partitions: properties.get(PARTITIONS).and_then(|count| count.parse().ok()),
            logs: read_logs(&mut connection).await?,
        };
        // A machine that cannot tell its starts apart gets a word that no start has.
        let boot = boot.unwrap_or_else(|| "unknown".to_owned() + epoch);
        set(&mut connection, &[(EPOCH, epoch), (BOOT, &boot)]).await?;
        sqlx::query("PRAGMA synchronous = OFF").execute(&mut connection).await?;
        Ok((connection, found))
    }

    /// Stores the number of partitions, once and for all.
    pub(super) async fn set_partitions(&self, count: u32) -> Result<(), BusError> {
        match self.connection.lock().await.as_mut() {
            Some(connection) => set(connection, &[(PARTITIONS, &count.to_string())]).await.map_err(broken),
            None => Err(broken("it is closed")),
        }
    }

    /// Writes changes of partitions, all or none.
    pub(super) async fn write(&self, changes: impl Iterator<Item = (&str, usize, &Unwritten)>) -> Result<(), BusError> {
        let (mut partitions, mut watermarks, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for (stream, number, change) in changes {
            partitions.push(json!({
                "stream": stream, "number": number, "head": change.head, "settled": change.settled,
            }));
            watermarks.extend(change.watermarks.iter().map(|(listener, settled)| {
                json!({ "stream": stream, "number": number, "listener": &**listener, "settled": settled })
            }));
            entries.extend(change.entries.iter().map(|(seq, body)| Row {
                stream,
                number,
                seq: *seq,
                body: body.as_deref(),
            }));
        }
        let mut connection = self.connection.lock().await;
        let connection = connection.as_mut().ok_or_else(|| broken("it is closed"))?;
        write_rows(connection, &partitions, &watermarks, &entries).await.map_err(broken)
    }

    /// Syncs and closes the file: what it holds then survives the machine.
    pub(super) async fn close(&self) -> Result<(), BusError> {
        let Some(mut connection) = self.connection.lock().await.take() else { return Ok(()) };
        let sync = "PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE);";
        sqlx::raw_sql(sync).execute(&mut connection).await.map_err(broken)?;
        // Only now: the word must not be on the disk before what it speaks for.
        set(&mut connection, &[(BOOT, "")]).await.map_err(broken)?;
        connection.close().await.map_err(broken)
    }
}

/// One entry, as JSON without a copy of its body.
#[derive(serde::Serialize)]
struct Row<'a> {
    stream: &'a str,
    number: usize,
    seq: u64,
    body: Option<&'a str>,
}

async fn write_rows(
    connection: &mut SqliteConnection,
    partitions: &[serde_json::Value],
    watermarks: &[serde_json::Value],
    entries: &[Row<'_>],
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let partitions = serde_json::to_string(partitions)?;
    let mut tx = connection.begin().await?;
    sqlx::query(
        "INSERT INTO partition (stream, number, head)
         SELECT value->>'stream', value->>'number', value->>'head' FROM jsonb_each($1) WHERE true
         ON CONFLICT (stream, number) DO UPDATE SET head = excluded.head",
    )
    .bind(&partitions)
    .execute(&mut *tx)
    .await?;
    // Groups that are no longer declared go with the old watermarks.
    sqlx::query(
        "DELETE FROM watermark WHERE (stream, number) IN
         (SELECT value->>'stream', value->>'number' FROM jsonb_each($1))",
    )
    .bind(&partitions)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO watermark (stream, number, listener, settled)
         SELECT value->>'stream', value->>'number', value->>'listener', value->>'settled' FROM jsonb_each($1)",
    )
    .bind(serde_json::to_string(watermarks)?)
    .execute(&mut *tx)
    .await?;
    for chunk in entries.chunks(CHUNK) {
        sqlx::query(
            "INSERT OR REPLACE INTO entry (stream, number, seq, body)
             SELECT value->>'stream', value->>'number', value->>'seq', value->>'body' FROM jsonb_each($1)",
        )
        .bind(serde_json::to_string(chunk)?)
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query(
        "DELETE FROM entry WHERE (stream, number, seq) IN
         (SELECT e.stream, e.number, e.seq FROM jsonb_each($1) AS r CROSS JOIN entry AS e
          ON e.stream = r.value->>'stream' AND e.number = r.value->>'number' AND e.seq <= r.value->>'settled')",
    )
    .bind(&partitions)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

async fn set(connection: &mut SqliteConnection, properties: &[(&str, &str)]) -> Result<(), sqlx::Error> {
    let rows = json!(properties).to_string();
    sqlx::query("INSERT OR REPLACE INTO property SELECT value->>0, value->>1 FROM jsonb_each($1)")
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
}

/// Everything that is not settled, partition by partition.
async fn read_logs(connection: &mut SqliteConnection) -> Result<HashMap<(String, u32), Restored>, Unusable> {
    let partitions: Vec<(String, u32, i64)> =
        sqlx::query_as("SELECT stream, number, head FROM partition").fetch_all(&mut *connection).await?;
    let mut logs = HashMap::new();
    for (stream, number, head) in partitions {
        let watermarks: Vec<(String, i64)> =
            sqlx::query_as("SELECT listener, settled FROM watermark WHERE stream = $1 AND number = $2")
                .bind(&stream)
                .bind(number)
                .fetch_all(&mut *connection)
                .await?;
        let settled = watermarks.iter().map(|(_, settled)| *settled).min().unwrap_or(head);
        let bodies: VecDeque<Option<String>> = sqlx::query_scalar(
            "SELECT body FROM entry WHERE stream = $1 AND number = $2 AND seq > $3 AND seq <= $4 ORDER BY seq",
        )
        .bind(&stream)
        .bind(number)
        .bind(settled)
        .bind(head)
        .fetch_all(&mut *connection)
        .await?
        .into();
        if settled < 0 || i64::try_from(bodies.len()).ok() != head.checked_sub(settled) {
            return Err(Unusable::Content(format!("entries of {stream:?} are missing")));
        }
        let restored = Restored {
            head: head.unsigned_abs(),
            watermarks: watermarks.into_iter().map(|(name, settled)| (name, settled.unsigned_abs())).collect(),
            entries: bodies.into_iter().map(|body| body.map(Into::into)).collect(),
        };
        logs.insert((stream, number), restored);
    }
    Ok(logs)
}

/// What tells this start of the machine from every other, where the system knows.
fn boot() -> Option<String> {
    let word = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(word.trim().to_owned()).filter(|word| !word.is_empty())
}

/// Renames the file and what SQLite keeps beside it.
fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = beside(&format!(".unusable-{}", uuid::Uuid::now_v7().simple()));
    std::fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        match std::fs::remove_file(beside(suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}
