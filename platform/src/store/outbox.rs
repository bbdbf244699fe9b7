//! The **transactional outbox**: messages are rows, written in the transaction
//! that decided them.
//!
//! Publishing inside the transaction would be a dual write: the broker could have
//! a message whose transaction was rolled back, or lack one whose transaction
//! stands. A row cannot. The [relay](crate::relay) publishes it afterwards, as
//! often as it takes.
//!
//! A row is *unpublished* until its position in the stream is known, and
//! *settled* once every declared group has acked it. Settled rows are deleted; in
//! a table that keeps its events (an event store, whose event row *is* the outbox
//! row) they are only marked.
//!
//! Chapter: `docs/outbox.md`.

mod heads;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Db, StoreError, Tx};
use crate::bus::Position;
use crate::clock::Millis;
use crate::message::{Outgoing, fresh_id};
use crate::topology::partition_of;

/// One way out of a service: a source of gapless sequences and the stream it
/// writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlet {
    /// The envelope's `source`.
    pub source: &'static str,
    /// The stream's declared name.
    pub stream: &'static str,
    /// Where the rows are kept: `outbox`, or an event store with the same columns.
    pub table: &'static str,
    /// Whether settled rows stay.
    pub keeps: bool,
}

/// An outbox row on its way to the bus.
#[derive(Debug, Clone, Deserialize)]
pub struct OutboxRow {
    /// The row's key; says nothing about the order of commits.
    pub id: i64,
    /// Declared name of the stream.
    pub stream: String,
    /// Partition of the subject.
    pub partition: i64,
    /// The whole envelope as JSON: the text that goes on to the bus.
    pub envelope: Arc<str>,
}

/// A row that the relay knows to be published, and perhaps settled.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// The row's key.
    pub id: i64,
    /// Where it stands in its stream.
    pub position: Position,
}

/// What all messages of one batch have in common.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// The service's ways out.
    pub outlets: &'static [Outlet],
    /// Partitions per stream.
    pub partitions: u32,
    /// When the batch was decided.
    pub now: Millis,
    /// Message or command that each outgoing message was caused by.
    pub causes: &'a [String],
}

/// An [`Envelope`](crate::message::Envelope) as it is written: the same fields under the same
/// names, borrowed from where they are.
#[derive(Serialize)]
struct Written<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'a str,
    source: &'a str,
    subject: &'a str,
    sequence: i64,
    /// RFC 3339: the same for the whole batch, and written once for all of it.
    time: &'a str,
    dataschema: &'a str,
    #[serde(rename = "correlationid")]
    correlation_id: &'a str,
    #[serde(rename = "causationid")]
    causation_id: &'a str,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct NewRow<'a> {
    stream: &'static str,
    partition: u32,
    source: &'static str,
    subject: &'a str,
    sequence: i64,
    kind: &'a str,
    time: Millis,
    envelope: Arc<str>,
}

#[derive(Deserialize)]
struct Key {
    id: i64,
    source: String,
    subject: String,
    sequence: i64,
}

impl Key {
    fn is_of(&self, row: &NewRow<'_>) -> bool {
        (self.sequence, self.subject.as_str(), self.source.as_str()) == (row.sequence, row.subject, row.source)
    }
}

/// Appends messages to their tables, giving each its sequence, and returns the
/// rows in the order of `messages`, with the outlet's table they stand in.
///
/// # Errors
/// As the store answers.
pub async fn append(
    tx: &mut Tx,
    messages: &[Outgoing],
    stamp: Stamp<'_>,
) -> Result<Vec<(&'static str, OutboxRow)>, StoreError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let sequences = heads::next_sequences(tx, messages, stamp.outlets).await?;
    let time =
        DateTime::from_timestamp_millis(stamp.now).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut tables: BTreeMap<&'static str, Vec<NewRow<'_>>> = BTreeMap::new();
    let mut places = Vec::with_capacity(messages.len());
    let mut text = Vec::with_capacity(2_048);
    for ((message, cause), sequence) in messages.iter().zip(stamp.causes).zip(sequences) {
        let outlet = &stamp.outlets[message.outlet];
        let envelope = Written {
            id: fresh_id(),
            kind: &message.kind,
            source: outlet.source,
            subject: &message.subject,
            sequence,
            time: &time,
            dataschema: "1",
            correlation_id: &message.correlation_id,
            causation_id: cause,
            data: &message.data,
        };
        text.clear();
        serde_json::to_writer(&mut text, &envelope)
            .map_err(|error| StoreError::Refused(format!("envelope is no JSON: {error}")))?;
        let rows = tables.entry(outlet.table).or_default();
        places.push((outlet.table, rows.len()));
        rows.push(NewRow {
            stream: outlet.stream,
            partition: partition_of(&message.subject, stamp.partitions),
            source: outlet.source,
            subject: &message.subject,
            sequence,
            kind: &message.kind,
            time: stamp.now,
            envelope: str::from_utf8(&text).expect("JSON is UTF-8").into(),
        });
    }

    let mut written: BTreeMap<&'static str, Vec<Option<OutboxRow>>> = BTreeMap::new();
    for (table, rows) in tables {
        let insert = format!(
            "INSERT INTO {table} (stream, partition, source, subject, sequence, type, time, envelope)
             SELECT r.value->>'stream', CAST(r.value->>'partition' AS BIGINT), r.value->>'source',
                    r.value->>'subject', CAST(r.value->>'sequence' AS BIGINT), r.value->>'kind',
                    CAST(r.value->>'time' AS BIGINT), r.value->>'envelope'
             FROM jsonb_each($1) AS r"
        );
        let ids = match tx.insert_each(insert.clone(), &rows)? {
            Some(ids) => ids,
            None => {
                let keys = tx.fetch(format!("{insert} RETURNING id, source, subject, sequence"), &rows).await?;
                ids_of(&rows, &keys)?
            }
        };
        let rows = rows.into_iter().zip(ids).map(|(row, id)| {
            Some(OutboxRow {
                id,
                stream: row.stream.to_owned(),
                partition: i64::from(row.partition),
                envelope: row.envelope,
            })
        });
        written.insert(table, rows.collect());
    }
    Ok(places
        .into_iter()
        .filter_map(|(table, index)| Some((table, written.get_mut(table)?.get_mut(index)?.take()?)))
        .collect())
}

