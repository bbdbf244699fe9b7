//! All SQL of the query service: here what a batch loads and saves, in [`reads`]
//! what is asked from outside.
//!
//! No versions are tested: all events of a row's subject come through one
//! partition, whose lease is held and checked in the same transaction, so each row
//! has one folder at a time.

pub(crate) mod reads;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::Serialize;
use serde_json::json;

use crate::Input;
use crate::overlay::{Batch, OrderState, ProductState};
use crate::projections::orders::{Course, Placement, Status};
use crate::projections::products::{self, Offer, Product};
use crate::projections::{Event, notifications::Notification};

/// A row of the event log, before it has a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LogEntry {
    pub(crate) source: String,
    pub(crate) subject: String,
    pub(crate) sequence: i64,
    /// Full protobuf name.
    pub(crate) kind: String,
    pub(crate) time: Millis,
    pub(crate) correlation_id: String,
    pub(crate) event_id: String,
    /// The whole envelope as JSON.
    pub(crate) envelope: String,
}

#[derive(sqlx::FromRow)]
struct CourseRow {
    id: String,
    customer_id: String,
    status: String,
    status_reason: String,
    version: i64,
    pay_before: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct ProductRow {
    sku: String,
    name: Option<String>,
    price: Option<i64>,
    currency: Option<String>,
    on_hand: i64,
    reserved: i64,
}

/// Loads the orders and products that the inputs touch. What is not stored yet is
/// there as a state without a past.
pub(crate) async fn load(tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
    let (mut ids, mut skus) = (BTreeSet::new(), BTreeSet::new());
    for input in inputs {
        match &input.event {
            Event::Order(_) => ids.insert(input.entry.subject.as_str()),
            Event::Product(_) => skus.insert(input.entry.subject.as_str()),
            Event::Notified(_) | Event::LogOnly => false,
        };
    }
    let mut batch = Batch { log: Vec::with_capacity(inputs.len()), ..Batch::default() };
    batch.orders.extend(ids.iter().map(|id| ((*id).to_owned(), OrderState::default())));
    batch.products.extend(skus.iter().map(|sku| ((*sku).to_owned(), ProductState::default())));

    if !ids.is_empty() {
        let rows: Vec<CourseRow> = tx
            .fetch(
                "SELECT id, customer_id, status, status_reason, version, pay_before FROM orders
                 WHERE id IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r)",
                &keys(&ids),
            )
            .await?;
        for row in rows {
            let CourseRow { id, customer_id, status, status_reason, version, pay_before } = row;
            let status = Status::parse(&status)
                .ok_or_else(|| StoreError::Refused(format!("order {id} has the unknown status {status:?}")))?;
            let course = Some(Course { status, status_reason, version, pay_before });
            batch.orders.insert(id, OrderState { customer_id, course, placed: None, changed: false });
        }
    }
    if !skus.is_empty() {
        let rows: Vec<ProductRow> = tx
            .fetch(
                "SELECT sku, name, price, currency, on_hand, reserved FROM products
                 WHERE sku IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r)",
                &keys(&skus),
            )
            .await?;
        for ProductRow { sku, name, price, currency, on_hand, reserved } in rows {
            let offer = name.zip(price).zip(currency).map(|((name, price), currency)| Offer { name, price, currency });
            let product = Product { offer, on_hand, reserved };
            batch.products.insert(sku, ProductState { product, changed: false });
        }
    }
    Ok(batch)
}

fn keys(keys: &BTreeSet<&str>) -> Vec<serde_json::Value> {
    keys.iter().map(|key| json!({ "key": key })).collect()
}

#[derive(Serialize)]
struct PlacedRow<'a> {
    id: &'a str,
    customer_id: &'a str,
    status: &'static str,
    status_reason: &'a str,
    version: i64,
    placed_at: Millis,
    pay_before: Option<Millis>,
    total: i64,
    currency: &'a str,
    lines: String,
    address: Option<String>,
}

#[derive(Serialize)]
struct MovedRow<'a> {
    id: &'a str,
    status: &'static str,
    status_reason: &'a str,
    version: i64,
    pay_before: Option<Millis>,
}

