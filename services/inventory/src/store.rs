//! All SQL of the inventory service: the batch's states, loaded and saved as sets.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::{Deserialize, Serialize};

use crate::domain::{Level, Line, Movement, MovementKind, Reservation, Sale};

/// A product as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct ProductRow {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) price: i64,
    pub(crate) currency: String,
    /// 0: not stored yet.
    pub(crate) version: i64,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct StockRow {
    sku: String,
    on_hand: i64,
    reserved: i64,
    version: i64,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct ReservationRow {
    order_id: String,
    state: String,
    lines: String,
    returned: String,
    version: i64,
}

/// A line that came back, as it stands in its reservation's row.
#[derive(Serialize, Deserialize)]
struct StoredReturn<'a> {
    refund: i32,
    sku: Cow<'a, str>,
    quantity: i64,
}

/// The key of a reservation to load.
#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

/// The key of a level or a product to load.
#[derive(Serialize)]
struct Sku<'a> {
    sku: &'a str,
}

/// A product to save. `version` is the loaded one, here and in what follows.
#[derive(Serialize)]
struct SavedProduct<'a> {
    sku: &'a str,
    name: &'a str,
    price: i64,
    currency: &'a str,
    version: i64,
}

/// A level to save.
#[derive(Serialize)]
struct SavedLevel<'a> {
    sku: &'a str,
    on_hand: i64,
    reserved: i64,
    version: i64,
}

/// A reservation to save.
#[derive(Serialize)]
struct SavedReservation<'a> {
    order_id: &'a str,
    state: &'static str,
    lines: &'a [Line],
    returned: Vec<StoredReturn<'a>>,
    version: i64,
}

/// A movement to insert.
#[derive(Serialize)]
struct NewMovement<'a> {
    sku: &'a str,
    order_id: &'a str,
    kind: &'static str,
    on_hand: i64,
    reserved: i64,
    at: Millis,
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
    /// By the orders that made them.
    movements: Vec<(String, Vec<Movement>)>,
}

impl Batch {
    /// The level of a SKU, `None` if there is no such product.
    pub(crate) fn level(&self, sku: &str) -> Option<Level> {
        self.stock.get(sku).map(|slot| slot.value)
    }

    /// Applies movements to the levels and keeps them.
    pub(crate) fn apply(&mut self, movements: Vec<Movement>, order_id: &str) {
        for movement in &movements {
            if let Some(slot) = self.stock.get_mut(&movement.sku) {
                let level = slot.value;
                slot.set(Level {
                    on_hand: level.on_hand + movement.on_hand,
                    reserved: level.reserved + movement.reserved,
                });
            }
        }
        if !movements.is_empty() {
            self.movements.push((order_id.to_owned(), movements));
        }
    }

    pub(crate) fn set_reservation(&mut self, order_id: &str, next: Reservation) {
        match self.reservations.get_mut(order_id) {
            Some(slot) => slot.set(next),
            None => {
                let slot = Slot { value: next, version: 0, changed: true };
                self.reservations.insert(order_id.to_owned(), slot);
            }
        }
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
    orders: &BTreeSet<&str>,
    mut skus: BTreeSet<&str>,
    products: &BTreeSet<&str>,
) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    if !orders.is_empty() {
        let ids: Vec<_> = orders.iter().map(|id| Id { id }).collect();
        let rows: Vec<ReservationRow> = tx
            .fetch_for_update(
                "SELECT order_id, state, lines, returned, version FROM reservations
                 WHERE order_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r) ORDER BY order_id",
                &ids,
            )
            .await?;
        for row in rows {
            let value = reservation(&row)?;
            batch.reservations.insert(row.order_id, Slot { value, version: row.version, changed: false });
        }
    }
    for slot in batch.reservations.values() {
        if let Reservation::Open(lines) = &slot.value {
            skus.extend(lines.iter().map(|line| line.sku.as_str()));
        }
    }
    if !skus.is_empty() {
        let skus: Vec<_> = skus.into_iter().map(|sku| Sku { sku }).collect();
        let rows: Vec<StockRow> = tx
            .fetch_for_update(
                "SELECT sku, on_hand, reserved, version FROM stock
                 WHERE sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r) ORDER BY sku",
                &skus,
            )
            .await?;
        for row in rows {
            let value = Level { on_hand: row.on_hand, reserved: row.reserved };
            batch.stock.insert(row.sku, Slot { value, version: row.version, changed: false });
        }
    }
    if !products.is_empty() {
        let skus: Vec<_> = products.iter().map(|sku| Sku { sku }).collect();
        let rows: Vec<ProductRow> = tx
            .fetch_for_update(
                "SELECT sku, name, price, currency, version FROM products
                 WHERE sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r) ORDER BY sku",
                &skus,
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
    let (new, changed) = rows(&batch.products, |sku, product, version| {
        let ProductRow { name, price, currency, .. } = product;
        SavedProduct { sku, name, price: *price, currency, version }
    });
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

    let (new, changed) = rows(&batch.stock, |sku, level, version| {
        let Level { on_hand, reserved } = *level;
        SavedLevel { sku, on_hand, reserved, version }
    });
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

    let (new, changed) = rows(&batch.reservations, |order_id, reservation, version| {
        let (state, lines, returned) = columns(reservation);
        SavedReservation { order_id, state, lines, returned, version }
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
        .flat_map(|(order_id, movements)| {
            movements.iter().map(|Movement { sku, kind, on_hand, reserved }| NewMovement {
                sku,
                order_id,
                kind: self::kind(*kind),
                on_hand: *on_hand,
                reserved: *reserved,
                at: now,
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

/// The slots that changed as new rows and changed rows; `row` is given the key, the
/// value and the version as loaded.
fn rows<'a, T, R>(slots: &'a BTreeMap<String, Slot<T>>, row: impl Fn(&'a str, &'a T, i64) -> R) -> (Vec<R>, Vec<R>) {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (key, slot) in slots.iter().filter(|(_, slot)| slot.changed) {
        let rows = if slot.version == 0 { &mut new } else { &mut changed };
        rows.push(row(key, &slot.value, slot.version));
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
fn columns(reservation: &Reservation) -> (&'static str, &[Line], Vec<StoredReturn<'_>>) {
    match reservation {
        Reservation::Open(lines) => ("OPEN", lines, Vec::new()),
        Reservation::Committed(sale) => ("COMMITTED", &sale.lines, stored_returns(sale)),
        Reservation::Released => ("RELEASED", &[], Vec::new()),
        Reservation::Refused => ("REFUSED", &[], Vec::new()),
    }
}

fn stored_returns(sale: &Sale) -> Vec<StoredReturn<'_>> {
    sale.returns
        .iter()
        .flat_map(|(refund, lines)| lines.iter().map(|line| (*refund, line)))
        .map(|(refund, line)| StoredReturn { refund, sku: line.sku.as_str().into(), quantity: line.quantity })
        .collect()
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
    serde_json::from_str(&row.lines)
        .map_err(|error| StoreError::Refused(format!("lines of reservation {}: {error}", row.order_id)))
}

fn returns(row: &ReservationRow) -> Result<BTreeMap<i32, Vec<Line>>, StoreError> {
    let stored: Vec<StoredReturn<'_>> = serde_json::from_str(&row.returned)
        .map_err(|error| StoreError::Refused(format!("returns of reservation {}: {error}", row.order_id)))?;
    let mut returns: BTreeMap<i32, Vec<Line>> = BTreeMap::new();
    for StoredReturn { refund, sku, quantity } in stored {
        returns.entry(refund).or_default().push(Line { sku: sku.into_owned(), quantity });
    }
    Ok(returns)
}
