//! The audit: green over every state that there is, and each kind of damage to the
//! books is found by the rule that is there for it.

use std::path::Path;

use orderly_payment::bank::{Operation, Request};
use orderly_payment::domain::Money;
use tempfile::TempDir;

use crate::service::paid_with;
use crate::shop::{breaches, open};

/// Stores with a payment in each state; nothing runs on them.
async fn books() -> TempDir {
    let mut shop = paid_with("tok_approve_4242").await;
    shop.refund("o-1", 1, 1, 500).await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentRefunded");
    for (order, token) in
        [("held", "tok_approve_4242"), ("kept", "tok_capture_refused_0069"), ("gone", "tok_approve_4242")]
    {
        shop.authorise(order, 1, 300, token).await;
        assert_eq!(shop.answer().await.short_kind(), "PaymentAuthorised");
    }
    shop.capture("kept", 1).await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentCaptureRefused");
    for order in ["gone", "never"] {
        shop.void(order, 1).await;
        assert_eq!(shop.answer().await.short_kind(), "PaymentVoided");
    }
    shop.authorise("declined", 1, 300, "tok_decline_0002").await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentDeclined");
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

/// Files of the stores, what was done to them, and a part of the rule that finds it.
const CRIMES: [(&str, &str, &str); 24] = [
    (
        "payment.db",
        "UPDATE ledger_entries SET amount = amount + 1 WHERE entry_id = 'o-1/1/capture' AND account = 'shop:revenue'",
        "every ledger entry sums to zero",
    ),
    (
        "payment.db",
        "INSERT INTO payments SELECT order_id, 2, state, amount, currency, token, last4, authorisation_id, reason,
         version, updated_at FROM payments WHERE order_id = 'o-1'",
        "no order is captured more than once",
    ),
    ("payment.db", "DELETE FROM ledger_entries WHERE entry_id = 'o-1/1/capture'", "those of its state"),
    (
        "payment.db",
        "UPDATE ledger_entries SET amount = 2 * amount WHERE entry_id = 'held/1/hold'",
        "those of its state",
    ),
    (
        "payment.db",
        "UPDATE ledger_entries SET account = 'customer:o-1' WHERE account = 'customer:held'",
        "those of its state",
    ),
    ("payment.db", "UPDATE ledger_entries SET currency = 'EUR' WHERE entry_id = 'kept/1/hold'", "those of its state"),
    ("payment.db", "UPDATE payments SET state = 'VOIDED' WHERE order_id = 'o-1'", "those of its state"),
    ("payment.db", "UPDATE payments SET state = 'VOIDED' WHERE order_id = 'kept'", "the sum of payments on hold"),
    ("payment.db", "UPDATE payments SET state = 'AUTHORISED' WHERE order_id = 'gone'", "the sum of payments on hold"),
    ("payment.db", "UPDATE refunds SET amount = amount + 1", "every refund stands in the ledger"),
    ("payment.db", "UPDATE refunds SET refund = 2", "every refund stands in the ledger"),
    ("payment.db", "DELETE FROM ledger_entries WHERE entry_id = 'o-1/1/refund-1'", "every refund stands in the ledger"),
    ("payment.db", "DELETE FROM refunds", "no posting that no payment and no refund asks for"),
    (
        "payment.db",
        "INSERT INTO ledger_entries SELECT 'x/1/hold', account, amount, currency, 'x', 1, at
         FROM ledger_entries WHERE entry_id = 'held/1/hold'",
        "no posting that no payment and no refund asks for",
    ),
    ("payment.db", "UPDATE refunds SET amount = 1251", "no payment gives back more than it captured"),
    ("payment.db", "DELETE FROM payments WHERE order_id = 'o-1'", "no payment gives back more than it captured"),
    (
        "bank.db",
        "INSERT INTO bank_holds SELECT order_id, 2, token, authorisation_id, amount, currency, state, version, at,
         refunded FROM bank_holds WHERE order_id = 'o-1'",
        "the bank has charged no order more than once",
    ),
    ("bank.db", "UPDATE bank_holds SET amount = amount + 1 WHERE order_id = 'o-1'", "what the ledger says is settled"),
    ("bank.db", "DELETE FROM bank_holds WHERE order_id = 'held'", "whatever is authorised here is at the bank"),
    (
        "bank.db",
        "UPDATE bank_holds SET state = 'HELD' WHERE order_id = 'gone'",
        "whatever is authorised here is at the bank",
    ),
    ("bank.db", "UPDATE bank_holds SET order_id = 'x' WHERE order_id = 'o-1'", "is a payment here"),
    (
        "bank.db",
        "UPDATE bank_operations SET amount = amount + 1 WHERE operation = 'refund'",
        "what the ledger says is refunded",
    ),
    // One refund more might be on its way here, two are not.
    (
        "bank.db",
        "INSERT INTO bank_operations SELECT 'o-1/1/refund-' || r.value, operation, 1, currency, outcome, detail, calls,
         at FROM bank_operations, json_each('[7, 8]') AS r WHERE operation = 'refund'",
        "whatever the bank has given back is a refund here",
    ),
    ("bank.db", "UPDATE bank_holds SET refunded = 0 WHERE order_id = 'o-1'", "the bank's refunds add up"),
];

#[tokio::test]
async fn books_with_a_payment_in_every_state_are_in_order() {
    let books = books().await;
    assert_eq!(breaches(books.path()).await, Vec::<String>::new());
}

#[tokio::test]
async fn each_kind_of_damage_is_found_by_its_rule() {
    let books = books().await;
    for (file, crime, rule) in CRIMES {
        let scene = copy(books.path());
        let db = open(scene.path(), file).await;
        let mut tx = db.begin().await.unwrap();
        let where_or_and = if crime.contains(" WHERE ") { "AND" } else { "WHERE" };
        let done = tx.execute(format!("{crime} {where_or_and} $1 <> ''"), &[0; 0]).await.unwrap();
        tx.commit().await.unwrap();
        assert!(done > 0, "{crime}");
        let found = breaches(scene.path()).await;
        assert!(found.iter().any(|breach| breach.contains(rule)), "{crime}: {found:#?}");
    }
}

#[tokio::test]
async fn the_bank_may_be_one_step_ahead_and_not_two() {
    let mut shop = paid_with("tok_approve_4242").await;
    shop.refund("o-1", 1, 1, 500).await;
    assert_eq!(shop.answer().await.short_kind(), "PaymentRefunded");
    // As it is while the answer is on its way.
    let ahead = |refund| {
        let amount = Money { amount: 100, currency: "GBP".into() };
        Request { order_id: "o-1".into(), attempt: 1, operation: Operation::Refund { refund, amount } }
    };
    shop.client().ask(ahead(2)).await.unwrap();
    assert_eq!(shop.breaches().await, Vec::<String>::new());
    shop.client().ask(ahead(3)).await.unwrap();
    assert_eq!(shop.breaches().await.len(), 1, "{:?}", shop.breaches().await);
}
