//! `C…` invoices end to end: what a replay takes back, from the file to the shelf and the ledger,
//! in one run, in two, and in one that is killed half way.

use std::process::Stdio;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::{Desk, OPERATOR, PASSWORD, PATIENCE, QUICK, settled, summary};
use crate::command_line::{APPROVED, CUSTOMER};
use crate::servers::until;
use crate::shop::{Client, Shop, ShopOptions};

/// Whole returns, parts, two of one sale, too much, of nobody, of something else: see the file.
const RETURNS: &str = include_str!("../../../../src/import/fixtures/returns.csv");

const SHOWN: &str = r#"{
    orders(first: 100) { nodes { id status refunded { amount } lines { sku quantity returned } } }
    lamp: product(sku: "LAMP") { available }  vase: product(sku: "VASE") { available }
    clock: product(sku: "CLOCK") { available }  tray: product(sku: "TRAY") { available } }"#;

const MAKE: &str = r#"mutation($sku: ID!, $delta: Int!, $key: String) {
    upsertProduct(input: { sku: $sku, name: "THING", price: { amount: 2000, currency: "GBP" } }) { sku }
    adjustStock(sku: $sku, delta: $delta, idempotencyKey: $key) { available } }"#;

/// The lines of all orders that sell this SKU: quantity and returned, as `2/10`, in any order.
fn returned(shown: &Value, sku: &str) -> Vec<String> {
    let orders = shown["orders"]["nodes"].as_array().expect("orders").iter();
    let lines = orders.flat_map(|order| order["lines"].as_array().expect("lines"));
    let mut told: Vec<String> = lines
        .filter(|line| line["sku"] == sku)
        .map(|line| format!("{}/{}", line["returned"], line["quantity"]))
        .collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_returns_what_the_file_takes_back_and_a_second_run_changes_nothing() {
    let desk = Desk::open(RETURNS.as_bytes()).await;
    let operator = desk.operator().await;
    // The rugs are sold to somebody else in the moment between their delivery and the sale: the
    // importer's own adjustment is made for it, under its key.
    let file: String = Sha256::digest(RETURNS).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let rugs = json!({ "sku": "RUG", "delta": 2, "key": format!("import:{file}:RUG") });
    operator.query(MAKE, rugs).await.expect("the rugs are stocked");
    let ada = desk.shop.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    let order = ada.place_order(&[("RUG", 2)], None, None).await.expect("is taken");
    let id = order["id"].as_str().expect("an id");
    ada.await_status(id, "AWAITING_PAYMENT", PATIENCE).await.expect("the rugs are reserved");

    let first = summary(&desk.import(&["--replay", "--json"]).await);
    let sold = 14 * 400 + 2 * 250 + 3 * 1_200 + 5 * 600 + 6 * 100;
    let back = 2 * 400 + 2 * 250 + 4 * 400 + 3 * 1_200 + 3 * 600;
    let wanted = json!({
        "rows": 24, "imported": 12, "rejected": 12, "products": 6, "orders": 5, "cancellations": 15, "returns": 8,
        "sold": { "rows": 6, "pieces": 30, "pence": sold },
        "returned": { "rows": 6, "pieces": 14, "pence": back },
        "rejects_file": "sales.rejects.csv",
    });
    assert_eq!(first, wanted);
    let rejects = desk.rejects("sales.rejects.csv");
    let starts = [
        "6,NOT_A_PRODUCT,",
        "8,ORDER_REJECTED,\"order of invoice 7005: out of stock",
        "16,NO_MATCHING_SALE,1 of 5 pieces are returned; ",
        "17,NO_MATCHING_SALE,\"C7107 takes 1 of CLOCK back, but customer 17850 has no earlier sale",
        "18,NO_MATCHING_SALE,\"C7108 takes 1 of TRAY back, but customer 14000 has no earlier sale",
        "19,NO_MATCHING_SALE,\"C7109 takes SOAP back, but from whom is not written down",
        "20,NO_MATCHING_SALE,\"C7110 takes POST back: a charge",
        "21,NO_MATCHING_SALE,\"C7111 takes M back: a charge",
        "22,ORDER_REJECTED,\"C7112 takes back what invoice 7005 sells in line 8, which is not in the shop: ",
        "23,NO_MATCHING_SALE,\"C7113 takes 1 of CLOCK back, but customer 13000's earlier sale of it is taken back",
        "24,QUANTITY,",
        "25,DATE,",
    ];
    assert_eq!(rejects.len(), starts.len(), "{rejects:?}");
    for (row, start) in rejects.iter().zip(starts) {
        assert!(row.starts_with(start), "{row} should start {start}");
    }

    ada.query("mutation($id: ID!) { cancelOrder(orderId: $id) { id } }", json!({ "id": id }))
        .await
        .expect("is called off");
    ada.await_status(id, "CANCELLED", PATIENCE).await.expect("is called off");
    desk.all_is_delivered(&operator).await;
    let before = settled(desk.data.path()).await;
    let shown = operator.query(SHOWN, json!({})).await.expect("answers");
    // The latest sale of lamps came back whole, and two of the one before.
    for (sku, lines) in
        [("LAMP", vec!["2/10", "4/4"]), ("VASE", vec!["2/2"]), ("CLOCK", vec!["3/3"]), ("TRAY", vec!["3/5"])]
    {
        assert_eq!(returned(&shown, sku), lines, "{sku}");
    }
    for (sku, pieces) in [("lamp", 6), ("vase", 2), ("clock", 3), ("tray", 3)] {
        assert_eq!(shown[sku]["available"], pieces, "what came back of {sku} is on the shelf");
    }
    let orders = shown["orders"]["nodes"].as_array().expect("orders");
    let refunded: i64 = orders.iter().filter_map(|order| order["refunded"]["amount"].as_i64()).sum();
    assert_eq!(refunded, back);
    let whole = orders.iter().filter(|order| order["status"] == "REFUNDED").count();
    assert_eq!(whole, 2, "the clocks and the later lamps");

    assert_eq!(summary(&desk.import(&["--replay", "--json"]).await), first);
    assert_eq!(settled(desk.data.path()).await, before);
    assert_eq!(operator.query(SHOWN, json!({})).await.expect("answers"), shown);
    assert_eq!(desk.rejects("sales.rejects.csv"), rejects);
    desk.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_in_the_middle_of_the_returns_is_taken_up() {
    const INVOICES: i64 = 25;
    let mut file = RETURNS.lines().next().expect("a header").to_owned() + "\n";
    file += &format!("8000,THING,A THING,{INVOICES},2011-02-01 09:00:00,1.00,17850,EIRE\n");
    for number in 0..INVOICES {
        file += &format!("C81{number:02},THING,A THING,-1,2011-02-02 09:{number:02}:00,1.00,17850,EIRE\n");
    }
    let desk = Desk::open(file.as_bytes()).await;
    let operator = desk.operator().await;
    let mut import = Command::new(env!("CARGO_BIN_EXE_orderly"))
        .args(["import", "sales.csv", "--replay", "--to", desk.shop.base_url()])
        .current_dir(desk.desk.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be run");
    let begun = until("something comes back", PATIENCE, async || Ok((back(&operator).await? > 0).then_some(())));
    begun.await.expect("the returns begin");
    import.kill().await.expect("is killed");
    desk.all_is_delivered(&operator).await;
    let half = back(&operator).await.expect("answers");
    assert!((1..INVOICES).contains(&half), "killed in the middle: {half}");

    let summary = summary(&desk.import(&["--replay", "--json"]).await);
    let done = json!({ "rows": INVOICES, "pieces": INVOICES, "pence": 100 * INVOICES });
    assert_eq!((&summary["returns"], &summary["returned"], &summary["rejected"]), (&INVOICES.into(), &done, &0.into()));
    assert_eq!(back(&operator).await.expect("answers"), INVOICES);
    settled(desk.data.path()).await;
    desk.assert_sound().await;
}

/// How many pieces came back of everything.
async fn back(operator: &Client) -> anyhow::Result<i64> {
    let shown = operator.query("{ orders(first: 100) { nodes { lines { returned } } } }", json!({})).await?;
    let orders = shown["orders"]["nodes"].as_array().cloned().unwrap_or_default();
    let lines = orders.iter().flat_map(|order| order["lines"].as_array().cloned().unwrap_or_default());
    Ok(lines.filter_map(|line| line["returned"].as_i64()).sum())
}

/// The importer tells a refusal that passes from one that does not by these words.
#[tokio::test(flavor = "multi_thread")]
async fn a_return_beside_another_is_refused_as_under_way_and_a_used_key_is_not() {
    let shop = Shop::start(ShopOptions::with_args(QUICK)).await.expect("the shop starts");
    let operator = shop.client().log_in(OPERATOR, PASSWORD).await.expect("logs in");
    let order = operator.place_order(&[("SOAP-OLIVE-BAR", 3)], Some(APPROVED), None).await.expect("is taken");
    let id = order["id"].as_str().expect("an id");
    operator.await_status(id, "DELIVERED", PATIENCE).await.expect("arrives");
    // Of several at once one is first, and no other has its answer before the bank has.
    let calls = (0..8).map(|n| {
        let (operator, key) = (&operator, format!("key-{n}"));
        async move { operator.return_order(id, &[("SOAP-OLIVE-BAR", 1)], Some(&key)).await }
    });
    let answers = futures_util::future::join_all(calls).await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(!refused.is_empty(), "{answers:?}");
    for refusal in refused {
        let under_way = refusal.to_string().contains("under way");
        let left = refusal.to_string().contains("can still be returned") || refusal.to_string().contains("given back");
        assert!(refusal.has_code("CONFLICT") && (under_way || left), "{refusal}");
    }
    assert!(answers.iter().any(|answer| answer.as_ref().err().is_some_and(|no| no.to_string().contains("under way"))));

    let reused = operator.return_order(id, &[("SOAP-OLIVE-BAR", 2)], Some("key-0")).await.expect_err("the key is used");
    assert!(reused.has_code("CONFLICT") && !reused.to_string().contains("under way"), "{reused}");
}
