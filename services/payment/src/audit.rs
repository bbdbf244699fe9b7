//! The rules inside the payment service's store, what the rules across stores
//! need, and the comparison with the bank.

mod against_bank;
mod books;

use platform::store::{StoreError, Tx};

pub use against_bank::audit_against_bank;
pub use books::audit;

#[derive(serde::Deserialize)]
struct OrderId {
    order_id: String,
}

#[derive(serde::Deserialize)]
struct Attempt {
    order_id: String,
    attempt: i64,
}

#[derive(serde::Deserialize)]
struct Refunded {
    order_id: String,
    refunded: i64,
}

/// The orders that were paid, in key order: their money was captured, whatever of it
/// was given back since.
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

/// The orders that were given money back, in key order, each with how much, minor
/// units.
///
/// # Errors
/// As the store answers.
pub async fn refunded_orders(tx: &mut Tx) -> Result<Vec<(String, i64)>, StoreError> {
    let rows: Vec<Refunded> = tx
        .fetch(
            "SELECT order_id, CAST(SUM(amount) AS BIGINT) AS refunded FROM refunds WHERE $1 <> ''
             GROUP BY order_id ORDER BY order_id",
            &[0; 0],
        )
        .await?;
    Ok(rows.into_iter().map(|row| (row.order_id, row.refunded)).collect())
}

/// Payments whose money the bank holds, neither captured nor voided, as (order id,
/// attempt) in key order: each must belong to an order that is still under way, or
/// is on its way to its void.
///
/// # Errors
/// As the store answers.
pub async fn open_authorisations(tx: &mut Tx) -> Result<Vec<(String, i64)>, StoreError> {
    let rows: Vec<Attempt> = tx
        .fetch(
            "SELECT order_id, attempt FROM payments WHERE state IN ('AUTHORISED', 'CAPTURE_REFUSED') AND $1 <> ''
             ORDER BY order_id, attempt",
            &[0; 0],
        )
        .await?;
    Ok(rows.into_iter().map(|row| (row.order_id, row.attempt)).collect())
}
