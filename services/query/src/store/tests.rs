//! The store over SQLite: envelopes through load, fold and save.

use contracts::inventory::StockLevelChanged;
use contracts::order::{OrderAwaitingPayment, OrderPaymentDeclined, OrderPaymentRequested};
use contracts::query::OrderChanged;
use platform::audit::Finding;
use platform::store::Db;
use serde_json::json;

use super::reads::{self, Filter, Page};
use crate::specimens::{self, NOW, card, envelope, fold, placed, product, store};
use crate::{NOTICES, audit, timeline};

#[derive(sqlx::FromRow)]
struct Logged {
    position: i64,
    source: String,
    sequence: i64,
}

async fn log(db: &Db) -> Vec<Logged> {
    db.read("SELECT position, source, sequence FROM event_log WHERE $1 <> '' ORDER BY position", &[0; 0])
        .await
        .expect("reads")
}

async fn findings(db: &Db) -> Vec<Finding> {
    let mut tx = db.snapshot().await.expect("a snapshot");
    audit::audit(&mut tx).await.expect("audits")
}

/// Breaks the store on purpose.
async fn spoil(db: &Db, sql: &'static str) {
    let mut tx = db.begin().await.expect("begins");
    tx.execute(sql, &[0; 0]).await.expect("executes");
    tx.commit().await.expect("commits");
}

#[tokio::test]
async fn every_event_is_logged_once_in_the_order_in_which_it_came() {
    let (_folder, db) = store().await;
    let mut messages = specimens::one_of_each();
    messages.push(specimens::unknown());
    fold(&db, &messages[..11]).await;
    fold(&db, &messages[11..]).await;
    let log = log(&db).await;
    let logged: Vec<_> = log.iter().map(|entry| (entry.source.as_str(), entry.sequence)).collect();
    let spoken: Vec<_> = messages.iter().map(|message| (message.source.as_str(), message.sequence)).collect();
    assert_eq!(logged, spoken);
    assert!(log.is_sorted_by_key(|entry| entry.position));
}

#[tokio::test]
async fn an_order_is_the_same_whether_its_events_come_in_one_batch_or_in_many() {
    let messages: Vec<_> = specimens::one_of_each().into_iter().filter(|message| message.source == "/order").collect();
    let (_folder, together) = store().await;
    fold(&together, &messages).await;
    let (_other, apart) = store().await;
    for message in &messages {
        fold(&apart, std::slice::from_ref(message)).await;
    }
    let row = reads::order(&together, "o-1").await.expect("reads").expect("is there");
    assert_eq!(reads::order(&apart, "o-1").await.expect("reads").as_ref(), Some(&row));
    assert_eq!((row.version, row.customer_id.as_str(), row.total), (15, "ada", 2_500));
    assert!(row.address.is_some_and(|address| address.contains("London")));
}

#[tokio::test]
async fn a_batch_announces_each_changed_order_once_at_its_last_version() {
    let (_folder, db) = store().await;
    let told = fold(
        &db,
        &[
            envelope("/order", "o-1", 1, "o-1", &placed("ada")),
            envelope("/order", "o-2", 1, "o-2", &placed("bob")),
            envelope("/order", "o-1", 2, "o-1", &OrderAwaitingPayment {}),
            specimens::unknown(),
        ],
    )
    .await;
    let told: Vec<(&str, OrderChanged)> =
        told.iter().map(|(topic, text)| (*topic, serde_json::from_str(text).expect("JSON"))).collect();
    let changed = |order_id: &str, customer_id: &str, version| {
        (NOTICES, OrderChanged { order_id: order_id.into(), customer_id: customer_id.into(), version })
    };
    assert_eq!(told, [changed("o-1", "ada", 2), changed("o-2", "bob", 1)]);
}

