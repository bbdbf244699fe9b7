//! Small files of our own through the whole parser, and a mutator that tears them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn read(rows: &str) -> Parsed {
    parse(format!("{HEADER}{rows}").as_bytes()).unwrap()
}

fn reasons(parsed: &Parsed) -> Vec<(u64, String)> {
    let lines = 0..parsed.rows + 100;
    lines.filter_map(|line| Some((line, parsed.rejects.get(line)?.reason.to_string()))).collect()
}

fn line(sku: &str, quantity: i64, rows: &[u64]) -> Line {
    Line { sku: sku.into(), quantity, rows: rows.to_vec() }
}

/// Every row once: in an invoice, in the plan of returns, or rejected. And the products
/// hold the invoices' rows.
fn assert_accounted(parsed: &Parsed) {
    let lines = parsed.invoices.iter().flat_map(|invoice| &invoice.lines);
    let sold: Vec<u64> = lines.flat_map(|line| line.rows.clone()).collect();
    let once: BTreeSet<u64> = sold.iter().copied().collect();
    assert_eq!(once.len(), sold.len(), "a row is in two lines");
    let taken_back = parsed.plan.wanted.len();
    assert_eq!(parsed.rows, (sold.len() + taken_back) as u64 + parsed.rejects.len());
    assert!(parsed.plan.wanted.keys().all(|line| parsed.rejects.get(*line).is_none() && !once.contains(line)));
    assert!(once.iter().all(|line| parsed.rejects.get(*line).is_none()));
    let stocked: Vec<u64> = parsed.products.iter().flat_map(|p| p.rows.clone()).collect();
    assert_eq!(stocked.len(), sold.len());
    assert_eq!(stocked.into_iter().collect::<BTreeSet<_>>(), once);
}

#[test]
fn rows_of_a_number_become_an_invoice_and_rows_of_a_sku_one_line() {
    let parsed = read(
        "5001,85123a,HEART HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n\
         5001,71053,LANTERN,2,2010-12-01 08:26:00,3.39,17850.0,United Kingdom\n\
         5002,71053,LANTERN,1,12/1/2010 8:20,3.39,0.0,France\n\
         5001,85123A,HEART HOLDER,4,2010-12-01 08:25:00,2.55,17850,United Kingdom\n",
    );
    assert_eq!(parsed.rows, 4);
    let [guest, first] = parsed.invoices.as_slice() else { panic!("{:?}", parsed.invoices) };
    assert_eq!((guest.number.as_str(), guest.customer.as_str()), ("5002", "guest"));
    assert_eq!((first.number.as_str(), first.customer.as_str()), ("5001", "17850"));
    assert_eq!(first.date.to_string(), "2010-12-01 08:25:00");
    assert_eq!(first.lines, [line("85123A", 10, &[2, 5]), line("71053", 2, &[3])]);
    let needed: Vec<_> = needed_stock(&parsed.invoices).into_iter().collect();
    assert_eq!(needed, [("71053", 3), ("85123A", 10)]);
    assert_accounted(&parsed);
}

#[test]
fn price_and_name_are_the_last_seen_by_date_not_by_place() {
    let parsed = read(
        "3,A1,NEW NAME,1,2011-03-01 10:00:00,3.00,1,UK\n\
         1,A1,OLD NAME,1,2011-01-01 10:00:00,1.00,1,UK\n\
         4,A1,damaged,1,2011-04-01 10:00:00,4.00,1,UK\n\
         5,A1,wrongly marked 22719,1,2011-04-01 10:00:00,4.50,1,UK\n\
         2,B2,?,1,2011-02-01 10:00:00,2.00,1,UK\n\
         6,D4,,1,2011-02-01 10:00:00,2.00,1,UK\n\
         9,A1,FROM A REJECTED ROW,0,2011-09-01 10:00:00,9.00,1,UK\n",
    );
    let seen = parsed.products.iter().map(|p| (p.sku.as_str(), p.name.as_str(), p.price));
    let expected = [("A1", "NEW NAME", 450), ("B2", "?", 200), ("D4", "D4", 200)];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    let order: Vec<_> = parsed.invoices.iter().map(|i| i.number.as_str()).collect();
    assert_eq!(order, ["1", "2", "6", "3", "4", "5"]);
    assert_accounted(&parsed);
}

#[test]
fn each_kind_of_dirt_has_its_reason_and_its_line() {
    let parsed = read(
        "1,A1,GOOD,1,2011-01-01 10:00:00,1.00,1,UK\n\
         2,A1,FEW,1,2011-01-01 10:00:00,1.00\n\
         \n\
         2,A1,MANY,1,2011-01-01 10:00:00,1.00,1,UK,more\n\
         3,A1,GOOD,1,2011-01-01 10:00:00,1.00,1,UK,,\n\
         ,A1,NO NUMBER,1,2011-01-01 10:00:00,1.00,1,UK\n\
         C4,POST,BACK,-1,never,1.00,1,UK\n\
         C4,A1,BACK,-1,2011-01-01 10:00:00,1.00,1,UK\n\
         A5,B,Adjust bad debt,1,2011-01-01 10:00:00,11062.06,,UK\n\
         6,,NO SKU,1,2011-01-01 10:00:00,1.00,1,UK\n\
         6,gift_0001_20,Voucher,1,2011-01-01 10:00:00,1.00,1,UK\n\
         6,A1,?,-30,2011-01-01 10:00:00,0.0,0.0,UK\n\
         6,A1,FREE,1,2011-01-01 10:00:00,0.001,1,UK\n\
         6,A1,WHEN,1,2011-02-30 10:00:00,1.00,1,UK\n\
         6,A1,WHO,1,2011-01-01 10:00:00,1.00,O'Brien,UK\n\
         7,A1,\"OPEN,1,2011-01-01 10:00:00,1.00,1,UK\n\
         1,A1,OTHER'S,1,2011-01-01 10:00:00,1.00,2,UK\n",
    );
    let expected = [
        (3, "COLUMNS"),
        (5, "COLUMNS"),
        (7, "INVOICE"),
        (8, "NO_MATCHING_SALE"),
        (10, "ADJUSTMENT"),
        (11, "SKU"),
        (12, "NOT_A_PRODUCT"),
        (13, "QUANTITY"),
        (14, "PRICE"),
        (15, "DATE"),
        (16, "CUSTOMER"),
        (17, "QUOTE"),
        (18, "CUSTOMER"),
    ];
    assert_eq!(reasons(&parsed), expected.map(|(line, code)| (line, code.to_owned())));
    assert_eq!((parsed.rows, parsed.cancellations, parsed.plan.wanted.len()), (16, 1, 1));
    assert_accounted(&parsed);
}

