//! The **event log**: appended to by what is heard, read again by rebuilds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::clock::Millis;
use platform::message::Envelope;
use platform::store::{StoreError, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::consumer;
use crate::kind::Kind;
use crate::overlay::{Fact, Logged, OrderState};
use crate::projections::Event;
use crate::projections::orders::OrderEvent;
use crate::projections::sales::Basket;
use crate::read_model::{Hears, Model, ORDER_SOURCE};
use crate::rebuild::Chunk;

/// An event for the log, before it has a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogEntry {
    pub(crate) subject: String,
    pub(crate) source: String,
    pub(crate) sequence: i64,
    /// Full protobuf name.
    pub(crate) kind: Cow<'static, str>,
    pub(crate) time: Millis,
    /// `None` if it is the subject.
    pub(crate) correlation_id: Option<String>,
    /// The whole envelope as JSON, as it was heard.
    pub(crate) envelope: Arc<str>,
}

/// A row of the log: an envelope, and what it is looked up by.
#[derive(Serialize)]
struct LogRow<'a> {
    subject: &'a str,
    source: &'a str,
    sequence: i64,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    envelope: &'a str,
}

#[derive(Deserialize)]
struct Text {
    envelope: String,
}

#[derive(Deserialize)]
struct Subject {
    subject: String,
}

#[derive(Deserialize)]
struct Placed {
    position: i64,
    envelope: String,
}

#[derive(Deserialize)]
struct Range {
    n: i64,
    upto: Option<i64>,
    head: Option<i64>,
}

/// An event that is in the log already is a conflict: the inbox, read again, will
/// know it.
pub(super) async fn append(tx: &mut Tx, log: &[Arc<LogEntry>]) -> Result<(), StoreError> {
    let rows: Vec<_> = log
        .iter()
        .map(|entry| LogRow {
            subject: &entry.subject,
            source: &entry.source,
            sequence: entry.sequence,
            kind: &entry.kind,
            correlation_id: entry.correlation_id.as_deref(),
            envelope: &entry.envelope,
        })
        .collect();
    tx.execute_each(
        "INSERT INTO event_log (subject, source, sequence, type, correlation_id, envelope)
         SELECT r.value->>'subject', r.value->>'source', CAST(r.value->>'sequence' AS BIGINT), r.value->>'kind',
                r.value->>'correlation_id', r.value->>'envelope'
         FROM jsonb_each($1) AS r",
        &rows,
    )
    .await
}

/// Reads an envelope from the log.
pub(crate) fn envelope(text: &str) -> Result<Envelope, StoreError> {
    Envelope::parse(text).map_err(|error| StoreError::Refused(format!("event log: {error}")))
}

/// The chunk of at most `most` events after a position, and those of its events
/// that `model` is folded from.
pub(crate) async fn chunk(
    tx: &mut Tx,
    model: Model,
    after: i64,
    most: i64,
) -> Result<(Chunk, Vec<Logged>), StoreError> {
    let range: Vec<Range> = tx
        .fetch(
            "WITH a AS MATERIALIZED (
                 SELECT CAST(r.value->>'after' AS BIGINT) AS after, CAST(r.value->>'most' AS BIGINT) AS most
                 FROM jsonb_each($1) AS r)
             SELECT COUNT(*) AS n, MAX(position) AS upto, (SELECT MAX(position) FROM event_log) AS head
             FROM (SELECT position FROM event_log WHERE position > (SELECT after FROM a)
                   ORDER BY position LIMIT (SELECT most FROM a)) AS next",
            &[json!({ "after": after, "most": most })],
        )
        .await?;
    let Some(Range { n: events, upto: Some(upto), head }) = range.into_iter().next() else {
        return Ok((Chunk { upto: after, events: 0, is_last: true }, Vec::new()));
    };
    let mut texts: Vec<Placed> = tx
        .fetch(
            format!(
                "WITH a AS MATERIALIZED (
                     SELECT CAST(r.value->>'after' AS BIGINT) AS after, CAST(r.value->>'most' AS BIGINT) AS most
                     FROM jsonb_each($1) AS r)
                 SELECT position, envelope FROM
                     (SELECT position, source, type, envelope FROM event_log WHERE position > (SELECT after FROM a)
                      ORDER BY position LIMIT (SELECT most FROM a)) AS next
                 WHERE {}",
                heard_by(model)
            ),
            &[json!({ "after": after, "most": most })],
        )
        .await?;
    // They come in order, though none was promised: here that costs a look, in SQL a
    // sort of whole envelopes.
    texts.sort_unstable_by_key(|text| text.position);
    let logged = texts.iter().map(|text| logged(&text.envelope)).collect::<Result<_, _>>()?;
    Ok((Chunk { upto, events, is_last: head == Some(upto) }, logged))
}