#[tokio::test]
async fn an_order_s_timeline_comes_from_all_services_in_the_order_of_time() {
    let (_folder, db) = store().await;
    let declined = OrderPaymentDeclined { attempt: 1, reason: "insufficient funds".into(), tries_left: 2 };
    fold(
        &db,
        &[
            envelope("/order", "o-1", 4, "o-1", &declined),
            envelope("/order", "o-1", 1, "o-1", &placed("ada")),
            envelope("/inventory", "o-1", 2, "o-1", &contracts::inventory::StockReserved {}),
            envelope("/order", "o-1", 3, "o-1", &OrderPaymentRequested { attempt: 1, card: card() }),
            envelope("/order", "o-2", 1, "o-2", &placed("bob")),
        ],
    )
    .await;
    let (_, events) = reads::order_with_events(&db, "o-1").await.expect("reads").expect("is there");
    let told: Vec<_> = timeline::tell(&events).into_iter().map(|entry| entry.summary).collect();
    assert_eq!(
        told,
        [
            "Order placed: 2 items for 25.00 GBP",
            "Stock reserved",
            "Payment requested, card ending 4242",
            "Card ending 4242 declined: insufficient funds, 2 tries left",
        ]
    );
}

#[tokio::test]
async fn a_level_without_its_product_does_not_show_until_the_product_comes() {
    let (_folder, db) = store().await;
    let level = StockLevelChanged { sku: "MUG-1".into(), on_hand: 7, reserved: 2 };
    fold(&db, &[envelope("/inventory", "MUG-1", 1, "MUG-1", &level)]).await;
    assert_eq!(reads::product(&db, "MUG-1").await.expect("reads"), None);
    fold(&db, &[envelope("/inventory", "MUG-1", 2, "MUG-1", &product("MUG-1", "Mug"))]).await;
    let shown = reads::product(&db, "MUG-1").await.expect("reads").expect("is shown");
    assert_eq!((shown.name.as_str(), shown.price, shown.available), ("Mug", 1_250, 5));
}

#[tokio::test]
async fn a_search_finds_what_has_all_its_words_literally_and_in_any_case() {
    let (_folder, db) = store().await;
    let names = [("A-1", "Tea for TWO"), ("A-2", "Tee 100% Ä"), ("A-3", "Tea_pot"), ("A-4", r"Back\slash tea")];
    let messages: Vec<_> =
        names.iter().map(|(sku, name)| envelope("/inventory", sku, 1, sku, &product(sku, name))).collect();
    fold(&db, &messages).await;
    for (search, expected) in [
        ("", vec!["A-4", "A-1", "A-3", "A-2"]),
        ("TEA", vec!["A-4", "A-1", "A-3"]),
        ("two tea", vec!["A-1"]),
        ("a-3", vec!["A-3"]),
        ("%", vec!["A-2"]),
        ("_", vec!["A-3"]),
        (r"\", vec!["A-4"]),
        ("ä", vec!["A-2"]),
        ("'; DROP TABLE products; --", vec![]),
    ] {
        let page = Page { after: None, rows: 10 };
        let (rows, total) = reads::products(&db, &reads::patterns(search), &page).await.expect("reads");
        let skus: Vec<_> = rows.iter().map(|row| row.sku.as_str()).collect();
        assert_eq!(skus, expected, "{search}");
        assert_eq!(total, i64::try_from(expected.len()).expect("few"), "{search}");
    }
}

#[tokio::test]
async fn orders_of_one_millisecond_are_paged_without_skipping_one() {
    let (_folder, db) = store().await;
    let messages: Vec<_> = (0..5)
        .map(|n| {
            let id = format!("o-{n}");
            envelope("/order", &id, 1, &id, &placed(if n == 2 { "bob" } else { "ada" }))
        })
        .collect();
    fold(&db, &messages).await;
    let filter = Filter { customer: Some("ada".into()), status: Some("PLACED".into()) };
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (rows, total) = reads::orders(&db, &filter, &Page { after, rows: 1 }).await.expect("reads");
        assert_eq!(total, 4);
        let Some(row) = rows.first() else { break };
        seen.push(row.id.clone());
        after = Some((row.placed_at, row.id.clone()));
    }
    assert_eq!(seen, ["o-4", "o-3", "o-1", "o-0"]);
    let none = Filter { customer: None, status: Some("PAID".into()) };
    let (rows, total) = reads::orders(&db, &none, &Page { after: None, rows: 9 }).await.expect("reads");
    assert_eq!((rows.len(), total), (0, 0));
}

