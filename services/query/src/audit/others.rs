//! Products, notifications, sales: folded again in one pass each over the log, chunk
//! by chunk, as a rebuild does.

use std::collections::BTreeMap;

use platform::audit::Finding;
use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::Deserialize;
use serde_json::json;

use super::{Count, KEYS, count, unequal};
use crate::overlay::{Logged, Overlay};
use crate::projections::notifications::Telling;
use crate::projections::products::{self, Product};
use crate::projections::sales::{Key, Window};
use crate::read_model::{Model, Scope};
use crate::rebuild::CHUNK;
use crate::store::log;
use crate::store::reads::NotificationRow;

#[derive(Deserialize)]
struct ProductRow {
    sku: String,
    name: Option<String>,
    price: Option<i64>,
    currency: Option<String>,
    on_hand: i64,
    reserved: i64,
    search_text: String,
}

#[derive(Deserialize)]
struct WindowRow {
    minute: Millis,
    currency: String,
    orders: i64,
    pieces: i64,
    revenue: i64,
    refunded: i64,
}

/// Every product's row is what folding its events again makes, and there is no
/// other row.
pub(super) async fn products_are_their_folds(tx: &mut Tx) -> Result<Finding, StoreError> {
    let mut overlay = Overlay::new(Scope::Building(Model::Products));
    let mut after = 0;
    loop {
        let (chunk, events) = log::chunk(tx, Model::Products, after, CHUNK).await?;
        events.iter().for_each(|logged| overlay.fold(logged.fact()));
        after = chunk.upto;
        if chunk.is_last {
            break;
        }
    }
    let folds: Vec<(String, Product)> = overlay.products.into_iter().map(|(sku, state)| (sku, state.product)).collect();
    let (mut breaches, mut found) = (Vec::new(), 0);
    for some in folds.chunks(KEYS) {
        let args: Vec<_> = some.iter().map(|(sku, _)| json!({ "sku": sku })).collect();
        let rows: Vec<ProductRow> = tx
            .fetch(
                format!(
                    "SELECT sku, name, price, currency, on_hand, reserved, search_text FROM products
                     WHERE {} AND sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r)",
                    live(Model::Products)
                ),
                &args,
            )
            .await?;
        found += rows.len();
        let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.sku.clone(), row)).collect();
        for (sku, product) in some {
            match rows.remove(sku) {
                Some(row) => breaches.extend(product_differs(sku, product, &row)),
                None => breaches.push(format!("{sku}: has events, but no row")),
            }
        }
    }
    breaches.extend(superfluous(tx, Model::Products, found).await?);
    Ok(Finding {
        rule: "a product's read model = the fold of its events".into(),
        checked: number(folds.len()),
        breaches,
    })
}

fn product_differs(sku: &str, product: &Product, row: &ProductRow) -> Option<String> {
    let offer = product.offer.as_ref();
    unequal(
        sku,
        &[
            ("name", row.name.as_ref() == offer.map(|offer| &offer.name)),
            ("price", row.price == offer.map(|offer| offer.price)),
            ("currency", row.currency.as_ref() == offer.map(|offer| &offer.currency)),
            ("on hand", row.on_hand == product.on_hand),
            ("reserved", row.reserved == product.reserved),
            ("search text", row.search_text == products::search_text(sku, product)),
        ],
    )
}

/// Every message has its row, no other has one, and exactly those are marked as
/// mailed that were.
pub(super) async fn notifications_are_their_folds(tx: &mut Tx) -> Result<Finding, StoreError> {
    let (mut told, mut mailed, mut breaches, mut after) = (0, 0, Vec::new(), 0);
    loop {
        let (chunk, events) = log::chunk(tx, Model::Notifications, after, CHUNK).await?;
        // One chunk only: a message may be mailed in a later one.
        let mut overlay = Overlay::new(Scope::Building(Model::Notifications));
        events.iter().for_each(|logged| overlay.fold(logged.fact()));
        let args: Vec<_> = overlay.notifications.keys().map(|id| json!({ "id": id })).collect();
        let rows: Vec<NotificationRow> = tx
            .fetch(
                format!(
                    "SELECT id, customer_id, order_id, topic, title, body, at, mailed_at FROM notifications
                     WHERE {} AND id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)",
                    live(Model::Notifications)
                ),
                &args,
            )
            .await?;
        let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        for (id, telling) in &overlay.notifications {
            let row = rows.remove(id);
            told += usize::from(telling.told.is_some());
            mailed += usize::from(telling.mailed_at.is_some() && row.is_some());
            match row {
                Some(row) => breaches.extend(notification_differs(id, telling, &row)),
                None if telling.told.is_some() => breaches.push(format!("{id}: was told, but has no row")),
                // Mailed, and its telling was discarded.
                None => {}
            }
        }
        after = chunk.upto;
        if chunk.is_last {
            break;
        }
    }
    breaches.extend(superfluous(tx, Model::Notifications, told).await?);
    let marked: Vec<Count> = tx
        .fetch(
            format!(
                "SELECT COUNT(*) AS n FROM notifications WHERE {} AND mailed_at IS NOT NULL AND $1 <> ''",
                live(Model::Notifications)
            ),
            &[0; 0],
        )
        .await?;
    if count(&marked) > number(mailed) {
        breaches.push(format!("{} messages are marked as mailed, {mailed} were", count(&marked)));
    }
    Ok(Finding { rule: "a message's read model = the fold of its events".into(), checked: number(told), breaches })
}

