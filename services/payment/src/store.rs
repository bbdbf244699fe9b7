//! All SQL of the payment service: payments, their refunds, and the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::domain::ledger::{self, Entry};
use crate::domain::{self, Card, Charge, Event, Hold, Money, Offer, Payment, Refund, Refusal};

/// What one batch touches: the orders' payments, all attempts of each.
#[derive(Debug, Default)]
pub struct Batch {
    orders: BTreeMap<String, BTreeMap<i32, Payment>>,
    /// As loaded; a payment without one is not stored yet.
    versions: HashMap<(String, i32), i64>,
    changed: BTreeSet<(String, i32)>,
    entries: Vec<(String, i32, Entry)>,
    refunds: Vec<(String, i32, Refund)>,
    none: BTreeMap<i32, Payment>,
}

impl Batch {
    /// The attempts of an order, as earlier inputs of the batch left them.
    pub(crate) fn attempts(&self, order_id: &str) -> &BTreeMap<i32, Payment> {
        self.orders.get(order_id).unwrap_or(&self.none)
    }

    /// The event's state, what it posts to the ledger, and the refund that it is.
    pub(crate) fn record(&mut self, order_id: &str, attempt: i32, event: &Event) {
        self.orders.entry(order_id.to_owned()).or_default().insert(attempt, domain::evolve(event));
        self.changed.insert((order_id.to_owned(), attempt));
        if let Some(entry) = ledger::entry(order_id, attempt, event) {
            self.entries.push((order_id.to_owned(), attempt, entry));
        }
        if let Event::Refunded { refund, .. } = event {
            self.refunds.push((order_id.to_owned(), attempt, refund.clone()));
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

#[derive(sqlx::FromRow)]
struct RefundRow {
    order_id: String,
    attempt: i64,
    refund: i64,
    amount: i64,
}

/// Loads all payments of the orders, locked in key order, and then their refunds,
/// which change only under the lock of their payment.
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
    let mut charged = BTreeSet::new();
    for row in rows {
        let key = (row.order_id.clone(), number(row.attempt, &row.order_id)?);
        batch.versions.insert(key.clone(), row.version);
        let payment = payment(row)?;
        if matches!(payment, Payment::Captured(_)) {
            charged.insert(key.0.clone());
        }
        batch.orders.entry(key.0).or_default().insert(key.1, payment);
    }
    load_refunds(tx, &mut batch, &charged).await?;
    Ok(batch)
}

/// Only what is captured has refunds, so most batches ask for none.
async fn load_refunds(tx: &mut Tx, batch: &mut Batch, charged: &BTreeSet<String>) -> Result<(), StoreError> {
    if charged.is_empty() {
        return Ok(());
    }
    let args: Vec<Value> = charged.iter().map(|id| json!({ "id": id })).collect();
    let rows: Vec<RefundRow> = tx
        .fetch(
            "SELECT order_id, attempt, refund, amount FROM refunds
             WHERE order_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)",
            &args,
        )
        .await?;
    for row in rows {
        let (attempt, refund) = (number(row.attempt, &row.order_id)?, number(row.refund, &row.order_id)?);
        match batch.orders.get_mut(&row.order_id).and_then(|attempts| attempts.get_mut(&attempt)) {
            Some(Payment::Captured(charge)) => {
                charge.refunds.insert(refund, row.amount);
            }
            found => {
                let state = found.map_or("ABSENT", |payment| payment.name());
                let text = format!("{}/{attempt} is {state} and has refund {refund}", row.order_id);
                return Err(StoreError::Refused(text));
            }
        }
    }
    Ok(())
}

/// Attempts and refunds count from 1 and stay small.
fn number(column: i64, order_id: &str) -> Result<i32, StoreError> {
    i32::try_from(column).map_err(|_| StoreError::Refused(format!("{column} is no attempt or refund of {order_id}")))
}

/// Saves what changed, and posts to the ledger. A refund or an entry that stands
/// there already is a conflict: nothing is given back or posted twice.
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
         SET state = r.value->>'state', reason = r.value->>'reason', version = payments.version + 1,
             updated_at = CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r
         WHERE payments.order_id = r.value->>'order_id' AND payments.attempt = CAST(r.value->>'attempt' AS BIGINT)
           AND payments.version = CAST(r.value->>'version' AS BIGINT)",
        &known,
    )
    .await?;

    let refunds: Vec<Value> = batch
        .refunds
        .iter()
        .map(|(order_id, attempt, refund)| {
            json!({
                "order_id": order_id, "attempt": attempt, "refund": refund.number, "amount": refund.amount.amount,
                "at": now,
            })
        })
        .collect();
    if !refunds.is_empty() {
        tx.execute(
            "INSERT INTO refunds (order_id, attempt, refund, amount, at)
             SELECT r.value->>'order_id', CAST(r.value->>'attempt' AS BIGINT), CAST(r.value->>'refund' AS BIGINT),
                    CAST(r.value->>'amount' AS BIGINT), CAST(r.value->>'at' AS BIGINT)
             FROM jsonb_each($1) AS r",
            &refunds,
        )
        .await?;
    }

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
        // Its refunds are loaded after it.
        "CAPTURED" => Payment::Captured(Charge::new(Hold { offer, authorisation_id })),
        "CAPTURE_REFUSED" => Payment::CaptureRefused { hold: Hold { offer, authorisation_id }, reason },
        "VOIDED" if authorisation_id.is_empty() => Payment::Voided(None),
        "VOIDED" => Payment::Voided(Some(Hold { offer, authorisation_id })),
        other => return Err(StoreError::Refused(format!("{other:?} is no state of a payment"))),
    })
}

fn columns((order_id, attempt): &(String, i32), payment: &Payment, version: i64, now: Millis) -> Value {
    let (offer, authorisation_id, reason) = match payment {
        Payment::Authorised(hold) | Payment::Captured(Charge { hold, .. }) | Payment::Voided(Some(hold)) => {
            (Some(&hold.offer), hold.authorisation_id.as_str(), "")
        }
        Payment::CaptureRefused { hold, reason } => {
            (Some(&hold.offer), hold.authorisation_id.as_str(), reason.as_str())
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
