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
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};
use serde_json::json;

use super::lock;
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
    /// `None` after closing. The lock is held over I/O, on threads for that: there are no
    /// two writers.
    connection: Arc<Mutex<Option<Connection>>>,
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

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // The last is "SQL error": not our tables.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
                Self::Content(error.to_string())
            }
            // Not what our tables hold.
            None => Self::Content(error.to_string()),
            Some(_) => Self::Access(error.to_string()),
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
        let (path, epoch) = (path.to_owned(), epoch.to_owned());
        let (connection, found) = tokio::task::spawn_blocking(move || open(&path, &epoch)).await.map_err(broken)??;
        Ok((Self { connection: Arc::new(Mutex::new(Some(connection))) }, found))
    }

    /// Works on the file, on a thread that may wait for the disk.
    async fn work(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), BusError> {
        let connection = self.connection.clone();
        let work = move || match lock(&connection).as_mut() {
            Some(connection) => work(connection).map_err(broken),
            None => Err(broken("it is closed")),
        };
        tokio::task::spawn_blocking(work).await.map_err(broken)?
    }

    /// Stores the number of partitions, once and for all.
    pub(super) async fn set_partitions(&self, count: u32) -> Result<(), BusError> {
        self.work(move |connection| set(connection, &[(PARTITIONS, &count.to_string())])).await
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
        let text = serde_json::to_string::<[serde_json::Value]>;
        let (partitions, watermarks) = (text(&partitions).map_err(broken)?, text(&watermarks).map_err(broken)?);
        let entries: Vec<String> =
            entries.chunks(CHUNK).map(serde_json::to_string).collect::<Result<_, _>>().map_err(broken)?;
        self.work(move |connection| write_rows(connection, &partitions, &watermarks, &entries)).await
    }

    /// Syncs and closes the file: what it holds then survives the machine.
    pub(super) async fn close(&self) -> Result<(), BusError> {
        let connection = self.connection.clone();
        let close = move || {
            let Some(connection) = lock(&connection).take() else { return Ok(()) };
            connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE);").map_err(broken)?;
            // Only now: the word must not be on the disk before what it speaks for.
            set(&connection, &[(BOOT, "")]).map_err(broken)?;
            connection.close().map_err(|(_, error)| broken(error))
        };
        tokio::task::spawn_blocking(close).await.map_err(broken)?
    }
}

fn open(path: &Path, epoch: &str) -> Result<(Connection, Found), BusError> {
    match try_open(path, epoch) {
        Ok(opened) => Ok(opened),
        Err(Unusable::Access(error)) => Err(broken(format!("{}: {error}", path.display()))),
        Err(Unusable::Content(error)) => {
            let aside = move_aside(path).map_err(broken)?;
            tracing::warn!(
                path = %path.display(), aside = %aside.display(), %error,
                "the broker's file cannot be used and was moved aside; the outboxes publish again"
            );
            try_open(path, epoch).map_err(|error| match error {
                Unusable::Content(error) | Unusable::Access(error) => broken(error),
            })
        }
    }
}

fn try_open(path: &Path, epoch: &str) -> Result<(Connection, Found), Unusable> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    connection
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Unusable::Content(verdict));
    }
    connection.execute_batch(SCHEMA)?;
    let mut properties: HashMap<String, String> = connection
        .prepare("SELECT name, value FROM property")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let boot = boot();
    let undamaged = properties.get(BOOT).is_some_and(|found| found.is_empty() || Some(found) == boot.as_ref());
    let found = Found {
        previous: properties.remove(EPOCH).filter(|_| undamaged),
        partitions: properties.get(PARTITIONS).and_then(|count| count.parse().ok()),
        logs: read_logs(&connection)?,
    };
    // A machine that cannot tell its starts apart gets a word that no start has.
    let boot = boot.unwrap_or_else(|| "unknown".to_owned() + epoch);
    set(&connection, &[(EPOCH, epoch), (BOOT, &boot)])?;
    connection.execute_batch("PRAGMA synchronous = OFF")?;
    Ok((connection, found))
}

/// One entry, as JSON without a copy of its body.
#[derive(serde::Serialize)]
struct Row<'a> {
    stream: &'a str,
    number: usize,
    seq: u64,
    body: Option<&'a str>,
}

fn write_rows(
    connection: &mut Connection,
    partitions: &str,
    watermarks: &str,
    entries: &[String],
) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.prepare_cached(
        "INSERT INTO partition (stream, number, head)
         SELECT value->>'stream', value->>'number', value->>'head' FROM jsonb_each($1) WHERE true
         ON CONFLICT (stream, number) DO UPDATE SET head = excluded.head",
    )?
    .execute([partitions])?;
    // Groups that are no longer declared go with the old watermarks.
    tx.prepare_cached(
        "DELETE FROM watermark WHERE (stream, number) IN
         (SELECT value->>'stream', value->>'number' FROM jsonb_each($1))",
    )?
    .execute([partitions])?;
    tx.prepare_cached(
        "INSERT INTO watermark (stream, number, listener, settled)
         SELECT value->>'stream', value->>'number', value->>'listener', value->>'settled' FROM jsonb_each($1)",
    )?
    .execute([watermarks])?;
    for chunk in entries {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO entry (stream, number, seq, body)
             SELECT value->>'stream', value->>'number', value->>'seq', value->>'body' FROM jsonb_each($1)",
        )?
        .execute([chunk])?;
    }
    tx.prepare_cached(
        "DELETE FROM entry WHERE (stream, number, seq) IN
         (SELECT e.stream, e.number, e.seq FROM jsonb_each($1) AS r CROSS JOIN entry AS e
          ON e.stream = r.value->>'stream' AND e.number = r.value->>'number' AND e.seq <= r.value->>'settled')",
    )?
    .execute([partitions])?;
    tx.commit()
}

fn set(connection: &Connection, properties: &[(&str, &str)]) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT OR REPLACE INTO property SELECT value->>0, value->>1 FROM jsonb_each($1)",
            [json!(properties).to_string()],
        )
        .map(drop)
}

/// Everything that is not settled, partition by partition.
fn read_logs(connection: &Connection) -> Result<HashMap<(String, u32), Restored>, Unusable> {
    let partitions: Vec<(String, u32, i64)> = connection
        .prepare("SELECT stream, number, head FROM partition")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut logs = HashMap::new();
    for (stream, number, head) in partitions {
        let watermarks: Vec<(String, i64)> = connection
            .prepare_cached("SELECT listener, settled FROM watermark WHERE stream = $1 AND number = $2")?
            .query_map(params![stream, number], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let settled = watermarks.iter().map(|(_, settled)| *settled).min().unwrap_or(head);
        let bodies: VecDeque<Option<String>> = connection
            .prepare_cached(
                "SELECT body FROM entry WHERE stream = $1 AND number = $2 AND seq > $3 AND seq <= $4 ORDER BY seq",
            )?
            .query_map(params![stream, number, settled, head], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
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
