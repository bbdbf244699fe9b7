//! **Parked messages** and **dead letters**.
//!
//! A message that fails is moved into the consumer's own store and acked, so the
//! broker holds nothing that must not be lost. It is tried again at `next_due`,
//! with exponential back-off and jitter. Later messages of the same line (source,
//! subject) line up BEHIND it, so that order is kept; other lines go on. A *dead
//! letter* is a parked message that nobody will try again by itself: its attempts
//! are used up, or it is malformed, or it was refused. It waits for an operator, and
//! its line waits with it.
//!
//! Chapter: `docs/parked.md`.

use std::collections::HashMap;

use rand::Rng;
use serde::Deserialize;
use serde_json::json;

use super::inbox::Line;
use super::{Db, StoreError, Tx};
use crate::clock::Millis;

/// Why and when a parked message will be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// At its `next_due`.
    Retry,
    /// When the one before it is done.
    Behind,
    /// Never by itself: a dead letter.
    Dead,
}

impl State {
    /// As it stands in the column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "RETRY",
            Self::Behind => "BEHIND",
            Self::Dead => "DEAD",
        }
    }
}

/// A parked message as a row.
#[derive(Debug, Clone, Deserialize)]
pub struct Parked {
    /// The envelope's source.
    pub source: String,
    /// The envelope's subject.
    pub subject: String,
    /// The envelope's sequence.
    pub sequence: i64,
    /// The stream it came from.
    pub stream: String,
    /// The message as it came, readable or not.
    pub envelope: String,
    /// RETRY, BEHIND or DEAD.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong, each time: a JSON array of texts.
    pub errors: String,
    /// When it is tried again.
    pub next_due: Option<Millis>,
    /// When it was parked first.
    pub parked_at: Millis,
}

/// How a failing message is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Wait after the first failure, milliseconds.
    pub first: i64,
    /// Longest wait, milliseconds.
    pub cap: i64,
    /// Attempts before it is a dead letter.
    pub attempts: i64,
}

impl Default for Backoff {
    /// 0.2 s, doubling up to 30 s, 20 attempts: about seven minutes in all.
    fn default() -> Self {
        Self { first: 200, cap: 30_000, attempts: 20 }
    }
}

impl Backoff {
    /// When to try again after `attempts` failures; `None`: no more. Jitter of a
    /// quarter up or down, so that what failed together does not come back together.
    pub fn next_due(self, attempts: i64, now: Millis) -> Option<Millis> {
        if attempts >= self.attempts {
            return None;
        }
        let doublings = u32::try_from((attempts - 1).clamp(0, 30)).unwrap_or(0);
        let wait = self.first.saturating_mul(1 << doublings).min(self.cap);
        Some(now + wait + rand::rng().random_range(-wait / 4..=wait / 4))
    }
}

/// Writes parked messages, new or changed.
///
/// # Errors
/// As the store answers.
pub async fn save(tx: &mut Tx, parked: &[Parked]) -> Result<(), StoreError> {
    if parked.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = parked
        .iter()
        .map(|row| {
            json!({
                "source": row.source, "subject": row.subject, "sequence": row.sequence, "stream": row.stream,
                "envelope": row.envelope, "state": row.state, "attempts": row.attempts, "errors": row.errors,
                "next_due": row.next_due, "parked_at": row.parked_at,
            })
        })
        .collect();
    tx.execute(
        "INSERT INTO parked (source, subject, sequence, stream, envelope, state, attempts, errors, next_due, parked_at)
         SELECT r.value->>'source', r.value->>'subject', CAST(r.value->>'sequence' AS BIGINT), r.value->>'stream',
                r.value->>'envelope', r.value->>'state', CAST(r.value->>'attempts' AS BIGINT), r.value->>'errors',
                CAST(r.value->>'next_due' AS BIGINT), CAST(r.value->>'parked_at' AS BIGINT)
         FROM jsonb_each($1) AS r WHERE true
         ON CONFLICT (source, subject, sequence) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
                errors = excluded.errors, next_due = excluded.next_due, envelope = excluded.envelope",
        &rows,
    )
    .await?;
    Ok(())
}

/// Removes parked messages that have been obeyed or discarded.
///
/// # Errors
/// As the store answers.
pub async fn remove(tx: &mut Tx, keys: &[(String, String, i64)]) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = keys
        .iter()
        .map(|(source, subject, sequence)| json!({ "source": source, "subject": subject, "sequence": sequence }))
        .collect();
    tx.execute(
        "DELETE FROM parked WHERE (source, subject, sequence) IN
         (SELECT r.value->>'source', r.value->>'subject', CAST(r.value->>'sequence' AS BIGINT)
          FROM jsonb_each($1) AS r)",
        &rows,
    )
    .await?;
    Ok(())
}

