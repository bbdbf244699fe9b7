//! Orders as they are, their timelines, and their own events, from which they can be
//! made as they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::clock::Millis;
use platform::message::Envelope;
use platform::store::{Db, StoreError, Tx};
use serde::Deserialize;
use serde_json::json;

use super::{Filter, List, Newest, Page, generation, newest, rows_of};
use crate::overlay::Logged;
use crate::projections::orders::{Course, Placement, Refund};
use crate::read_model::{Model, ORDER_SOURCE, Scope};
use crate::store::log;
use crate::store::orders::{parsed, status};

/// An order as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct OrderRow {
    pub(crate) id: String,
    pub(crate) customer_id: String,
    pub(crate) status: String,
    pub(crate) status_reason: String,
    pub(crate) version: i64,
    pub(crate) placed_at: Millis,
    pub(crate) pay_before: Option<Millis>,
    pub(crate) fulfil_at: Option<Millis>,
    pub(crate) total: i64,
    pub(crate) currency: String,
    pub(crate) pieces: i64,
    pub(crate) refunded: i64,
    pub(crate) cancelling: i64,
    pub(crate) refund: Option<String>,
    pub(crate) returned: Option<String>,
    pub(crate) lines: String,
    pub(crate) address: Option<String>,
}

impl OrderRow {
    /// What the row says, in the projection's terms.
    ///
    /// # Errors
    /// The row is broken.
    pub(crate) fn read(self) -> Result<(Placement, Course), StoreError> {
        let Self { id, .. } = &self;
        let lines = parsed(id, Some(&self.lines))?.unwrap_or_default();
        let address = parsed(id, self.address.as_deref())?;
        let course = Course {
            status: status(id, &self.status)?,
            refund: parsed::<Refund>(id, self.refund.as_deref())?.map(Arc::new),
            returned: parsed(id, self.returned.as_deref())?.unwrap_or_default(),
            status_reason: self.status_reason,
            version: self.version,
            pay_before: self.pay_before,
            fulfil_at: self.fulfil_at,
            pieces: self.pieces,
            refunded: self.refunded,
            cancelling: self.cancelling != 0,
        };
        let placement = Placement {
            customer_id: self.customer_id,
            placed_at: self.placed_at,
            total: self.total,
            currency: self.currency,
            lines,
            address,
        };
        Ok((placement, course))
    }
}

#[derive(Deserialize)]
struct Text {
    envelope: String,
}

/// An event of an order's timeline.
#[derive(Deserialize)]
struct Told {
    order_id: String,
    position: i64,
    envelope: String,
}

const COLUMNS: &str = "t.id, t.customer_id, t.status, t.status_reason, t.version, t.placed_at, t.pay_before,
    t.fulfil_at, t.total, t.currency, t.pieces, t.refunded, t.cancelling, t.refund, t.returned, t.lines, t.address";

fn by_id() -> String {
    format!(
        "SELECT {COLUMNS} FROM orders AS t
         WHERE t.generation = {} AND t.id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)",
        generation(Scope::Live, Model::Orders)
    )
}

/// One order.
pub(crate) async fn one(db: &Db, id: &str) -> Result<Option<OrderRow>, StoreError> {
    Ok(db.read(by_id(), &[json!({ "id": id })]).await?.pop())
}

/// The rows of these orders, in a transaction's snapshot.
pub(crate) async fn these(tx: &mut Tx, ids: &[String]) -> Result<Vec<OrderRow>, StoreError> {
    tx.fetch(by_id(), &ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>()).await
}

/// A page of orders, newest first, and how many there are in all.
pub(crate) async fn list(db: &Db, filter: &Filter, page: &Page<Newest>) -> Result<(Vec<OrderRow>, i64), StoreError> {
    newest(db, &List { model: Model::Orders, columns: COLUMNS, time: "placed_at" }, filter, page).await
}