fn notification_differs(id: &str, telling: &Telling, row: &NotificationRow) -> Option<String> {
    let told = telling.told.as_deref();
    unequal(
        id,
        &[
            ("customer", told.is_none_or(|told| told.customer_id == row.customer_id)),
            ("order", told.is_none_or(|told| told.order_id == row.order_id)),
            ("topic", told.is_none_or(|told| told.topic == row.topic)),
            ("title", told.is_none_or(|told| told.title == row.title)),
            ("body", told.is_none_or(|told| told.body == row.body)),
            ("time", told.is_none_or(|told| told.at == row.at)),
            ("time of mailing", telling.mailed_at.is_none_or(|at| row.mailed_at == Some(at))),
        ],
    )
}

/// The windows are what folding the whole log again makes.
pub(super) async fn sales_are_their_folds(tx: &mut Tx) -> Result<Finding, StoreError> {
    let mut overlay = Overlay::new(Scope::Building(Model::Sales));
    let mut after = 0;
    loop {
        let (chunk, events) = log::chunk(tx, Model::Sales, after, CHUNK).await?;
        let facts: Vec<_> = events.iter().map(Logged::fact).collect();
        overlay.orders = log::orders(tx, &facts).await?;
        facts.into_iter().for_each(|fact| overlay.fold(fact));
        after = chunk.upto;
        if chunk.is_last {
            break;
        }
    }
    let rows: Vec<WindowRow> = tx
        .fetch(
            format!(
                "SELECT minute, currency, orders, pieces, revenue, refunded FROM sales
                 WHERE {} AND $1 <> '' ORDER BY minute, currency",
                live(Model::Sales)
            ),
            &[0; 0],
        )
        .await?;
    let checked = number(overlay.sales.len());
    let breaches = windows_differ(overlay.sales, rows);
    Ok(Finding { rule: "the sales by minute = the fold of the event log".into(), checked, breaches })
}

fn windows_differ(mut folds: BTreeMap<Key, Window>, rows: Vec<WindowRow>) -> Vec<String> {
    let mut breaches = Vec::new();
    for row in rows {
        let name = format!("{} {}", row.minute, row.currency);
        match folds.remove(&(row.minute, row.currency)) {
            Some(window) => breaches.extend(unequal(
                &name,
                &[
                    ("orders", row.orders == window.orders),
                    ("pieces", row.pieces == window.pieces),
                    ("revenue", row.revenue == window.revenue),
                    ("refunded", row.refunded == window.refunded),
                ],
            )),
            None => breaches.push(format!("{name}: has a row, but no events")),
        }
    }
    breaches.extend(folds.into_keys().map(|(minute, currency)| format!("{minute} {currency}: has no row")));
    breaches
}

/// The condition on the live rows of a read model.
fn live(model: Model) -> String {
    format!("generation = (SELECT generation FROM read_models WHERE name = '{}')", model.as_str())
}

/// Says so if there are more live rows than the log tells of.
async fn superfluous(tx: &mut Tx, model: Model, known: usize) -> Result<Option<String>, StoreError> {
    let rows: Vec<Count> = tx
        .fetch(format!("SELECT COUNT(*) AS n FROM {} WHERE {} AND $1 <> ''", model.as_str(), live(model)), &[0; 0])
        .await?;
    let rows = count(&rows);
    Ok((rows > number(known)).then(|| format!("{rows} rows, but the log tells of {known}")))
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
