//! The shop's own books: payments, refunds and the ledger, in one snapshot.
//!
//! What a payment posts is settled by its state, so the ledger holds nothing that
//! payments and refunds do not explain: each payment's balances are those of its
//! state, each refund has its entry, and nothing stands beside these.

use platform::audit::Finding;
use platform::store::{StoreError, Tx};

#[derive(serde::Deserialize)]
struct Count {
    n: i64,
}

/// Something that is `amount` and should be `should`.
#[derive(serde::Deserialize)]
struct Breach {
    what: String,
    amount: i64,
    should: i64,
}

/// What the ledger has of one payment, minor units.
#[derive(serde::Deserialize)]
struct Balances {
    order_id: String,
    attempt: i64,
    state: String,
    amount: i64,
    held: i64,
    promised: i64,
    settled: i64,
    revenue: i64,
    /// Postings in another currency than the payment's.
    other_currency: i64,
}

#[derive(serde::Deserialize)]
struct Postings {
    found: i64,
    expected: i64,
}

/// Checks the store's own rules in the transaction's snapshot.
///
/// # Errors
/// As the store answers.
pub async fn audit(tx: &mut Tx) -> Result<Vec<Finding>, StoreError> {
    Ok(vec![
        entries_balance(tx).await?,
        captured_once(tx).await?,
        payments_are_posted(tx).await?,
        refunds_are_posted(tx).await?,
        nothing_else_is_posted(tx).await?,
        holds(tx).await?,
        refunds_within_captures(tx).await?,
    ])
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

/// Debits stand above zero and credits below: a promise and revenue are credits.
async fn payments_are_posted(tx: &mut Tx) -> Result<Finding, StoreError> {
    let checked = count(tx, "SELECT COUNT(*) AS n FROM payments WHERE $1 <> ''").await?;
    let wrong: Vec<Balances> = tx
        .fetch(
            "SELECT * FROM (
                 SELECT p.order_id, p.attempt, p.state, p.amount,
                        CAST(SUM(CASE WHEN l.account = 'bank:holds' THEN l.amount ELSE 0 END) AS BIGINT) AS held,
                        CAST(SUM(CASE WHEN l.account = 'customer:' || p.order_id THEN l.amount ELSE 0 END) AS BIGINT)
                            AS promised,
                        CAST(SUM(CASE WHEN l.account = 'bank:settled' THEN l.amount ELSE 0 END) AS BIGINT) AS settled,
                        CAST(SUM(CASE WHEN l.account = 'shop:revenue' THEN l.amount ELSE 0 END) AS BIGINT) AS revenue,
                        CAST(SUM(CASE WHEN l.currency <> p.currency THEN 1 ELSE 0 END) AS BIGINT) AS other_currency,
                        CASE WHEN p.state IN ('AUTHORISED', 'CAPTURE_REFUSED') THEN p.amount ELSE 0 END AS on_hold,
                        CASE WHEN p.state = 'CAPTURED' THEN p.amount ELSE 0 END AS ours
                 FROM payments AS p LEFT JOIN ledger_entries AS l
                      ON l.entry_id IN (p.order_id || '/' || CAST(p.attempt AS TEXT) || '/hold',
                                        p.order_id || '/' || CAST(p.attempt AS TEXT) || '/release',
                                        p.order_id || '/' || CAST(p.attempt AS TEXT) || '/capture')
                 WHERE $1 <> ''
                 GROUP BY p.order_id, p.attempt, p.state, p.amount) AS b
             WHERE b.held <> b.on_hold OR b.promised <> -b.on_hold OR b.settled <> b.ours OR b.revenue <> -b.ours
                OR b.other_currency <> 0
             ORDER BY b.order_id, b.attempt",
            &[0; 0],
        )
        .await?;
    let breaches = wrong
        .iter()
        .map(|b| {
            format!(
                "{}/{} is {} over {}: the ledger has {} held, {} promised, {} settled, {} in revenue, \
                 {} postings in another currency",
                b.order_id, b.attempt, b.state, b.amount, b.held, b.promised, b.settled, b.revenue, b.other_currency
            )
        })
        .collect();
    Ok(Finding { rule: "the ledger's balances of a payment are those of its state".into(), checked, breaches })
}

