//! All SQL of the order service: orders and prices, loaded and saved as sets. The
//! events go through the platform's outbox into `order_events`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::bus::Timer;
use platform::clock::Millis;
use platform::store::{Db, StoreError, Tx};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{Order, Placed, Status};
use crate::pricing::Price;
use crate::{DEADLINE, FULFILMENT, STEP};

#[derive(serde::Deserialize)]
struct OrderRow {
    id: String,
    version: i64,
    /// `None`: it stands in the aggregate.
    placed: Option<String>,
    aggregate: String,
}

#[derive(serde::Deserialize)]
struct PriceRow {
    sku: String,
    name: String,
    price: i64,
    currency: String,
}

#[derive(serde::Deserialize)]
struct DueRow {
    id: String,
    pay_before: Option<i64>,
    step_due: Option<i64>,
    fulfil_at: Option<i64>,
}

/// The key of an order to load.
#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

/// The key of a price to load.
#[derive(Serialize)]
struct Sku<'a> {
    sku: &'a str,
}

/// An order to save.
#[derive(Serialize)]
struct SavedOrder<'a> {
    id: &'a str,
    version: i64,
    /// The version that it was loaded with.
    loaded: i64,
    status: Status,
    pay_before: Option<Millis>,
    step_due: Option<Millis>,
    fulfil_at: Option<Millis>,
    /// Written once, with the order's first row.
    #[serde(skip_serializing_if = "Option::is_none")]
    placed: Option<Apart<&'a Placed>>,
    aggregate: &'a Order,
}

/// What was ordered, to be set apart from an aggregate of an earlier version.
#[derive(Serialize)]
struct SetApart<'a> {
    id: &'a str,
    placed: Apart<&'a Placed>,
}

/// What was ordered, as it stands in its column; an aggregate of an earlier version reads
/// as this too.
#[derive(Serialize, Deserialize)]
struct Apart<T> {
    placed: T,
}

/// A price to save.
#[derive(Serialize)]
struct SavedPrice<'a> {
    sku: &'a str,
    name: &'a str,
    price: i64,
    currency: &'a str,
}

/// What one batch touches.
#[derive(Debug, Default)]
pub struct Batch {
    orders: BTreeMap<String, Slot>,
    prices: BTreeMap<String, Price>,
    /// SKUs whose prices this batch has learnt.
    learnt: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Slot {
    /// `None`: there is no such order.
    order: Option<Order>,
    /// As loaded; 0: not stored yet.
    version: i64,
    /// Whether what was ordered stands in the aggregate still.
    joined: bool,
}

impl Batch {
    pub(crate) fn order(&self, id: &str) -> Option<&Order> {
        self.orders.get(id)?.order.as_ref()
    }

    /// An order's place in the batch, to be changed there.
    pub(crate) fn order_mut(&mut self, id: &str) -> &mut Option<Order> {
        &mut self.orders.entry(id.to_owned()).or_default().order
    }

    pub(crate) fn price(&self, sku: &str) -> Option<&Price> {
        self.prices.get(sku)
    }

    pub(crate) fn learn(&mut self, sku: &str, price: Price) {
        if self.prices.get(sku) != Some(&price) {
            self.prices.insert(sku.to_owned(), price);
            self.learnt.insert(sku.to_owned());
        }
    }
}

/// Loads the orders (locked) and the prices that a batch touches.
pub(crate) async fn load(tx: &mut Tx, orders: &BTreeSet<&str>, skus: &BTreeSet<&str>) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    if !orders.is_empty() {
        let ids: Vec<_> = orders.iter().map(|id| Id { id }).collect();
        let rows: Vec<OrderRow> = tx
            .fetch_for_update(
                "SELECT id, version, placed, aggregate FROM orders
                 WHERE id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r) ORDER BY id",
                &ids,
            )
            .await?;
        for row in rows {
            let order = Some(order(&row.id, row.placed.as_deref(), &row.aggregate)?);
            batch.orders.insert(row.id, Slot { order, version: row.version, joined: row.placed.is_none() });
        }
    }
    if !skus.is_empty() {
        let skus: Vec<_> = skus.iter().map(|sku| Sku { sku }).collect();
        let rows: Vec<PriceRow> = tx
            .fetch_each(
                "SELECT sku, name, price, currency FROM prices
                 WHERE sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r)",
                &skus,
            )
            .await?;
        for row in rows {
            batch.prices.insert(row.sku, Price { name: row.name, amount: row.price, currency: row.currency });
        }
    }
    Ok(batch)
}

