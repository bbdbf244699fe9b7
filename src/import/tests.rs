//! The whole command against a shop on a stage, in good times and bad.

#![allow(clippy::unwrap_used)]

use std::fmt;
use std::time::Duration;

use clap::Parser;
use tempfile::TempDir;

use super::stage::{PASSWORD, Shop, Stage};
use super::*;
use crate::settings::Secret;

mod returns;

const FILE: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
5001,85123A,HEART HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
5001,71053,LANTERN,2,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
5001,85123A,HEART HOLDER,4,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
5002,71053,LANTERN,1,12/2/2010 9:00,3.50,0.0,France
5002,POST,POSTAGE,1,12/2/2010 9:00,18.00,0.0,France
C5003,71053,LANTERN,-1,12/3/10 9:00,3.50,17850,United Kingdom
5004,22423,?,-3,2010-12-04 09:00:00,0.0,,United Kingdom
5005,22423,CAKE STAND,1,2010-12-05 09:00:00,12.75,13000,United Kingdom
";

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

/// A folder with an input file, and the command line for it.
struct Desk {
    folder: TempDir,
    args: Args,
}

impl Desk {
    fn new(address: impl fmt::Display, file: &[u8], more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("sales.csv");
        let rejects = folder.path().join("rejects.csv");
        std::fs::write(&input, file).unwrap();
        let to = format!("http://{address}");
        let paths = [input.to_str().unwrap(), "--rejects", rejects.to_str().unwrap()];
        let log_in = ["--to", &to, "--password", PASSWORD];
        let line = ["import"].into_iter().chain(paths).chain(log_in);
        let args = CommandLine::try_parse_from(line.chain(more.iter().copied())).unwrap().args;
        Desk { folder, args }
    }

    async fn import(&self) -> anyhow::Result<Summary> {
        let prepared = Prepared::try_new(&self.args)?;
        prepared.import(&self.args, quick()).await
    }

    fn rejects(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("rejects.csv")).unwrap()
    }
}

fn quick() -> Pace {
    Pace { pause: Duration::from_millis(1), longest: Duration::from_millis(10), patience: Duration::from_millis(400) }
}

fn counts(summary: &Summary) -> [u64; 6] {
    let Summary { rows, imported, rejected, products, orders, cancellations, .. } = summary;
    [*rows, *imported, *rejected, *products, *orders, *cancellations]
}

/// A file of many small invoices, each selling some of a few SKUs.
fn many_invoices(invoices: u32) -> String {
    let mut file = FILE.lines().next().unwrap().to_owned() + "\n";
    for invoice in 0..invoices {
        for sku in 0..1 + invoice % 3 {
            let sku = (invoice + sku * 7) % 40;
            let customer = 12_000 + invoice % 11;
            file += &format!(
                "{invoice},S{sku},THING {sku},{},2011-01-01 10:00:00,1.50,{customer}.0,EIRE\n",
                1 + invoice % 4
            );
        }
    }
    file
}

#[tokio::test]
async fn without_replay_only_the_catalogue_is_written() {
    let stage = Stage::open(Shop::default()).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &[]);
    let summary = desk.import().await.unwrap();
    assert_eq!(counts(&summary), [8, 5, 3, 3, 0, 1]);
    let shop = stage.shop();
    assert_eq!(shop.products["71053"], ("LANTERN".to_owned(), 350));
    assert_eq!(shop.products.len(), 3);
    assert!(shop.stock.is_empty() && shop.orders.is_empty());
}

#[tokio::test]
async fn with_replay_each_invoice_becomes_an_order_of_its_customer_and_the_stock_goes_out_even() {
    let stage = Stage::open(Shop::default()).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &["--replay"]);
    let summary = desk.import().await.unwrap();
    assert_eq!(counts(&summary), [8, 6, 2, 3, 3, 1]);
    assert_eq!(stage.returned("5001"), [("71053".to_owned(), 1)]);
    let shop = stage.shop();
    assert_eq!(shop.orders["5001"].customer, "17850");
    let lines = [("85123A".to_owned(), 10), ("71053".to_owned(), 2)];
    assert_eq!(shop.orders["5001"].wanted(), lines);
    assert_eq!(shop.orders["5002"].customer, "guest");
    assert!(shop.stock.values().all(|left| *left == 0), "{:?}", shop.stock);
    let rejects = desk.rejects();
    let told: Vec<&str> = rejects.lines().skip(1).map(|line| &line[..12]).collect();
    assert_eq!(told, ["6,NOT_A_PROD", "8,QUANTITY,t"]);
}

