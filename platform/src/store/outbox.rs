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

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;

use super::{Db, StoreError, Tx};
use crate::bus::Position;
use crate::clock::Millis;
use crate::message::{Envelope, Outgoing, fresh_id};
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
#[derive(Debug, Clone, FromRow)]
pub struct OutboxRow {
    /// The row's key; says nothing about the order of commits.
    pub id: i64,
    /// Declared name of the stream.
    pub stream: String,
    /// Partition of the subject.
    pub partition: i64,
    /// The whole envelope as JSON.
    pub envelope: String,
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

#[derive(Serialize)]
struct NewRow<'a> {
    stream: &'static str,
    partition: u32,
    source: &'static str,
    subject: &'a str,
    sequence: i64,
    kind: &'a str,
    time: Millis,
    envelope: String,
}

#[derive(FromRow)]
struct Head {
    source: String,
    subject: String,
    last: i64,
}

#[derive(FromRow)]
struct Key {
    id: i64,
    source: String,
    subject: String,
    sequence: i64,
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
    let mut sequences = next_sequences(tx, messages, stamp.outlets).await?;
    let mut tables: BTreeMap<&'static str, Vec<NewRow<'_>>> = BTreeMap::new();
    let mut places = Vec::with_capacity(messages.len());
    for (message, cause) in messages.iter().zip(stamp.causes) {
        let outlet = stamp.outlets[message.outlet];
        let sequence = sequences
            .get_mut(&(outlet.source, message.subject.as_str()))
            .ok_or_else(|| StoreError::Refused(format!("no sequence for {}", message.subject)))?;
        *sequence += 1;
        let envelope = Envelope {
            id: fresh_id(),
            kind: message.kind.clone(),
            source: outlet.source.to_owned(),
            subject: message.subject.clone(),
            sequence: *sequence,
            time: stamp.now,
            dataschema: "1".to_owned(),
            correlation_id: message.correlation_id.clone(),
            causation_id: cause.clone(),
            traceparent: None,
            deliver_at: None,
            data: message.data.clone(),
        };
        let text = serde_json::to_string(&envelope)
            .map_err(|error| StoreError::Refused(format!("envelope is no JSON: {error}")))?;
        let rows = tables.entry(outlet.table).or_default();
        places.push((outlet.table, rows.len()));
        rows.push(NewRow {
            stream: outlet.stream,
            partition: partition_of(&message.subject, stamp.partitions),
            source: outlet.source,
            subject: &message.subject,
            sequence: *sequence,
            kind: &message.kind,
            time: stamp.now,
            envelope: text,
        });
    }

    let mut written: BTreeMap<&'static str, Vec<Option<OutboxRow>>> = BTreeMap::new();
    for (table, rows) in tables {
        let keys: Vec<Key> = tx
            .fetch(
                format!(
                    "INSERT INTO {table} (stream, partition, source, subject, sequence, type, time, envelope)
                     SELECT r.value->>'stream', CAST(r.value->>'partition' AS BIGINT), r.value->>'source',
                            r.value->>'subject', CAST(r.value->>'sequence' AS BIGINT), r.value->>'kind',
                            CAST(r.value->>'time' AS BIGINT), r.value->>'envelope'
                     FROM jsonb_each($1) AS r
                     RETURNING id, source, subject, sequence"
                ),
                &rows,
            )
            .await?;
        // RETURNING promises no order.
        let ids: BTreeMap<(&str, &str, i64), i64> =
            keys.iter().map(|key| ((key.source.as_str(), key.subject.as_str(), key.sequence), key.id)).collect();
        let rows = rows.into_iter().map(|row| {
            ids.get(&(row.source, row.subject, row.sequence)).map(|id| OutboxRow {
                id: *id,
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

/// Moves the heads of all touched (source, subject) pairs forward in one statement
/// and gives the sequence *before* the first new one. The heads are locked in key
/// order, so two batches cannot deadlock over them.
async fn next_sequences<'a>(
    tx: &mut Tx,
    messages: &'a [Outgoing],
    outlets: &'static [Outlet],
) -> Result<BTreeMap<(&'static str, &'a str), i64>, StoreError> {
    let mut counts: BTreeMap<(&'static str, &'a str), i64> = BTreeMap::new();
    for message in messages {
        *counts.entry((outlets[message.outlet].source, message.subject.as_str())).or_default() += 1;
    }
    let rows: Vec<_> = counts
        .iter()
        .map(|((source, subject), count)| json!({ "source": source, "subject": subject, "count": count }))
        .collect();
    let heads: Vec<Head> = tx
        .fetch(
            "INSERT INTO outbox_heads (source, subject, last)
             SELECT r.value->>'source', r.value->>'subject', CAST(r.value->>'count' AS BIGINT)
             FROM jsonb_each($1) AS r WHERE true
             ON CONFLICT (source, subject) DO UPDATE SET last = outbox_heads.last + excluded.last
             RETURNING source, subject, last",
            &rows,
        )
        .await?;
    let last: BTreeMap<(&str, &str), i64> =
        heads.iter().map(|head| ((head.source.as_str(), head.subject.as_str()), head.last)).collect();
    for (key, count) in &mut counts {
        *count = last.get(key).map_or(0, |last| last - *count);
    }
    Ok(counts)
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
#[derive(Debug, Clone, FromRow)]
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
               AND partition IN (SELECT CAST(r.value->>'partition' AS BIGINT) FROM jsonb_each($1) AS r)
             ORDER BY position"
        ),
        &partitions.iter().map(|partition| json!({ "partition": partition })).collect::<Vec<_>>(),
    )
    .await
}

/// Writes down where rows came to stand.
///
/// # Errors
/// As the store answers.
pub async fn mark_published(tx: &mut Tx, table: &str, marks: &[Mark]) -> Result<(), StoreError> {
    if marks.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> =
        marks.iter().map(|mark| json!({ "id": mark.id, "position": mark.position.to_string() })).collect();
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
/// # Errors
/// As the store answers.
pub async fn settle(tx: &mut Tx, outlet: &Outlet, marks: &[Mark]) -> Result<(), StoreError> {
    if marks.is_empty() {
        return Ok(());
    }
    let table = outlet.table;
    let rows: Vec<_> =
        marks.iter().map(|mark| json!({ "id": mark.id, "position": mark.position.to_string() })).collect();
    let sql = if outlet.keeps {
        format!(
            "UPDATE {table} SET settled = 1, position = r.value->>'position' FROM jsonb_each($1) AS r
             WHERE {table}.id = CAST(r.value->>'id' AS BIGINT)"
        )
    } else {
        format!("DELETE FROM {table} WHERE id IN (SELECT CAST(r.value->>'id' AS BIGINT) FROM jsonb_each($1) AS r)")
    };
    tx.execute(sql, &rows).await?;
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
                AND partition IN (SELECT CAST(r.value->>'partition' AS BIGINT) FROM jsonb_each($1) AS r)
              LIMIT {most})"
        ),
        &partitions.iter().map(|partition| json!({ "partition": partition })).collect::<Vec<_>>(),
    )
    .await
}