/// The id of each row. RETURNING promises no order, so it is looked at: nearly always it is the
/// order of the rows, and a search is spared.
fn ids_of(rows: &[NewRow<'_>], keys: &[Key]) -> Result<Vec<i64>, StoreError> {
    let mut search: Option<HashMap<(&str, &str, i64), i64>> = None;
    let id_of = |(index, row): (usize, &NewRow<'_>)| {
        if let Some(key) = keys.get(index).filter(|key| key.is_of(row)) {
            return Ok(key.id);
        }
        let ids = search.get_or_insert_with(|| {
            keys.iter().map(|key| ((key.source.as_str(), key.subject.as_str(), key.sequence), key.id)).collect()
        });
        ids.get(&(row.source, row.subject, row.sequence))
            .copied()
            .ok_or_else(|| StoreError::Refused(format!("no id for {} {}#{}", row.source, row.subject, row.sequence)))
    };
    rows.iter().enumerate().map(id_of).collect()
}

/// Rows not known to be published, oldest first.
///
/// The partitions stand in the text, as few different texts as there are ways to share
/// them out. A join with `$1` would sort everything that waits for each page of it.
///
/// # Errors
/// As the store answers.
pub async fn unpublished(db: &Db, table: &str, partitions: &[u32], limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
    let held = partitions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT id, stream, partition, envelope FROM {table}
         WHERE position IS NULL AND settled = 0 AND partition IN ({held}) AND $1 <> ''
         ORDER BY id LIMIT {limit}"
    );
    db.read(sql, &[0; 0]).await
}

/// A published row that is not settled yet.
#[derive(Debug, Clone, Deserialize)]
pub struct UnsettledRow {
    /// The row's key.
    pub id: i64,
    /// Declared name of the stream.
    pub stream: String,
    /// Partition of the subject.
    pub partition: i64,
    /// Where it stands in the stream.
    pub position: String,
}

/// Published and not settled, in the order of their positions.
///
/// # Errors
/// As the store answers.
pub async fn unsettled(db: &Db, table: &str, partitions: &[u32]) -> Result<Vec<UnsettledRow>, StoreError> {
    db.read(
        format!(
            "SELECT id, stream, partition, position FROM {table}
             WHERE settled = 0 AND position IS NOT NULL
               AND partition IN (SELECT CAST(r.value AS BIGINT) FROM jsonb_each($1) AS r)
             ORDER BY position"
        ),
        &partitions,
    )
    .await
}

#[derive(Serialize)]
struct Placed {
    id: i64,
    position: String,
}

/// Writes down where rows came to stand.
///
/// # Errors
/// As the store answers.
pub async fn mark_published(tx: &mut Tx, table: &str, marks: &[Mark]) -> Result<(), StoreError> {
    if marks.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = marks.iter().map(|mark| Placed { id: mark.id, position: mark.position.to_string() }).collect();
    tx.execute(
        format!(
            "UPDATE {table} SET position = r.value->>'position' FROM jsonb_each($1) AS r
             WHERE {table}.id = CAST(r.value->>'id' AS BIGINT)"
        ),
        &rows,
    )
    .await?;
    Ok(())
}

/// Deletes settled rows, or marks them where they are kept.
///
/// A row that is kept is given no position any more: nobody asks where a settled row stood, and
/// with the mark alone it keeps its length, so that SQLite writes it where it is.
///
/// # Errors
/// As the store answers.
pub async fn settle(tx: &mut Tx, outlet: &Outlet, marks: &[Mark]) -> Result<(), StoreError> {
    if marks.is_empty() {
        return Ok(());
    }
    let table = outlet.table;
    let what = if outlet.keeps { format!("UPDATE {table} SET settled = 1") } else { format!("DELETE FROM {table}") };
    let ids: Vec<i64> = marks.iter().map(|mark| mark.id).collect();
    tx.execute(format!("{what} WHERE id IN (SELECT CAST(r.value AS BIGINT) FROM jsonb_each($1) AS r)"), &ids).await?;
    Ok(())
}

/// After a loss: rows that are not settled count as unpublished again, at most `most` of them.
/// Gives how many did: fewer than `most`, and there are no more.
///
/// # Errors
/// As the store answers.
pub async fn forget_positions(tx: &mut Tx, table: &str, partitions: &[u32], most: usize) -> Result<u64, StoreError> {
    tx.execute(
        format!(
            "UPDATE {table} SET position = NULL WHERE id IN
             (SELECT id FROM {table} WHERE settled = 0 AND position IS NOT NULL
                AND partition IN (SELECT CAST(r.value AS BIGINT) FROM jsonb_each($1) AS r)
              LIMIT {most})"
        ),
        &partitions,
    )
    .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests;
