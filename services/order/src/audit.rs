//! The rules inside the order store, and what the rules across stores need.

use platform::audit::Finding;
use platform::clock::Millis;
use platform::store::{Row as StoredRow, StoreError, Tx};
use serde::Deserialize;
use serde_json::json;

use crate::domain::{Order, Status};
use crate::{event_store, store};

/// How long past its due time an order may still wait, ms: the delay queue is late
/// by milliseconds, a restart by seconds.
const GRACE: Millis = 10_000;
/// Orders looked at at a time.
const CHUNK: usize = 1_000;

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
    /// What of it was given back, minor units, as far as the order knows.
    pub refunded: i64,
    /// Whether its goods have left the stock, as far as the order knows.
    pub stock_committed: bool,
    /// What it costs, minor units.
    pub total: i64,
}

/// Checks the store's own rules in the transaction's snapshot, folding every order
/// from its events again.
///
/// # Errors
/// As the store answers.
pub async fn audit(tx: &mut Tx, now: Millis) -> Result<Vec<Finding>, StoreError> {
    let (mut checked, mut folds, mut overdue) = (0, Vec::new(), Vec::new());
    let mut after = String::new();
    loop {
        let rows: Vec<Row> = chunk(
            tx,
            &after,
            "o.id, o.placed, o.aggregate, o.version, o.status, o.pay_before, o.step_due, o.fulfil_at",
        )
        .await?;
        // Behind the last row there may be events of an order without one.
        let last = rows.last().map(|row| row.id.clone());
        let events = events(tx, &after, last.as_deref()).await?;
        let mut events = events.iter().peekable();
        for row in &rows {
            checked += 1;
            let mut envelopes = Vec::new();
            while let Some(event) = events.next_if(|event| event.subject <= row.id) {
                if event.subject == row.id {
                    envelopes.push(event.envelope.as_str());
                } else {
                    folds.push(without_row(&event.subject));
                }
            }
            match store::order(&row.id, row.placed.as_deref(), &row.aggregate) {
                Ok(order) => {
                    folds.extend(unlike_its_events(row, &order, &envelopes));
                    overdue.extend(late(&row.id, &order, now));
                }
                Err(error) => folds.push(error.to_string()),
            }
        }
        folds.extend(events.map(|event| without_row(&event.subject)));
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    folds.dedup();
    Ok(vec![
        Finding { rule: "the order row = the fold of its events".into(), checked, breaches: folds },
        Finding { rule: "no order waits past its deadline".into(), checked, breaches: overdue },
    ])
}

/// How every order stands, in the order of their ids. Reads the rows and believes
/// them: that they are the fold of their events is [`audit`]'s to say.
///
/// # Errors
/// As the store answers, or a row that does not read as an order.
pub async fn standings(tx: &mut Tx) -> Result<Vec<Standing>, StoreError> {
    let mut standings: Vec<Standing> = Vec::new();
    loop {
        let after = standings.last().map_or("", |standing| standing.id.as_str()).to_owned();
        let rows: Vec<ShortRow> = chunk(tx, &after, "o.id, o.placed, o.aggregate").await?;
        if rows.is_empty() {
            return Ok(standings);
        }
        for row in rows {
            let unreadable = |error| StoreError::Refused(format!("row of order {}: {error}", row.id));
            let Bought { total } = store::placed(row.placed.as_deref(), &row.aggregate).map_err(unreadable)?;
            let short: Short = serde_json::from_str(&row.aggregate).map_err(unreadable)?;
            let Short { status, version, captured, refunded, stock_committed } = short;
            standings.push(Standing { id: row.id, status, version, captured, refunded, stock_committed, total });
        }
    }
}

/// The next rows behind the id `after`.
async fn chunk<T: StoredRow>(tx: &mut Tx, after: &str, columns: &str) -> Result<Vec<T>, StoreError> {
    tx.fetch(
        format!(
            "SELECT {columns} FROM orders AS o, jsonb_each($1) AS r
             WHERE o.id > r.value->>'after' ORDER BY o.id LIMIT {CHUNK}"
        ),
        &[json!({ "after": after })],
    )
    .await
}

/// The events of the orders behind `after`, up to `last` or to the end.
async fn events(tx: &mut Tx, after: &str, last: Option<&str>) -> Result<Vec<EventRow>, StoreError> {
    let up_to = if last.is_some() { "AND e.subject <= r.value->>'last'" } else { "" };
    tx.fetch(
        format!(
            "SELECT e.subject, e.envelope FROM order_events AS e, jsonb_each($1) AS r
             WHERE e.subject > r.value->>'after' {up_to} ORDER BY e.subject, e.sequence"
        ),
        &[json!({ "after": after, "last": last })],
    )
    .await
}

#[derive(serde::Deserialize)]
struct Row {
    id: String,
    placed: Option<String>,
    aggregate: String,
    // What is found by, beside the whole: timers are rebuilt from these.
    version: i64,
    status: String,
    pay_before: Option<i64>,
    step_due: Option<i64>,
    fulfil_at: Option<i64>,
}

#[derive(serde::Deserialize)]
struct EventRow {
    subject: String,
    envelope: String,
}

#[derive(serde::Deserialize)]
struct ShortRow {
    id: String,
    placed: Option<String>,
    aggregate: String,
}

/// The part of an order that the rules across stores need.
#[derive(Deserialize)]
struct Short {
    status: Status,
    version: i64,
    #[serde(default)]
    captured: bool,
    #[serde(default)]
    refunded: i64,
    #[serde(default)]
    stock_committed: bool,
}

/// The part of what was ordered that they need.
#[derive(Deserialize)]
struct Bought {
    total: i64,
}

impl Row {
    /// Whether the columns say what the aggregate says.
    fn is_found_by(&self, order: &Order) -> bool {
        json!([self.version, self.status, self.pay_before, self.step_due, self.fulfil_at])
            == json!([order.version, order.status, order.pay_before, order.step_due, order.fulfil_at])
    }
}

fn without_row(id: &str) -> String {
    format!("{id}: has events and no row")
}

/// In which way a row is not what its events make.
fn unlike_its_events(row: &Row, order: &Order, envelopes: &[&str]) -> Vec<String> {
    let mut breaches = Vec::new();
    match event_store::fold(envelopes.iter().copied()) {
        Ok(Some(folded)) if folded == *order => {}
        Ok(folded) => breaches.push(format!(
            "{}: the row says {:?} at version {}, the events {}",
            row.id,
            order.status,
            order.version,
            folded.map_or_else(
                || "nothing".to_owned(),
                |order| format!("{:?} at version {}", order.status, order.version)
            ),
        )),
        Err(malformed) => breaches.push(format!("{}: {malformed}", row.id)),
    }
    if !row.is_found_by(order) {
        breaches.push(format!("{}: is found as {} at version {}", row.id, row.status, row.version));
    }
    breaches
}

/// What an order has waited for too long: its payment, a step, its next stage.
fn late(id: &str, order: &Order, now: Millis) -> Vec<String> {
    let planned = [
        ("the deadline of its payment", order.pay_before),
        ("the deadline of its step", order.step_due),
        ("its next stage", order.fulfil_at),
    ];
    let waited = planned.into_iter().filter_map(|(what, due)| Some((what, now - due?)));
    waited
        .filter(|(_, by)| *by > GRACE)
        .map(|(what, by)| format!("{id}: {:?}, {by} ms past {what}", order.status))
        .collect()
}