/// One order and the events of its timeline, both of the same moment, so that
/// neither tells more than the other.
pub(crate) async fn with_events(db: &Db, id: &str) -> Result<Option<(OrderRow, Vec<Envelope>)>, StoreError> {
    let mut tx = db.snapshot().await?;
    let order: Option<OrderRow> = tx.fetch(by_id(), &[json!({ "id": id })]).await?.pop();
    let Some(order) = order else { return Ok(None) };
    let events = events_until(&mut tx, id, None).await?;
    tx.rollback().await?;
    Ok(Some((order, events)))
}

/// An order's own events, in their order, and the events of its timeline up to a
/// moment (none if they are not asked for).
pub(crate) async fn history(
    db: &Db,
    id: &str,
    at: Millis,
    with_timeline: bool,
) -> Result<(Vec<Logged>, Vec<Envelope>), StoreError> {
    let mut tx = db.snapshot().await?;
    let own: Vec<Text> = tx
        .fetch(
            "SELECT e.envelope FROM jsonb_each($1) AS r
             JOIN event_log AS e ON e.source = r.value->>'source' AND e.subject = r.value->>'id'
             ORDER BY e.sequence",
            &[json!({ "source": ORDER_SOURCE, "id": id })],
        )
        .await?;
    let events = if with_timeline { events_until(&mut tx, id, Some(at)).await? } else { Vec::new() };
    tx.rollback().await?;
    let own = own.iter().map(|text| log::logged(&text.envelope)).collect::<Result<_, _>>()?;
    Ok((own, events))
}

/// The events of an order's timeline up to a moment, from all services, by time.
async fn events_until(tx: &mut Tx, id: &str, until: Option<Millis>) -> Result<Vec<Envelope>, StoreError> {
    let order = "WITH o AS MATERIALIZED (SELECT r.value->>'id' AS id FROM jsonb_each($1) AS r)";
    let told = tx.fetch(told_of(order), &[json!({ "id": id })]).await?;
    let mut events = by_time(told)?.remove(id).unwrap_or_default();
    events.retain(|event| until.is_none_or(|until| event.time <= until));
    Ok(events)
}

/// The events that belong to the orders `o` of a statement's beginning: those about
/// an order itself, whose correlation id is their subject and left out, and those
/// that name it as theirs.
fn told_of(orders: &str) -> String {
    format!(
        "{orders}
         SELECT o.id AS order_id, e.position, e.envelope FROM o
         JOIN event_log AS e ON e.subject = o.id AND e.correlation_id IS NULL
         UNION ALL
         SELECT o.id AS order_id, e.position, e.envelope FROM o JOIN event_log AS e ON e.correlation_id = o.id"
    )
}

/// Each order's events in the order of their times, and of their positions where
/// these are equal.
fn by_time(told: Vec<Told>) -> Result<BTreeMap<String, Vec<Envelope>>, StoreError> {
    let mut events = Vec::with_capacity(told.len());
    for Told { order_id, position, envelope } in told {
        events.push((position, order_id, log::envelope(&envelope)?));
    }
    events.sort_unstable_by_key(|(position, _, event)| (event.time, *position));
    let mut timelines: BTreeMap<String, Vec<Envelope>> = BTreeMap::new();
    for (_, order_id, event) in events {
        timelines.entry(order_id).or_default().push(event);
    }
    Ok(timelines)
}

/// The events of the timelines of these orders; of `customer`'s only, if one is
/// given. Who has none is not in it.
pub(crate) async fn timelines(
    db: &Db,
    ids: &[String],
    customer: Option<&str>,
) -> Result<BTreeMap<String, Vec<Envelope>>, StoreError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut ids: Vec<_> = ids.iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let args: Vec<_> = ids.iter().map(|id| json!({ "id": id, "customer": customer })).collect();
    let condition = if customer.is_some() { "AND t.customer_id = r.value->>'customer'" } else { "" };
    let orders = format!(
        "{}, o AS MATERIALIZED (
             SELECT t.id FROM r
             JOIN orders AS t ON t.generation = r.generation AND t.id = r.value->>'id' {condition})",
        rows_of(&generation(Scope::Live, Model::Orders))
    );
    by_time(db.read(told_of(&orders), &args).await?)
}
