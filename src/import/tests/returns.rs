//! `C…` invoices against a shop on a stage: what comes back, and what is told of the rest.

use super::*;

const RETURNS: &str = include_str!("../fixtures/returns.csv");

/// How many returns the fixture makes when everything was sold.
const ALL: u64 = 9;

async fn replayed(shop: Shop) -> (Stage, Desk, Summary) {
    let stage = Stage::open(shop).await;
    let desk = Desk::new(stage.address, RETURNS.as_bytes(), &["--replay"]);
    let summary = desk.import().await.unwrap();
    (stage, desk, summary)
}

fn pieces(sku: &str, pieces: i64) -> (String, i64) {
    (sku.to_owned(), pieces)
}

fn codes(desk: &Desk) -> Vec<String> {
    let rejects = desk.rejects();
    let rows = rejects.lines().skip(1).map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" "));
    rows.collect()
}

#[tokio::test]
async fn a_cancellation_returns_the_latest_earlier_sale_in_part_or_whole() {
    let (stage, desk, summary) = replayed(Shop::default()).await;
    assert_eq!(counts(&summary), [24, 14, 10, 6, 6, 15]);
    assert_eq!(summary.returns, ALL);
    assert_eq!(stage.returned("7001"), [pieces("LAMP", 2), pieces("VASE", 2)]);
    assert_eq!(stage.returned("7002"), [pieces("LAMP", 4)]);
    assert_eq!(stage.returned("7003"), [pieces("CLOCK", 3)]);
    assert_eq!(stage.returned("7004"), [pieces("TRAY", 3)]);
    assert_eq!(stage.returned("7005"), [pieces("RUG", 1)]);
    assert!(stage.returned("7006").is_empty());
    assert_eq!(stage.shop().orders["7003"].status, "REFUNDED");
    assert_eq!(stage.shop().orders["7004"].status, "DELIVERED");
    let pence = 2 * 400 + 2 * 250 + 4 * 400 + 3 * 1_200 + 3 * 600 + 2_000;
    assert_eq!(summary.returned, Goods { rows: 7, pieces: 15, pence });
    let sold = 14 * 400 + 2 * 250 + 3 * 1_200 + 5 * 600 + 2 * 2_000 + 6 * 100;
    assert_eq!(summary.sold, Goods { rows: 7, pieces: 32, pence: sold });
    let keys: Vec<String> = stage.shop().returns.keys().cloned().collect();
    let expected = [
        "C7101/7003",
        "C7102/7004",
        "C7103/7004",
        "C7104/7001",
        "C7104/7002",
        "C7105/7001",
        "C7105/7002",
        "C7106/7001",
        "C7112/7005",
    ];
    assert_eq!(keys, expected);
    assert_eq!(codes(&desk)[1], "16 NO_MATCHING_SALE");
}

#[tokio::test]
async fn what_cannot_be_returned_is_rejected_with_line_and_reason() {
    let (_stage, desk, _) = replayed(Shop::default()).await;
    let expected = [
        "6 NOT_A_PRODUCT",
        "16 NO_MATCHING_SALE",
        "17 NO_MATCHING_SALE",
        "18 NO_MATCHING_SALE",
        "19 NO_MATCHING_SALE",
        "20 NO_MATCHING_SALE",
        "21 NO_MATCHING_SALE",
        "23 NO_MATCHING_SALE",
        "24 QUANTITY",
        "25 DATE",
    ];
    assert_eq!(codes(&desk), expected);
    let rejects = desk.rejects();
    let partly = "1 of 5 pieces are returned; the customer's earlier sales in this file have no more of it";
    assert!(rejects.contains(partly), "{rejects}");
    assert!(rejects.contains("customer 17850 has no earlier sale of it in this file"), "{rejects}");
    assert!(rejects.contains("customer 13000's earlier sale of it is taken back already"), "{rejects}");
}

#[tokio::test]
async fn without_replay_nothing_is_returned_and_the_rows_say_so() {
    let stage = Stage::open(Shop::default()).await;
    let desk = Desk::new(stage.address, RETURNS.as_bytes(), &[]);
    let summary = desk.import().await.unwrap();
    assert_eq!(counts(&summary), [24, 7, 17, 6, 0, 15]);
    assert_eq!((summary.returns, summary.returned), (0, Goods::default()));
    let codes = codes(&desk);
    assert_eq!(codes.iter().filter(|code| code.ends_with(" CANCELLATION")).count(), 8);
    assert_eq!(codes.iter().filter(|code| code.ends_with(" NO_MATCHING_SALE")).count(), 6);
    assert!(desk.rejects().contains("C7101 takes an earlier sale back; only --replay sells and returns"));
    assert!(stage.shop().returns.is_empty());
}

#[tokio::test]
async fn returns_wait_until_their_orders_are_delivered() {
    // Far beyond the client's patience: what is planned is waited for.
    let (stage, _, summary) = replayed(Shop { ship_after: 900, ..Shop::default() }).await;
    assert_eq!(summary.returns, ALL);
    assert!(stage.shop().returns.values().all(|(_, result)| result.is_ok()), "none was asked for too early");
}

#[tokio::test]
async fn an_order_that_is_never_delivered_stops_the_import_with_an_example() {
    let stage = Stage::open(Shop { never_ships: true, ..Shop::default() }).await;
    let desk = Desk::new(stage.address, RETURNS.as_bytes(), &["--replay"]);
    let error = desk.import().await.unwrap_err().to_string();
    assert!(error.contains("5 orders") && error.contains("(CONFIRMED)"), "{error}");
    assert!(error.contains("run the same command again"), "{error}");
    assert!(stage.shop().returns.is_empty());
}

