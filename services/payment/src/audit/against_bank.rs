//! The shop's books against the bank's, the *reconciliation*.
//!
//! The two stores are not of one instant, and while a call is under way the bank
//! is ahead. So the rules are implications, each with the *later* fact read first:
//! whatever the payment service says is captured was charged at the bank before,
//! so it is read before the bank; whatever the bank has charged was authorised
//! here before, so the bank is read before the payments are read once more. Refunds
//! likewise, one by one. The bank may be ahead of a payment by one step, the one
//! whose answer is under way, and never by two.

use std::collections::{BTreeMap, BTreeSet};

use platform::audit::Finding;
use platform::store::{Db, StoreError};

use crate::bank::{self, BankHold, BankRefund, HoldState};

#[derive(serde::Deserialize)]
struct PaymentRow {
    order_id: String,
    attempt: i64,
    state: String,
    amount: i64,
    currency: String,
    /// Empty of a decline and of a tombstone: the bank has nothing of these.
    authorisation_id: String,
    /// What the ledger's `bank:settled` got from it, minor units.
    settled: i64,
}

/// A refund as the ledger has it.
#[derive(serde::Deserialize)]
struct RefundRow {
    /// The bank's idempotency key is the ledger's entry id.
    key: String,
    /// Minor units.
    amount: i64,
    currency: String,
}

/// The payment service's side at one moment.
struct Shop {
    payments: BTreeMap<Key, PaymentRow>,
    refunds: BTreeMap<String, RefundRow>,
}

/// The bank's side at one moment.
struct Bank {
    holds: BTreeMap<Key, BankHold>,
    refunds: Vec<BankRefund>,
}

type Key = (String, i64);

/// Compares the payment service's store with the bank's, beside a running shop.
///
/// # Errors
/// As the stores answer.
pub async fn audit_against_bank(payment: &Db, bank: &Db) -> Result<Vec<Finding>, StoreError> {
    let before = Shop::read(payment).await?;
    let at_bank = Bank::read(bank).await?;
    let after = Shop::read(payment).await?;
    Ok(vec![
        charged_once(&at_bank),
        captures_are_charges(&before, &at_bank),
        payments_are_at_bank(&before, &at_bank),
        bank_is_known(&at_bank, &after),
        refunds_are_given_back(&before, &at_bank),
        refunds_at_bank_are_known(&at_bank, &after),
        bank_adds_up(&at_bank),
    ])
}

impl Shop {
    async fn read(db: &Db) -> Result<Self, StoreError> {
        let mut tx = db.snapshot().await?;
        let payments: Vec<PaymentRow> = tx
            .fetch(
                "SELECT p.order_id, p.attempt, p.state, p.amount, p.currency, p.authorisation_id,
                        COALESCE(l.amount, 0) AS settled
                 FROM payments AS p LEFT JOIN ledger_entries AS l
                      ON l.entry_id = p.order_id || '/' || CAST(p.attempt AS TEXT) || '/capture'
                     AND l.account = 'bank:settled'
                 WHERE $1 <> ''",
                &[0; 0],
            )
            .await?;
        let refunds: Vec<RefundRow> = tx
            .fetch(
                "SELECT r.key, COALESCE(-l.amount, 0) AS amount, COALESCE(l.currency, '') AS currency
                 FROM (SELECT order_id || '/' || CAST(attempt AS TEXT) || '/refund-' || CAST(refund AS TEXT) AS key
                       FROM refunds WHERE $1 <> '') AS r
                      LEFT JOIN ledger_entries AS l ON l.entry_id = r.key AND l.account = 'bank:settled'",
                &[0; 0],
            )
            .await?;
        tx.rollback().await?;
        Ok(Self {
            payments: payments.into_iter().map(|row| ((row.order_id.clone(), row.attempt), row)).collect(),
            refunds: refunds.into_iter().map(|row| (row.key.clone(), row)).collect(),
        })
    }
}

impl Bank {
    async fn read(db: &Db) -> Result<Self, StoreError> {
        let mut tx = db.snapshot().await?;
        let (holds, refunds) = (bank::holds(&mut tx).await?, bank::refunds(&mut tx).await?);
        tx.rollback().await?;
        let holds = holds.into_iter().map(|hold| ((hold.order_id.clone(), hold.attempt), hold)).collect();
        Ok(Self { holds, refunds })
    }
}

fn charged_once(bank: &Bank) -> Finding {
    let mut charged = BTreeSet::new();
    let mut breaches = Vec::new();
    let mut checked = 0;
    for hold in bank.holds.values().filter(|hold| hold.state == HoldState::Charged.as_str()) {
        checked += 1;
        if !charged.insert(&hold.order_id) {
            breaches.push(format!("order {} is charged again in attempt {}", hold.order_id, hold.attempt));
        }
    }
    Finding { rule: "the bank has charged no order more than once".into(), checked, breaches }
}

/// One for one and penny for penny, so the sums are equal too.
fn captures_are_charges(shop: &Shop, bank: &Bank) -> Finding {
    let mut checked = 0;
    let mut breaches = Vec::new();
    for (key, payment) in shop.payments.iter().filter(|(_, row)| row.state == "CAPTURED" || row.settled != 0) {
        checked += 1;
        let charged = bank
            .holds
            .get(key)
            .filter(|hold| hold.state == HoldState::Charged.as_str() && hold.currency == payment.currency)
            .map_or(0, |hold| hold.amount);
        if charged != payment.settled {
            breaches.push(format!(
                "{}/{}: the ledger has {} settled, the bank has charged {charged}",
                payment.order_id, payment.attempt, payment.settled
            ));
        }
    }
    Finding { rule: "the bank has charged what the ledger says is settled".into(), checked, breaches }
}

