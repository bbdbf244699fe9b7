//! The rows of the read model **orders**: those that a batch touches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{into_generation, keys};
use crate::overlay::{OrderState, Overlay};
use crate::projections::orders::{Course, Placement, Refund, Status};
use crate::projections::sales::Basket;
use crate::read_model::Model;

#[derive(Deserialize)]
struct CourseRow {
    id: String,
    customer_id: String,
    status: String,
    status_reason: String,
    version: i64,
    pay_before: Option<Millis>,
    fulfil_at: Option<Millis>,
    total: i64,
    currency: String,
    pieces: i64,
    refunded: i64,
    cancelling: i64,
    refund: Option<String>,
    returned: Option<String>,
}

/// The states of these orders. What is not stored yet is there as a state without a
/// past.
pub(super) async fn load(
    tx: &mut Tx,
    generation: i64,
    ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, OrderState>, StoreError> {
    let mut states: BTreeMap<_, _> = ids.iter().map(|id| ((*id).to_owned(), OrderState::default())).collect();
    if ids.is_empty() {
        return Ok(states);
    }
    let rows: Vec<CourseRow> = tx
        .fetch_each(
            format!(
                "SELECT id, customer_id, status, status_reason, version, pay_before, fulfil_at, total, currency,
                        pieces, refunded, cancelling, refund, returned FROM orders
                 WHERE generation = {generation} AND id IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r)"
            ),
            &keys(ids),
        )
        .await?;
    for row in rows {
        let course = Course {
            status: status(&row.id, &row.status)?,
            status_reason: row.status_reason,
            version: row.version,
            pay_before: row.pay_before,
            fulfil_at: row.fulfil_at,
            pieces: row.pieces,
            refunded: row.refunded,
            cancelling: row.cancelling != 0,
            refund: parsed::<Refund>(&row.id, row.refund.as_deref())?.map(Arc::new),
            returned: parsed(&row.id, row.returned.as_deref())?.unwrap_or_default(),
        };
        let basket = Basket { total: row.total, currency: row.currency, pieces: row.pieces };
        let state = OrderState {
            customer_id: row.customer_id,
            basket: Some(basket),
            is_confirmed: course.status.is_confirmed(),
            course: Some(course),
            placed: None,
            at: 0,
            changed: false,
        };
        states.insert(row.id, state);
    }
    Ok(states)
}

/// Reads a stored status.
pub(crate) fn status(id: &str, text: &str) -> Result<Status, StoreError> {
    Status::parse(text).ok_or_else(|| StoreError::Refused(format!("order {id} has the unknown status {text:?}")))
}

/// Reads a stored JSON, if there is one.
pub(crate) fn parsed<T: DeserializeOwned>(id: &str, text: Option<&str>) -> Result<Option<T>, StoreError> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|error| StoreError::Refused(format!("order {id} is broken: {error}")))
}

#[derive(Serialize)]
struct PlacedRow<'a> {
    #[serde(flatten)]
    moved: MovedRow<'a>,
    customer_id: &'a str,
    placed_at: Millis,
    total: i64,
    currency: &'a str,
    pieces: i64,
    lines: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

#[derive(Serialize)]
struct MovedRow<'a> {
    id: &'a str,
    status: &'static str,
    status_reason: &'a str,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_before: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfil_at: Option<Millis>,
    refunded: i64,
    cancelling: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    returned: Option<String>,
}

/// Writes each changed order once.
pub(super) async fn save(tx: &mut Tx, overlay: &Overlay) -> Result<(), StoreError> {
    if !overlay.scope.has(Model::Orders) {
        return Ok(());
    }
    let generation = into_generation(overlay, Model::Orders)?;
    let (mut placed, mut moved) = (Vec::new(), Vec::new());
    for (id, order) in overlay.changed_orders() {
        match (&order.course, &order.placed) {
            (Some(course), Some(placement)) => placed.push(placed_row(id, course, placement)?),
            (Some(course), None) => moved.push(moved_row(id, course)?),
            (None, _) => {}
        }
    }
    tx.execute_each(
        format!(
            "INSERT INTO orders (generation, id, customer_id, status, status_reason, version, placed_at, pay_before,
                                 fulfil_at, total, currency, pieces, refunded, cancelling, refund, returned, lines,
                                 address)
             SELECT {generation}, r.value->>'id', r.value->>'customer_id', r.value->>'status',
                    r.value->>'status_reason', CAST(r.value->>'version' AS BIGINT),
                    CAST(r.value->>'placed_at' AS BIGINT), CAST(r.value->>'pay_before' AS BIGINT),
                    CAST(r.value->>'fulfil_at' AS BIGINT), CAST(r.value->>'total' AS BIGINT), r.value->>'currency',
                    CAST(r.value->>'pieces' AS BIGINT), CAST(r.value->>'refunded' AS BIGINT),
                    CAST(r.value->>'cancelling' AS BIGINT), r.value->>'refund', r.value->>'returned',
                    r.value->>'lines', r.value->>'address'
             FROM jsonb_each($1) AS r"
        ),
        &placed,
    )
    .await?;
    tx.execute_each(
        format!(
            "UPDATE orders
             SET status = r.value->>'status', status_reason = r.value->>'status_reason',
                 version = CAST(r.value->>'version' AS BIGINT), pay_before = CAST(r.value->>'pay_before' AS BIGINT),
                 fulfil_at = CAST(r.value->>'fulfil_at' AS BIGINT), refunded = CAST(r.value->>'refunded' AS BIGINT),
                 cancelling = CAST(r.value->>'cancelling' AS BIGINT), refund = r.value->>'refund',
                 returned = r.value->>'returned'
             FROM jsonb_each($1) AS r WHERE orders.generation = {generation} AND orders.id = r.value->>'id'"
        ),
        &moved,
    )
    .await
}

fn placed_row<'a>(id: &'a str, course: &'a Course, placement: &'a Placement) -> Result<PlacedRow<'a>, StoreError> {
    Ok(PlacedRow {
        moved: moved_row(id, course)?,
        customer_id: &placement.customer_id,
        placed_at: placement.placed_at,
        total: placement.total,
        currency: &placement.currency,
        pieces: course.pieces,
        lines: text(&placement.lines)?,
        address: placement.address.as_ref().map(text).transpose()?,
    })
}

fn moved_row<'a>(id: &'a str, course: &'a Course) -> Result<MovedRow<'a>, StoreError> {
    Ok(MovedRow {
        id,
        status: course.status.as_str(),
        status_reason: &course.status_reason,
        version: course.version,
        pay_before: course.pay_before,
        fulfil_at: course.fulfil_at,
        refunded: course.refunded,
        cancelling: i64::from(course.cancelling),
        refund: course.refund.as_deref().map(text).transpose()?,
        returned: if course.returned.is_empty() { None } else { Some(text(&course.returned)?) },
    })
}

fn text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(format!("no JSON: {error}")))
}
