//! The **inbox**: which messages have been obeyed, as the last `sequence` per
//! (source, subject).
//!
//! Delivery is at least once; the *effect* is once, because the inbox row is
//! written in the consumer's own transaction. A sequence that is lower or equal
//! is a duplicate; the next one is obeyed; a gap waits for the missing one. One
//! row per (source, subject), kept for ever, instead of one row per message.
//!
//! Chapter: `docs/inbox.md`.

use std::borrow::Borrow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{StoreError, Tx};
use crate::clock::Millis;

/// (source, subject).
pub type Line = (String, String);

/// How far a line has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last sequence obeyed (or discarded).
    pub last: i64,
    /// The last sequence parked, if any of the line is parked: later ones line up
    /// behind it.
    pub parked: Option<i64>,
}

/// What the next message of a line means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Obey it.
    Next,
    /// Seen before: ack it, do nothing.
    Duplicate,
    /// An earlier one is missing: keep it until that has come.
    Gap,
    /// An earlier one of its line is parked: park it behind.
    Behind,
}

impl Progress {
    /// Sorts an arrival.
    pub const fn sort(self, sequence: i64) -> Arrival {
        let reached = match self.parked {
            Some(parked) => parked,
            None => self.last,
        };
        if sequence <= reached {
            Arrival::Duplicate
        } else if sequence > reached + 1 {
            Arrival::Gap
        } else if self.parked.is_some() {
            Arrival::Behind
        } else {
            Arrival::Next
        }
    }
}

/// A line that is asked for, and its place among the others: the answer names the place, and
/// nobody has to compare texts.
#[derive(Serialize)]
struct Asked<'a> {
    n: usize,
    source: &'a str,
    subject: &'a str,
}

#[derive(Deserialize)]
struct Answered {
    n: i64,
    last: Option<i64>,
    parked: Option<i64>,
}

/// Reads the progress of the given lines. The parked messages are only looked through if there
/// are any at all.
///
/// # Errors
/// As the store answers.
pub async fn load<'a>(
    tx: &mut Tx,
    lines: impl IntoIterator<Item = &'a Line>,
) -> Result<HashMap<&'a Line, Progress>, StoreError> {
    let mut keys: Vec<&Line> = lines.into_iter().collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let args: Vec<_> = keys.iter().enumerate().map(|(n, (source, subject))| Asked { n, source, subject }).collect();
    let rows: Vec<Answered> = tx
        .fetch_each(
            "SELECT CAST(r.value->>'n' AS BIGINT) AS n,
                    (SELECT i.last FROM inbox AS i
                     WHERE i.source = r.value->>'source' AND i.subject = r.value->>'subject') AS last,
                    CASE WHEN EXISTS (SELECT 1 FROM parked) THEN
                        (SELECT MAX(p.sequence) FROM parked AS p
                         WHERE p.source = r.value->>'source' AND p.subject = r.value->>'subject')
                    END AS parked
             FROM jsonb_each($1) AS r",
            &args,
        )
        .await?;
    let mut progress: HashMap<_, _> = keys.iter().map(|line| (*line, Progress::default())).collect();
    for Answered { n, last, parked } in rows {
        if let Some(line) = usize::try_from(n).ok().and_then(|n| keys.get(n)) {
            progress.insert(line, Progress { last: last.unwrap_or(0), parked });
        }
    }
    Ok(progress)
}

#[derive(Serialize)]
struct Moved<'a> {
    source: &'a str,
    subject: &'a str,
    from: i64,
    to: i64,
    at: Millis,
}

/// Writes how far lines have come, as (line, from, to), and when (Unix milliseconds).
/// Never backwards, and only from where the line was read: a batch decided on an older
/// reading is a conflict.
///
/// # Errors
/// [`StoreError::Conflict`] if a line was moved by somebody else meanwhile.
pub async fn save<L: Borrow<Line> + Sync>(tx: &mut Tx, moved: &[(L, i64, i64)], now: Millis) -> Result<(), StoreError> {
    let mut rows: Vec<Moved<'_>> = moved
        .iter()
        .map(|(line, from, to)| {
            let (source, subject) = line.borrow();
            Moved { source, subject, from: *from, to: *to, at: now }
        })
        .collect();
    // Neighbours in the table are written one after the other: a sixth of the work on SQLite,
    // and on Postgres everybody locks in one order.
    rows.sort_unstable_by_key(|row| (row.from != 0, row.source, row.subject));
    let (new, known) = rows.split_at(rows.partition_point(|row| row.from == 0));
    // A line that has appeared since it was read breaks the key: a conflict, too.
    tx.execute_each(
        "INSERT INTO inbox (source, subject, last, moved_at)
         SELECT r.value->>'source', r.value->>'subject', CAST(r.value->>'to' AS BIGINT),
                CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        new,
    )
    .await?;
    tx.execute_each(
        "UPDATE inbox SET last = CAST(r.value->>'to' AS BIGINT), moved_at = CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r
         WHERE inbox.source = r.value->>'source' AND inbox.subject = r.value->>'subject'
           AND inbox.last = CAST(r.value->>'from' AS BIGINT) AND CAST(r.value->>'to' AS BIGINT) > inbox.last",
        known,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_forward_one_by_one() {
        let free = Progress { last: 3, parked: None };
        assert_eq!(free.sort(3), Arrival::Duplicate);
        assert_eq!(free.sort(4), Arrival::Next);
        assert_eq!(free.sort(5), Arrival::Gap);
    }

    #[test]
    fn behind_a_parked_message_others_line_up() {
        let parked = Progress { last: 3, parked: Some(5) };
        assert_eq!(parked.sort(4), Arrival::Duplicate);
        assert_eq!(parked.sort(5), Arrival::Duplicate);
        assert_eq!(parked.sort(6), Arrival::Behind);
        assert_eq!(parked.sort(7), Arrival::Gap);
    }
}
