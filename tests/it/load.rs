//! `orderly load` against the real binary: what it places comes to its end, what does not is named,
//! and what it says of itself is a line of JSON that programs can build on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::command_line::{Ended, orderly};
use crate::servers;
use crate::servers::proxy::{Proxy, When};
use crate::servers::until;
use crate::shop::{Shop, ShopOptions};

const PATIENCE: Duration = Duration::from_secs(60);
/// A load that ends soon; on a machine that is slow as well.
const SHORT: [&str; 6] = ["--concurrency", "16", "--products", "5", "--warm-up", "0s"];

/// A shop in which an order that is confirmed stays so.
async fn shop(args: &[&str]) -> Shop {
    let args = [&["--ship-after", "1h"], args].concat();
    Shop::start(ShopOptions::with_args(args)).await.expect("the shop starts")
}

/// Loads the shop; its own folder is audited.
async fn load(shop: &Shop, to: &str, args: &[&str]) -> Ended {
    let folder = shop.data_dir().display().to_string();
    let (command, args) = match args {
        ["timers", args @ ..] => {
            (&["load", "timers"][..], [args, &["--concurrency", "16", "--products", "5"]].concat())
        }
        args => (&["load"][..], [&SHORT, args].concat()),
    };
    orderly(None, [command, &["--to", to, "--data-dir", &folder], &args].concat()).await
}

/// The line of JSON of a load that ended like this.
fn account(ended: &Ended, code: i32) -> Value {
    assert_eq!((ended.code, ended.out.lines().count()), (code, 1), "{ended:?}");
    let account: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(account["ok"], code == 0, "{account}");
    account
}

