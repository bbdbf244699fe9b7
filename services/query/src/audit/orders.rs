//! Orders: each row is the fold of its order's events.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::audit::Finding;
use platform::store::{StoreError, Tx};
use serde::Deserialize;
use serde_json::json;

use super::{KEYS, LIVE_ORDERS, unequal};
use crate::projections::Event;
use crate::projections::orders::{self, Course, OrderEvent, Placement};
use crate::read_model::ORDER_SOURCE;
use crate::store::log;
use crate::store::reads::orders::{self as rows, OrderRow};

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Text {
    envelope: String,
}

/// Every order's row is what folding its events from the log again makes, and
/// there is no row without events.
pub(super) async fn orders_are_their_folds(tx: &mut Tx) -> Result<Finding, StoreError> {
    let (mut checked, mut breaches, mut after) = (0, Vec::new(), String::new());
    loop {
        let ids = logged_orders(tx, &after).await?;
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        checked += i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let mut rows: BTreeMap<String, OrderRow> =
            rows::these(tx, &ids).await?.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut folds = fold_again(tx, &ids).await?;
        for id in ids {
            match (folds.remove(&id), rows.remove(&id)) {
                (Some((Some(placement), Some(course))), Some(row)) => match row.read() {
                    Ok((shown, stands)) => breaches.extend(differences(&id, (&placement, &course), (&shown, &stands))),
                    Err(_) => breaches.push(format!("{id}: its row cannot be read")),
                },
                (Some((Some(_), Some(_))), None) => breaches.push(format!("{id}: placed, but it has no row")),
                (_, Some(_)) => breaches.push(format!("{id}: has a row, but was never placed")),
                // Its placing was discarded: see `orders::fold`.
                (_, None) => {}
            }
        }
    }
    let strangers: Vec<Id> = tx
        .fetch(
            format!(
                "SELECT o.id FROM orders AS o WHERE o.generation = {LIVE_ORDERS} AND NOT EXISTS
                 (SELECT 1 FROM event_log AS e, jsonb_each($1) AS r
                  WHERE e.source = r.value->>'source' AND e.subject = o.id)
                 ORDER BY o.id"
            ),
            &[json!({ "source": ORDER_SOURCE })],
        )
        .await?;
    breaches.extend(strangers.into_iter().map(|stranger| format!("{}: has a row, but no events", stranger.id)));
    Ok(Finding { rule: "an order's read model = the fold of its events".into(), checked, breaches })
}

/// The next orders that the log tells of, by id.
async fn logged_orders(tx: &mut Tx, after: &str) -> Result<Vec<String>, StoreError> {
    let ids: Vec<Id> = tx
        .fetch(
            format!(
                "WITH a AS MATERIALIZED (
                     SELECT r.value->>'source' AS source, r.value->>'after' AS after FROM jsonb_each($1) AS r)
                 SELECT DISTINCT subject AS id FROM event_log
                 WHERE source = (SELECT source FROM a) AND subject > (SELECT after FROM a)
                 ORDER BY subject LIMIT {KEYS}"
            ),
            &[json!({ "source": ORDER_SOURCE, "after": after })],
        )
        .await?;
    Ok(ids.into_iter().map(|row| row.id).collect())
}

type Fold = (Option<Arc<Placement>>, Option<Course>);

async fn fold_again(tx: &mut Tx, ids: &[String]) -> Result<BTreeMap<String, Fold>, StoreError> {
    let args: Vec<_> = ids.iter().map(|id| json!({ "source": ORDER_SOURCE, "subject": id })).collect();
    let texts: Vec<Text> = tx
        .fetch(
            "SELECT e.envelope FROM jsonb_each($1) AS r
             JOIN event_log AS e ON e.subject = r.value->>'subject' AND e.source = r.value->>'source'
             ORDER BY e.subject, e.sequence",
            &args,
        )
        .await?;
    let mut folds: BTreeMap<String, Fold> = BTreeMap::new();
    for text in texts {
        let logged = log::logged(&text.envelope)?;
        let (placement, course) = folds.entry(logged.subject).or_default();
        if let Event::Order(event) = logged.event {
            if let OrderEvent::Placed { placement: placed, .. } = &event {
                *placement = Some(placed.clone());
            }
            *course = orders::fold(course.take(), &event, logged.sequence);
        }
    }
    Ok(folds)
}

/// What of a row is not as it was folded.
fn differences(id: &str, fold: (&Placement, &Course), row: (&Placement, &Course)) -> Option<String> {
    let ((placement, course), (shown, stands)) = (fold, row);
    unequal(
        id,
        &[
            ("customer", shown.customer_id == placement.customer_id),
            ("status", stands.status == course.status),
            ("status reason", stands.status_reason == course.status_reason),
            ("version", stands.version == course.version),
            ("time", shown.placed_at == placement.placed_at),
            ("deadline", stands.pay_before == course.pay_before),
            ("time of fulfilment", stands.fulfil_at == course.fulfil_at),
            ("total", (shown.total, &shown.currency) == (placement.total, &placement.currency)),
            ("pieces", stands.pieces == course.pieces),
            ("refunded", stands.refunded == course.refunded),
            ("refund", (stands.cancelling, &stands.refund) == (course.cancelling, &course.refund)),
            ("returned", stands.returned == course.returned),
            ("lines", shown.lines == placement.lines),
            ("address", shown.address == placement.address),
        ],
    )
}
