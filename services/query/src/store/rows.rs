//! The rows of the smaller read models: products, notifications, sales.

use std::collections::{BTreeMap, BTreeSet};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::{Deserialize, Serialize};

use super::{into_generation, keys};
use crate::overlay::{Change, Overlay, ProductState};
use crate::projections::notifications::Notification;
use crate::projections::products::{self, Offer, Product};
use crate::projections::sales::Window;
use crate::read_model::Model;

#[derive(Deserialize)]
struct ProductRow {
    sku: String,
    name: Option<String>,
    price: Option<i64>,
    currency: Option<String>,
    on_hand: i64,
    reserved: i64,
}

/// The states of these products.
pub(super) async fn load_products(
    tx: &mut Tx,
    generation: i64,
    skus: &BTreeSet<&str>,
) -> Result<BTreeMap<String, ProductState>, StoreError> {
    let mut states: BTreeMap<_, _> = skus.iter().map(|sku| ((*sku).to_owned(), ProductState::default())).collect();
    if skus.is_empty() {
        return Ok(states);
    }
    let rows: Vec<ProductRow> = tx
        .fetch_each(
            format!(
                "SELECT sku, name, price, currency, on_hand, reserved FROM products
                 WHERE generation = {generation} AND sku IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r)"
            ),
            &keys(skus),
        )
        .await?;
    for ProductRow { sku, name, price, currency, on_hand, reserved } in rows {
        let offer = name.zip(price).zip(currency).map(|((name, price), currency)| Offer { name, price, currency });
        let product = Product { offer, on_hand, reserved };
        states.insert(sku, ProductState { product, is_stored: true, change: Change::None });
    }
    Ok(states)
}

#[derive(Serialize)]
struct OfferRow<'a> {
    sku: &'a str,
    name: Option<&'a str>,
    price: Option<i64>,
    currency: Option<&'a str>,
    on_hand: i64,
    reserved: i64,
    search_text: String,
}

#[derive(Serialize)]
struct LevelRow<'a> {
    sku: &'a str,
    on_hand: i64,
    reserved: i64,
}

/// Writes each changed product once. Levels change all the time and what is offered
/// hardly ever, so a level is written alone, past the name and the index on it.
pub(super) async fn save_products(tx: &mut Tx, overlay: &Overlay) -> Result<(), StoreError> {
    if !overlay.scope.has(Model::Products) {
        return Ok(());
    }
    let generation = into_generation(overlay, Model::Products)?;
    let (mut offers, mut levels) = (Vec::new(), Vec::new());
    for (sku, ProductState { product, is_stored: _, change }) in &overlay.products {
        let Product { offer, on_hand, reserved } = product;
        match change {
            Change::None => {}
            Change::Level => levels.push(LevelRow { sku, on_hand: *on_hand, reserved: *reserved }),
            Change::Row => offers.push(OfferRow {
                sku,
                name: offer.as_ref().map(|offer| offer.name.as_str()),
                price: offer.as_ref().map(|offer| offer.price),
                currency: offer.as_ref().map(|offer| offer.currency.as_str()),
                on_hand: *on_hand,
                reserved: *reserved,
                search_text: products::search_text(sku, product),
            }),
        }
    }
    tx.execute_each(
        format!(
            "INSERT INTO products (generation, sku, name, price, currency, on_hand, reserved, search_text)
             SELECT {generation}, r.value->>'sku', r.value->>'name', CAST(r.value->>'price' AS BIGINT),
                    r.value->>'currency', CAST(r.value->>'on_hand' AS BIGINT),
                    CAST(r.value->>'reserved' AS BIGINT), r.value->>'search_text'
             FROM jsonb_each($1) AS r WHERE true
             ON CONFLICT (generation, sku) DO UPDATE
             SET name = excluded.name, price = excluded.price, currency = excluded.currency,
                 on_hand = excluded.on_hand, reserved = excluded.reserved, search_text = excluded.search_text"
        ),
        &offers,
    )
    .await?;
    tx.execute_each(
        format!(
            "UPDATE products
             SET on_hand = CAST(r.value->>'on_hand' AS BIGINT), reserved = CAST(r.value->>'reserved' AS BIGINT)
             FROM jsonb_each($1) AS r WHERE products.generation = {generation} AND products.sku = r.value->>'sku'"
        ),
        &levels,
    )
    .await
}

