//! The rules inside the payment service's store, what the rules across stores
//! need, and the comparison with the bank.

mod against_bank;

use platform::audit::Finding;
use platform::store::{StoreError, Tx};

pub use against_bank::audit_against_bank;

#[derive(sqlx::FromRow)]
struct Count {
    n: i64,
}

#[derive(sqlx::FromRow)]
struct Breach {
    what: String,
    amount: i64,
    should: i64,
}

#[derive(sqlx::FromRow)]
struct OrderId {
    order_id: String,
}

#[derive(sqlx::FromRow)]
struct Attempt {
    order_id: String,
    attempt: i64,
}

/// Checks the store's own rules in the transaction's snapshot.
///
/// # Errors
/// As the store answers.
pub async fn audit(tx: &mut Tx) -> Result<Vec<Finding>, StoreError> {
    Ok(vec![entries_balance(tx).await?, captured_once(tx).await?, revenue(tx).await?, holds(tx).await?])
}

async fn entries_balance(tx: &mut Tx) -> Result<Finding, StoreError> {
    let checked =
        count(tx, "SELECT COUNT(*) AS n FROM (SELECT DISTINCT entry_id FROM ledger_entries WHERE $1 <> '') AS e")
            .await?;
    let breaches: Vec<Breach> = tx
        .fetch(
            "SELECT entry_id || ' in ' || currency AS what, CAST(SUM(amount) AS BIGINT) AS amount,
                    CAST(0 AS BIGINT) AS should
             FROM ledger_entries WHERE $1 <> ''
             GROUP BY entry_id, currency HAVING SUM(amount) <> 0 ORDER BY entry_id",
            &[0; 0],
        )
        .await?;
    Ok(finding("every ledger entry sums to zero", checked, &breaches))
}

async fn captured_once(tx: &mut Tx) -> Result<Finding, StoreError> {
    let checked = count(tx, "SELECT COUNT(*) AS n FROM payments WHERE state = 'CAPTURED' AND $1 <> ''").await?;
    let breaches: Vec<Breach> = tx
        .fetch(
            "SELECT 'captures of order ' || order_id AS what, COUNT(*) AS amount, CAST(1 AS BIGINT) AS should
             FROM payments WHERE state = 'CAPTURED' AND $1 <> ''
             GROUP BY order_id HAVING COUNT(*) > 1 ORDER BY order_id",
            &[0; 0],
        )
        .await?;
    Ok(finding("no order is captured more than once", checked, &breaches))
}

/// Revenue is a credit, so it stands below zero.
async fn revenue(tx: &mut Tx) -> Result<Finding, StoreError> {
    let checked = count(tx, "SELECT COUNT(*) AS n FROM payments WHERE $1 <> ''").await?;
    let breaches: Vec<Breach> = tx
        .fetch(
            "SELECT 'revenue of ' || p.order_id || '/' || CAST(p.attempt AS TEXT) AS what,
                    COALESCE(CAST(-SUM(l.amount) AS BIGINT), 0) AS amount,
                    CASE WHEN p.state = 'CAPTURED' THEN p.amount ELSE 0 END AS should
             FROM payments AS p LEFT JOIN ledger_entries AS l
                  ON l.entry_id = p.order_id || '/' || CAST(p.attempt AS TEXT) || '/capture'
                 AND l.account = 'shop:revenue'
             WHERE $1 <> ''
             GROUP BY p.order_id, p.attempt, p.state, p.amount
             HAVING COALESCE(-SUM(l.amount), 0) <> CASE WHEN p.state = 'CAPTURED' THEN p.amount ELSE 0 END
             ORDER BY p.order_id, p.attempt",
            &[0; 0],
        )
        .await?;
    Ok(finding("a payment's revenue is its amount if it is captured, else nothing", checked, &breaches))
}

async fn holds(tx: &mut Tx) -> Result<Finding, StoreError> {
    let breaches: Vec<Breach> = tx
        .fetch(
            "SELECT 'bank:holds in ' || b.currency AS what, CAST(SUM(b.held) AS BIGINT) AS amount,
                    CAST(SUM(b.open) AS BIGINT) AS should
             FROM (SELECT currency, amount AS held, 0 AS open FROM ledger_entries
                   WHERE account = 'bank:holds' AND $1 <> ''
                   UNION ALL
                   SELECT currency, 0 AS held, amount AS open FROM payments WHERE state = 'AUTHORISED') AS b
             GROUP BY b.currency ORDER BY b.currency",
            &[0; 0],
        )
        .await?;
    let checked = i64::try_from(breaches.len()).unwrap_or(i64::MAX);
    let breaches: Vec<Breach> = breaches.into_iter().filter(|balance| balance.amount != balance.should).collect();
    Ok(finding("what the ledger says is held = the sum of authorised payments", checked, &breaches))
}

/// The orders whose money is ours, in key order.
///
/// # Errors
/// As the store answers.
pub async fn captured_orders(tx: &mut Tx) -> Result<Vec<String>, StoreError> {
    let rows: Vec<OrderId> = tx
        .fetch(
            "SELECT DISTINCT order_id FROM payments WHERE state = 'CAPTURED' AND $1 <> '' ORDER BY order_id",
            &[0; 0],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.order_id).collect())
}

/// Payments that are authorised and neither captured nor voided, as (order id,
/// attempt) in key order: each must belong to an order that is still under way.
///
/// # Errors
/// As the store answers.
pub async fn open_authorisations(tx: &mut Tx) -> Result<Vec<(String, i64)>, StoreError> {
    let rows: Vec<Attempt> = tx
        .fetch(
            "SELECT order_id, attempt FROM payments WHERE state = 'AUTHORISED' AND $1 <> ''
             ORDER BY order_id, attempt",
            &[0; 0],
        )
        .await?;
    Ok(rows.into_iter().map(|row| (row.order_id, row.attempt)).collect())
}

async fn count(tx: &mut Tx, sql: &'static str) -> Result<i64, StoreError> {
    let rows: Vec<Count> = tx.fetch(sql, &[0; 0]).await?;
    Ok(rows.first().map_or(0, |row| row.n))
}

fn finding(rule: &'static str, checked: i64, breaches: &[Breach]) -> Finding {
    let breaches = breaches
        .iter()
        .map(|breach| format!("{}: {}, should be {}", breach.what, breach.amount, breach.should))
        .collect();
    Finding { rule, checked, breaches }
}
