//! The **survey**: the platform's tables as an operator reads them.
//!
//! Reads only, outside of any transaction: a look at a moving thing. Nothing is
//! decided by what is found here. Lists are cut off at `first` rows, so that a look
//! costs no more when a million rows wait.
//!
//! Chapter: `docs/operations.md`.

use serde::Deserialize;
use serde_json::json;

use super::parked::{self, Parked};
use super::{Db, StoreError};
use crate::clock::Millis;

/// What one outbox table holds.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct OutboxCounts {
    /// Rows that are not known to be published.
    pub unpublished: i64,
    /// When the oldest of them was decided; 0: there is none.
    pub oldest: Millis,
    /// Published, and not acked by every group yet.
    pub unsettled: i64,
}

/// An outbox row that is not settled.
#[derive(Debug, Clone, Deserialize)]
pub struct OutboxLine {
    /// The row's key.
    pub id: i64,
    /// The stream's declared name.
    pub stream: String,
    /// The envelope's source.
    pub source: String,
    /// The envelope's subject.
    pub subject: String,
    /// The envelope's sequence.
    pub sequence: i64,
    /// The payload's type.
    pub kind: String,
    /// When it was decided.
    pub time: Millis,
    /// Where it stands in its stream; empty: not known to be published.
    pub position: String,
}

/// How far a line has come.
#[derive(Debug, Clone, Deserialize)]
pub struct InboxLine {
    /// Who speaks.
    pub source: String,
    /// About what.
    pub subject: String,
    /// The last sequence seen.
    pub last: i64,
}

/// Parked messages by what becomes of them.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct ParkedCounts {
    /// Tried again at their time.
    pub retrying: i64,
    /// In line behind another.
    pub behind: i64,
    /// Dead letters.
    pub dead: i64,
}

/// A lease as it stands.
#[derive(Debug, Clone, Deserialize)]
pub struct LeaseLine {
    /// What is leased.
    pub name: String,
    /// Unique per process start.
    pub holder: String,
    /// Raised by every take-over.
    pub epoch: i64,
    /// When it lapses, unless it is renewed.
    pub expires_at: Millis,
}

/// Which parked messages to show; empty texts mean any.
#[derive(Debug, Clone, Copy)]
pub struct ParkedFilter<'a> {
    /// Dead letters only.
    pub dead_only: bool,
    /// Of this source.
    pub source: &'a str,
    /// Of this subject.
    pub subject: &'a str,
}

#[derive(Deserialize)]
struct Count {
    n: i64,
}

/// A row, and how many there are with it.
#[derive(Deserialize)]
struct Counted {
    #[serde(flatten)]
    parked: Parked,
    total: i64,
}

/// Counts an outbox table, or an event store with its columns.
///
/// # Errors
/// As the store answers.
pub async fn outbox_counts(db: &Db, table: &str) -> Result<OutboxCounts, StoreError> {
    let rows = db
        .read(
            format!(
                "SELECT (SELECT COUNT(*) FROM {table} WHERE position IS NULL AND settled = 0) AS unpublished,
                        (SELECT COALESCE(MIN(time), 0) FROM {table} WHERE position IS NULL AND settled = 0) AS oldest,
                        (SELECT COUNT(*) FROM {table} WHERE position IS NOT NULL AND settled = 0) AS unsettled
                 WHERE $1 <> ''"
            ),
            &[0; 0],
        )
        .await?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// The rows of an outbox table that are not settled, oldest first.
///
/// # Errors
/// As the store answers.
pub async fn outbox(db: &Db, table: &str, first: u32) -> Result<Vec<OutboxLine>, StoreError> {
    db.read(
        format!(
            "SELECT id, stream, source, subject, sequence, type AS kind, time, COALESCE(position, '') AS position
             FROM {table} WHERE settled = 0 AND $1 <> '' ORDER BY id LIMIT {first}"
        ),
        &[0; 0],
    )
    .await
}

/// How many lines have been heard.
///
/// # Errors
/// As the store answers.
pub async fn inbox_count(db: &Db) -> Result<i64, StoreError> {
    let rows: Vec<Count> = db.read("SELECT COUNT(*) AS n FROM inbox WHERE $1 <> ''", &[0; 0]).await?;
    Ok(rows.first().map_or(0, |row| row.n))
}

/// Lines, the one that moved last first.
///
/// # Errors
/// As the store answers.
pub async fn inbox(db: &Db, first: u32) -> Result<Vec<InboxLine>, StoreError> {
    db.read(
        format!(
            "SELECT source, subject, last FROM inbox WHERE $1 <> ''
             ORDER BY moved_at DESC, source, subject LIMIT {first}"
        ),
        &[0; 0],
    )
    .await
}

/// Counts the parked messages.
///
/// # Errors
/// As the store answers.
pub async fn parked_counts(db: &Db) -> Result<ParkedCounts, StoreError> {
    let rows = db
        .read(
            "SELECT COUNT(CASE WHEN p.state = 'RETRY' THEN 1 END) AS retrying,
                    COUNT(CASE WHEN p.state = 'BEHIND' THEN 1 END) AS behind,
                    COUNT(CASE WHEN p.state = 'DEAD' THEN 1 END) AS dead
             FROM parked AS p WHERE $1 <> ''",
            &[0; 0],
        )
        .await?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// Parked messages, dead letters first, then the oldest first; and how many there are
/// beyond the cut, at the same moment. `first` is at least 1.
///
/// # Errors
/// As the store answers.
pub async fn parked(db: &Db, filter: ParkedFilter<'_>, first: u32) -> Result<(Vec<Parked>, i64), StoreError> {
    let state = if filter.dead_only { "DEAD" } else { "" };
    let rows: Vec<Counted> = db
        .read(
            format!(
                "SELECT {}, COUNT(*) OVER () AS total FROM parked AS p, jsonb_each($1) AS r
                 WHERE (r.value->>'state' = '' OR p.state = r.value->>'state')
                   AND (r.value->>'source' = '' OR p.source = r.value->>'source')
                   AND (r.value->>'subject' = '' OR p.subject = r.value->>'subject')
                 ORDER BY CASE p.state WHEN 'DEAD' THEN 0 ELSE 1 END, p.parked_at, p.source, p.subject, p.sequence
                 LIMIT {first}",
                parked::COLUMNS
            ),
            &[json!({ "state": state, "source": filter.source, "subject": filter.subject })],
        )
        .await?;
    let total = rows.first().map_or(0, |row| row.total);
    Ok((rows.into_iter().map(|row| row.parked).collect(), total))
}

/// Leases by name.
///
/// # Errors
/// As the store answers.
pub async fn leases(db: &Db, first: u32) -> Result<Vec<LeaseLine>, StoreError> {
    db.read(
        format!("SELECT name, holder, epoch, expires_at FROM leases WHERE $1 <> '' ORDER BY name LIMIT {first}"),
        &[0; 0],
    )
    .await
}