#[derive(Serialize)]
struct ToldRow<'a> {
    id: &'a str,
    customer_id: &'a str,
    order_id: &'a str,
    topic: &'a str,
    title: &'a str,
    body: &'a str,
    at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailed_at: Option<Millis>,
}

#[derive(Serialize)]
struct MailedRow<'a> {
    id: &'a str,
    mailed_at: Millis,
}

/// Adds what is new and marks what was mailed. A message that was mailed but never
/// heard of (an operator may have discarded it) has no row, and gets none.
pub(super) async fn save_notifications(tx: &mut Tx, overlay: &Overlay) -> Result<(), StoreError> {
    if !overlay.scope.has(Model::Notifications) {
        return Ok(());
    }
    let generation = into_generation(overlay, Model::Notifications)?;
    let (mut told, mut mailed) = (Vec::new(), Vec::new());
    for (id, telling) in &overlay.notifications {
        match (telling.told.as_deref(), telling.mailed_at) {
            (Some(Notification { customer_id, order_id, topic, title, body, at }), mailed_at) => {
                told.push(ToldRow { id, customer_id, order_id, topic, title, body, at: *at, mailed_at });
            }
            (None, Some(mailed_at)) => mailed.push(MailedRow { id, mailed_at }),
            (None, None) => {}
        }
    }
    tx.execute_each(
        format!(
            "INSERT INTO notifications (generation, id, customer_id, order_id, topic, title, body, at, mailed_at)
             SELECT {generation}, r.value->>'id', r.value->>'customer_id', r.value->>'order_id', r.value->>'topic',
                    r.value->>'title', r.value->>'body', CAST(r.value->>'at' AS BIGINT),
                    CAST(r.value->>'mailed_at' AS BIGINT)
             FROM jsonb_each($1) AS r"
        ),
        &told,
    )
    .await?;
    if mailed.is_empty() {
        return Ok(());
    }
    tx.execute(
        format!(
            "UPDATE notifications SET mailed_at = CAST(r.value->>'mailed_at' AS BIGINT) FROM jsonb_each($1) AS r
             WHERE notifications.generation = {generation} AND notifications.id = r.value->>'id'"
        ),
        &mailed,
    )
    .await?;
    Ok(())
}

#[derive(Serialize)]
struct WindowRow<'a> {
    minute: Millis,
    currency: &'a str,
    orders: i64,
    pieces: i64,
    revenue: i64,
    refunded: i64,
}

/// Adds to each touched window.
pub(super) async fn save_sales(tx: &mut Tx, overlay: &Overlay) -> Result<(), StoreError> {
    if !overlay.scope.has(Model::Sales) {
        return Ok(());
    }
    let generation = into_generation(overlay, Model::Sales)?;
    let rows: Vec<_> = overlay
        .sales
        .iter()
        .map(|((minute, currency), Window { orders, pieces, revenue, refunded })| WindowRow {
            minute: *minute,
            currency,
            orders: *orders,
            pieces: *pieces,
            revenue: *revenue,
            refunded: *refunded,
        })
        .collect();
    tx.execute_each(
        format!(
            "INSERT INTO sales (generation, minute, currency, orders, pieces, revenue, refunded)
             SELECT {generation}, CAST(r.value->>'minute' AS BIGINT), r.value->>'currency',
                    CAST(r.value->>'orders' AS BIGINT), CAST(r.value->>'pieces' AS BIGINT),
                    CAST(r.value->>'revenue' AS BIGINT), CAST(r.value->>'refunded' AS BIGINT)
             FROM jsonb_each($1) AS r WHERE true
             ON CONFLICT (generation, minute, currency) DO UPDATE
             SET orders = sales.orders + excluded.orders, pieces = sales.pieces + excluded.pieces,
                 revenue = sales.revenue + excluded.revenue, refunded = sales.refunded + excluded.refunded"
        ),
        &rows,
    )
    .await
}
