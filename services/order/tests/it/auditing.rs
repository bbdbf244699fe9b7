//! The rules inside the store, and that what breaks them is found.

use std::time::Duration;

use orderly_order::audit;

use crate::roads::{confirmed, delivered};
use crate::shop::{Shop, ada};

#[tokio::test]
async fn what_was_done_to_an_order_behind_its_back_is_found() {
    let crimes = [
        "UPDATE orders SET placed = REPLACE(placed, '\"total\":2400', '\"total\":1') WHERE $1 <> ''",
        "UPDATE orders SET aggregate = REPLACE(aggregate, '{', '{\"refunded\":1,') WHERE $1 <> ''",
        "UPDATE orders SET aggregate = 'none' WHERE $1 <> ''",
        "UPDATE orders SET status = 'REFUNDED' WHERE $1 <> ''",
        "UPDATE orders SET version = version + 1 WHERE $1 <> ''",
        "UPDATE orders SET pay_before = 1 WHERE $1 <> ''",
        "UPDATE orders SET step_due = 1 WHERE $1 <> ''",
        "UPDATE orders SET fulfil_at = NULL WHERE $1 <> ''",
        "UPDATE orders SET fulfil_at = fulfil_at + 1 WHERE $1 <> ''",
        "DELETE FROM order_events WHERE sequence = 6 AND $1 <> ''",
        "DELETE FROM orders WHERE $1 <> ''",
        "UPDATE orders SET id = 'zzz' WHERE $1 <> ''",
        "UPDATE order_events SET envelope = REPLACE(envelope, 'OrderConfirmed', 'OrderShipped') WHERE $1 <> ''",
    ];
    for crime in crimes {
        let mut shop = Shop::open().await;
        confirmed(&mut shop).await;
        assert_eq!(shop.breaches().await, Vec::<String>::new());
        let mut tx = shop.db().await.begin().await.unwrap();
        assert!(tx.execute(crime, &[0; 0]).await.unwrap() > 0, "{crime}");
        tx.commit().await.unwrap();
        assert!(!shop.breaches().await.is_empty(), "{crime}");
    }
}

#[tokio::test]
async fn an_order_that_waits_past_its_time_is_found_ten_seconds_later() {
    let mut shop = Shop::open().await;
    let order = confirmed(&mut shop).await;
    let findings = async |shop: &Shop, late: i64| {
        let now = shop.clock.now() + late;
        let found = audit::audit(&mut shop.db().await.snapshot().await.unwrap(), now).await.unwrap();
        found.into_iter().flat_map(|finding| finding.breaches).collect::<Vec<_>>()
    };
    assert_eq!(findings(&shop, 70_000).await, Vec::<String>::new());
    let late = findings(&shop, 70_001).await;
    assert_eq!(late, [format!("{}: Confirmed, 10001 ms past its next stage", order.id)]);

    shop.cancel(&ada(), "", &order.id, "").await.unwrap();
    let late = findings(&shop, 70_001).await;
    assert_eq!(late, [format!("{}: Confirmed, 10001 ms past the deadline of its step", order.id)]);

    let shop = Shop::open().await;
    let order = shop.place().await;
    let late = findings(&shop, 910_001).await;
    assert_eq!(late, [format!("{}: Placed, 10001 ms past the deadline of its payment", order.id)]);
}

#[tokio::test]
async fn how_an_order_stands_is_told_without_folding_it_again() {
    let mut shop = Shop::open().await;
    delivered(&mut shop).await;
    let mut tx = shop.db().await.begin().await.unwrap();
    tx.execute("DELETE FROM order_events WHERE $1 <> ''", &[0; 0]).await.unwrap();
    tx.commit().await.unwrap();
    shop.clock.advance(Duration::from_secs(1));
    let standing = shop.standing().await;
    assert_eq!((standing.version, standing.total, standing.refunded), (8, 2_400, 0));
    assert!(standing.captured && standing.stock_committed);
}