#[tokio::test]
async fn an_untouched_store_has_no_breach() {
    let (_folder, db) = store().await;
    let mut messages = specimens::one_of_each();
    messages.push(specimens::unknown());
    fold(&db, &messages).await;
    let findings = findings(&db).await;
    let clean: Vec<_> = findings.iter().map(|finding| (finding.checked, finding.breaches.len())).collect();
    // Lines: order, SKU and order of inventory, payment of o-1 and o-9, notification.
    assert_eq!(clean, [(6, 0), (1, 0)]);
    let mut tx = db.snapshot().await.expect("a snapshot");
    let orders = audit::orders(&mut tx).await.expect("reads");
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].status.as_str(), orders[0].version), ("EXPIRED", 15));
}

#[tokio::test]
async fn a_spoilt_store_is_found_out() {
    let (_folder, db) = store().await;
    fold(
        &db,
        &[
            envelope("/order", "o-1", 1, "o-1", &placed("ada")),
            envelope("/order", "o-1", 2, "o-1", &OrderAwaitingPayment {}),
            envelope("/order", "o-2", 1, "o-2", &placed("ada")),
            envelope("/order", "o-3", 1, "o-3", &placed("ada")),
        ],
    )
    .await;
    spoil(&db, "UPDATE orders SET status = 'PAID', total = 1 WHERE id = 'o-1' AND $1 <> ''").await;
    spoil(&db, "DELETE FROM orders WHERE id = 'o-2' AND $1 <> ''").await;
    spoil(&db, "DELETE FROM event_log WHERE subject = 'o-3' AND $1 <> ''").await;
    spoil(&db, "DELETE FROM event_log WHERE subject = 'o-1' AND sequence = 1 AND $1 <> ''").await;
    let findings = findings(&db).await;
    assert_eq!(findings[0].breaches, ["o-1 of /order: 1 events, the last is number 2"]);
    assert_eq!(
        findings[1].breaches,
        ["o-1: has a row, but was never placed", "o-2: placed, but it has no row", "o-3: has a row, but no events",]
    );
}

#[tokio::test]
async fn a_row_that_differs_from_its_fold_is_named_with_its_fields() {
    let (_folder, db) = store().await;
    fold(&db, &[envelope("/order", "o-1", 1, "o-1", &placed("ada"))]).await;
    spoil(&db, "UPDATE orders SET status = 'PAID', total = 1, lines = '[]' WHERE $1 <> ''").await;
    assert_eq!(findings(&db).await[1].breaches, ["o-1: status, total, lines differs from its fold"]);
}

#[tokio::test]
async fn notifications_are_kept_with_their_time() {
    let (_folder, db) = store().await;
    fold(&db, &specimens::one_of_each()).await;
    let filter = Filter { customer: Some("ada".into()), status: None };
    let (rows, total) = reads::notifications(&db, &filter, &Page { after: None, rows: 5 }).await.expect("reads");
    assert_eq!(total, 1);
    assert_eq!((rows[0].id.as_str(), rows[0].order_id.as_str(), rows[0].at), ("n-1", "o-1", NOW + 1));
}

#[tokio::test]
async fn an_event_that_is_logged_already_is_a_conflict() {
    let (_folder, db) = store().await;
    let message = envelope("/order", "o-1", 1, "o-1", &placed("ada"));
    fold(&db, std::slice::from_ref(&message)).await;
    let input = crate::consumer::hear(&message).expect("reads");
    let mut tx = db.begin().await.expect("begins");
    let mut batch = super::load(&mut tx, &[&input]).await.expect("loads");
    batch.fold(&input);
    let outcome = super::save(&mut tx, &batch).await;
    assert!(matches!(outcome, Err(platform::store::StoreError::Conflict(_))), "{outcome:?}");
    assert_eq!(json!(log(&db).await.len()), json!(1));
}
