//! A store that an earlier version of the service has written.

use orderly_order::SPEC;
use orderly_order::audit::{audit, standings};
use platform::store::Db;
use serde_json::json;
use tempfile::TempDir;

use crate::shop::{Shop, ada};

const PLACED_AT: &str = "1970-01-01T00:10:00.000Z";

/// An event as it was stored before shipping and refunds were known.
fn event(sequence: i64, kind: &str, data: &serde_json::Value) -> serde_json::Value {
    let envelope = json!({
        "id": format!("e-{sequence}"), "type": format!("orderly.order.v1.{kind}"), "source": "/order",
        "subject": "o-1", "sequence": sequence, "time": PLACED_AT, "dataschema": "1", "correlationid": "o-1",
        "causationid": "c", "data": data,
    });
    json!({ "sequence": sequence, "type": format!("orderly.order.v1.{kind}"), "envelope": envelope.to_string() })
}

#[tokio::test]
async fn an_order_that_was_confirmed_before_shipping_was_known_is_still_the_fold_of_its_events() {
    let folder = TempDir::new().unwrap();
    let db = Db::open_sqlite(&folder.path().join("order.db")).await.unwrap();
    db.migrate(&SPEC.migrations[..1]).await.unwrap();
    let line = json!({ "sku": "CUP", "name": "a \"captured\":true cup", "quantity": "2", "unitPrice": "450" });
    let total = json!({ "amount": "900", "currency": "GBP" });
    let placed = json!({
        "customerId": "ada", "customerEmail": "", "lines": [line], "total": total, "payBefore": "1500000",
    });
    let card = json!({ "token": "tok_approve_4242", "last4": "4242" });
    let events = [
        event(1, "OrderPlaced", &placed),
        event(2, "OrderAwaitingPayment", &json!({})),
        event(3, "OrderPaymentRequested", &json!({ "attempt": 1, "card": card })),
        event(4, "OrderPaid", &json!({ "attempt": 1, "authorisationId": "a" })),
        event(5, "OrderPaymentCaptured", &json!({ "attempt": 1 })),
        event(6, "OrderConfirmed", &json!({})),
    ];
    let aggregate = json!({
        "version": 6, "status": "CONFIRMED", "status_reason": "",
        "placed": {
            "customer_id": "ada", "customer_email": "",
            "lines": [{ "sku": "CUP", "name": "a \"captured\":true cup", "quantity": 2, "unit_price": 450 }],
            "total": 900, "currency": "GBP", "pay_before": 1_500_000, "card": null, "address": null,
        },
        "placed_at": 600_000, "pay_before": null, "card": null, "attempt": 1, "in_flight": false, "declines": 0,
        "paid_by": 1, "captured": true, "voiding": [], "stock_returned": false, "step_due": null, "retries": 0,
    });
    let mut tx = db.begin().await.unwrap();
    tx.execute(
        "INSERT INTO order_events (stream, partition, source, subject, sequence, type, time, envelope, position, settled)
         SELECT 'orderly.order', 0, '/order', 'o-1', CAST(r.value->>'sequence' AS BIGINT), r.value->>'type', 600000,
                r.value->>'envelope', '1', 1
         FROM jsonb_each($1) AS r",
        &events,
    )
    .await
    .unwrap();
    tx.execute(
        "INSERT INTO orders (id, version, status, aggregate)
         SELECT 'o-1', 6, 'CONFIRMED', r.value->>'aggregate' FROM jsonb_each($1) AS r",
        &[json!({ "aggregate": aggregate.to_string() })],
    )
    .await
    .unwrap();
    tx.execute(
        "INSERT INTO outbox_heads (source, subject, last)
         SELECT '/order', 'o-1', CAST(r.value->>'last' AS BIGINT) FROM jsonb_each($1) AS r",
        &[json!({ "last": 6 })],
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    db.migrate(SPEC.migrations).await.unwrap();

    let mut tx = db.snapshot().await.unwrap();
    let breaches: Vec<String> =
        audit(&mut tx, 1_000_000).await.unwrap().into_iter().flat_map(|finding| finding.breaches).collect();
    assert_eq!(breaches, Vec::<String>::new());
    assert!(standings(&mut tx).await.unwrap()[0].stock_committed);
    tx.rollback().await.unwrap();
    db.close().await;

    // And its roads are open: it may be cancelled, and its goods come back.
    let mut shop = Shop::over(folder).await;
    shop.cancel(&ada(), "", "o-1", "").await.unwrap();
    assert_eq!(shop.events().await, ["OrderRefundRequested"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}
