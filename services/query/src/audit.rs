//! The rules inside the read side's store, and what the rules across stores need.
//!
//! Each is checked in one snapshot, so it holds beside a running shop: the log and
//! the live read models move together. Everything is folded again, from the first
//! event on, with the folds that made the rows.

mod orders;
mod others;

use platform::audit::Finding;
use platform::store::{StoreError, Tx};
use serde::Deserialize;

use crate::read_model::Model;

/// Rows that are compared at a time.
const KEYS: usize = 500;

/// The live generation of the orders, as a part of a statement.
const LIVE_ORDERS: &str = "(SELECT generation FROM read_models WHERE name = 'orders')";

/// An order as the read side shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrderStanding {
    /// The order.
    pub id: String,
    /// `PLACED`, `AWAITING_PAYMENT`, …
    pub status: String,
    /// The number of its events that were folded.
    pub version: i64,
}

#[derive(Deserialize)]
struct Count {
    n: i64,
}

#[derive(Deserialize)]
struct Gap {
    source: String,
    subject: String,
    n: i64,
    last: i64,
}

#[derive(Deserialize)]
struct Stands {
    name: String,
    generation: i64,
    position: i64,
    building_position: Option<i64>,
    head: i64,
}

/// Checks the store's own rules in the transaction's snapshot.
///
/// # Errors
/// As the store answers.
pub async fn audit(tx: &mut Tx) -> Result<Vec<Finding>, StoreError> {
    Ok(vec![
        log_has_no_gaps(tx).await?,
        read_models_stand_at_the_head(tx).await?,
        orders::orders_are_their_folds(tx).await?,
        others::products_are_their_folds(tx).await?,
        others::notifications_are_their_folds(tx).await?,
        others::sales_are_their_folds(tx).await?,
    ])
}

/// Every order that the read side shows.
///
/// # Errors
/// As the store answers.
pub async fn orders(tx: &mut Tx) -> Result<Vec<OrderStanding>, StoreError> {
    tx.fetch(
        format!("SELECT id, status, version FROM orders WHERE generation = {LIVE_ORDERS} AND $1 <> '' ORDER BY id"),
        &[0; 0],
    )
    .await
}

/// Every (source, subject) was heard from its first event to its last.
async fn log_has_no_gaps(tx: &mut Tx) -> Result<Finding, StoreError> {
    let checked: Vec<Count> = tx
        .fetch(
            "SELECT COUNT(*) AS n FROM (SELECT DISTINCT subject, source FROM event_log WHERE $1 <> '') AS lines",
            &[0; 0],
        )
        .await?;
    let gaps: Vec<Gap> = tx
        .fetch(
            "SELECT source, subject, COUNT(*) AS n, MAX(sequence) AS last FROM event_log WHERE $1 <> ''
             GROUP BY subject, source HAVING COUNT(*) <> MAX(sequence) ORDER BY source, subject",
            &[0; 0],
        )
        .await?;
    Ok(Finding {
        rule: "the event log has no gaps".into(),
        checked: count(&checked),
        breaches: gaps
            .into_iter()
            .map(|gap| format!("{} of {}: {} events, the last is number {}", gap.subject, gap.source, gap.n, gap.last))
            .collect(),
    })
}

/// The live generation of every read model is folded up to the head of the log, and
/// one that is being built not beyond it.
async fn read_models_stand_at_the_head(tx: &mut Tx) -> Result<Finding, StoreError> {
    let stands: Vec<Stands> = tx
        .fetch(
            "SELECT name, generation, position, building_position,
                    COALESCE((SELECT MAX(position) FROM event_log), 0) AS head
             FROM read_models WHERE $1 <> '' ORDER BY name",
            &[0; 0],
        )
        .await?;
    let mut breaches = Vec::new();
    for model in Model::ALL {
        if !stands.iter().any(|stand| stand.name == model.as_str()) {
            breaches.push(format!("{}: stands nowhere", model.as_str()));
        }
    }
    for Stands { name, generation, position, building_position, head } in &stands {
        if Model::parse(name).is_none() || *generation < 1 {
            breaches.push(format!("{name}: generation {generation} is none of a read model"));
        }
        if position != head {
            breaches.push(format!("{name}: stands at {position}, the log ends at {head}"));
        }
        if let Some(building) = building_position.filter(|building| building > head) {
            breaches.push(format!("{name}: is being built at {building}, the log ends at {head}"));
        }
    }
    let checked = i64::try_from(stands.len()).unwrap_or(i64::MAX);
    Ok(Finding { rule: "a read model stands at the head of the event log".into(), checked, breaches })
}

fn count(counts: &[Count]) -> i64 {
    counts.first().map_or(0, |count| count.n)
}

/// The fields that are not equal, for a breach; `None` if all are.
fn unequal(key: &str, fields: &[(&'static str, bool)]) -> Option<String> {
    let wrong: Vec<_> = fields.iter().filter(|(_, equal)| !equal).map(|(field, _)| *field).collect();
    (!wrong.is_empty()).then(|| format!("{key}: {} differs from its fold", wrong.join(", ")))
}
