//! All SQL of the payment service: payments, their refunds, and the ledger.

use std::collections::{BTreeMap, BTreeSet};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::Serialize;

use crate::domain::ledger::{self, Entry};
use crate::domain::{self, Card, Charge, Event, Hold, Money, Offer, Payment, Refund, Refusal};

/// What one batch touches: the orders' payments, all attempts of each.
#[derive(Debug, Default)]
pub struct Batch {
    orders: BTreeMap<String, Attempts>,
    entries: Vec<(String, i32, Entry)>,
    refunds: Vec<(String, i32, Refund)>,
    none: BTreeMap<i32, Payment>,
}

/// The payments of one order, by attempt.
#[derive(Debug, Default)]
struct Attempts {
    payments: BTreeMap<i32, Payment>,
    /// As loaded; an attempt without one is not stored yet.
    versions: BTreeMap<i32, i64>,
    changed: BTreeSet<i32>,
}

impl Batch {
    /// The attempts of an order, as earlier inputs of the batch left them.
    pub(crate) fn attempts(&self, order_id: &str) -> &BTreeMap<i32, Payment> {
        self.orders.get(order_id).map_or(&self.none, |attempts| &attempts.payments)
    }

    /// The event's state, what it posts to the ledger, and the refund that it is.
    pub(crate) fn record(&mut self, order_id: &str, attempt: i32, event: &Event) {
        let attempts = self.orders.entry(order_id.to_owned()).or_default();
        attempts.payments.insert(attempt, domain::evolve(event));
        attempts.changed.insert(attempt);
        if let Some(entry) = ledger::entry(order_id, attempt, event) {
            self.entries.push((order_id.to_owned(), attempt, entry));
        }
        if let Event::Refunded { refund, .. } = event {
            self.refunds.push((order_id.to_owned(), attempt, refund.clone()));
        }
    }
}

#[derive(serde::Deserialize)]
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

#[derive(serde::Deserialize)]
struct RefundRow {
    order_id: String,
    attempt: i64,
    refund: i64,
    amount: i64,
}

/// The key of an order whose payments to load.
#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

/// A payment to insert.
#[derive(Serialize)]
struct NewPayment<'a> {
    order_id: &'a str,
    attempt: i32,
    state: &'static str,
    amount: i64,
    currency: &'a str,
    token: &'a str,
    last4: &'a str,
    authorisation_id: &'a str,
    reason: &'a str,
    at: Millis,
}

/// A payment to update. What was asked for never changes, so neither do amount and card.
#[derive(Serialize)]
struct ChangedPayment<'a> {
    order_id: &'a str,
    attempt: i32,
    state: &'static str,
    reason: &'a str,
    /// The version that it was loaded with.
    loaded: i64,
    at: Millis,
}

/// A refund to insert.
#[derive(Serialize)]
struct NewRefund<'a> {
    order_id: &'a str,
    attempt: i32,
    refund: i32,
    amount: i64,
    at: Millis,
}

/// A posting to insert.
#[derive(Serialize)]
struct NewPosting<'a> {
    entry_id: &'a str,
    account: &'a str,
    amount: i64,
    currency: &'a str,
    order_id: &'a str,
    attempt: i32,
    at: Millis,
}

/// Loads all payments of the orders, locked in key order, and then their refunds,
/// which change only under the lock of their payment.
pub(crate) async fn load(tx: &mut Tx, orders: impl Iterator<Item = &str>) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    let orders: BTreeSet<&str> = orders.collect();
    if orders.is_empty() {
        return Ok(batch);
    }
    let ids: Vec<_> = orders.into_iter().map(|id| Id { id }).collect();
    let rows: Vec<PaymentRow> = tx
        .fetch_for_update(
            "SELECT order_id, attempt, state, amount, currency, token, last4, authorisation_id, reason, version
             FROM payments WHERE order_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)
             ORDER BY order_id, attempt",
            &ids,
        )
        .await?;
    let mut charged = BTreeSet::new();
    for row in rows {
        let (order_id, attempt, version) = (row.order_id.clone(), number(row.attempt, &row.order_id)?, row.version);
        let payment = payment(row)?;
        if matches!(payment, Payment::Captured(_)) {
            charged.insert(order_id.clone());
        }
        let attempts = batch.orders.entry(order_id).or_default();
        attempts.payments.insert(attempt, payment);
        attempts.versions.insert(attempt, version);
    }
    load_refunds(tx, &mut batch, &charged).await?;
    Ok(batch)
}