#[tokio::test]
async fn overloads_lost_answers_and_bad_gateways_change_nothing_of_the_result() {
    let stage = Stage::open(Shop { troubled: true, ..Shop::default() }).await;
    let file = many_invoices(1_200);
    let desk = Desk::new(stage.address, file.as_bytes(), &["--replay"]);
    let summary = desk.import().await.unwrap();
    let rows = file.lines().count() as u64 - 1;
    assert_eq!(counts(&summary), [rows, rows, 0, 40, 1_200, 0]);
    let shop = stage.shop();
    assert_eq!(shop.effects, 40 + 40 + 1_200);
    assert!(shop.stock.values().all(|left| *left == 0), "{:?}", shop.stock);
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_tells_the_same() {
    let stage = Stage::open(Shop::default()).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &["--replay"]);
    let first = desk.import().await.unwrap();
    let (effects, rejects) = (stage.shop().effects, desk.rejects());
    let second = desk.import().await.unwrap();
    assert_eq!(counts(&first), counts(&second));
    assert_eq!(stage.shop().effects, effects);
    assert_eq!(desk.rejects(), rejects);
}

#[tokio::test]
async fn a_run_broken_anywhere_is_resumed_by_running_it_again() {
    let file = many_invoices(60);
    let rows = file.lines().count() as u64 - 1;
    for effects in [0, 1, 39, 40, 41, 79, 80, 81, 139, 140] {
        let shop = Shop { dies_after: Some(effects), troubled: true, ..Shop::default() };
        let stage = Stage::open(shop).await;
        let desk = Desk::new(stage.address, file.as_bytes(), &["--replay"]);
        let error = desk.import().await.unwrap_err().to_string();
        assert!(error.contains("run the same command again"), "{error}");
        assert!(error.contains(&stage.address.to_string()), "{error}");

        stage.shop().dies_after = None;
        let summary = desk.import().await.unwrap();
        assert_eq!(counts(&summary), [rows, rows, 0, 40, 60, 0], "died after {effects}");
        let shop = stage.shop();
        assert_eq!(shop.effects, 40 + 40 + 60, "died after {effects}");
        assert!(shop.stock.values().all(|left| *left == 0));
    }
}

#[tokio::test]
async fn what_the_shop_refuses_is_rejected_with_its_code_and_the_rest_goes_on() {
    let stage = Stage::open(Shop { refused_sku: Some("71053"), ..Shop::default() }).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &["--replay"]);
    let summary = desk.import().await.unwrap();
    assert_eq!(counts(&summary), [8, 3, 5, 2, 2, 1]);
    assert_eq!(stage.shop().orders["5001"].wanted(), [("85123A".to_owned(), 10)]);
    assert!(!stage.shop().orders.contains_key("5002"));
    assert!(desk.rejects().contains("\n3,BAD_USER_INPUT,the shop refused 71053"));
}

#[tokio::test]
async fn an_order_that_is_not_confirmed_rejects_its_rows() {
    let stage = Stage::open(Shop { short: 1, ..Shop::default() }).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &["--replay"]);
    let summary = desk.import().await.unwrap();
    assert_eq!(summary.rows, summary.imported + summary.rejected);
    assert!(summary.orders < 3);
    assert!(desk.rejects().contains(",ORDER_REJECTED,order of invoice 5005: out of stock,"));
}

#[tokio::test]
async fn another_file_with_the_same_invoice_number_is_a_conflict_not_a_second_order() {
    let stage = Stage::open(Shop::default()).await;
    let first = Desk::new(stage.address, FILE.as_bytes(), &["--replay"]);
    first.import().await.unwrap();
    let other = FILE.replace("CAKE STAND,1,", "CAKE STAND,2,");
    let other = Desk::new(stage.address, other.as_bytes(), &["--replay"]);
    let summary = other.import().await.unwrap();
    assert_eq!(counts(&summary), [8, 5, 3, 3, 2, 1]);
    assert!(other.rejects().contains("\n9,CONFLICT,the shop refused invoice 5005"));
}

#[tokio::test]
async fn orders_that_never_end_stop_the_import_with_an_example() {
    let stage = Stage::open(Shop { stuck: true, ..Shop::default() }).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &["--replay"]);
    let error = desk.import().await.unwrap_err().to_string();
    assert!(error.contains("3 are open"), "{error}");
    assert!(error.contains("PLACED"), "{error}");
}