async fn refunds_are_posted(tx: &mut Tx) -> Result<Finding, StoreError> {
    let checked = count(tx, "SELECT COUNT(*) AS n FROM refunds WHERE $1 <> ''").await?;
    let breaches: Vec<Breach> = tx
        .fetch(
            "SELECT b.account || ' of ' || b.entry_id AS what, b.amount, b.should FROM (
                 SELECT r.entry_id, a.account, a.sign * r.amount AS should, COALESCE(l.amount, 0) AS amount
                 FROM (SELECT f.order_id || '/' || CAST(f.attempt AS TEXT) || '/refund-' || CAST(f.refund AS TEXT)
                              AS entry_id, f.amount, p.currency
                       FROM refunds AS f LEFT JOIN payments AS p
                            ON p.order_id = f.order_id AND p.attempt = f.attempt
                       WHERE $1 <> '') AS r
                      CROSS JOIN (SELECT 'bank:settled' AS account, CAST(-1 AS BIGINT) AS sign
                                  UNION ALL SELECT 'shop:refunds', CAST(1 AS BIGINT)) AS a
                      LEFT JOIN ledger_entries AS l
                           ON l.entry_id = r.entry_id AND l.account = a.account AND l.currency = r.currency) AS b
             WHERE b.amount <> b.should ORDER BY b.entry_id, b.account",
            &[0; 0],
        )
        .await?;
    Ok(finding("every refund stands in the ledger as it was made", checked, &breaches))
}

/// Whoever passes the two rules before this one and has no posting more than they
/// look at has no other.
async fn nothing_else_is_posted(tx: &mut Tx) -> Result<Finding, StoreError> {
    let rows: Vec<Postings> = tx
        .fetch(
            "SELECT (SELECT COUNT(*) FROM ledger_entries) AS found,
                    (SELECT COALESCE(CAST(SUM(CASE WHEN state IN ('AUTHORISED', 'CAPTURE_REFUSED') THEN 2
                                                   WHEN state = 'CAPTURED' THEN 6
                                                   WHEN state = 'VOIDED' AND authorisation_id <> '' THEN 4
                                                   ELSE 0 END) AS BIGINT), 0) FROM payments)
                    + (SELECT 2 * COUNT(*) FROM refunds) AS expected
             WHERE $1 <> ''",
            &[0; 0],
        )
        .await?;
    let (found, expected) = rows.first().map_or((0, 0), |row| (row.found, row.expected));
    let breach = Breach { what: "postings".to_owned(), amount: found, should: expected };
    let breaches = if found == expected { Vec::new() } else { vec![breach] };
    Ok(finding("the ledger has no posting that no payment and no refund asks for", found, &breaches))
}

async fn holds(tx: &mut Tx) -> Result<Finding, StoreError> {
    let breaches: Vec<Breach> = tx
        .fetch(
            "SELECT 'bank:holds in ' || b.currency AS what, CAST(SUM(b.held) AS BIGINT) AS amount,
                    CAST(SUM(b.open) AS BIGINT) AS should
             FROM (SELECT currency, amount AS held, 0 AS open FROM ledger_entries
                   WHERE account = 'bank:holds' AND $1 <> ''
                   UNION ALL
                   SELECT currency, 0 AS held, amount AS open FROM payments
                   WHERE state IN ('AUTHORISED', 'CAPTURE_REFUSED')) AS b
             GROUP BY b.currency ORDER BY b.currency",
            &[0; 0],
        )
        .await?;
    let checked = i64::try_from(breaches.len()).unwrap_or(i64::MAX);
    let breaches: Vec<Breach> = breaches.into_iter().filter(|balance| balance.amount != balance.should).collect();
    Ok(finding("what the ledger says is held = the sum of payments on hold", checked, &breaches))
}

async fn refunds_within_captures(tx: &mut Tx) -> Result<Finding, StoreError> {
    let checked =
        count(tx, "SELECT COUNT(*) AS n FROM (SELECT DISTINCT order_id, attempt FROM refunds WHERE $1 <> '') AS r")
            .await?;
    let breaches: Vec<Breach> = tx
        .fetch(
            "SELECT * FROM (
                 SELECT r.order_id || '/' || CAST(r.attempt AS TEXT) AS what, CAST(SUM(r.amount) AS BIGINT) AS amount,
                        CAST(COALESCE(MAX(CASE WHEN p.state = 'CAPTURED' THEN p.amount ELSE 0 END), 0) AS BIGINT)
                            AS should
                 FROM refunds AS r LEFT JOIN payments AS p ON p.order_id = r.order_id AND p.attempt = r.attempt
                 WHERE $1 <> '' GROUP BY r.order_id, r.attempt) AS b
             WHERE b.amount > b.should ORDER BY b.what",
            &[0; 0],
        )
        .await?;
    let breaches = breaches
        .iter()
        .map(|breach| format!("{}: {} given back of {} captured", breach.what, breach.amount, breach.should))
        .collect();
    Ok(Finding { rule: "no payment gives back more than it captured".into(), checked, breaches })
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
    Finding { rule: rule.into(), checked, breaches }
}
