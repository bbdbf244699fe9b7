//! All SQL of the bank.

use std::collections::{BTreeMap, BTreeSet};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::Serialize;

use super::operations::{Hold, HoldState, Record};
use super::{Answer, Request};
use crate::domain::Money;

/// A state, the version it was loaded with (0: not stored yet), and whether it
/// must be saved.
#[derive(Debug)]
struct Slot<T> {
    value: T,
    version: i64,
    changed: bool,
}

/// What one batch touches.
#[derive(Debug, Default)]
pub struct Batch {
    records: BTreeMap<String, (&'static str, Slot<Record>)>,
    holds: BTreeMap<(String, i32), Slot<Hold>>,
}

impl Batch {
    pub(super) fn record(&self, key: &str) -> Option<&Record> {
        self.records.get(key).map(|(_, slot)| &slot.value)
    }

    pub(super) fn hold(&self, request: &Request) -> Option<&Hold> {
        self.holds.get(&(request.order_id.clone(), request.attempt)).map(|slot| &slot.value)
    }

    pub(super) fn set_record(&mut self, key: String, operation: &'static str, record: Record) {
        let version = self.records.get(&key).map_or(0, |(_, slot)| slot.version);
        self.records.insert(key, (operation, Slot { value: record, version, changed: true }));
    }

    pub(super) fn set_hold(&mut self, request: &Request, hold: Hold) {
        let key = (request.order_id.clone(), request.attempt);
        let version = self.holds.get(&key).map_or(0, |slot| slot.version);
        self.holds.insert(key, Slot { value: hold, version, changed: true });
    }
}

#[derive(serde::Deserialize)]
struct RecordRow {
    key: String,
    amount: i64,
    currency: String,
    outcome: String,
    detail: String,
    calls: i64,
}

/// The key of a hold to load.
#[derive(Serialize)]
struct HoldKey<'a> {
    order_id: &'a str,
    attempt: i32,
}

/// The key of an operation to load.
#[derive(Serialize)]
struct OperationKey<'a> {
    key: &'a str,
}

/// An operation to insert.
#[derive(Serialize)]
struct NewRecord<'a> {
    key: &'a str,
    operation: &'static str,
    amount: i64,
    currency: &'a str,
    outcome: &'static str,
    detail: &'a str,
    calls: i64,
    at: Millis,
}

/// An operation to update.
#[derive(Serialize)]
struct ChangedRecord<'a> {
    key: &'a str,
    outcome: &'static str,
    detail: &'a str,
    calls: i64,
    /// The version that it was loaded with.
    loaded: i64,
}

/// A hold to insert.
#[derive(Serialize)]
struct NewHold<'a> {
    order_id: &'a str,
    attempt: i32,
    token: &'a str,
    authorisation_id: &'a str,
    amount: i64,
    currency: &'a str,
    state: &'static str,
    refunded: i64,
    at: Millis,
}

/// A hold to update.
#[derive(Serialize)]
struct ChangedHold<'a> {
    order_id: &'a str,
    attempt: i32,
    state: &'static str,
    refunded: i64,
    /// The version that it was loaded with.
    loaded: i64,
}

/// Money at the bank, as an auditor sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct BankHold {
    /// Whose order.
    pub order_id: String,
    /// In which attempt.
    pub attempt: i64,
    /// The card.
    pub token: String,
    /// The bank's reference.
    pub authorisation_id: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// HELD, CHARGED or RELEASED: see [`HoldState`].
    pub state: String,
    /// Minor units given back of what was charged.
    pub refunded: i64,
    /// Counts its changes.
    pub version: i64,
}

/// Money given back, as an auditor sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct BankRefund {
    /// The idempotency key, `<order>/<attempt>/refund-<n>`.
    pub key: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// Loads what the requests touch: the holds first, locked in key order, so that
/// two calls about one hold come one after the other, whatever they ask.
pub(super) async fn load(tx: &mut Tx, requests: &[&Request]) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    if requests.is_empty() {
        return Ok(batch);
    }
    let payments: BTreeSet<(&str, i32)> =
        requests.iter().map(|request| (request.order_id.as_str(), request.attempt)).collect();
    let keys: Vec<_> = payments.into_iter().map(|(order_id, attempt)| HoldKey { order_id, attempt }).collect();
    let rows: Vec<BankHold> = tx
        .fetch_for_update(
            "SELECT order_id, attempt, token, authorisation_id, amount, currency, state, refunded, version
             FROM bank_holds
             WHERE (order_id, attempt) IN
                   (SELECT r.value->>'order_id', CAST(r.value->>'attempt' AS BIGINT) FROM jsonb_each($1) AS r)
             ORDER BY order_id, attempt",
            &keys,
        )
        .await?;
    for row in rows {
        let state = HoldState::of(&row.state)
            .ok_or_else(|| StoreError::Refused(format!("{:?} is no state of a hold", row.state)))?;
        let hold = Hold {
            token: row.token,
            authorisation_id: row.authorisation_id,
            amount: Money { amount: row.amount, currency: row.currency },
            state,
            refunded: row.refunded,
        };
        let slot = Slot { value: hold, version: row.version, changed: false };
        batch.holds.insert((row.order_id, i32::try_from(row.attempt).unwrap_or(i32::MAX)), slot);
    }

    let operations: BTreeMap<String, &'static str> =
        requests.iter().map(|request| (request.key(), request.operation.name())).collect();
    let keys: Vec<_> = operations.keys().map(|key| OperationKey { key }).collect();
    let rows: Vec<RecordRow> = tx
        .fetch_for_update(
            "SELECT key, amount, currency, outcome, detail, calls FROM bank_operations
             WHERE key IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r) ORDER BY key",
            &keys,
        )
        .await?;
    for row in rows {
        let Some(operation) = operations.get(&row.key) else { continue };
        let record = Record {
            amount: Money { amount: row.amount, currency: row.currency },
            answer: answer(&row.outcome, row.detail)?,
            calls: row.calls,
        };
        batch.records.insert(row.key, (operation, Slot { value: record, version: row.calls, changed: false }));
    }
    Ok(batch)
}

