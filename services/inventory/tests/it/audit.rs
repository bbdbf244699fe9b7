//! The audit: green over every state that there is, and each kind of damage to the
//! stock is found by the rule that is there for it.

use std::path::Path;

use tempfile::TempDir;

use crate::shop::{Shop, breaches, open};

/// A store with a reservation in each state; nothing runs on it.
async fn stock() -> TempDir {
    let mut shop = Shop::open().await;
    for order in ["open", "sold", "back", "gone"] {
        shop.reserve(order, &[("CUP", 2), ("PLATE", 1)]).await;
        assert_eq!(shop.said().await, "StockReserved");
    }
    shop.reserve("refused", &[("CUP", 1_000)]).await;
    assert_eq!(shop.said().await, "StockShort");
    for order in ["sold", "back"] {
        shop.commit(order).await;
        assert_eq!(shop.said().await, "StockCommitted");
    }
    shop.give_back("back", 1, &[("CUP", 1)]).await;
    assert_eq!(shop.said().await, "StockReturned");
    for order in ["gone", "never"] {
        shop.release(order).await;
        assert_eq!(shop.said().await, "StockReleased");
    }
    shop.close().await
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.path().join(file.file_name())).unwrap();
    }
    to
}

/// What was done to the store, and the rule that finds it. A level out of bounds is
/// missing: the table's own CHECK does not let it happen.
const CRIMES: [(&str, &str); 11] = [
    ("UPDATE stock SET on_hand = on_hand + 1 WHERE sku = 'CUP'", "stock on hand = the sum of its movements"),
    ("DELETE FROM stock_movements WHERE kind = 'RETURNED'", "stock on hand = the sum of its movements"),
    ("UPDATE stock_movements SET on_hand = 2 WHERE kind = 'RETURNED'", "stock on hand = the sum of its movements"),
    ("UPDATE stock SET reserved = reserved - 1 WHERE sku = 'CUP'", "stock reserved = the sum of open reservations"),
    ("UPDATE reservations SET state = 'RELEASED' WHERE order_id = 'open'", "the sum of open reservations"),
    ("UPDATE stock_movements SET kind = 'ADJUSTED' WHERE kind = 'COMMITTED'", "what moved out for good"),
    ("DELETE FROM reservations WHERE order_id = 'sold'", "what moved out for good"),
    ("UPDATE reservations SET returned = '[]' WHERE order_id = 'back'", "what moved back in"),
    ("UPDATE stock_movements SET kind = 'ADJUSTED' WHERE kind = 'RETURNED'", "what moved back in"),
    (
        "UPDATE reservations SET returned = '[{\"refund\":1,\"sku\":\"CUP\",\"quantity\":3}]' WHERE order_id = 'back'",
        "no order returns more",
    ),
    ("UPDATE reservations SET state = 'RELEASED' WHERE order_id = 'back'", "no order returns more"),
];

#[tokio::test]
async fn a_store_with_a_reservation_in_every_state_is_in_order() {
    let stock = stock().await;
    assert_eq!(breaches(stock.path()).await, Vec::<String>::new());
}

#[tokio::test]
async fn each_kind_of_damage_is_found_by_its_rule() {
    let stock = stock().await;
    for (crime, rule) in CRIMES {
        let scene = copy(stock.path());
        let db = open(scene.path()).await;
        let mut tx = db.begin().await.unwrap();
        let where_or_and = if crime.contains(" WHERE ") { "AND" } else { "WHERE" };
        let done = tx.execute(format!("{crime} {where_or_and} $1 <> ''"), &[0; 0]).await.unwrap();
        tx.commit().await.unwrap();
        assert!(done > 0, "{crime}");
        let found = breaches(scene.path()).await;
        assert!(found.iter().any(|breach| breach.contains(rule)), "{crime}: {found:#?}");
    }
}