#[tokio::test]
async fn a_second_run_returns_nothing_again_and_tells_the_same() {
    let (stage, desk, first) = replayed(Shop::default()).await;
    let (effects, rejects) = (stage.shop().effects, desk.rejects());
    let second = desk.import().await.unwrap();
    assert_eq!(serde_json::to_string(&first).unwrap(), serde_json::to_string(&second).unwrap());
    assert_eq!((stage.shop().effects, desk.rejects()), (effects, rejects));
}

#[tokio::test]
async fn a_run_broken_anywhere_among_the_returns_is_resumed_by_running_it_again() {
    let (stage, _, whole) = replayed(Shop::default()).await;
    let all = stage.shop().effects;
    for effects in all - ALL..all {
        let stage = Stage::open(Shop { dies_after: Some(effects), troubled: true, ..Shop::default() }).await;
        let desk = Desk::new(stage.address, RETURNS.as_bytes(), &["--replay"]);
        let error = desk.import().await.unwrap_err().to_string();
        assert!(error.contains("run the same command again"), "{error}");
        stage.shop().dies_after = None;
        let summary = desk.import().await.unwrap();
        assert_eq!(counts(&summary), counts(&whole), "died after {effects}");
        assert_eq!((summary.returns, summary.returned), (ALL, whole.returned), "died after {effects}");
        assert_eq!(stage.shop().effects, all, "died after {effects}");
    }
}

#[tokio::test]
async fn a_return_that_meets_another_one_waits_and_asks_again_under_the_next_key() {
    let (stage, desk, first) = replayed(Shop { rivals: 3, ..Shop::default() }).await;
    assert_eq!(first.returns, ALL);
    let kept = || {
        let shop = stage.shop();
        let refused = shop.returns.values().filter(|(_, result)| result.is_err()).count();
        (shop.effects, shop.returns.len(), refused)
    };
    let before = kept();
    assert_eq!(before.2, 3);
    let second = desk.import().await.unwrap();
    assert_eq!(counts(&first), counts(&second));
    assert_eq!(kept(), before, "the same keys, the same answers");
}

#[tokio::test]
async fn a_sale_that_is_not_in_the_shop_is_not_returned_and_its_reason_is_told() {
    // One rug too few on the shelf, and so for everything.
    let (stage, desk, summary) = replayed(Shop { short: 1, ..Shop::default() }).await;
    assert_eq!(summary.rows, summary.imported + summary.rejected);
    assert!(stage.returned("7005").is_empty());
    let rejects = desk.rejects();
    assert!(rejects.contains("\n8,ORDER_REJECTED,order of invoice 7005: out of stock,"), "{rejects}");
    let told = "\n22,ORDER_REJECTED,\"C7112 takes back what invoice 7005 sells in line 8, which is not in the shop: \
                order of invoice 7005: out of stock\",";
    assert!(rejects.contains(told), "{rejects}");

    let (stage, desk, _) = replayed(Shop { refused_sku: Some("VASE"), ..Shop::default() }).await;
    assert_eq!(stage.returned("7001"), [pieces("LAMP", 2)]);
    let codes = codes(&desk);
    for row in ["3 BAD_USER_INPUT", "14 BAD_USER_INPUT", "16 BAD_USER_INPUT"] {
        assert!(codes.iter().any(|code| code == row), "{row}: {codes:?}");
    }
}

#[tokio::test]
async fn a_row_over_two_sales_of_which_one_failed_tells_what_came_back() {
    let file = RETURNS.replace("C7105,LAMP,RED LAMP,-3,", "C7105,LAMP,RED LAMP,-11,");
    let sales: String = file.lines().take(9).map(|line| line.to_owned() + "\n").collect();
    let stage = Stage::open(Shop::default()).await;
    Desk::new(stage.address, sales.as_bytes(), &["--replay"]).import().await.unwrap();
    // Somebody returns lamps of the first sale by hand.
    stage.shop().orders.get_mut("7001").unwrap().lines[0].returned = 5;
    let desk = Desk::new(stage.address, file.as_bytes(), &["--replay"]);
    let summary = desk.import().await.unwrap();
    assert_eq!(summary.rows, summary.imported + summary.rejected);
    let rejects = desk.rejects();
    let told = "\n15,CONFLICT,1 of 11 pieces are returned; the shop refused the return of invoice 7001 by C7105";
    assert!(rejects.contains(told), "{rejects}");
    assert_eq!(stage.returned("7002"), [pieces("LAMP", 4)]);
}

#[tokio::test]
async fn a_cancellation_changed_after_its_import_is_a_conflict_not_a_second_return() {
    let (stage, _, _) = replayed(Shop::default()).await;
    let changed = RETURNS.replace("C7102,TRAY,TEA TRAY,-2,", "C7102,TRAY,TEA TRAY,-1,");
    let desk = Desk::new(stage.address, changed.as_bytes(), &["--replay"]);
    desk.import().await.unwrap();
    assert_eq!(stage.returned("7004"), [pieces("TRAY", 3)]);
    assert!(desk.rejects().contains("\n11,CONFLICT,the shop refused the return of invoice 7004 by C7102"));
}