async fn count(shop: &Shop, status: &str) -> i64 {
    let operator = shop.client().log_in("operator@example.com", "orderly").await.expect("logs in");
    let query = "query($status: OrderStatus) { orders(first: 1, status: $status) { totalCount } }";
    let answer = operator.query(query, json!({ "status": status })).await.expect("answers");
    answer["orders"]["totalCount"].as_i64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_run_confirms_what_it_places_and_ends_with_a_green_audit() {
    let shop = shop(&[]).await;
    let ended = load(&shop, shop.base_url(), &["--rate", "100", "--duration", "3s", "--seed", "7", "--json"]).await;
    let account = account(&ended, 0);
    let expected = json!({ "accepted": 300, "confirmed": 300, "expired": 0, "rejected": 0 });
    assert_eq!(account["orders"], expected, "an open loop begins as many as it was told to: {account}");
    assert_eq!(count(&shop, "CONFIRMED").await, 300);
    for (field, value) in [
        ("mix", json!("checkout")),
        ("loop", json!("open")),
        ("rate", json!(100.0)),
        ("concurrency", json!(16)),
        ("duration_s", json!(3.0)),
        ("seed", json!(7)),
        ("errors", json!({})),
        ("unfinished", json!(0)),
        ("browse", Value::Null),
        ("expired", Value::Null),
    ] {
        assert_eq!(account[field], value, "{field}: {account}");
    }
    for series in ["accepted", "confirmed"] {
        assert_eq!(account[series]["samples"], 300, "{account}");
        let times = ["p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"].map(|part| account[series][part].as_f64());
        assert!(times[0] > Some(0.0) && times.is_sorted(), "{series}: {account}");
    }
    assert!(account["audit"]["rules"].as_i64() > Some(20) && account["audit"]["breaches"] == 0, "{account}");
    assert!(account["generator"]["cpu_us_per_op"].as_f64() > Some(0.0), "{account}");
    assert!(account["drained_s"].as_f64().is_some(), "{account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_closed_loop_browse_and_buy_and_people_are_told_how_it_went() {
    let shop = shop(&[]).await;
    // A second run uses the products of the first.
    for args in [&["--mix", "mixed", "--duration", "3s"][..], &["--duration", "2s", "--lines", "3", "--no-audit"]] {
        let ended = load(&shop, shop.base_url(), args).await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
        let audit = if args.contains(&"--no-audit") { "no audit, as was wished" } else { " rules, 0 breaches" };
        for said in ["closed loop, 16 clients", "accepted", "confirmed", "errors     none", "of the machine", audit] {
            assert!(ended.out.contains(said), "{said:?} is not in {}", ended.out);
        }
        assert!(!ended.out.contains("FAILED"), "{}", ended.out);
        assert_eq!(ended.out.contains("browse"), args.contains(&"mixed"), "{}", ended.out);
    }
    let products =
        shop.client().query("{ products(search: \"load\") { totalCount } }", json!({})).await.expect("answers");
    assert_eq!(products["products"]["totalCount"], 5);
    assert_eq!(count(&shop, "PLACED").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_without_a_card_expire_and_their_deadlines_are_measured() {
    let shop = shop(&["--payment-window", "1s"]).await;
    let args = ["--mix", "place-then-expire", "--rate", "50", "--duration", "2s", "--json"];
    let account1 = account(&load(&shop, shop.base_url(), &args).await, 0);
    assert_eq!(account1["orders"], json!({ "accepted": 100, "confirmed": 0, "expired": 100, "rejected": 0 }));
    assert_eq!(account1["expired"]["samples"], 100, "{account1}");

    let args = ["timers", "--count", "100", "--within", "2s", "--json"];
    let account = account(&load(&shop, shop.base_url(), &args).await, 0);
    assert_eq!(
        (&account["mix"], &account["count"], &account["within_s"]),
        (&json!("timers"), &json!(100), &json!(2.0))
    );
    for series in ["lateness", "seen"] {
        let times = ["p50_ms", "p99_ms", "max_ms"].map(|part| account[series][part].as_f64());
        assert!(times[0] >= Some(0.0) && times.is_sorted(), "{series}: {account}");
    }
    assert_eq!((&account["early"], &account["unfinished"]), (&json!(0), &json!(0)), "{account}");
    // One of each run asked how long the window is, and was called off.
    assert_eq!((count(&shop, "EXPIRED").await, count(&shop, "CANCELLED").await), (200, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_window_that_is_too_long_to_wait_for_is_refused_at_once() {
    let shop = shop(&[]).await;
    for args in [&["--mix", "place-then-expire"][..], &["timers"]] {
        load(&shop, shop.base_url(), args).await.assert_refused(1, &["15m", "--payment-window", "--at-most"]);
    }
    assert_eq!(count(&shop, "AWAITING_PAYMENT").await, 0, "the order that asked was called off");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_do_not_come_to_their_end_are_named_and_the_run_has_failed() {
    let shop = shop(&[]).await;
    let (grpc, folder) = (shop.grpc_url().await.expect("a gRPC port"), shop.data_dir().display().to_string());
    let fault = ["ops", "fault", "payment", "reading-paused", "--to", &grpc, "--data-dir", &folder];
    assert_eq!(orderly(None, fault).await.code, 0);
    let args = ["--rate", "20", "--duration", "1s", "--drain", "2s"];
    let ended = load(&shop, shop.base_url(), &args).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("FAILED     20 orders have not come to an end"), "{}", ended.out);
    let operator = shop.client().log_in("operator@example.com", "orderly").await.expect("logs in");
    let answer = operator.query("{ orders(first: 100) { nodes { id } } }", json!({})).await.expect("answers");
    let placed = answer["orders"]["nodes"].as_array().expect("orders");
    let named = placed.iter().filter(|order| ended.out.contains(order["id"].as_str().expect("an id"))).count();
    assert_eq!((placed.len(), named), (20, 10), "the first ten are named: {}", ended.out);
    let account = account(&load(&shop, shop.base_url(), &[&args[..], &["--json"]].concat()).await, 1);
    assert_eq!((&account["unfinished"], &account["confirmed"]["count"]), (&json!(20), &json!(0)), "{account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_answer_is_lost_is_asked_for_again_and_not_placed_twice() {
    let shop = shop(&[]).await;
    let (proxy, through) = Proxy::before(shop.base_url()).await.expect("a proxy");
    proxy.cut_at(b"idempotencyKey", When::AfterForwarding);
    let args = ["--rate", "50", "--duration", "2s", "--json"];
    let account1 = account(&load(&shop, &through, &args).await, 0);
    assert_eq!(proxy.sprung(), 1);
    assert!(proxy.accepted() < 60, "connections are kept: {}", proxy.accepted());
    assert_eq!(account1["errors"], json!({ "CONNECTION_LOST": 1 }), "{account1}");
    assert_eq!(account1["orders"]["confirmed"], 100, "{account1}");
    assert_eq!(count(&shop, "CONFIRMED").await, 100);

    // Everything is lost at once, the subscription among it.
    let cut = async {
        let some =
            until("some are placed", PATIENCE, async || Ok((count(&shop, "CONFIRMED").await > 120).then_some(())));
        some.await.expect("orders come");
        proxy.cut();
    };
    let (ended, ()) = tokio::join!(load(&shop, &through, &args), cut);
    let account = account(&ended, 0);
    assert_eq!((&account["orders"]["confirmed"], &account["resubscribed"]), (&json!(100), &json!(1)), "{account}");
    assert_eq!(count(&shop, "CONFIRMED").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_cannot_begin_says_why() {
    let shop = shop(&[]).await;
    let base = shop.base_url();
    let wrong = load(&shop, base, &["--password", "not it"]).await;
    wrong.assert_refused(1, &["operator@example.com", "--email"]);
    assert!(!wrong.err.contains("not it"), "{}", wrong.err);
    load(&shop, base, &["--email", "ada@example.com"]).await.assert_refused(1, &["operator", "--email"]);
    let nobody = format!("http://127.0.0.1:{}", servers::free_port().expect("a port"));
    load(&shop, &nobody, &[]).await.assert_refused(1, &[&nobody, "orderly up", "--to"]);
    load(&shop, &format!("{base}/elsewhere"), &[]).await.assert_refused(1, &["--to", "404"]);
    for (args, said) in [
        (&["--to", "ftp://shop"][..], "--to"),
        (&["--rate", "0"], "--rate"),
        (&["--mix", "theft"], "--mix"),
        (&["--concurrency", "0"], "--concurrency"),
        (&["--json", "timers"], "timers"),
    ] {
        let ended = orderly(None, [&["load"], args].concat()).await;
        assert!(ended.code != 0 && ended.err.contains(said) && ended.out.is_empty(), "{args:?}: {ended:?}");
    }
    assert_eq!(count(&shop, "PLACED").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_shop_s_stores_the_audit_is_left_out_and_that_is_told() {
    let shop = shop(&[]).await;
    let (folder, other) = (tempfile::tempdir().expect("a folder"), self::shop(&[]).await);
    let common = ["load", "--to", shop.base_url(), "--rate", "100", "--warm-up", "0s", "--duration", "2s"];
    let nowhere = folder.path().display().to_string();
    let ended = orderly(None, [&common[..], &["--data-dir", &nowhere]].concat()).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("no audit") && ended.out.contains("--data-dir"), "{}", ended.out);
    let others = other.data_dir().display().to_string();
    let account = account(&orderly(None, [&common[..], &["--data-dir", &others, "--json"]].concat()).await, 0);
    assert_eq!(account["audit"], Value::Null, "{account}");
    assert!(account["no_audit"].as_str().is_some_and(|why| why.contains("another shop")), "{account}");
}
