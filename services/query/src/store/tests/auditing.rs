//! What the auditor finds, and that it finds nothing where nothing is wrong.

use std::borrow::Cow;

use contracts::order::{OrderAwaitingPayment, OrderConfirmed};
use platform::store::Db;

use super::spoil;
use crate::audit;
use crate::engines::{Engine, on_both_engines};
use crate::specimens::{self, envelope, fold, placed};

on_both_engines! {
    an_untouched_store_has_no_breach
    orders_without_events_and_events_without_orders_are_found
    every_field_that_is_not_as_it_was_folded_is_named
    a_row_that_cannot_be_read_is_a_breach_and_not_the_end_of_the_audit
    rows_too_few_and_rows_too_many_are_found_in_every_read_model
    a_message_marked_as_mailed_that_never_was_is_found
    a_read_model_that_stands_elsewhere_is_found
}

/// What is wrong, by the rule's subject.
pub(super) async fn breaches(db: &Db) -> Vec<(&'static str, Vec<String>)> {
    let mut tx = db.snapshot().await.expect("a snapshot");
    let findings = audit::audit(&mut tx).await.expect("audits");
    findings
        .into_iter()
        .filter(|finding| !finding.breaches.is_empty())
        .map(|finding| match finding.rule {
            Cow::Borrowed(rule) => (rule.split(" = ").next().unwrap_or_default(), finding.breaches),
            Cow::Owned(rule) => panic!("a rule is a text of the program: {rule}"),
        })
        .collect()
}

const GAPS: &str = "the event log has no gaps";
const STANDS: &str = "a read model stands at the head of the event log";
const ORDERS: &str = "an order's read model";
const PRODUCTS: &str = "a product's read model";
const MESSAGES: &str = "a message's read model";
const SALES: &str = "the sales by minute";

async fn an_untouched_store_has_no_breach(engine: Engine) {
    let (_folder, db) = engine.store().await;
    assert_eq!(breaches(&db).await, [], "an empty one neither");
    let mut messages = specimens::one_of_each();
    messages.push(specimens::unknown());
    fold(&db, &messages[..20]).await;
    fold(&db, &messages[20..]).await;
    assert_eq!(breaches(&db).await, []);
    let mut tx = db.snapshot().await.expect("a snapshot");
    let checked: Vec<_> = audit::audit(&mut tx).await.expect("audits").iter().map(|finding| finding.checked).collect();
    // Lines: order, SKU and order of inventory, payment of o-1 and o-9, notification.
    assert_eq!(checked, [6, 4, 1, 1, 1, 1]);
    let orders = audit::orders(&mut tx).await.expect("reads");
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].status.as_str(), orders[0].version), ("DELIVERED", 23));
}

async fn orders_without_events_and_events_without_orders_are_found(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(
        &db,
        &[
            envelope("/order", "o-1", 1, "o-1", &placed("ada")),
            envelope("/order", "o-3", 1, "o-3", &placed("ada")),
            envelope("/order", "o-1", 2, "o-1", &OrderAwaitingPayment {}),
            envelope("/order", "o-2", 1, "o-2", &placed("ada")),
        ],
    )
    .await;
    spoil(&db, "UPDATE orders SET status = 'PAID', total = 1 WHERE id = 'o-1' AND $1 <> ''").await;
    spoil(&db, "DELETE FROM orders WHERE id = 'o-2' AND $1 <> ''").await;
    spoil(&db, "DELETE FROM event_log WHERE subject = 'o-3' AND $1 <> ''").await;
    spoil(&db, "DELETE FROM event_log WHERE subject = 'o-1' AND sequence = 1 AND $1 <> ''").await;
    assert_eq!(
        breaches(&db).await,
        [
            (GAPS, vec!["o-1 of /order: 1 events, the last is number 2".to_owned()]),
            (
                ORDERS,
                vec![
                    "o-1: has a row, but was never placed".to_owned(),
                    "o-2: placed, but it has no row".to_owned(),
                    "o-3: has a row, but no events".to_owned(),
                ]
            ),
        ]
    );
}

async fn every_field_that_is_not_as_it_was_folded_is_named(engine: Engine) {
    let spoilt = [
        (
            "UPDATE orders SET status = 'PAID', total = 1, lines = '[]' WHERE $1 <> ''",
            ORDERS,
            "o-1: status, total, lines",
        ),
        (
            "UPDATE orders SET customer_id = 'eve', status_reason = 'x', version = 7, placed_at = 1 WHERE $1 <> ''",
            ORDERS,
            "o-1: customer, status reason, version, time",
        ),
        (
            "UPDATE orders SET pay_before = 1, fulfil_at = 2, pieces = 9, refunded = 1, returned = NULL,
                    cancelling = 1, address = NULL WHERE $1 <> ''",
            ORDERS,
            "o-1: deadline, time of fulfilment, pieces, refunded, refund, returned, address",
        ),
        (
            "UPDATE products SET name = 'Cup', price = 1, currency = 'EUR' WHERE $1 <> ''",
            PRODUCTS,
            "MUG-1: name, price, currency",
        ),
        (
            "UPDATE products SET on_hand = 1, reserved = 0, search_text = '' WHERE $1 <> ''",
            PRODUCTS,
            "MUG-1: on hand, reserved, search text",
        ),
        (
            "UPDATE notifications SET customer_id = 'eve', order_id = 'o-2', topic = '', title = '' WHERE $1 <> ''",
            MESSAGES,
            "n-1: customer, order, topic, title",
        ),
        (
            "UPDATE notifications SET body = '', at = 1, mailed_at = NULL WHERE $1 <> ''",
            MESSAGES,
            "n-1: body, time, time of mailing",
        ),
    ];
    for (sql, rule, what) in spoilt {
        let (_folder, db) = engine.store().await;
        fold(&db, &specimens::one_of_each()).await;
        spoil(&db, sql).await;
        assert_eq!(breaches(&db).await, [(rule, vec![format!("{what} differs from its fold")])], "{sql}");
    }
}

