//! All SQL of the inventory service: the batch's states, loaded and saved as sets.

use std::collections::{BTreeMap, BTreeSet};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{Level, Line, Movement, MovementKind, Reservation, Sale};

/// A product as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub(crate) struct ProductRow {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) price: i64,
    pub(crate) currency: String,
    /// 0: not stored yet.
    pub(crate) version: i64,
}

#[derive(Debug, Clone, sqlx::FromRow)]
struct StockRow {
    sku: String,
    on_hand: i64,
    reserved: i64,
    version: i64,
}

#[derive(Debug, Clone, sqlx::FromRow)]
struct ReservationRow {
    order_id: String,
    state: String,
    lines: String,
    returned: String,
    version: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredLine {
    sku: String,
    quantity: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredReturn {
    refund: i32,
    sku: String,
    quantity: i64,
}

/// A loaded state, what it has become, and whether it must be saved.
#[derive(Debug, Clone)]
pub(crate) struct Slot<T> {
    pub(crate) value: T,
    /// As loaded; 0: not stored yet.
    version: i64,
    changed: bool,
}

impl<T> Slot<T> {
    fn set(&mut self, value: T) {
        self.value = value;
        self.changed = true;
    }
}

/// What one batch touches.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) products: BTreeMap<String, Slot<ProductRow>>,
    pub(crate) stock: BTreeMap<String, Slot<Level>>,
    pub(crate) reservations: BTreeMap<String, Slot<Reservation>>,
    movements: Vec<(Movement, String)>,
}

impl Batch {
    /// The level of a SKU, `None` if there is no such product.
    pub(crate) fn level(&self, sku: &str) -> Option<Level> {
        self.stock.get(sku).map(|slot| slot.value)
    }

    /// Applies movements to the levels and keeps them.
    pub(crate) fn apply(&mut self, movements: Vec<Movement>, order_id: &str) {
        for movement in movements {
            if let Some(slot) = self.stock.get_mut(&movement.sku) {
                let level = slot.value;
                slot.set(Level {
                    on_hand: level.on_hand + movement.on_hand,
                    reserved: level.reserved + movement.reserved,
                });
            }
            self.movements.push((movement, order_id.to_owned()));
        }
    }

    pub(crate) fn set_reservation(&mut self, order_id: &str, next: Reservation) {
        self.reservations.entry(order_id.to_owned()).and_modify(|slot| slot.set(next.clone())).or_insert(Slot {
            value: next,
            version: 0,
            changed: true,
        });
    }

    /// Changes a product, or adds one with nothing in stock.
    pub(crate) fn set_product(&mut self, product: ProductRow) {
        self.stock.entry(product.sku.clone()).or_insert(Slot { value: Level::default(), version: 0, changed: true });
        self.products.entry(product.sku.clone()).and_modify(|slot| slot.set(product.clone())).or_insert(Slot {
            value: product,
            version: 0,
            changed: true,
        });
    }

