//! The shop's books against the bank's, the *reconciliation*.
//!
//! The two stores are not of one instant, and while a call is under way the bank
//! is ahead. So the rules are implications, each with the *later* fact read first:
//! whatever the payment service says is captured was charged at the bank before,
//! so it is read before the bank; whatever the bank has charged was authorised
//! here before, so the bank is read before the payments are read once more.

use std::collections::{BTreeMap, BTreeSet};

use platform::audit::Finding;
use platform::store::{Db, StoreError};

use crate::bank::{self, BankHold, HoldState};

#[derive(sqlx::FromRow)]
struct PaymentRow {
    order_id: String,
    attempt: i64,
    state: String,
    amount: i64,
    currency: String,
    /// What the ledger's `bank:settled` got from it, minor units.
    settled: i64,
}

type Key = (String, i64);

/// Compares the payment service's store with the bank's, beside a running shop.
///
/// # Errors
/// As the stores answer.
pub async fn audit_against_bank(payment: &Db, bank: &Db) -> Result<Vec<Finding>, StoreError> {
    let before = payments(payment).await?;
    let at_bank = bank::holds(&mut bank.snapshot().await?).await?;
    let after = payments(payment).await?;
    Ok(vec![charged_once(&at_bank), captures_are_charges(&before, &at_bank), bank_is_known(&at_bank, &after)])
}

async fn payments(db: &Db) -> Result<BTreeMap<Key, PaymentRow>, StoreError> {
    let rows: Vec<PaymentRow> = db
        .read(
            "SELECT p.order_id, p.attempt, p.state, p.amount, p.currency, COALESCE(l.amount, 0) AS settled
             FROM payments AS p LEFT JOIN ledger_entries AS l
                  ON l.entry_id = p.order_id || '/' || CAST(p.attempt AS TEXT) || '/capture'
                 AND l.account = 'bank:settled'
             WHERE $1 <> ''",
            &[0; 0],
        )
        .await?;
    Ok(rows.into_iter().map(|row| ((row.order_id.clone(), row.attempt), row)).collect())
}

fn charged_once(at_bank: &[BankHold]) -> Finding {
    let mut charged = BTreeSet::new();
    let mut checked = 0;
    let mut breaches = Vec::new();
    for hold in at_bank.iter().filter(|hold| hold.state == HoldState::Charged.as_str()) {
        checked += 1;
        if !charged.insert(&hold.order_id) {
            breaches.push(format!("order {} is charged again in attempt {}", hold.order_id, hold.attempt));
        }
    }
    Finding { rule: "the bank has charged no order more than once", checked, breaches }
}

/// One for one and penny for penny, so the sums are equal too.
fn captures_are_charges(payments: &BTreeMap<Key, PaymentRow>, at_bank: &[BankHold]) -> Finding {
    let at_bank: BTreeMap<(&str, i64), &BankHold> =
        at_bank.iter().map(|hold| ((hold.order_id.as_str(), hold.attempt), hold)).collect();
    let mut checked = 0;
    let mut breaches = Vec::new();
    for payment in payments.values().filter(|payment| payment.state == "CAPTURED" || payment.settled != 0) {
        checked += 1;
        let charged = at_bank
            .get(&(payment.order_id.as_str(), payment.attempt))
            .filter(|hold| hold.state == HoldState::Charged.as_str() && hold.currency == payment.currency)
            .map_or(0, |hold| hold.amount);
        if charged != payment.settled {
            breaches.push(format!(
                "{}/{}: the ledger has {} settled, the bank has charged {charged}",
                payment.order_id, payment.attempt, payment.settled
            ));
        }
    }
    Finding { rule: "the bank has charged what the ledger says is settled", checked, breaches }
}

/// What the bank has may be ahead of the payment by one step, the one whose
/// answer is under way, and never by another.
fn bank_is_known(at_bank: &[BankHold], payments: &BTreeMap<Key, PaymentRow>) -> Finding {
    let mut breaches = Vec::new();
    for hold in at_bank {
        let payment = payments.get(&(hold.order_id.clone(), hold.attempt));
        let state = payment.map_or("ABSENT", |payment| payment.state.as_str());
        let possible = match HoldState::of(&hold.state) {
            Some(HoldState::Held) => matches!(state, "ABSENT" | "AUTHORISED" | "CAPTURED" | "VOIDED"),
            Some(HoldState::Charged) => matches!(state, "AUTHORISED" | "CAPTURED"),
            Some(HoldState::Released) => matches!(state, "AUTHORISED" | "VOIDED"),
            None => false,
        };
        let agreed = payment.is_none_or(|payment| payment.amount == hold.amount && payment.currency == hold.currency);
        if !possible || !agreed {
            breaches.push(format!(
                "{}/{}: {} {} {} at the bank, {state} here",
                hold.order_id, hold.attempt, hold.state, hold.amount, hold.currency
            ));
        }
    }
    let checked = i64::try_from(at_bank.len()).unwrap_or(i64::MAX);
    Finding { rule: "whatever is held or charged at the bank is a payment here", checked, breaches }
}