/// The condition on the events of a chunk that a read model is folded from.
fn heard_by(model: Model) -> String {
    match model.hears() {
        Hears::Outlet(source) => format!("source = '{source}'"),
        Hears::Kinds(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(|kind| format!("'{}'", kind.full())).collect();
            format!("type IN ({})", kinds.join(", "))
        }
    }
}

/// Reads an event from the log.
pub(crate) fn logged(text: &str) -> Result<Logged, StoreError> {
    let message = envelope(text)?;
    let event = consumer::event(&message).map_err(|error| StoreError::Refused(format!("event log: {error}")))?;
    Ok(Logged { subject: message.subject, sequence: message.sequence, time: message.time, event })
}

/// What the sales need to know of the orders that these events are about: from the
/// log, not from the read model, which may be what has to be rebuilt.
pub(crate) async fn orders(tx: &mut Tx, facts: &[Fact<'_>]) -> Result<BTreeMap<String, OrderState>, StoreError> {
    let (mut ids, mut refunded) = (BTreeSet::new(), BTreeSet::new());
    for fact in facts {
        if let Event::Order(event) = fact.event {
            ids.insert(fact.subject);
            if matches!(event, OrderEvent::PaymentRefunded { .. }) {
                refunded.insert(fact.subject);
            }
        }
    }
    let confirmed = confirmed(tx, &refunded).await?;
    let known = |(id, basket)| {
        let is_confirmed = confirmed.contains(&id);
        (id, OrderState { basket: Some(basket), is_confirmed, ..OrderState::default() })
    };
    Ok(baskets(tx, &ids).await?.into_iter().map(known).collect())
}

/// What was ordered, by order.
async fn baskets(tx: &mut Tx, ids: &BTreeSet<&str>) -> Result<BTreeMap<String, Basket>, StoreError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let texts: Vec<Text> = tx
        .fetch(
            "SELECT e.envelope FROM jsonb_each($1) AS r
             JOIN event_log AS e ON e.source = r.value->>'source' AND e.subject = r.value->>'subject'
             WHERE e.sequence = 1",
            &lines(ids),
        )
        .await?;
    let mut baskets = BTreeMap::new();
    for text in texts {
        let logged = logged(&text.envelope)?;
        if let Event::Order(OrderEvent::Placed { placement, .. }) = &logged.event {
            baskets.insert(logged.subject, Basket::of(placement));
        }
    }
    Ok(baskets)
}

/// Those of the orders that were ever confirmed.
async fn confirmed(tx: &mut Tx, ids: &BTreeSet<&str>) -> Result<BTreeSet<String>, StoreError> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let orders: Vec<Subject> = tx
        .fetch(
            format!(
                "SELECT e.subject FROM jsonb_each($1) AS r
                 JOIN event_log AS e ON e.source = r.value->>'source' AND e.subject = r.value->>'subject'
                 WHERE e.type = '{}'",
                Kind::OrderConfirmed.full()
            ),
            &lines(ids),
        )
        .await?;
    Ok(orders.into_iter().map(|order| order.subject).collect())
}

/// Where the log keeps the events of these orders.
fn lines(ids: &BTreeSet<&str>) -> Vec<Value> {
    ids.iter().map(|id| json!({ "source": ORDER_SOURCE, "subject": id })).collect()
}