    /// The levels that this batch has changed.
    pub(crate) fn changed_levels(&self) -> impl Iterator<Item = (&str, Level)> {
        self.stock.iter().filter(|(_, slot)| slot.changed).map(|(sku, slot)| (sku.as_str(), slot.value))
    }
}

/// Loads reservations, then the stock they and the new requests touch, then
/// products: tables in a fixed order, rows in key order, so that two batches lock
/// in one order.
pub(crate) async fn load(
    tx: &mut Tx,
    orders: BTreeSet<&str>,
    mut skus: BTreeSet<String>,
    products: BTreeSet<&str>,
) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    if !orders.is_empty() {
        let args: Vec<_> = orders.iter().map(|id| json!({ "id": id })).collect();
        let rows: Vec<ReservationRow> = tx
            .fetch_for_update(
                "SELECT order_id, state, lines, returned, version FROM reservations
                 WHERE order_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r) ORDER BY order_id",
                &args,
            )
            .await?;
        for row in rows {
            let value = reservation(&row)?;
            if let Reservation::Open(lines) = &value {
                skus.extend(lines.iter().map(|line| line.sku.clone()));
            }
            batch.reservations.insert(row.order_id, Slot { value, version: row.version, changed: false });
        }
    }
    if !skus.is_empty() {
        let args: Vec<_> = skus.iter().map(|sku| json!({ "sku": sku })).collect();
        let rows: Vec<StockRow> = tx
            .fetch_for_update(
                "SELECT sku, on_hand, reserved, version FROM stock
                 WHERE sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r) ORDER BY sku",
                &args,
            )
            .await?;
        for row in rows {
            let value = Level { on_hand: row.on_hand, reserved: row.reserved };
            batch.stock.insert(row.sku, Slot { value, version: row.version, changed: false });
        }
    }
    if !products.is_empty() {
        let args: Vec<_> = products.iter().map(|sku| json!({ "sku": sku })).collect();
        let rows: Vec<ProductRow> = tx
            .fetch_for_update(
                "SELECT sku, name, price, currency, version FROM products
                 WHERE sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r) ORDER BY sku",
                &args,
            )
            .await?;
        for row in rows {
            let version = row.version;
            batch.products.insert(row.sku.clone(), Slot { value: row, version, changed: false });
        }
    }
    Ok(batch)
}

/// Saves what changed. New rows are plain inserts: if another replica was faster,
/// the key is taken, which is a conflict. Changed rows test the loaded version.
pub(crate) async fn save(tx: &mut Tx, batch: &Batch, now: Millis) -> Result<(), StoreError> {
    let (new, changed) = rows(
        &batch.products,
        |sku, product| json!({ "sku": sku, "name": product.name, "price": product.price, "currency": product.currency }),
    );
    tx.execute_each(
        "INSERT INTO products (sku, name, price, currency, version)
         SELECT r.value->>'sku', r.value->>'name', CAST(r.value->>'price' AS BIGINT), r.value->>'currency', 1
         FROM jsonb_each($1) AS r",
        &new,
    )
    .await?;
    tx.execute_each(
        "UPDATE products SET name = r.value->>'name', price = CAST(r.value->>'price' AS BIGINT),
                currency = r.value->>'currency', version = products.version + 1
         FROM jsonb_each($1) AS r
         WHERE products.sku = r.value->>'sku' AND products.version = CAST(r.value->>'version' AS BIGINT)",
        &changed,
    )
    .await?;

    let (new, changed) =
        rows(&batch.stock, |sku, level| json!({ "sku": sku, "on_hand": level.on_hand, "reserved": level.reserved }));
    tx.execute_each(
        "INSERT INTO stock (sku, on_hand, reserved, version)
         SELECT r.value->>'sku', CAST(r.value->>'on_hand' AS BIGINT), CAST(r.value->>'reserved' AS BIGINT), 1
         FROM jsonb_each($1) AS r",
        &new,
    )
    .await?;
    tx.execute_each(
        "UPDATE stock SET on_hand = CAST(r.value->>'on_hand' AS BIGINT),
                reserved = CAST(r.value->>'reserved' AS BIGINT), version = stock.version + 1
         FROM jsonb_each($1) AS r
         WHERE stock.sku = r.value->>'sku' AND stock.version = CAST(r.value->>'version' AS BIGINT)",
        &changed,
    )
    .await?;

    let (new, changed) = rows(&batch.reservations, |order_id, reservation| {
        let (state, lines, returned) = columns(reservation);
        json!({ "order_id": order_id, "state": state, "lines": lines, "returned": returned })
    });
    tx.execute_each(
        "INSERT INTO reservations (order_id, state, lines, returned, version)
         SELECT r.value->>'order_id', r.value->>'state', r.value->>'lines', r.value->>'returned', 1
         FROM jsonb_each($1) AS r",
        &new,
    )
    .await?;
    tx.execute_each(
        "UPDATE reservations SET state = r.value->>'state', lines = r.value->>'lines',
                returned = r.value->>'returned', version = reservations.version + 1
         FROM jsonb_each($1) AS r
         WHERE reservations.order_id = r.value->>'order_id'
           AND reservations.version = CAST(r.value->>'version' AS BIGINT)",
        &changed,
    )
    .await?;

    let movements: Vec<_> = batch
        .movements
        .iter()
        .map(|(movement, order_id)| {
            json!({
                "sku": movement.sku, "order_id": order_id, "kind": kind(movement.kind),
                "on_hand": movement.on_hand, "reserved": movement.reserved, "at": now,
            })
        })
        .collect();
    tx.execute_each(
        "INSERT INTO stock_movements (sku, order_id, kind, on_hand, reserved, at)
         SELECT r.value->>'sku', r.value->>'order_id', r.value->>'kind', CAST(r.value->>'on_hand' AS BIGINT),
                CAST(r.value->>'reserved' AS BIGINT), CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &movements,
    )
    .await
}

