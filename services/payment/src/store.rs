//! All SQL of the payment service: payments and the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::domain::ledger::{self, Entry};
use crate::domain::{self, Card, Event, Hold, Money, Offer, Payment, Refusal};

/// What one batch touches: the orders' payments, all attempts of each.
#[derive(Debug, Default)]
pub struct Batch {
    orders: BTreeMap<String, BTreeMap<i32, Payment>>,
    /// As loaded; a payment without one is not stored yet.
    versions: HashMap<(String, i32), i64>,
    changed: BTreeSet<(String, i32)>,
    entries: Vec<(String, i32, Entry)>,
    none: BTreeMap<i32, Payment>,
}

impl Batch {
    /// The attempts of an order, as earlier inputs of the batch left them.
    pub(crate) fn attempts(&self, order_id: &str) -> &BTreeMap<i32, Payment> {
        self.orders.get(order_id).unwrap_or(&self.none)
    }

    /// The event's state, and what it posts to the ledger.
    pub(crate) fn record(&mut self, order_id: &str, attempt: i32, event: &Event) {
        self.orders.entry(order_id.to_owned()).or_default().insert(attempt, domain::evolve(event));
        self.changed.insert((order_id.to_owned(), attempt));
        if let Some(entry) = ledger::entry(order_id, attempt, event) {
            self.entries.push((order_id.to_owned(), attempt, entry));
        }
    }
}

#[derive(sqlx::FromRow)]
struct PaymentRow {
    order_id: String,
    attempt: i64,
    state: String,
    amount: i64,
    currency: String,
    token: String,
    last4: String,
    authorisation_id: String,
    reason: String,
    version: i64,
}

/// Loads all payments of the orders, locked in key order.
pub(crate) async fn load(tx: &mut Tx, orders: impl Iterator<Item = &str>) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    let orders: BTreeSet<&str> = orders.collect();
    if orders.is_empty() {
        return Ok(batch);
    }
    let args: Vec<Value> = orders.iter().map(|id| json!({ "id": id })).collect();
    let rows: Vec<PaymentRow> = tx
        .fetch_for_update(
            "SELECT order_id, attempt, state, amount, currency, token, last4, authorisation_id, reason, version
             FROM payments WHERE order_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)
             ORDER BY order_id, attempt",
            &args,
        )
        .await?;
    for row in rows {
        let attempt = i32::try_from(row.attempt)
            .map_err(|_| StoreError::Refused(format!("{} is no attempt of {}", row.attempt, row.order_id)))?;
        batch.versions.insert((row.order_id.clone(), attempt), row.version);
        batch.orders.entry(row.order_id.clone()).or_default().insert(attempt, payment(row)?);
    }
    Ok(batch)
}

/// Saves what changed, and posts to the ledger. An entry that stands there already
/// is a conflict: nothing is posted twice.
pub(crate) async fn save(tx: &mut Tx, batch: &Batch, now: Millis) -> Result<(), StoreError> {
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for key in &batch.changed {
        let Some(payment) = batch.orders.get(&key.0).and_then(|attempts| attempts.get(&key.1)) else { continue };
        match batch.versions.get(key) {
            None => new.push(columns(key, payment, 0, now)),
            Some(version) => known.push(columns(key, payment, *version, now)),
        }
    }
    if !new.is_empty() {
        tx.execute(
            "INSERT INTO payments (order_id, attempt, state, amount, currency, token, last4, authorisation_id, reason,
                                   version, updated_at)
             SELECT r.value->>'order_id', CAST(r.value->>'attempt' AS BIGINT), r.value->>'state',
                    CAST(r.value->>'amount' AS BIGINT), r.value->>'currency', r.value->>'token', r.value->>'last4',
                    r.value->>'authorisation_id', r.value->>'reason', 1, CAST(r.value->>'at' AS BIGINT)
             FROM jsonb_each($1) AS r",
            &new,
        )
        .await?;
    }
    // What was asked for never changes, so neither do amount and card.
    tx.execute_each(
        "UPDATE payments
         SET state = r.value->>'state', version = payments.version + 1, updated_at = CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r
         WHERE payments.order_id = r.value->>'order_id' AND payments.attempt = CAST(r.value->>'attempt' AS BIGINT)
           AND payments.version = CAST(r.value->>'version' AS BIGINT)",
        &known,
    )
    .await?;

    let postings: Vec<Value> = batch
        .entries
        .iter()
        .flat_map(|(order_id, attempt, entry)| {
            entry.postings.iter().map(move |posting| {
                json!({
                    "entry_id": entry.id, "account": posting.account, "amount": posting.amount,
                    "currency": entry.currency, "order_id": order_id, "attempt": attempt, "at": now,
                })
            })
        })
        .collect();
    if !postings.is_empty() {
        tx.execute(
            "INSERT INTO ledger_entries (entry_id, account, amount, currency, order_id, attempt, at)
             SELECT r.value->>'entry_id', r.value->>'account', CAST(r.value->>'amount' AS BIGINT),
                    r.value->>'currency', r.value->>'order_id', CAST(r.value->>'attempt' AS BIGINT),
                    CAST(r.value->>'at' AS BIGINT)
             FROM jsonb_each($1) AS r",
            &postings,
        )
        .await?;
    }
    Ok(())
}

fn payment(row: PaymentRow) -> Result<Payment, StoreError> {
    let PaymentRow { state, amount, currency, token, last4, authorisation_id, reason, .. } = row;
    let offer = Offer { amount: Money { amount, currency }, card: Card { token, last4 } };
    Ok(match state.as_str() {
        "AUTHORISED" => Payment::Authorised(Hold { offer, authorisation_id }),
        "DECLINED" => Payment::Declined(Refusal { offer, reason }),
        "CAPTURED" => Payment::Captured(Hold { offer, authorisation_id }),
        "VOIDED" if authorisation_id.is_empty() => Payment::Voided(None),
        "VOIDED" => Payment::Voided(Some(Hold { offer, authorisation_id })),
        other => return Err(StoreError::Refused(format!("{other:?} is no state of a payment"))),
    })
}

fn columns((order_id, attempt): &(String, i32), payment: &Payment, version: i64, now: Millis) -> Value {
    let (offer, authorisation_id, reason) = match payment {
        Payment::Authorised(hold) | Payment::Captured(hold) | Payment::Voided(Some(hold)) => {
            (Some(&hold.offer), hold.authorisation_id.as_str(), "")
        }
        Payment::Declined(refusal) => (Some(&refusal.offer), "", refusal.reason.as_str()),
        Payment::Voided(None) | Payment::Absent => (None, "", ""),
    };
    json!({
        "order_id": order_id, "attempt": attempt, "state": payment.name(),
        "amount": offer.map_or(0, |offer| offer.amount.amount),
        "currency": offer.map_or("", |offer| &offer.amount.currency),
        "token": offer.map_or("", |offer| &offer.card.token),
        "last4": offer.map_or("", |offer| &offer.card.last4),
        "authorisation_id": authorisation_id, "reason": reason, "version": version, "at": now,
    })
}