/// Saves what changed. A key that somebody else has used meanwhile is a conflict,
/// by its row's key or by its version.
pub(super) async fn save(tx: &mut Tx, batch: &Batch, now: Millis) -> Result<(), StoreError> {
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for (key, (operation, slot)) in batch.records.iter().filter(|(_, (_, slot))| slot.changed) {
        let Record { amount, answer, calls } = &slot.value;
        let (outcome, detail) = columns(answer.as_ref());
        if slot.version == 0 {
            let (amount, currency) = (amount.amount, amount.currency.as_str());
            new.push(NewRecord { key, operation, amount, currency, outcome, detail, calls: *calls, at: now });
        } else {
            known.push(ChangedRecord { key, outcome, detail, calls: *calls, loaded: slot.version });
        }
    }
    tx.execute_each(
        "INSERT INTO bank_operations (key, operation, amount, currency, outcome, detail, calls, at)
         SELECT r.value->>'key', r.value->>'operation', CAST(r.value->>'amount' AS BIGINT), r.value->>'currency',
                r.value->>'outcome', r.value->>'detail', CAST(r.value->>'calls' AS BIGINT),
                CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &new,
    )
    .await?;
    tx.execute_each(
        "UPDATE bank_operations
         SET outcome = r.value->>'outcome', detail = r.value->>'detail', calls = CAST(r.value->>'calls' AS BIGINT)
         FROM jsonb_each($1) AS r
         WHERE bank_operations.key = r.value->>'key' AND bank_operations.calls = CAST(r.value->>'loaded' AS BIGINT)",
        &known,
    )
    .await?;

    let (mut new, mut known) = (Vec::new(), Vec::new());
    for ((order_id, attempt), slot) in batch.holds.iter().filter(|(_, slot)| slot.changed) {
        let (attempt, state, refunded) = (*attempt, slot.value.state.as_str(), slot.value.refunded);
        if slot.version == 0 {
            let Hold { token, authorisation_id, amount: Money { amount, currency }, .. } = &slot.value;
            let amount = *amount;
            let hold =
                NewHold { order_id, attempt, token, authorisation_id, amount, currency, state, refunded, at: now };
            new.push(hold);
        } else {
            known.push(ChangedHold { order_id, attempt, state, refunded, loaded: slot.version });
        }
    }
    tx.execute_each(
        "INSERT INTO bank_holds (order_id, attempt, token, authorisation_id, amount, currency, state, refunded, version,
                                 at)
         SELECT r.value->>'order_id', CAST(r.value->>'attempt' AS BIGINT), r.value->>'token',
                r.value->>'authorisation_id', CAST(r.value->>'amount' AS BIGINT), r.value->>'currency',
                r.value->>'state', CAST(r.value->>'refunded' AS BIGINT), 1, CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &new,
    )
    .await?;
    tx.execute_each(
        "UPDATE bank_holds SET state = r.value->>'state', refunded = CAST(r.value->>'refunded' AS BIGINT),
                version = bank_holds.version + 1
         FROM jsonb_each($1) AS r
         WHERE bank_holds.order_id = r.value->>'order_id'
           AND bank_holds.attempt = CAST(r.value->>'attempt' AS BIGINT)
           AND bank_holds.version = CAST(r.value->>'loaded' AS BIGINT)",
        &known,
    )
    .await
}

/// All money that the bank holds, has taken, or has let go, in key order.
///
/// # Errors
/// As the store answers.
pub async fn holds(tx: &mut Tx) -> Result<Vec<BankHold>, StoreError> {
    tx.fetch(
        "SELECT order_id, attempt, token, authorisation_id, amount, currency, state, refunded, version FROM bank_holds
         WHERE $1 <> '' ORDER BY order_id, attempt",
        &[0; 0],
    )
    .await
}

/// All money that the bank has given back, in the order of its keys.
///
/// # Errors
/// As the store answers.
pub async fn refunds(tx: &mut Tx) -> Result<Vec<BankRefund>, StoreError> {
    tx.fetch(
        "SELECT key, amount, currency FROM bank_operations WHERE outcome = 'REFUNDED' AND $1 <> '' ORDER BY key",
        &[0; 0],
    )
    .await
}

fn columns(answer: Option<&Answer>) -> (&'static str, &str) {
    match answer {
        None => ("NONE", ""),
        Some(Answer::Approved { authorisation_id }) => ("APPROVED", authorisation_id),
        Some(Answer::Declined { reason }) => ("DECLINED", reason),
        Some(Answer::Captured) => ("CAPTURED", ""),
        Some(Answer::CaptureRefused { reason }) => ("CAPTURE_REFUSED", reason),
        Some(Answer::Voided) => ("VOIDED", ""),
        Some(Answer::Refunded) => ("REFUNDED", ""),
    }
}

fn answer(outcome: &str, detail: String) -> Result<Option<Answer>, StoreError> {
    Ok(match outcome {
        "NONE" => None,
        "APPROVED" => Some(Answer::Approved { authorisation_id: detail }),
        "DECLINED" => Some(Answer::Declined { reason: detail }),
        "CAPTURED" => Some(Answer::Captured),
        "CAPTURE_REFUSED" => Some(Answer::CaptureRefused { reason: detail }),
        "VOIDED" => Some(Answer::Voided),
        "REFUNDED" => Some(Answer::Refunded),
        other => return Err(StoreError::Refused(format!("{other:?} is no outcome of a call to the bank"))),
    })
}
