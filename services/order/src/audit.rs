//! The rules inside the order store, and what the rules across stores need.

use platform::audit::Finding;
use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde_json::json;

use crate::domain::{Order, Status};
use crate::{event_store, store};

/// How long past its deadline an order may still wait, ms: the delay queue is
/// late by milliseconds, a restart by seconds.
const GRACE: Millis = 10_000;
/// Orders folded at a time.
const CHUNK: usize = 1_000;

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    aggregate: String,
    // What is found by, beside the whole: timers are rebuilt from these.
    version: i64,
    status: String,
    pay_before: Option<i64>,
    step_due: Option<i64>,
}

impl Row {
    /// Whether the columns say what the aggregate says.
    fn is_found_by(&self, order: &Order) -> bool {
        json!([self.version, self.status, self.pay_before, self.step_due])
            == json!([order.version, order.status, order.pay_before, order.step_due])
    }
}

#[derive(sqlx::FromRow)]
struct EventRow {
    subject: String,
    envelope: String,
}

/// An order as the rules across stores look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The order's id.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Its number of events.
    pub version: i64,
    /// Whether its money was taken, as far as the order knows.
    pub captured: bool,
}

/// Checks the store's own rules in the transaction's snapshot, folding every order
/// from its events again, and tells how the orders stand.
///
/// # Errors
/// As the store answers.
pub async fn audit(tx: &mut Tx, now: Millis) -> Result<(Vec<Finding>, Vec<Standing>), StoreError> {
    let mut standings = Vec::new();
    let (mut folds, mut overdue) = (Vec::new(), Vec::new());
    let mut after = String::new();
    loop {
        let rows: Vec<Row> = tx
            .fetch(
                format!(
                    "SELECT o.id, o.aggregate, o.version, o.status, o.pay_before, o.step_due
                     FROM orders AS o, jsonb_each($1) AS r
                     WHERE o.id > r.value->>'after' ORDER BY o.id LIMIT {CHUNK}"
                ),
                &[json!({ "after": after })],
            )
            .await?;
        let Some(last) = rows.last() else { break };
        let events: Vec<EventRow> = tx
            .fetch(
                "SELECT e.subject, e.envelope FROM order_events AS e, jsonb_each($1) AS r
                 WHERE e.subject > r.value->>'after' AND e.subject <= r.value->>'last'
                 ORDER BY e.subject, e.sequence",
                &[json!({ "after": after, "last": last.id })],
            )
            .await?;
        after.clone_from(&last.id);
        let mut events = events.iter().peekable();
        for row in &rows {
            let mut envelopes = Vec::new();
            while let Some(event) = events.next_if(|event| event.subject <= row.id) {
                if event.subject == row.id {
                    envelopes.push(event.envelope.as_str());
                } else {
                    folds.push(format!("{}: has events and no row", event.subject));
                }
            }
            let order = store::aggregate(&row.id, &row.aggregate)?;
            match event_store::fold(envelopes.into_iter()) {
                Ok(Some(folded)) if folded == order => {}
                Ok(folded) => folds.push(format!(
                    "{}: the row says {:?} at version {}, the events {}",
                    row.id,
                    order.status,
                    order.version,
                    folded.map_or_else(
                        || "nothing".to_owned(),
                        |order| format!("{:?} at version {}", order.status, order.version)
                    ),
                )),
                Err(malformed) => folds.push(format!("{}: {malformed}", row.id)),
            }
            if !row.is_found_by(&order) {
                folds.push(format!("{}: is found as {} at version {}", row.id, row.status, row.version));
            }
            overdue.extend(late(&row.id, &order, now));
            standings.push(Standing {
                id: row.id.clone(),
                status: order.status,
                version: order.version,
                captured: order.captured,
            });
        }
    }
    let checked = i64::try_from(standings.len()).unwrap_or(i64::MAX);
    let findings = vec![
        Finding { rule: "the order row = the fold of its events", checked, breaches: folds },
        Finding { rule: "no order waits past its deadline", checked, breaches: overdue },
    ];
    Ok((findings, standings))
}

fn late(id: &str, order: &Order, now: Millis) -> Option<String> {
    let by = now - order.pay_before?;
    (by > GRACE).then(|| format!("{id}: {:?}, {by} ms past its deadline", order.status))
}
