//! Deliberate corruption: for each rule of the audit a row is changed behind the shop's back, and
//! that rule must find it. A rule that no crime here breaks fails the test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use orderly::{Stores, audit};
use platform::audit::Finding;
use platform::clock::Clock;
use rusqlite::Connection;
use serde_json::json;

use crate::servers::{PATIENCE, until};
use crate::shop::{Shop, ShopOptions};

/// The store, what is done to it, and the rule that must find it.
type Crime = (&'static str, &'static str, &'static str);

const IN_INVENTORY: [Crime; 6] = [
    ("inventory", "UPDATE stock SET on_hand = on_hand + 1", "stock on hand = the sum of its movements"),
    ("inventory", "UPDATE stock SET reserved = reserved + 1", "stock reserved = the sum of open reservations"),
    ("inventory", "UPDATE stock SET reserved = on_hand + 1", "0 <= reserved <= on hand"),
    (
        "inventory",
        "UPDATE stock_movements SET on_hand = on_hand - 1 WHERE kind = 'COMMITTED'",
        "what moved out for good = what was sold to orders",
    ),
    (
        "inventory",
        "UPDATE stock_movements SET on_hand = on_hand + 1 WHERE kind = 'RETURNED'",
        "what moved back in = what orders returned",
    ),
    (
        "inventory",
        "UPDATE reservations SET returned = replace(returned, '\"quantity\":1', '\"quantity\":9')",
        "no order returns more of a product than it bought",
    ),
];

const IN_PAYMENT: [Crime; 7] = [
    ("payment", "UPDATE ledger_entries SET amount = amount + 1", "every ledger entry sums to zero"),
    (
        "payment",
        "INSERT INTO payments SELECT order_id, 2, state, amount, currency, token, last4, authorisation_id, reason,
         version, updated_at FROM payments WHERE state = 'CAPTURED'",
        "no order is captured more than once",
    ),
    (
        "payment",
        "UPDATE ledger_entries SET account = 'shop:refunds' WHERE account = 'shop:revenue'",
        "the ledger's balances of a payment are those of its state",
    ),
    ("payment", "UPDATE refunds SET amount = amount + 1", "every refund stands in the ledger as it was made"),
    ("payment", "DELETE FROM refunds", "the ledger has no posting that no payment and no refund asks for"),
    (
        "payment",
        "UPDATE payments SET state = 'AUTHORISED' WHERE state = 'VOIDED'",
        "what the ledger says is held = the sum of payments on hold",
    ),
    ("payment", "UPDATE refunds SET amount = 100 * amount", "no payment gives back more than it captured"),
];

const IN_ORDER: [Crime; 2] = [
    ("order", "UPDATE orders SET status = 'PAID' WHERE status = 'DELIVERED'", "the order row = the fold of its events"),
    (
        "order",
        "UPDATE orders SET pay_before = 1, aggregate = json_set(aggregate, '$.pay_before', 1)
         WHERE status = 'AWAITING_PAYMENT'",
        "no order waits past its deadline",
    ),
];

const IN_QUERY: [Crime; 6] = [
    ("query", "DELETE FROM event_log WHERE source = '/order' AND sequence = 2", "the event log has no gaps"),
    (
        "query",
        "UPDATE read_models SET position = position - 1 WHERE name = 'sales'",
        "a read model stands at the head of the event log",
    ),
    ("query", "UPDATE orders SET total = total + 1", "an order's read model = the fold of its events"),
    ("query", "UPDATE products SET price = price + 1", "a product's read model = the fold of its events"),
    ("query", "UPDATE notifications SET title = 'You have won'", "a message's read model = the fold of its events"),
    ("query", "UPDATE sales SET revenue = revenue + 1", "the sales by minute = the fold of the event log"),
];

const ACROSS: [Crime; 10] = [
    (
        "query",
        "UPDATE orders SET version = version + 1",
        "the read model has no order, and no version, that the order service has not",
    ),
    (
        "inventory",
        "UPDATE reservations SET state = 'OPEN' WHERE state = 'RELEASED'",
        "an open reservation -> its order exists and is open",
    ),
    (
        "payment",
        "UPDATE payments SET state = 'AUTHORISED' WHERE state = 'VOIDED'",
        "money on hold -> its order is open, or it is being given back",
    ),
    (
        "payment",
        "UPDATE payments SET state = 'CAPTURED' WHERE state = 'VOIDED'",
        "a captured payment -> its order is PAID or later",
    ),
    (
        "inventory",
        "UPDATE reservations SET state = 'COMMITTED' WHERE state = 'RELEASED'",
        "goods sold -> their order's money was taken",
    ),
    ("payment", "DELETE FROM refunds", "goods that came back -> money of their order was given back"),
    (
        "payment",
        "UPDATE refunds SET amount = 100 * amount",
        "money given back -> its order's money was taken, and cost no less",
    ),
    (
        "payment",
        "UPDATE payments SET state = 'VOIDED' WHERE state = 'CAPTURED'",
        "CONFIRMED -> its payment was captured",
    ),
    (
        "inventory",
        "UPDATE reservations SET state = 'RELEASED' WHERE state = 'COMMITTED'",
        "CONFIRMED, SHIPPED or DELIVERED -> its goods were sold",
    ),
    ("payment", "DELETE FROM refunds", "what an order knows to be refunded was refunded, all of it if it is REFUNDED"),
];

const AT_THE_BANK: [Crime; 7] = [
    (
        "bank",
        "INSERT INTO bank_holds SELECT order_id, 2, token, authorisation_id, amount, currency, state, version, at,
         refunded FROM bank_holds WHERE state = 'CHARGED'",
        "the bank has charged no order more than once",
    ),
    ("bank", "UPDATE bank_holds SET amount = amount + 1", "the bank has charged what the ledger says is settled"),
    ("bank", "DELETE FROM bank_holds", "whatever is authorised here is at the bank, in a state that follows"),
    (
        "bank",
        "UPDATE bank_holds SET order_id = 'x' || order_id",
        "whatever is held or charged at the bank is a payment here",
    ),
    (
        "bank",
        "UPDATE bank_operations SET amount = amount + 1 WHERE operation = 'refund'",
        "the bank has given back what the ledger says is refunded",
    ),
    // One refund more might be on its way here, two are not.
    (
        "bank",
        "INSERT INTO bank_operations SELECT replace(o.key, '/refund-1', '/refund-' || r.value), operation, 1, currency,
         outcome, detail, calls, at FROM bank_operations AS o, json_each('[7, 8]') AS r WHERE operation = 'refund'",
        "whatever the bank has given back is a refund here",
    ),
    (
        "bank",
        "UPDATE bank_holds SET refunded = 0 WHERE refunded > 0",
        "the bank's refunds add up, and to no more than it charged",
    ),
];

/// A folder of a shop in which every road was travelled, and which has ended.
async fn lived_in(folder: &Path) {
    let times = ["--ship-after", "10ms", "--deliver-after", "10ms"];
    let mut options = ShopOptions::with_args(times);
    options.data_dir = Some(folder.to_owned());
    let mut shop = Shop::start(options).await.expect("the shop starts");
    let ada = shop.client().log_in("ada@example.com", "orderly").await.expect("logs in");
    let mut ids = Vec::new();
    for (quantity, card, end) in [
        (3, Some("4242 4242 4242 4242"), "DELIVERED"),
        (1, None, "AWAITING_PAYMENT"),
        (9_999, None, "REJECTED"),
        (1, Some("4000 0000 0000 0069"), "CANCELLED"),
    ] {
        let order = ada.place_order(&[("VASE-BUD-GREEN", quantity)], card, None).await.expect("is taken");
        let id = order["id"].as_str().expect("an id").to_owned();
        ada.await_status(&id, end, PATIENCE).await.expect("comes there");
        ids.push(id);
    }
    ada.return_order(&ids[0], &[("VASE-BUD-GREEN", 1)], None).await.expect("is taken back");
    until("the return", PATIENCE, async || {
        let order = ada.order(&ids[0]).await?;
        Ok((order["unwinding"] == json!(false) && order["refunded"]["amount"] != json!(0)).then_some(()))
    })
    .await
    .expect("the return is settled");
    until("the void", PATIENCE, async || {
        let order = ada.order(&ids[3]).await?;
        Ok(order["timeline"].to_string().contains("OrderPaymentVoided").then_some(()))
    })
    .await
    .expect("the hold is let go");
    shop.terminate().await.expect("it ends");
}

async fn findings(folder: &Path) -> Vec<Finding> {
    let stores = Stores::in_existing_folder(folder).await.expect("the stores open");
    let findings = audit(&stores, &Clock::system()).await.expect("the stores answer");
    stores.close().await;
    findings
}

/// The rules that find something in a copy of the folder after a crime.
async fn found_after(folder: &Path, (store, sql, rule): Crime) -> (Crime, Vec<std::borrow::Cow<'static, str>>) {
    let copy = tempfile::tempdir().expect("a folder");
    let mut files: Vec<PathBuf> = Vec::new();
    for file in std::fs::read_dir(folder).expect("is there") {
        files.push(file.expect("is there").path());
    }
    for file in files.iter().filter(|file| file.is_file()) {
        std::fs::copy(file, copy.path().join(file.file_name().expect("a name"))).expect("is copied");
    }
    let database = copy.path().join(format!("{store}.db"));
    let connection = Connection::open(database).expect("the store opens");
    connection.execute_batch("PRAGMA ignore_check_constraints = ON").expect("is said");
    let changed = connection.execute(sql, []).unwrap_or_else(|error| panic!("{store}: {sql}: {error}"));
    assert!(changed > 0, "{sql} changed nothing");
    drop(connection);
    let findings = findings(copy.path()).await;
    let broken =
        findings.iter().filter(|finding| !finding.breaches.is_empty()).map(|finding| finding.rule.clone()).collect();
    ((store, sql, rule), broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_the_audit_finds_the_corruption_it_is_there_for() {
    let folder = tempfile::tempdir().expect("a folder");
    lived_in(folder.path()).await;
    let clean = findings(folder.path()).await;
    for finding in &clean {
        assert!(finding.breaches.is_empty(), "{finding:?}");
    }
    let crimes = [&IN_INVENTORY[..], &IN_PAYMENT, &IN_ORDER, &IN_QUERY, &ACROSS, &AT_THE_BANK].concat();
    // At once: a rule across stores is given ten seconds to come right before it is believed.
    let found = futures_util::future::join_all(crimes.iter().map(|crime| found_after(folder.path(), *crime))).await;
    for ((store, sql, rule), broken) in &found {
        assert!(broken.iter().any(|broken| broken == rule), "{store}: {sql} should break {rule:?}, broke {broken:?}");
    }
    let tried: BTreeSet<&str> = crimes.iter().map(|(_, _, rule)| *rule).collect();
    let rules: BTreeSet<&str> = clean.iter().map(|finding| &*finding.rule).collect();
    assert_eq!(rules, tried, "each rule has a crime, and each crime a rule");
}