async fn a_row_that_cannot_be_read_is_a_breach_and_not_the_end_of_the_audit(engine: Engine) {
    for sql in [
        "UPDATE orders SET status = 'LOST' WHERE $1 <> ''",
        "UPDATE orders SET lines = 'no JSON' WHERE $1 <> ''",
        "UPDATE orders SET returned = '[]' WHERE $1 <> ''",
    ] {
        let (_folder, db) = engine.store().await;
        fold(&db, &specimens::one_of_each()).await;
        spoil(&db, sql).await;
        assert_eq!(breaches(&db).await, [(ORDERS, vec!["o-1: its row cannot be read".to_owned()])], "{sql}");
    }
}

async fn rows_too_few_and_rows_too_many_are_found_in_every_read_model(engine: Engine) {
    let minute = crate::projections::sales::minute_of(specimens::NOW);
    let spoilt = [
        ("DELETE FROM products WHERE $1 <> ''", PRODUCTS, "MUG-1: has events, but no row".to_owned()),
        (
            "INSERT INTO products SELECT generation, 'CUP', name, price, currency, on_hand, reserved, search_text
             FROM products WHERE $1 <> ''",
            PRODUCTS,
            "2 rows, but the log tells of 1".to_owned(),
        ),
        ("DELETE FROM notifications WHERE $1 <> ''", MESSAGES, "n-1: was told, but has no row".to_owned()),
        (
            "INSERT INTO notifications
             SELECT generation, 'n-2', customer_id, order_id, topic, title, body, at, NULL FROM notifications
             WHERE $1 <> ''",
            MESSAGES,
            "2 rows, but the log tells of 1".to_owned(),
        ),
        ("DELETE FROM sales WHERE $1 <> ''", SALES, format!("{minute} GBP: has no row")),
        (
            "UPDATE sales SET currency = 'EUR' WHERE $1 <> ''",
            SALES,
            format!("{minute} EUR: has a row, but no events; {minute} GBP: has no row"),
        ),
        (
            "UPDATE sales SET orders = 2, pieces = 0, revenue = 1, refunded = 0 WHERE $1 <> ''",
            SALES,
            format!("{minute} GBP: orders, pieces, revenue, refunded differs from its fold"),
        ),
    ];
    for (sql, rule, what) in spoilt {
        let (_folder, db) = engine.store().await;
        fold(&db, &specimens::one_of_each()).await;
        spoil(&db, sql).await;
        let breaches = breaches(&db).await;
        let joined: Vec<_> = breaches.into_iter().map(|(rule, found)| (rule, found.join("; "))).collect();
        assert_eq!(joined, [(rule, what)], "{sql}");
    }
}

async fn a_message_marked_as_mailed_that_never_was_is_found(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let mut messages = specimens::one_of_each();
    messages.pop();
    fold(&db, &messages).await;
    spoil(&db, "UPDATE notifications SET mailed_at = 5 WHERE $1 <> ''").await;
    assert_eq!(breaches(&db).await, [(MESSAGES, vec!["1 messages are marked as mailed, 0 were".to_owned()])]);
}

async fn a_read_model_that_stands_elsewhere_is_found(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let confirmed = envelope("/order", "o-1", 2, "o-1", &OrderConfirmed { ship_at: 1 });
    fold(&db, &[envelope("/order", "o-1", 1, "o-1", &placed("ada")), confirmed]).await;
    spoil(&db, "UPDATE read_models SET position = 9 WHERE name = 'orders' AND $1 <> ''").await;
    spoil(&db, "UPDATE read_models SET position = 1, building_position = 3 WHERE name = 'sales' AND $1 <> ''").await;
    spoil(&db, "DELETE FROM read_models WHERE name = 'products' AND $1 <> ''").await;
    assert_eq!(
        breaches(&db).await,
        [(
            STANDS,
            vec![
                "products: stands nowhere".to_owned(),
                "orders: stands at 9, the log ends at 2".to_owned(),
                "sales: stands at 1, the log ends at 2".to_owned(),
                "sales: is being built at 3, the log ends at 2".to_owned(),
            ]
        )]
    );
}