/// Saves what the batch has become: the log, then each changed row once.
pub(crate) async fn save(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    append(tx, batch).await?;
    let (mut placed, mut moved) = (Vec::new(), Vec::new());
    for (id, order) in batch.changed_orders() {
        match (&order.course, &order.placed) {
            (Some(course), Some(placement)) => placed.push(placed_row(id, course, placement)?),
            (Some(course), None) => moved.push(MovedRow {
                id,
                status: course.status.as_str(),
                status_reason: &course.status_reason,
                version: course.version,
                pay_before: course.pay_before,
            }),
            (None, _) => {}
        }
    }
    tx.execute_each(
        "INSERT INTO orders (id, customer_id, status, status_reason, version, placed_at, pay_before, total, currency,
                             lines, address)
         SELECT r.value->>'id', r.value->>'customer_id', r.value->>'status', r.value->>'status_reason',
                CAST(r.value->>'version' AS BIGINT), CAST(r.value->>'placed_at' AS BIGINT),
                CAST(r.value->>'pay_before' AS BIGINT), CAST(r.value->>'total' AS BIGINT), r.value->>'currency',
                r.value->>'lines', r.value->>'address'
         FROM jsonb_each($1) AS r",
        &placed,
    )
    .await?;
    tx.execute_each(
        "UPDATE orders
         SET status = r.value->>'status', status_reason = r.value->>'status_reason',
             version = CAST(r.value->>'version' AS BIGINT), pay_before = CAST(r.value->>'pay_before' AS BIGINT)
         FROM jsonb_each($1) AS r WHERE orders.id = r.value->>'id'",
        &moved,
    )
    .await?;
    save_products(tx, batch).await?;
    save_notifications(tx, batch).await
}

/// An event that is in the log already is a conflict: the inbox, read again, will
/// know it.
async fn append(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    let rows: Vec<&LogEntry> = batch.log.iter().map(|entry| &**entry).collect();
    tx.execute_each(
        "INSERT INTO event_log (source, subject, sequence, type, time, correlation_id, event_id, envelope)
         SELECT r.value->>'source', r.value->>'subject', CAST(r.value->>'sequence' AS BIGINT), r.value->>'kind',
                CAST(r.value->>'time' AS BIGINT), r.value->>'correlation_id', r.value->>'event_id',
                r.value->>'envelope'
         FROM jsonb_each($1) AS r",
        &rows,
    )
    .await
}

fn placed_row<'a>(id: &'a str, course: &'a Course, placement: &'a Placement) -> Result<PlacedRow<'a>, StoreError> {
    Ok(PlacedRow {
        id,
        customer_id: &placement.customer_id,
        status: course.status.as_str(),
        status_reason: &course.status_reason,
        version: course.version,
        placed_at: placement.placed_at,
        pay_before: course.pay_before,
        total: placement.total,
        currency: &placement.currency,
        lines: text(&placement.lines)?,
        address: placement.address.as_ref().map(text).transpose()?,
    })
}

fn text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(format!("no JSON: {error}")))
}

async fn save_products(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    let rows: Vec<_> = batch
        .products
        .iter()
        .filter(|(_, state)| state.changed)
        .map(|(sku, ProductState { product, .. })| {
            let offer = product.offer.as_ref();
            json!({
                "sku": sku,
                "name": offer.map(|offer| &offer.name),
                "price": offer.map(|offer| offer.price),
                "currency": offer.map(|offer| &offer.currency),
                "on_hand": product.on_hand,
                "reserved": product.reserved,
                "search_text": products::search_text(sku, product),
            })
        })
        .collect();
    tx.execute_each(
        "INSERT INTO products (sku, name, price, currency, on_hand, reserved, search_text)
         SELECT r.value->>'sku', r.value->>'name', CAST(r.value->>'price' AS BIGINT), r.value->>'currency',
                CAST(r.value->>'on_hand' AS BIGINT), CAST(r.value->>'reserved' AS BIGINT), r.value->>'search_text'
         FROM jsonb_each($1) AS r WHERE true
         ON CONFLICT (sku) DO UPDATE
         SET name = excluded.name, price = excluded.price, currency = excluded.currency,
             on_hand = excluded.on_hand, reserved = excluded.reserved, search_text = excluded.search_text",
        &rows,
    )
    .await
}

async fn save_notifications(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    let rows: Vec<_> = batch
        .notifications
        .iter()
        .map(|notification| {
            let Notification { id, customer_id, order_id, title, body, at } = &**notification;
            json!({
                "id": id, "customer_id": customer_id, "order_id": order_id, "title": title, "body": body, "at": at,
            })
        })
        .collect();
    tx.execute_each(
        "INSERT INTO notifications (id, customer_id, order_id, title, body, at)
         SELECT r.value->>'id', r.value->>'customer_id', r.value->>'order_id', r.value->>'title', r.value->>'body',
                CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &rows,
    )
    .await
}
