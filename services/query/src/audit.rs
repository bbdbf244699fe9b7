//! The rules inside the read side's store, and what the rules across stores need.
//!
//! Each is checked in one snapshot, so it holds beside a running shop.

use std::collections::{BTreeMap, BTreeSet};

use platform::audit::Finding;
use platform::store::{StoreError, Tx};
use serde_json::json;
use sqlx::FromRow;

use crate::consumer::{self, ORDER_SOURCE};
use crate::projections::Event;
use crate::projections::orders::{self, Address, Course, Line, OrderEvent, Placement};
use crate::store::reads::{self, OrderRow};

/// Orders that are folded again at a time.
const CHUNK: usize = 500;

/// An order as the read side shows it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OrderStanding {
    /// The order.
    pub id: String,
    /// `PLACED`, `AWAITING_PAYMENT`, …
    pub status: String,
    /// The number of its events that were folded.
    pub version: i64,
}

#[derive(FromRow)]
struct Count {
    n: i64,
}

#[derive(FromRow)]
struct Gap {
    source: String,
    subject: String,
    n: i64,
    last: i64,
}

#[derive(FromRow)]
struct Id {
    id: String,
}

#[derive(FromRow)]
struct Logged {
    subject: String,
    envelope: String,
}

/// Checks the store's own rules in the transaction's snapshot.
///
/// # Errors
/// As the store answers.
pub async fn audit(tx: &mut Tx) -> Result<Vec<Finding>, StoreError> {
    Ok(vec![log_has_no_gaps(tx).await?, orders_are_their_folds(tx).await?])
}

/// Every order that the read side shows.
///
/// # Errors
/// As the store answers.
pub async fn orders(tx: &mut Tx) -> Result<Vec<OrderStanding>, StoreError> {
    tx.fetch("SELECT id, status, version FROM orders WHERE $1 <> '' ORDER BY id", &[0; 0]).await
}

/// Every (source, subject) was heard from its first event to its last.
///
/// # Errors
/// As the store answers.
pub async fn log_has_no_gaps(tx: &mut Tx) -> Result<Finding, StoreError> {
    let checked: Vec<Count> = tx
        .fetch(
            "SELECT COUNT(*) AS n FROM (SELECT DISTINCT source, subject FROM event_log WHERE $1 <> '') AS lines",
            &[0; 0],
        )
        .await?;
    let gaps: Vec<Gap> = tx
        .fetch(
            "SELECT source, subject, COUNT(*) AS n, MAX(sequence) AS last FROM event_log WHERE $1 <> ''
             GROUP BY source, subject HAVING COUNT(*) <> MAX(sequence) ORDER BY source, subject",
            &[0; 0],
        )
        .await?;
    Ok(Finding {
        rule: "the event log has no gaps",
        checked: checked.first().map_or(0, |count| count.n),
        breaches: gaps
            .into_iter()
            .map(|gap| format!("{} of {}: {} events, the last is number {}", gap.subject, gap.source, gap.n, gap.last))
            .collect(),
    })
}

/// Every order's row is what folding its events from the log again makes, and
/// there is no row without events.
///
/// # Errors
/// As the store answers.
pub async fn orders_are_their_folds(tx: &mut Tx) -> Result<Finding, StoreError> {
    let (mut checked, mut breaches, mut after) = (0, Vec::new(), String::new());
    loop {
        let ids = logged_orders(tx, &after).await?;
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        checked += i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let mut rows: BTreeMap<String, OrderRow> =
            reads::orders_in(tx, &ids).await?.into_iter().map(|row| (row.id.clone(), row)).collect();
        let folds = fold_again(tx, &ids).await?;
        for id in ids {
            match (folds.get(&id), rows.remove(&id)) {
                (Some((Some(placement), Some(course))), Some(row)) => {
                    let wrong = differences(&row, placement, course);
                    if !wrong.is_empty() {
                        breaches.push(format!("{id}: {} differs from its fold", wrong.join(", ")));
                    }
                }
                (Some((Some(_), Some(_))), None) => breaches.push(format!("{id}: placed, but it has no row")),
                (_, Some(_)) => breaches.push(format!("{id}: has a row, but was never placed")),
                // Its placing was discarded: see `orders::fold`.
                (_, None) => {}
            }
        }
    }
    let strangers: Vec<Id> = tx
        .fetch(
            "SELECT o.id FROM orders AS o WHERE NOT EXISTS
             (SELECT 1 FROM event_log AS e, jsonb_each($1) AS r
              WHERE e.source = r.value->>'source' AND e.subject = o.id)
             ORDER BY o.id",
            &[json!({ "source": ORDER_SOURCE })],
        )
        .await?;
    breaches.extend(strangers.into_iter().map(|stranger| format!("{}: has a row, but no events", stranger.id)));
    Ok(Finding { rule: "an order's read model = the fold of its events", checked, breaches })
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
                 ORDER BY subject LIMIT {CHUNK}"
            ),
            &[json!({ "source": ORDER_SOURCE, "after": after })],
        )
        .await?;
    Ok(ids.into_iter().map(|row| row.id).collect())
}

type Fold = (Option<std::sync::Arc<Placement>>, Option<Course>);

async fn fold_again(tx: &mut Tx, ids: &[String]) -> Result<BTreeMap<String, Fold>, StoreError> {
    let ids: BTreeSet<&String> = ids.iter().collect();
    let args: Vec<_> = ids.iter().map(|id| json!({ "source": ORDER_SOURCE, "subject": id })).collect();
    let logged: Vec<Logged> = tx
        .fetch(
            "SELECT subject, envelope FROM event_log WHERE (source, subject) IN
             (SELECT r.value->>'source', r.value->>'subject' FROM jsonb_each($1) AS r)
             ORDER BY source, subject, sequence",
            &args,
        )
        .await?;
    let mut folds: BTreeMap<String, Fold> = BTreeMap::new();
    for Logged { subject, envelope } in logged {
        let message = reads::envelope(&envelope)?;
        let event = consumer::event(&message).map_err(|error| StoreError::Refused(error.to_string()))?;
        let (placement, course) = folds.entry(subject).or_default();
        if let Event::Order(event) = event {
            if let OrderEvent::Placed { placement: placed, .. } = &event {
                *placement = Some(placed.clone());
            }
            *course = orders::fold(course.take(), &event, message.sequence);
        }
    }
    Ok(folds)
}

/// The fields of a row that are not as they were folded.
fn differences(row: &OrderRow, placement: &Placement, course: &Course) -> Vec<&'static str> {
    let lines: Option<Vec<Line>> = serde_json::from_str(&row.lines).ok();
    let address: Option<Option<Address>> =
        row.address.as_deref().map_or(Some(None), |text| serde_json::from_str(text).ok());
    [
        ("customer", row.customer_id == placement.customer_id),
        ("status", row.status == course.status.as_str()),
        ("status reason", row.status_reason == course.status_reason),
        ("version", row.version == course.version),
        ("time", row.placed_at == placement.placed_at),
        ("deadline", row.pay_before == course.pay_before),
        ("total", (row.total, &row.currency) == (placement.total, &placement.currency)),
        ("lines", lines.as_ref() == Some(&placement.lines)),
        ("address", address.as_ref() == Some(&placement.address)),
    ]
    .into_iter()
    .filter_map(|(field, equal)| if equal { None } else { Some(field) })
    .collect()
}