/// Whatever was authorised here is at the bank, in the same state or one further.
fn payments_are_at_bank(shop: &Shop, bank: &Bank) -> Finding {
    use HoldState::{Charged, Held, Released};
    let mut checked = 0;
    let mut breaches = Vec::new();
    for (key, payment) in shop.payments.iter().filter(|(_, row)| !row.authorisation_id.is_empty()) {
        checked += 1;
        let hold = bank.holds.get(key);
        let state = hold.and_then(|hold| HoldState::of(&hold.state));
        let possible = match payment.state.as_str() {
            "AUTHORISED" => matches!(state, Some(Held | Charged | Released)),
            "CAPTURE_REFUSED" => matches!(state, Some(Held | Released)),
            "CAPTURED" => state == Some(Charged),
            "VOIDED" => state == Some(Released),
            _ => false,
        };
        if !possible {
            let at_bank = hold.map_or("ABSENT", |hold| &hold.state);
            breaches.push(format!("{}/{}: {} here, {at_bank} at the bank", key.0, key.1, payment.state));
        }
    }
    Finding { rule: "whatever is authorised here is at the bank, in a state that follows".into(), checked, breaches }
}

/// The other way round: the bank may be ahead, but only of something that is here.
fn bank_is_known(bank: &Bank, shop: &Shop) -> Finding {
    let mut breaches = Vec::new();
    for (key, hold) in &bank.holds {
        let payment = shop.payments.get(key);
        let state = payment.map_or("ABSENT", |payment| payment.state.as_str());
        let possible = match HoldState::of(&hold.state) {
            Some(HoldState::Held) => {
                matches!(state, "ABSENT" | "AUTHORISED" | "CAPTURED" | "CAPTURE_REFUSED" | "VOIDED")
            }
            Some(HoldState::Charged) => matches!(state, "AUTHORISED" | "CAPTURED"),
            Some(HoldState::Released) => matches!(state, "AUTHORISED" | "CAPTURE_REFUSED" | "VOIDED"),
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
    Finding {
        rule: "whatever is held or charged at the bank is a payment here".into(),
        checked: count(bank.holds.len()),
        breaches,
    }
}

fn refunds_are_given_back(shop: &Shop, bank: &Bank) -> Finding {
    let given: BTreeMap<&str, &BankRefund> = bank.refunds.iter().map(|refund| (refund.key.as_str(), refund)).collect();
    let mut breaches = Vec::new();
    for (key, refund) in &shop.refunds {
        let amount =
            given.get(key.as_str()).filter(|given| given.currency == refund.currency).map_or(0, |given| given.amount);
        if amount != refund.amount {
            breaches.push(format!("{key}: the ledger has {}, the bank has given back {amount}", refund.amount));
        }
    }
    Finding {
        rule: "the bank has given back what the ledger says is refunded".into(),
        checked: count(shop.refunds.len()),
        breaches,
    }
}

/// A payment has one call at a time on the line, so at most one of its refunds is
/// at the bank and not yet here.
fn refunds_at_bank_are_known(bank: &Bank, shop: &Shop) -> Finding {
    let mut ahead = BTreeSet::new();
    let mut breaches = Vec::new();
    for refund in bank.refunds.iter().filter(|refund| !shop.refunds.contains_key(&refund.key)) {
        let payment = payment_of(&refund.key);
        let captured =
            payment.clone().and_then(|key| shop.payments.get(&key)).is_some_and(|payment| payment.state == "CAPTURED");
        if !captured || !ahead.insert(payment) {
            breaches.push(format!(
                "{}: {} {} given back by the bank, not known here",
                refund.key, refund.amount, refund.currency
            ));
        }
    }
    Finding {
        rule: "whatever the bank has given back is a refund here".into(),
        checked: count(bank.refunds.len()),
        breaches,
    }
}

/// Inside the bank: what it says it gave back of a charge is the sum of the refunds
/// that it was asked for, and no more than the charge.
fn bank_adds_up(bank: &Bank) -> Finding {
    let mut asked: BTreeMap<Option<Key>, i64> = BTreeMap::new();
    for refund in &bank.refunds {
        *asked.entry(payment_of(&refund.key)).or_default() += refund.amount;
    }
    let mut breaches = Vec::new();
    for (key, hold) in &bank.holds {
        let asked = asked.remove(&Some(key.clone())).unwrap_or(0);
        let most = if hold.state == HoldState::Charged.as_str() { hold.amount } else { 0 };
        if hold.refunded != asked || hold.refunded > most {
            breaches.push(format!(
                "{}/{}: {} given back of {most} charged, {asked} in single refunds",
                key.0, key.1, hold.refunded
            ));
        }
    }
    breaches.extend(asked.iter().map(|(key, amount)| format!("{amount} given back of nothing: {key:?}")));
    Finding {
        rule: "the bank's refunds add up, and to no more than it charged".into(),
        checked: count(bank.holds.len()),
        breaches,
    }
}

/// The payment of a refund's key, `<order>/<attempt>/refund-<n>`.
fn payment_of(key: &str) -> Option<Key> {
    let (payment, _) = key.rsplit_once('/')?;
    let (order_id, attempt) = payment.rsplit_once('/')?;
    Some((order_id.to_owned(), attempt.parse().ok()?))
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
