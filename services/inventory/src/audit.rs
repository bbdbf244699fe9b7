//! The rules inside the inventory's store, and what the rules across stores need.

use platform::audit::Finding;
use platform::store::{StoreError, Tx};

#[derive(serde::Deserialize)]
struct Breach {
    what: String,
    found: i64,
    expected: i64,
}

#[derive(serde::Deserialize)]
struct Count {
    n: i64,
}

#[derive(serde::Deserialize)]
struct OrderId {
    order_id: String,
}

#[derive(serde::Deserialize)]
struct Returned {
    order_id: String,
    pieces: i64,
}

/// What each level is by the movements that led to it.
const ON_HAND: &str = "SELECT s.sku AS what, s.on_hand AS found, COALESCE(m.moved, 0) AS expected
     FROM stock AS s LEFT JOIN
          (SELECT sku, CAST(SUM(on_hand) AS BIGINT) AS moved FROM stock_movements GROUP BY sku) AS m ON m.sku = s.sku
     WHERE $1 <> '' AND s.on_hand <> COALESCE(m.moved, 0) ORDER BY s.sku";

const RESERVED: &str = "SELECT s.sku AS what, s.reserved AS found, COALESCE(o.quantity, 0) AS expected
     FROM stock AS s LEFT JOIN
          (SELECT l.value->>'sku' AS sku, CAST(SUM(CAST(l.value->>'quantity' AS BIGINT)) AS BIGINT) AS quantity
           FROM reservations AS r, jsonb_each(r.lines) AS l WHERE r.state = 'OPEN' GROUP BY l.value->>'sku') AS o
          ON o.sku = s.sku
     WHERE $1 <> '' AND s.reserved <> COALESCE(o.quantity, 0) ORDER BY s.sku";

const BOUNDS: &str = "SELECT sku AS what, on_hand AS found, reserved AS expected FROM stock
     WHERE $1 <> '' AND (on_hand < 0 OR reserved < 0 OR reserved > on_hand) ORDER BY sku";

/// Goods that left for good or came back: as they moved, and as the reservations
/// have them.
const SOLD: &str = "SELECT b.sku AS what, CAST(SUM(b.moved) AS BIGINT) AS found,
            CAST(SUM(b.quantity) AS BIGINT) AS expected
     FROM (SELECT sku, -on_hand AS moved, 0 AS quantity FROM stock_movements
           WHERE kind = 'COMMITTED' AND $1 <> ''
           UNION ALL
           SELECT l.value->>'sku', 0, CAST(l.value->>'quantity' AS BIGINT)
           FROM reservations AS r, jsonb_each(r.lines) AS l WHERE r.state = 'COMMITTED') AS b
     GROUP BY b.sku HAVING SUM(b.moved) <> SUM(b.quantity) ORDER BY b.sku";

const RETURNED: &str = "SELECT b.sku AS what, CAST(SUM(b.moved) AS BIGINT) AS found,
            CAST(SUM(b.quantity) AS BIGINT) AS expected
     FROM (SELECT sku, on_hand AS moved, 0 AS quantity FROM stock_movements
           WHERE kind = 'RETURNED' AND $1 <> ''
           UNION ALL
           SELECT l.value->>'sku', 0, CAST(l.value->>'quantity' AS BIGINT)
           FROM reservations AS r, jsonb_each(r.returned) AS l WHERE r.returned <> '[]') AS b
     GROUP BY b.sku HAVING SUM(b.moved) <> SUM(b.quantity) ORDER BY b.sku";

const RETURNED_OF_SOLD: &str = "SELECT b.order_id || ' ' || b.sku AS what, CAST(SUM(b.returned) AS BIGINT) AS found,
            CAST(SUM(b.sold) AS BIGINT) AS expected
     FROM (SELECT r.order_id, l.value->>'sku' AS sku, CAST(l.value->>'quantity' AS BIGINT) AS sold, 0 AS returned
           FROM reservations AS r, jsonb_each(r.lines) AS l
           WHERE r.returned <> '[]' AND r.state = 'COMMITTED' AND $1 <> ''
           UNION ALL
           SELECT r.order_id, l.value->>'sku', 0, CAST(l.value->>'quantity' AS BIGINT)
           FROM reservations AS r, jsonb_each(r.returned) AS l WHERE r.returned <> '[]') AS b
     GROUP BY b.order_id, b.sku HAVING SUM(b.returned) > SUM(b.sold) ORDER BY b.order_id, b.sku";

/// Checks the store's own rules in the transaction's snapshot.
///
/// # Errors
/// As the store answers.
pub async fn audit(tx: &mut Tx) -> Result<Vec<Finding>, StoreError> {
    let products = count(tx, "SELECT COUNT(*) AS n FROM stock WHERE $1 <> ''").await?;
    let returned = count(tx, "SELECT COUNT(*) AS n FROM reservations WHERE returned <> '[]' AND $1 <> ''").await?;
    let mut findings = Vec::new();
    for (rule, checked, should, sql) in [
        ("stock on hand = the sum of its movements", products, "should be", ON_HAND),
        ("stock reserved = the sum of open reservations", products, "should be", RESERVED),
        ("0 <= reserved <= on hand", products, "of which reserved", BOUNDS),
        ("what moved out for good = what was sold to orders", products, "should be", SOLD),
        ("what moved back in = what orders returned", products, "should be", RETURNED),
        ("no order returns more of a product than it bought", returned, "should be at most", RETURNED_OF_SOLD),
    ] {
        let breaches: Vec<Breach> = tx.fetch(sql, &[0; 0]).await?;
        let breaches =
            breaches.iter().map(|b| format!("{}: is {}, {should} {}", b.what, b.found, b.expected)).collect();
        findings.push(Finding { rule: rule.into(), checked, breaches });
    }
    Ok(findings)
}

/// The orders with an open reservation.
///
/// # Errors
/// As the store answers.
pub async fn open_reservations(tx: &mut Tx) -> Result<Vec<String>, StoreError> {
    let rows: Vec<OrderId> =
        tx.fetch("SELECT order_id FROM reservations WHERE state = 'OPEN' AND $1 <> ''", &[0; 0]).await?;
    Ok(rows.into_iter().map(|row| row.order_id).collect())
}

/// The orders whose goods were sold, whatever of them came back since.
///
/// # Errors
/// As the store answers.
pub async fn sold_orders(tx: &mut Tx) -> Result<Vec<String>, StoreError> {
    let rows: Vec<OrderId> =
        tx.fetch("SELECT order_id FROM reservations WHERE state = 'COMMITTED' AND $1 <> ''", &[0; 0]).await?;
    Ok(rows.into_iter().map(|row| row.order_id).collect())
}

/// The orders of which goods came back, in key order, each with how many pieces.
///
/// # Errors
/// As the store answers.
pub async fn returned_orders(tx: &mut Tx) -> Result<Vec<(String, i64)>, StoreError> {
    let rows: Vec<Returned> = tx
        .fetch(
            "SELECT r.order_id, CAST(SUM(CAST(l.value->>'quantity' AS BIGINT)) AS BIGINT) AS pieces
             FROM reservations AS r, jsonb_each(r.returned) AS l WHERE r.returned <> '[]' AND $1 <> ''
             GROUP BY r.order_id ORDER BY r.order_id",
            &[0; 0],
        )
        .await?;
    Ok(rows.into_iter().map(|row| (row.order_id, row.pieces)).collect())
}

async fn count(tx: &mut Tx, sql: &'static str) -> Result<i64, StoreError> {
    let rows: Vec<Count> = tx.fetch(sql, &[0; 0]).await?;
    Ok(rows.first().map_or(0, |row| row.n))
}