/// Only what is captured has refunds, so most batches ask for none.
async fn load_refunds(tx: &mut Tx, batch: &mut Batch, charged: &BTreeSet<String>) -> Result<(), StoreError> {
    if charged.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = charged.iter().map(|id| Id { id }).collect();
    let rows: Vec<RefundRow> = tx
        .fetch_each(
            "SELECT order_id, attempt, refund, amount FROM refunds
             WHERE order_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)",
            &ids,
        )
        .await?;
    for row in rows {
        let (attempt, refund) = (number(row.attempt, &row.order_id)?, number(row.refund, &row.order_id)?);
        match batch.orders.get_mut(&row.order_id).and_then(|attempts| attempts.payments.get_mut(&attempt)) {
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
    for (order_id, attempts) in &batch.orders {
        for attempt in &attempts.changed {
            let Some(payment) = attempts.payments.get(attempt) else { continue };
            let row = new_payment(order_id, *attempt, payment, now);
            match attempts.versions.get(attempt) {
                None => new.push(row),
                Some(loaded) => known.push(changed(row, *loaded)),
            }
        }
    }
    tx.execute_each(
        "INSERT INTO payments (order_id, attempt, state, amount, currency, token, last4, authorisation_id, reason,
                               version, updated_at)
         SELECT r.value->>'order_id', CAST(r.value->>'attempt' AS BIGINT), r.value->>'state',
                CAST(r.value->>'amount' AS BIGINT), r.value->>'currency', r.value->>'token', r.value->>'last4',
                r.value->>'authorisation_id', r.value->>'reason', 1, CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &new,
    )
    .await?;
    tx.execute_each(
        "UPDATE payments
         SET state = r.value->>'state', reason = r.value->>'reason', version = payments.version + 1,
             updated_at = CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r
         WHERE payments.order_id = r.value->>'order_id' AND payments.attempt = CAST(r.value->>'attempt' AS BIGINT)
           AND payments.version = CAST(r.value->>'loaded' AS BIGINT)",
        &known,
    )
    .await?;

    let refunds: Vec<_> = batch
        .refunds
        .iter()
        .map(|(order_id, attempt, refund)| NewRefund {
            order_id,
            attempt: *attempt,
            refund: refund.number,
            amount: refund.amount.amount,
            at: now,
        })
        .collect();
    tx.execute_each(
        "INSERT INTO refunds (order_id, attempt, refund, amount, at)
         SELECT r.value->>'order_id', CAST(r.value->>'attempt' AS BIGINT), CAST(r.value->>'refund' AS BIGINT),
                CAST(r.value->>'amount' AS BIGINT), CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &refunds,
    )
    .await?;

    let postings: Vec<_> = batch
        .entries
        .iter()
        .flat_map(|(order_id, attempt, entry)| {
            entry.postings.iter().map(|posting| NewPosting {
                entry_id: &entry.id,
                account: &posting.account,
                amount: posting.amount,
                currency: &entry.currency,
                order_id,
                attempt: *attempt,
                at: now,
            })
        })
        .collect();
    tx.execute_each(
        "INSERT INTO ledger_entries (entry_id, account, amount, currency, order_id, attempt, at)
         SELECT r.value->>'entry_id', r.value->>'account', CAST(r.value->>'amount' AS BIGINT),
                r.value->>'currency', r.value->>'order_id', CAST(r.value->>'attempt' AS BIGINT),
                CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &postings,
    )
    .await?;
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

fn new_payment<'a>(order_id: &'a str, attempt: i32, payment: &'a Payment, now: Millis) -> NewPayment<'a> {
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
    NewPayment {
        order_id,
        attempt,
        state: payment.name(),
        amount: offer.map_or(0, |offer| offer.amount.amount),
        currency: offer.map_or("", |offer| &offer.amount.currency),
        token: offer.map_or("", |offer| &offer.card.token),
        last4: offer.map_or("", |offer| &offer.card.last4),
        authorisation_id,
        reason,
        at: now,
    }
}

const fn changed(row: NewPayment<'_>, loaded: i64) -> ChangedPayment<'_> {
    let NewPayment { order_id, attempt, state, reason, at, .. } = row;
    ChangedPayment { order_id, attempt, state, reason, loaded, at }
}
