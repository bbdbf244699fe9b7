//! `orderly import` from the command line to the stores: a file goes in whole, its rows are
//! accounted for, and a second run changes nothing.

mod returns;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::{CUSTOMER, Ended, OPERATOR, PASSWORD, PATIENCE, orderly};
use crate::servers::until;
use crate::shop::{Client, Shop, ShopOptions};

/// Returns wait for deliveries.
const QUICK: [&str; 4] = ["--ship-after", "10ms", "--deliver-after", "10ms"];

/// Three sales, one return and everything that is neither, in three ways of writing dates; the
/// `é` is Latin-1.
const SALES: &[u8] = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
9001,85123a,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
9001,71053,LANTERN,2,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
9001,85123A,WHITE HANGING HEART,4,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
9002,71053,LANTERN,1,12/2/2010 9:00,3.50,0.0,France
9002,POST,POSTAGE,1,12/2/2010 9:00,18.00,0.0,France
C9003,71053,LANTERN,-1,12/3/10 9:00,3.50,17850,United Kingdom
9004,22423,?,-3,2010-12-04 09:00:00,0.0,,United Kingdom
9005,22423,CAF\xe9 <b>SIGN</b>,1,2010-12-05 09:00:00,12.75,13000,United Kingdom
9006,22423,CAFE SIGN,1,the fifth of May,12.75,13000,United Kingdom
9007,22423,CAFE SIGN,1
";

/// What is counted before and after: whatever an order leaves behind.
const COUNTED: [(&str, &str); 10] = [
    ("order.db", "order_events"),
    ("order.db", "orders"),
    ("inventory.db", "products"),
    ("inventory.db", "stock_movements"),
    ("inventory.db", "reservations"),
    ("payment.db", "ledger_entries"),
    ("bank.db", "bank_operations"),
    ("notification.db", "notifications"),
    ("query.db", "event_log"),
    ("gateway.db", "accounts"),
];

const OUTBOXES: [(&str, &str); 6] = [
    ("order.db", "order_events"),
    ("order.db", "outbox"),
    ("inventory.db", "outbox"),
    ("payment.db", "outbox"),
    ("bank.db", "outbox"),
    ("notification.db", "outbox"),
];

