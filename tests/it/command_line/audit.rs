//! `orderly audit`, by hand: on nothing, on a healthy shop, beside a running one, on a corrupt one.

use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use super::{APPROVED, CUSTOMER, Ended, PASSWORD, PATIENCE, orderly, shop_in};
use crate::shop::Shop;

/// The promises that the design names, each by a part of its rule.
const PROMISES: [&str; 9] = [
    "stock on hand = the sum of its movements",
    "stock reserved = the sum of open reservations",
    "0 <= reserved <= on hand",
    "ledger",
    "fold",
    "a captured payment -> its order is PAID or later",
    "an open reservation -> its order exists and is open",
    "CONFIRMED -> its payment was captured",
    "bank",
];

async fn audit(folder: &Path, more: &[&str]) -> Ended {
    let path = folder.display().to_string();
    orderly(None, ["audit", "--data-dir", &path].iter().chain(more)).await
}

/// A shop in which something has happened: sold, waiting, rejected.
async fn lived_in(folder: &Path) -> Shop {
    let shop = shop_in(folder).await;
    let ada = shop.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    for (quantity, card, end) in
        [(2, Some(APPROVED), "CONFIRMED"), (1, None, "AWAITING_PAYMENT"), (9_999, None, "REJECTED")]
    {
        let order = ada.place_order(&[("VASE-BUD-GREEN", quantity)], card, None).await.expect("is taken");
        ada.await_status(order["id"].as_str().expect("an id"), end, PATIENCE).await.expect("comes there");
    }
    shop
}

/// Changes rows in a stopped shop's store behind its back.
fn corrupt(folder: &Path, store: &str, sql: &str) {
    let connection = Connection::open(folder.join(store)).expect("the store opens");
    assert_eq!(connection.execute(sql, []).expect("is changed"), 1, "{sql}");
}

#[tokio::test]
async fn a_folder_that_is_none_of_a_shop_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().join("nowhere"), folder.path().to_owned()] {
        let ended = audit(&path, &[]).await;
        ended.assert_refused(1, &[&path.display().to_string(), "no data folder"]);
        assert_eq!(ended.out, "");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("is there").count(), 0);
    // Without a flag it is the folder that `up` takes.
    orderly(None, ["audit"]).await.assert_refused(1, &["orderly-data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_is_printed_and_holds_beside_a_running_shop_and_after_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shop = lived_in(folder.path()).await;
    for running in [true, false] {
        if !running {
            shop.terminate().await.expect("it ends");
        }
        let (told, lines) = (audit(folder.path(), &[]).await, audit(folder.path(), &["--json"]).await);
        assert_eq!((told.code, lines.code), (0, 0), "{told:?} {lines:?}");
        assert!(!told.out.contains("BREACH"), "{}", told.out);
        let findings: Vec<Value> =
            lines.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        assert_eq!(findings.len(), told.out.lines().count());
        for finding in &findings {
            let rule = finding["rule"].as_str().expect("a rule");
            assert!(told.out.contains(rule), "{rule}");
            assert!(finding["checked"].is_u64() && finding["breaches"] == serde_json::json!([]), "{finding}");
        }
        for promise in PROMISES {
            assert!(told.out.contains(promise), "{promise:?} is not among the rules:\n{}", told.out);
        }
        // A rule that looks at nothing holds for nothing.
        let looked = findings.iter().filter(|finding| finding["checked"].as_u64() > Some(0)).count();
        assert!(looked >= PROMISES.len(), "{}", told.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_changed_behind_the_shop_s_back_are_breaches() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shop = lived_in(folder.path()).await;
    shop.terminate().await.expect("it ends");
    assert_eq!(audit(folder.path(), &[]).await.code, 0);
    let vase = "sku = 'VASE-BUD-GREEN'";
    // One change each, and back again.
    for (store, change, back, told) in [
        (
            "inventory.db",
            format!("UPDATE stock SET on_hand = on_hand + 1 WHERE {vase}"),
            format!("UPDATE stock SET on_hand = on_hand - 1 WHERE {vase}"),
            "VASE-BUD-GREEN",
        ),
        (
            "inventory.db",
            format!("UPDATE stock SET reserved = reserved + 1 WHERE {vase}"),
            format!("UPDATE stock SET reserved = reserved - 1 WHERE {vase}"),
            "VASE-BUD-GREEN",
        ),
        (
            "order.db",
            "UPDATE orders SET status = 'PAID' WHERE status = 'CONFIRMED'".into(),
            "UPDATE orders SET status = 'CONFIRMED' WHERE status = 'PAID'".into(),
            "",
        ),
        (
            "payment.db",
            "UPDATE ledger_entries SET amount = amount + 1 WHERE rowid = 1".into(),
            "UPDATE ledger_entries SET amount = amount - 1 WHERE rowid = 1".into(),
            "",
        ),
        (
            "payment.db",
            "UPDATE payments SET state = 'VOIDED' WHERE state = 'CAPTURED'".into(),
            "UPDATE payments SET state = 'CAPTURED' WHERE state = 'VOIDED'".into(),
            "",
        ),
        (
            "query.db",
            "UPDATE orders SET status = 'EXPIRED' WHERE status = 'AWAITING_PAYMENT'".into(),
            "UPDATE orders SET status = 'AWAITING_PAYMENT' WHERE status = 'EXPIRED'".into(),
            "",
        ),
    ] {
        corrupt(folder.path(), store, &change);
        let (found, lines) = tokio::join!(audit(folder.path(), &[]), audit(folder.path(), &["--json"]));
        assert_eq!((found.code, lines.code), (1, 1), "{change}: {}", found.out);
        let breach = found.out.lines().position(|line| line.starts_with("BREACH")).expect("is marked");
        let said = found.out.lines().nth(breach + 1).unwrap_or_default();
        assert!(said.starts_with("       ") && said.contains(told), "{change}: {}", found.out);
        let breaches = lines.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        assert!(breaches.filter(|finding| finding["breaches"] != serde_json::json!([])).count() >= 1);
        corrupt(folder.path(), store, &back);
        assert_eq!(audit(folder.path(), &[]).await.code, 0, "{back}");
    }
}