#[tokio::test]
async fn nobody_at_the_address_is_said_with_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let desk = Desk::new(free, FILE.as_bytes(), &[]);
    let error = desk.import().await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("No Orderly answers at http://{free}")), "{error}");
    assert!(error.contains("cargo run --release"), "{error}");
    let code = run_at(desk.args.clone(), quick()).await.unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
}

#[tokio::test]
async fn somebody_else_at_the_address_is_not_taken_for_the_shop() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let other = axum::Router::new().fallback(|| async { axum::http::StatusCode::NOT_FOUND });
    let task = tokio::spawn(async move { axum::serve(listener, other).await });
    let desk = Desk::new(address, FILE.as_bytes(), &[]);
    let error = desk.import().await.unwrap_err().to_string();
    assert!(error.contains("not as Orderly does"), "{error}");
    task.abort();
}

#[tokio::test]
async fn a_refused_log_in_names_the_account_and_never_the_password() {
    let stage = Stage::open(Shop::default()).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &[]);
    let mut args = desk.args.clone();
    args.login.password = Secret("hunter2".into());
    let prepared = Prepared::try_new(&args).unwrap();
    let error = format!("{:?}", prepared.import(&args, quick()).await.unwrap_err());
    assert!(error.contains("operator@example.com"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(!format!("{args:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_log_in_that_comes_too_fast_is_tried_again() {
    let stage = Stage::open(Shop { limited: 1, ..Shop::default() }).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &[]);
    assert_eq!(desk.import().await.unwrap().products, 3);
    assert_eq!(stage.shop().limited, 0);
}

#[tokio::test]
async fn an_account_that_is_no_operator_stops_the_import() {
    let stage = Stage::open(Shop { customer_only: true, ..Shop::default() }).await;
    let desk = Desk::new(stage.address, FILE.as_bytes(), &[]);
    let error = desk.import().await.unwrap_err().to_string();
    assert!(error.contains("log in as an operator"), "{error}");
}

#[tokio::test]
async fn a_wrong_file_is_exit_code_2_and_the_shop_hears_nothing() {
    let stage = Stage::open(Shop::default()).await;
    let desk = Desk::new(stage.address, b"InvoiceNo,StockCode\n1,2\n", &["--replay"]);
    let code = run_at(desk.args.clone(), quick()).await.unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(2)));
    let error = format!("{:#}", Prepared::try_new(&desk.args).err().unwrap());
    assert!(error.contains("sales.csv is not in the format: line 1, column Description"), "{error}");

    let missing = Args { file: desk.folder.path().join("none.csv"), ..desk.args.clone() };
    let error = format!("{:#}", Prepared::try_new(&missing).err().unwrap());
    assert!(error.contains("none.csv cannot be read"), "{error}");
    assert_eq!(stage.shop().effects, 0);
}

#[test]
fn the_rejects_never_overwrite_the_input() {
    let desk = Desk::new("127.0.0.1:1", FILE.as_bytes(), &[]);
    let args = Args { rejects: Some(desk.args.file.clone()), ..desk.args.clone() };
    assert!(Prepared::try_new(&args).is_err());
    assert_eq!(std::fs::read_to_string(&desk.args.file).unwrap(), FILE);
}

#[test]
fn the_rejects_file_is_named_after_the_input() {
    let desk = Desk::new("127.0.0.1:1", FILE.as_bytes(), &[]);
    let args = Args { rejects: None, ..desk.args.clone() };
    assert_eq!(rejects_path(&args), Path::new("sales.rejects.csv"));
}

#[test]
fn the_line_of_json_has_the_promised_names_in_their_order() {
    let summary = Summary {
        rows: 8,
        imported: 5,
        rejected: 3,
        products: 3,
        orders: 3,
        cancellations: 1,
        returns: 1,
        sold: Goods { rows: 4, pieces: 13, pence: 3_893 },
        returned: Goods { rows: 1, pieces: 1, pence: 350 },
        rejects_file: "sales.rejects.csv".into(),
    };
    assert_eq!(
        serde_json::to_string(&summary).unwrap(),
        "{\"rows\":8,\"imported\":5,\"rejected\":3,\"products\":3,\"orders\":3,\
         \"cancellations\":1,\"returns\":1,\"sold\":{\"rows\":4,\"pieces\":13,\"pence\":3893},\
         \"returned\":{\"rows\":1,\"pieces\":1,\"pence\":350},\"rejects_file\":\"sales.rejects.csv\"}"
    );
}