/// Lets the message that stood behind a removed one be tried at once. In the
/// removal's own transaction, so that no line is left without a head.
///
/// # Errors
/// As the store answers.
pub async fn promote(tx: &mut Tx, removed: &[(String, String, i64)], now: Millis) -> Result<(), StoreError> {
    if removed.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = removed
        .iter()
        .map(|(source, subject, sequence)| {
            json!({ "source": source, "subject": subject, "sequence": sequence + 1, "now": now })
        })
        .collect();
    tx.execute(
        "UPDATE parked SET state = 'RETRY', next_due = CAST(r.value->>'now' AS BIGINT)
         FROM jsonb_each($1) AS r
         WHERE parked.source = r.value->>'source' AND parked.subject = r.value->>'subject'
           AND parked.sequence = CAST(r.value->>'sequence' AS BIGINT) AND parked.state = 'BEHIND'",
        &rows,
    )
    .await?;
    Ok(())
}

pub(super) const COLUMNS: &str =
    "p.source, p.subject, p.sequence, p.stream, p.envelope, p.state, p.attempts, p.errors, p.next_due, p.parked_at";

/// These messages as they are parked now; without those that are parked no more.
///
/// # Errors
/// As the store answers.
pub async fn find(tx: &mut Tx, keys: &[(&Line, i64)]) -> Result<HashMap<(Line, i64), Parked>, StoreError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let args: Vec<_> = keys
        .iter()
        .map(|((source, subject), sequence)| json!({ "source": source, "subject": subject, "sequence": sequence }))
        .collect();
    let rows: Vec<Parked> = tx
        .fetch(
            format!(
                "SELECT {COLUMNS} FROM parked AS p
                 WHERE (p.source, p.subject, p.sequence) IN
                 (SELECT r.value->>'source', r.value->>'subject', CAST(r.value->>'sequence' AS BIGINT)
                  FROM jsonb_each($1) AS r)"
            ),
            &args,
        )
        .await?;
    Ok(rows.into_iter().map(|row| (((row.source.clone(), row.subject.clone()), row.sequence), row)).collect())
}

/// The sequence of the first parked message of a line, if any, inside a transaction.
///
/// # Errors
/// As the store answers.
pub async fn first_of_line(tx: &mut Tx, (source, subject): &Line) -> Result<Option<i64>, StoreError> {
    #[derive(Deserialize)]
    struct First {
        sequence: Option<i64>,
    }
    let rows: Vec<First> = tx
        .fetch(
            "SELECT MIN(p.sequence) AS sequence FROM parked AS p, jsonb_each($1) AS r
             WHERE p.source = r.value->>'source' AND p.subject = r.value->>'subject'",
            &[json!({ "source": source, "subject": subject })],
        )
        .await?;
    Ok(rows.into_iter().next().and_then(|row| row.sequence))
}

/// The first parked message of a line, if any.
///
/// # Errors
/// As the store answers.
pub async fn head(db: &Db, source: &str, subject: &str) -> Result<Option<Parked>, StoreError> {
    let rows: Vec<Parked> = db
        .read(
            format!(
                "SELECT {COLUMNS} FROM parked AS p, jsonb_each($1) AS r
                 WHERE p.source = r.value->>'source' AND p.subject = r.value->>'subject'
                 ORDER BY p.sequence LIMIT 1"
            ),
            &[json!({ "source": source, "subject": subject })],
        )
        .await?;
    Ok(rows.into_iter().next())
}

/// Every message that waits for a retry due before `before`.
///
/// # Errors
/// As the store answers.
pub async fn retries(db: &Db, before: Millis) -> Result<Vec<Parked>, StoreError> {
    db.read(
        format!(
            "SELECT {COLUMNS} FROM parked AS p, jsonb_each($1) AS r
             WHERE p.next_due IS NOT NULL AND p.next_due < CAST(r.value->>'before' AS BIGINT)"
        ),
        &[json!({ "before": before })],
    )
    .await
}

/// All dead letters, oldest first.
///
/// # Errors
/// As the store answers.
pub async fn dead_letters(db: &Db) -> Result<Vec<Parked>, StoreError> {
    db.read(
        format!("SELECT {COLUMNS} FROM parked AS p WHERE p.state = 'DEAD' AND $1 <> '' ORDER BY p.parked_at"),
        &[0; 0],
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_its_cap_and_ends() {
        let backoff = Backoff::default();
        for (attempts, wait) in [(1, 200), (2, 400), (3, 800), (12, 30_000), (19, 30_000)] {
            let due = backoff.next_due(attempts, 0).expect("tried again");
            assert!((wait * 3 / 4..=wait * 5 / 4).contains(&due), "{attempts}: {due}");
        }
        assert_eq!(backoff.next_due(20, 0), None);
    }
}