#[test]
fn latin_1_a_byte_order_mark_and_control_characters_are_understood() {
    let mut data = b"\xef\xbb\xbf".to_vec();
    data.extend(HEADER.replace('\n', "\r\n").bytes());
    data.extend(b"1,A1,CAF\xc9 \xa35 SET,1,12/1/10 8:26,1.00,,UK\r\n");
    data.extend("2,B2,CAFÉ\u{0} SET,1,12/1/10 8:26,1.00,,UK\r\n".bytes());
    let parsed = parse(&data).unwrap();
    let names: Vec<_> = parsed.products.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["CAFÉ £5 SET", "CAFÉ SET"]);
    assert_eq!(parsed.rejects.len(), 0);
}

#[test]
fn an_invoice_of_500_products_is_taken_and_one_of_501_rejected_whole() {
    let row = |invoice: u32, sku: usize| format!("{invoice},S{sku},THING,1,2011-01-01 10:00:00,1.00,1,UK\n");
    let full: String = (0..500).chain(0..20).map(|sku| row(1, sku)).collect();
    let over: String = (0..501).map(|sku| row(2, sku)).collect();
    let parsed = read(&(full + &over));
    assert_eq!(parsed.invoices.len(), 1);
    assert_eq!(parsed.rejects.tally(), [("TOO_MANY_LINES".into(), 501)]);
    assert_eq!(parsed.products.len(), 500);
    assert_accounted(&parsed);
}

#[test]
fn quantities_that_overflow_together_are_rejected_from_that_row_on() {
    let row = "1,A1,THING,2147483647,2011-01-01 10:00:00,1.00,1,UK\n";
    let parsed = read(&row.repeat(2));
    assert_eq!(reasons(&parsed), [(3, "QUANTITY".to_owned())]);
    assert_accounted(&parsed);
}

/// Tears a good file at random and asks that no row gets lost and nothing panics. The
/// seed is printed; `ORDERLY_SEED=… cargo test` repeats it.
#[test]
fn every_row_is_accounted_for_however_the_file_is_torn() {
    let chosen = std::env::var("ORDERLY_SEED").ok();
    let start: u64 = chosen.as_ref().map_or_else(rand::random, |s| s.parse().unwrap());
    let rounds = if chosen.is_some() { 1 } else { 300 };
    for seed in (0..rounds).map(|round| start.wrapping_add(round)) {
        eprintln!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut data = HEADER.as_bytes().to_vec();
        for _ in 0..random.random_range(0..60) {
            data.extend(some_row(&mut random).bytes());
        }
        for _ in 0..random.random_range(0..40) {
            tear(&mut data, HEADER.len(), &mut random);
        }
        let parsed = parse(&data).unwrap();
        assert_accounted(&parsed);
        let mut file = Vec::new();
        parsed.rejects.write(&data, &mut file).unwrap();
        let given_back = rows(&file).filter(|row| matches!(row.cells, Cells::Record(_)));
        assert!(given_back.count() as u64 > parsed.rejects.len(), "seed {seed}");
    }
}

fn some_row(random: &mut StdRng) -> String {
    let any = |random: &mut StdRng, from: &[&str]| from[random.random_range(0..from.len())].to_owned();
    let cells = [
        any(random, &["1", "2", "3", "C4", "A5", "536365.0"]),
        any(random, &["A1", "b2", "POST", "85123A", " C3 "]),
        any(random, &["TEA SET", "?", "\"CUPS, BLUE\"", "CAFÉ"]),
        any(random, &["1", "12", "-3", "2147483647", "1.0"]),
        any(random, &["2010-12-01 08:26:00", "12/1/2010 8:26", "12/1/10 8:26"]),
        any(random, &["2.55", "0.001", "1e3", "21474836.47", "4"]),
        any(random, &["17850.0", "", "0.0", "17850"]),
        any(random, &["United Kingdom", "EIRE"]),
    ];
    cells.join(",") + &any(random, &["\n", "\r\n", "\n\n", "\r"])
}

fn tear(data: &mut Vec<u8>, from: usize, random: &mut StdRng) {
    const NASTY: &[u8] = b"\",\n\r\0;-.0\xa3\xff\t '";
    let at = random.random_range(from..=data.len());
    match random.random_range(0..4) {
        0 => data.insert(at, NASTY[random.random_range(0..NASTY.len())]),
        1 if at < data.len() => data[at] = random.random(),
        2 if at < data.len() => drop(data.remove(at)),
        _ => {
            let to = (at + random.random_range(0..30)).min(data.len());
            let copy = data[at..to].to_vec();
            data.splice(at..at, copy);
        }
    }
}