/// Splits the slots that changed into new rows and changed rows.
fn rows<T>(
    slots: &BTreeMap<String, Slot<T>>,
    row: impl Fn(&str, &T) -> serde_json::Value,
) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (key, slot) in slots.iter().filter(|(_, slot)| slot.changed) {
        let mut row = row(key, &slot.value);
        if slot.version == 0 {
            new.push(row);
        } else {
            row["version"] = slot.version.into();
            changed.push(row);
        }
    }
    (new, changed)
}

const fn kind(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Adjusted => "ADJUSTED",
        MovementKind::Reserved => "RESERVED",
        MovementKind::Released => "RELEASED",
        MovementKind::Committed => "COMMITTED",
        MovementKind::Returned => "RETURNED",
    }
}

/// State, lines, and what of them was returned.
fn columns(reservation: &Reservation) -> (&'static str, String, String) {
    let none = || "[]".to_owned();
    match reservation {
        Reservation::Open(lines) => ("OPEN", stored_lines(lines), none()),
        Reservation::Committed(sale) => ("COMMITTED", stored_lines(&sale.lines), stored_returns(sale)),
        Reservation::Released => ("RELEASED", none(), none()),
        Reservation::Refused => ("REFUSED", none(), none()),
    }
}

fn stored_lines(lines: &[Line]) -> String {
    let stored: Vec<_> =
        lines.iter().map(|line| StoredLine { sku: line.sku.clone(), quantity: line.quantity }).collect();
    json!(stored).to_string()
}

fn stored_returns(sale: &Sale) -> String {
    let stored: Vec<_> = sale
        .returns
        .iter()
        .flat_map(|(refund, lines)| lines.iter().map(|line| (*refund, line)))
        .map(|(refund, line)| StoredReturn { refund, sku: line.sku.clone(), quantity: line.quantity })
        .collect();
    json!(stored).to_string()
}

fn reservation(row: &ReservationRow) -> Result<Reservation, StoreError> {
    match row.state.as_str() {
        "OPEN" => Ok(Reservation::Open(lines(row)?)),
        "COMMITTED" => Ok(Reservation::Committed(Sale { lines: lines(row)?, returns: returns(row)? })),
        "RELEASED" => Ok(Reservation::Released),
        "REFUSED" => Ok(Reservation::Refused),
        other => Err(StoreError::Refused(format!("reservation {} is {other:?}", row.order_id))),
    }
}

fn lines(row: &ReservationRow) -> Result<Vec<Line>, StoreError> {
    let stored: Vec<StoredLine> = serde_json::from_str(&row.lines)
        .map_err(|error| StoreError::Refused(format!("lines of reservation {}: {error}", row.order_id)))?;
    Ok(stored.into_iter().map(|line| Line { sku: line.sku, quantity: line.quantity }).collect())
}

fn returns(row: &ReservationRow) -> Result<BTreeMap<i32, Vec<Line>>, StoreError> {
    let stored: Vec<StoredReturn> = serde_json::from_str(&row.returned)
        .map_err(|error| StoreError::Refused(format!("returns of reservation {}: {error}", row.order_id)))?;
    let mut returns: BTreeMap<i32, Vec<Line>> = BTreeMap::new();
    for StoredReturn { refund, sku, quantity } in stored {
        returns.entry(refund).or_default().push(Line { sku, quantity });
    }
    Ok(returns)
}
