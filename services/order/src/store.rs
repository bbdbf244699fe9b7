//! All SQL of the order service: orders and prices, loaded and saved as sets. The
//! events go through the platform's outbox into `order_events`.

use std::collections::{BTreeMap, BTreeSet};

use platform::bus::Timer;
use platform::clock::Millis;
use platform::store::{Db, StoreError, Tx};
use serde_json::json;

use crate::domain::Order;
use crate::pricing::Price;
use crate::{DEADLINE, FULFILMENT, STEP};

#[derive(sqlx::FromRow)]
struct OrderRow {
    id: String,
    version: i64,
    aggregate: String,
}

#[derive(sqlx::FromRow)]
struct PriceRow {
    sku: String,
    name: String,
    price: i64,
    currency: String,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    id: String,
    pay_before: Option<i64>,
    step_due: Option<i64>,
    fulfil_at: Option<i64>,
}

/// What one batch touches.
#[derive(Debug, Default)]
pub struct Batch {
    orders: BTreeMap<String, Slot>,
    prices: BTreeMap<String, Price>,
    /// SKUs whose prices this batch has learnt.
    learnt: BTreeSet<String>,
}

#[derive(Debug)]
struct Slot {
    order: Order,
    /// As loaded; 0: not stored yet.
    version: i64,
}

impl Batch {
    pub(crate) fn order(&self, id: &str) -> Option<&Order> {
        self.orders.get(id).map(|slot| &slot.order)
    }

    pub(crate) fn set_order(&mut self, id: &str, order: Order) {
        match self.orders.get_mut(id) {
            Some(slot) => slot.order = order,
            None => {
                self.orders.insert(id.to_owned(), Slot { order, version: 0 });
            }
        }
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
        let args: Vec<_> = orders.iter().map(|id| json!({ "id": id })).collect();
        let rows: Vec<OrderRow> = tx
            .fetch_for_update(
                "SELECT id, version, aggregate FROM orders
                 WHERE id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r) ORDER BY id",
                &args,
            )
            .await?;
        for row in rows {
            let order = aggregate(&row.id, &row.aggregate)?;
            batch.orders.insert(row.id, Slot { order, version: row.version });
        }
    }
    if !skus.is_empty() {
        let args: Vec<_> = skus.iter().map(|sku| json!({ "sku": sku })).collect();
        let rows: Vec<PriceRow> = tx
            .fetch(
                "SELECT sku, name, price, currency FROM prices
                 WHERE sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r)",
                &args,
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
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (id, slot) in batch.orders.iter().filter(|(_, slot)| slot.order.version != slot.version) {
        let order = &slot.order;
        let text = serde_json::to_string(order).map_err(|error| StoreError::Refused(format!("order {id}: {error}")))?;
        let row = json!({
            "id": id, "version": order.version, "loaded": slot.version, "status": order.status,
            "pay_before": order.pay_before, "step_due": order.step_due, "fulfil_at": order.fulfil_at,
            "aggregate": text,
        });
        if slot.version == 0 { &mut new } else { &mut changed }.push(row);
    }
    tx.execute_each(
        "INSERT INTO orders (id, version, status, pay_before, step_due, fulfil_at, aggregate)
         SELECT r.value->>'id', CAST(r.value->>'version' AS BIGINT), r.value->>'status',
                CAST(r.value->>'pay_before' AS BIGINT), CAST(r.value->>'step_due' AS BIGINT),
                CAST(r.value->>'fulfil_at' AS BIGINT), r.value->>'aggregate'
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
    let prices: Vec<_> = batch
        .learnt
        .iter()
        .filter_map(|sku| {
            let price = batch.prices.get(sku)?;
            Some(json!({ "sku": sku, "name": price.name, "price": price.amount, "currency": price.currency }))
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
pub(crate) fn aggregate(id: &str, text: &str) -> Result<Order, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Refused(format!("row of order {id}: {error}")))
}
