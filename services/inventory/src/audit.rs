//! The rules inside the inventory's store, and what the rules across stores need.

use platform::audit::Finding;
use platform::store::{StoreError, Tx};

#[derive(sqlx::FromRow)]
struct Breach {
    sku: String,
    found: i64,
    expected: i64,
}

#[derive(sqlx::FromRow)]
struct Count {
    n: i64,
}

#[derive(sqlx::FromRow)]
struct OrderId {
    order_id: String,
}

/// Checks the store's own rules in the transaction's snapshot.
///
/// # Errors
/// As the store answers.
pub async fn audit(tx: &mut Tx) -> Result<Vec<Finding>, StoreError> {
    let checked: Vec<Count> = tx.fetch("SELECT COUNT(*) AS n FROM stock WHERE $1 <> ''", &[0; 0]).await?;
    let checked = checked.first().map_or(0, |count| count.n);
    let by_movements: Vec<Breach> = tx
        .fetch(
            "SELECT s.sku, s.on_hand AS found, COALESCE(CAST(SUM(m.on_hand) AS BIGINT), 0) AS expected
             FROM stock AS s LEFT JOIN stock_movements AS m ON m.sku = s.sku WHERE $1 <> ''
             GROUP BY s.sku, s.on_hand HAVING s.on_hand <> COALESCE(CAST(SUM(m.on_hand) AS BIGINT), 0)",
            &[0; 0],
        )
        .await?;
    let by_reservations: Vec<Breach> = tx
        .fetch(
            "SELECT s.sku, s.reserved AS found, COALESCE(o.quantity, 0) AS expected
             FROM stock AS s LEFT JOIN
                  (SELECT l.value->>'sku' AS sku, CAST(SUM(CAST(l.value->>'quantity' AS BIGINT)) AS BIGINT) AS quantity
                   FROM reservations AS r, jsonb_each(r.lines) AS l WHERE r.state = 'OPEN' GROUP BY l.value->>'sku') AS o
                  ON o.sku = s.sku
             WHERE $1 <> '' AND s.reserved <> COALESCE(o.quantity, 0)",
            &[0; 0],
        )
        .await?;
    let out_of_bounds: Vec<Breach> = tx
        .fetch(
            "SELECT sku, on_hand AS found, reserved AS expected FROM stock
             WHERE $1 <> '' AND (on_hand < 0 OR reserved < 0 OR reserved > on_hand)",
            &[0; 0],
        )
        .await?;
    let say = |breaches: Vec<Breach>| {
        breaches
            .iter()
            .map(|breach| format!("{}: is {}, should be {}", breach.sku, breach.found, breach.expected))
            .collect()
    };
    Ok(vec![
        Finding { rule: "stock on hand = the sum of its movements", checked, breaches: say(by_movements) },
        Finding { rule: "stock reserved = the sum of open reservations", checked, breaches: say(by_reservations) },
        Finding { rule: "0 <= reserved <= on hand", checked, breaches: say(out_of_bounds) },
    ])
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