fn count(folder: &Path, store: &str, table: &str, filter: &str) -> anyhow::Result<i64> {
    let file = Connection::open_with_flags(folder.join(store), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    file.busy_timeout(PATIENCE)?;
    Ok(file.query_row(&format!("SELECT COUNT(*) FROM {table} {filter}"), [], |row| row.get(0))?)
}

/// What is in the stores once every message has been heard by everybody.
async fn settled(folder: &Path) -> BTreeMap<String, i64> {
    let quiet = until("every message is settled", PATIENCE, async || {
        for (store, table) in OUTBOXES.into_iter().chain(OUTBOXES) {
            if count(folder, store, table, "WHERE settled = 0")? > 0 {
                return Ok(None);
            }
        }
        Ok(Some(()))
    });
    quiet.await.expect("the shop comes to rest");
    let mut counts = BTreeMap::new();
    for (store, table) in COUNTED {
        let rows = count(folder, store, table, "").expect("is counted");
        counts.insert(format!("{store} {table}"), rows);
    }
    counts
}

/// A folder with a file in it, and a running shop beside.
struct Desk {
    desk: tempfile::TempDir,
    data: tempfile::TempDir,
    shop: Shop,
}

impl Desk {
    async fn open(file: &[u8]) -> Self {
        let (desk, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        std::fs::write(desk.path().join("sales.csv"), file).expect("is written");
        let options = ShopOptions { data_dir: Some(data.path().to_owned()), ..ShopOptions::with_args(QUICK) };
        let shop = Shop::start(options).await.expect("the shop starts");
        Self { desk, data, shop }
    }

    async fn import(&self, more: &[&str]) -> Ended {
        let args = ["import", "sales.csv", "--to", self.shop.base_url()];
        orderly(Some(self.desk.path()), args.iter().chain(more)).await
    }

    /// Every order has arrived, or came to another end: nothing moves any more by itself.
    async fn all_is_delivered(&self, operator: &Client) {
        let document = "{ orders(first: 100) { nodes { status unwinding } } }";
        let delivered = until("everything is delivered", PATIENCE, async || {
            let answer = operator.query(document, json!({})).await?;
            let orders = answer["orders"]["nodes"].as_array().cloned().unwrap_or_default();
            let at_rest = |order: &Value| {
                let ended =
                    ["DELIVERED", "REFUNDED", "REJECTED", "CANCELLED"].iter().any(|status| order["status"] == *status);
                ended && order["unwinding"] == false
            };
            Ok(orders.iter().all(at_rest).then_some(()))
        });
        delivered.await.expect("everything is delivered");
    }

    /// `orderly audit` finds nothing wrong.
    async fn assert_sound(&self) {
        let path = self.data.path().display().to_string();
        let audit = orderly(None, ["audit", "--data-dir", &path]).await;
        assert_eq!(audit.code, 0, "{}", audit.out);
    }

    async fn operator(&self) -> Client {
        self.shop.client().log_in(OPERATOR, PASSWORD).await.expect("logs in")
    }

    /// The rejected rows: line, reason, and the row's first columns.
    fn rejects(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.desk.path().join(name)).expect("is UTF-8");
        let mut rows = text.lines().map(str::to_owned);
        let header = rows.next().expect("a header");
        assert!(header.starts_with("line,reason,detail,InvoiceNo,StockCode,"), "{header}");
        rows.collect()
    }

    fn left(&self, name: &str) -> PathBuf {
        self.desk.path().join(name)
    }
}

/// The last line on standard output, which is all that is there.
fn summary(ended: &Ended) -> Value {
    assert_eq!((ended.code, ended.out.lines().count()), (0, 1), "{ended:?}");
    serde_json::from_str(&ended.out).expect("a line of JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_file_is_sold_and_a_second_run_changes_nothing() {
    let desk = Desk::open(SALES).await;
    let first = summary(&desk.import(&["--replay", "--json"]).await);
    let wanted = json!({
        "rows": 10, "imported": 6, "rejected": 4, "products": 3, "orders": 3, "cancellations": 1, "returns": 1,
        "sold": { "rows": 5, "pieces": 14, "pence": 10 * 255 + 3 * 350 + 1_275 },
        "returned": { "rows": 1, "pieces": 1, "pence": 350 },
        "rejects_file": "sales.rejects.csv",
    });
    assert_eq!(first, wanted);
    let rejects = desk.rejects("sales.rejects.csv");
    let starts = ["6,NOT_A_PRODUCT,", "8,QUANTITY,", "10,DATE,", "11,COLUMNS,"];
    assert_eq!(rejects.len(), starts.len(), "{rejects:?}");
    for (row, start) in rejects.iter().zip(starts) {
        assert!(row.starts_with(start), "{row} should start {start}");
    }
    assert!(
        rejects[2].ends_with("9006,22423,CAFE SIGN,1,the fifth of May,12.75,13000,United Kingdom"),
        "{}",
        rejects[2]
    );

    let operator = desk.operator().await;
    let document = r#"{
        heart: product(sku: "85123A") { name available price { amount currency } }
        lantern: product(sku: "71053") { available price { amount } }
        sign: product(sku: "22423") { name available }
        orders { totalCount nodes { status total { amount } refunded { amount } lines { sku quantity returned } } } }"#;
    desk.all_is_delivered(&operator).await;
    let before = settled(desk.data.path()).await;
    let shown = operator.query(document, json!({})).await.expect("answers");
    assert_eq!(
        shown["heart"],
        json!({ "name": "WHITE HANGING HEART", "available": 0, "price": { "amount": 255, "currency": "GBP" } })
    );
    assert_eq!(shown["lantern"], json!({ "available": 1, "price": { "amount": 350 } }), "one is back; the last price");
    assert_eq!(shown["sign"]["name"], "CAFé <b>SIGN</b>");
    assert_eq!(shown["orders"]["totalCount"], 3);
    let orders = shown["orders"]["nodes"].as_array().expect("orders");
    assert!(orders.iter().all(|order| order["status"] == "DELIVERED"), "{orders:?}");
    let largest = orders.iter().find(|order| order["lines"].as_array().is_some_and(|lines| lines.len() == 2));
    let largest = largest.expect("of two products");
    assert_eq!(largest["total"]["amount"], 10 * 255 + 2 * 350);
    assert_eq!(largest["refunded"]["amount"], 350);

    // Again, and once more after a stop: not one row more anywhere.
    let mut desk = desk;
    for restart in [false, true] {
        if restart {
            assert_eq!(desk.shop.terminate().await.expect("it ends").code(), Some(0));
            desk.shop.restart().await.expect("it starts again");
        }
        assert_eq!(summary(&desk.import(&["--replay", "--json"]).await), first);
        assert_eq!(settled(desk.data.path()).await, before);
        assert_eq!(operator.query(document, json!({})).await.expect("answers"), shown);
        assert_eq!(desk.rejects("sales.rejects.csv"), rejects);
    }
    desk.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_replay_there_are_products_and_no_orders_and_the_account_is_told_to_people() {
    let desk = Desk::open(SALES).await;
    let ended = desk.import(&["--rejects", "elsewhere.csv"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{ended:?}");
    for said in ["10 rows: 5 imported, 5 rejected", "CANCELLATION", "3 products, 0 orders", "elsewhere.csv"] {
        assert!(ended.err.contains(said), "{said:?} is not in {}", ended.err);
    }
    assert_eq!(desk.rejects("elsewhere.csv").len(), 5);
    assert!(!desk.left("sales.rejects.csv").exists());
    let operator = desk.operator().await;
    let found = until("the products are listed", PATIENCE, async || {
        let answer =
            operator.query("{ products(search: \"lantern\") { totalCount } orders { totalCount } }", json!({})).await?;
        Ok((answer["products"]["totalCount"] == 1).then_some(answer))
    });
    assert_eq!(found.await.expect("is listed")["orders"]["totalCount"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_cannot_be_done_says_why_and_has_written_nothing() {
    let desk = Desk::open(SALES).await;
    let before = settled(desk.data.path()).await;
    let wrong = desk.import(&["--password", "not it"]).await;
    wrong.assert_refused(1, &["operator@example.com"]);
    assert!(!wrong.err.contains("not it"), "{}", wrong.err);
    let customer = desk.import(&["--email", CUSTOMER]).await;
    customer.assert_refused(1, &[]);
    assert!(!customer.err.is_empty());
    let nobody = format!("http://127.0.0.1:{}", crate::servers::free_port().expect("a port"));
    let ended = orderly(Some(desk.desk.path()), ["import", "sales.csv", "--to", &nobody]).await;
    ended.assert_refused(1, &[&nobody]);
    for (file, said) in [
        (&b""[..], "empty"),
        (b"InvoiceNo;StockCode\n1;2\n", "semicolons"),
        (b"PK\x03\x04 a spreadsheet", "spreadsheet"),
        (b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,CustomerID,Country\n", "UnitPrice"),
        (b"\0\0\0\0\xff\xff", "line 1"),
    ] {
        std::fs::write(desk.left("sales.csv"), file).expect("is written");
        desk.import(&["--json"]).await.assert_refused(2, &["sales.csv", said]);
    }
    assert_eq!(settled(desk.data.path()).await, before);
}