/// Saves what changed; a changed order tests the version it was loaded with.
pub(crate) async fn save(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    let (mut new, mut changed, mut set_apart) = (Vec::new(), Vec::new(), Vec::new());
    for (id, slot) in &batch.orders {
        let Some(order) = slot.order.as_ref().filter(|order| order.version != slot.version) else { continue };
        let is_new = slot.version == 0;
        let row = SavedOrder {
            id,
            version: order.version,
            loaded: slot.version,
            status: order.status,
            pay_before: order.pay_before,
            step_due: order.step_due,
            fulfil_at: order.fulfil_at,
            placed: is_new.then_some(Apart { placed: &order.placed }),
            aggregate: order,
        };
        if is_new { &mut new } else { &mut changed }.push(row);
        if slot.joined {
            set_apart.push(SetApart { id, placed: Apart { placed: &order.placed } });
        }
    }
    tx.execute_each(
        "INSERT INTO orders (id, version, status, pay_before, step_due, fulfil_at, placed, aggregate)
         SELECT r.value->>'id', CAST(r.value->>'version' AS BIGINT), r.value->>'status',
                CAST(r.value->>'pay_before' AS BIGINT), CAST(r.value->>'step_due' AS BIGINT),
                CAST(r.value->>'fulfil_at' AS BIGINT), r.value->>'placed', r.value->>'aggregate'
         FROM jsonb_each($1) AS r",
        &new,
    )
    .await?;
    tx.execute_each(
        "UPDATE orders SET version = CAST(r.value->>'version' AS BIGINT), status = r.value->>'status',
                pay_before = CAST(r.value->>'pay_before' AS BIGINT),
                step_due = CAST(r.value->>'step_due' AS BIGINT),
                fulfil_at = CAST(r.value->>'fulfil_at' AS BIGINT), aggregate = r.value->>'aggregate'
         FROM jsonb_each($1) AS r
         WHERE orders.id = r.value->>'id' AND orders.version = CAST(r.value->>'loaded' AS BIGINT)",
        &changed,
    )
    .await?;
    tx.execute_each(
        "UPDATE orders SET placed = r.value->>'placed' FROM jsonb_each($1) AS r WHERE orders.id = r.value->>'id'",
        &set_apart,
    )
    .await?;
    let prices: Vec<_> = batch
        .learnt
        .iter()
        .filter_map(|sku| {
            let Price { name, amount, currency } = batch.prices.get(sku)?;
            Some(SavedPrice { sku, name, price: *amount, currency })
        })
        .collect();
    tx.execute_each(
        "INSERT INTO prices (sku, name, price, currency)
         SELECT r.value->>'sku', r.value->>'name', CAST(r.value->>'price' AS BIGINT), r.value->>'currency'
         FROM jsonb_each($1) AS r WHERE true
         ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price, currency = excluded.currency",
        &prices,
    )
    .await
}

/// The timers that stand in the rows, due before `before`.
pub(crate) async fn timers(db: &Db, before: Millis) -> Result<Vec<Timer>, StoreError> {
    let rows: Vec<DueRow> = db
        .read(
            "SELECT o.id, o.pay_before, o.step_due, o.fulfil_at FROM orders AS o, jsonb_each($1) AS r
             WHERE o.pay_before < CAST(r.value->>'before' AS BIGINT)
             UNION
             SELECT o.id, o.pay_before, o.step_due, o.fulfil_at FROM orders AS o, jsonb_each($1) AS r
             WHERE o.step_due < CAST(r.value->>'before' AS BIGINT)
             UNION
             SELECT o.id, o.pay_before, o.step_due, o.fulfil_at FROM orders AS o, jsonb_each($1) AS r
             WHERE o.fulfil_at < CAST(r.value->>'before' AS BIGINT)",
            &[json!({ "before": before })],
        )
        .await?;
    Ok(rows
        .iter()
        .flat_map(|row| {
            let due_times = [(DEADLINE, row.pay_before), (STEP, row.step_due), (FULFILMENT, row.fulfil_at)];
            due_times.into_iter().filter_map(|(kind, due)| {
                Some(Timer { subject: row.id.clone(), kind: kind.to_owned(), attempt: 0, due: due? })
            })
        })
        .collect())
}

/// An order as it stands in its row.
pub(crate) fn order(id: &str, placed: Option<&str>, aggregate: &str) -> Result<Order, StoreError> {
    let read = || -> serde_json::Result<Order> {
        let placed = Arc::new(self::placed(placed, aggregate)?);
        Ok(Order { placed, ..serde_json::from_str(aggregate)? })
    };
    read().map_err(|error| StoreError::Refused(format!("row of order {id}: {error}")))
}

/// What was ordered, or as much of it as `T` wants: from its column, or else from the
/// aggregate, where earlier versions wrote it.
pub(crate) fn placed<T: DeserializeOwned>(placed: Option<&str>, aggregate: &str) -> serde_json::Result<T> {
    serde_json::from_str::<Apart<T>>(placed.unwrap_or(aggregate)).map(|apart| apart.placed)
}
