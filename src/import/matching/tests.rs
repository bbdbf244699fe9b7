//! Which sale a row takes back, case by case, and torn at random.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::parse::{Parsed, parse};
use super::*;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

/// Rows of `invoice,sku,quantity,day,customer`; the day is one of January 2011, with a time
/// if it matters.
fn read(rows: &[&str]) -> Parsed {
    let mut file = HEADER.to_owned();
    for row in rows {
        let [invoice, sku, quantity, day, customer] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let time = if day.contains(' ') { day.to_owned() } else { format!("{day} 10:00") };
        let (day, clock) = time.split_once(' ').unwrap();
        file += &format!("{invoice},{sku},THING,{quantity},1/{day}/2011 {clock},1.00,{customer},EIRE\n");
    }
    parse(file.as_bytes()).unwrap()
}

/// `C1/1 A 3`: C1 takes three of A back from invoice 1.
fn planned(parsed: &Parsed) -> Vec<String> {
    let mut planned = Vec::new();
    for Return { number, sale, lines } in &parsed.plan.returns {
        for line in lines {
            planned.push(format!("{number}/{sale} {} {}", line.sku, line.quantity()));
        }
    }
    planned
}

fn unmatched(parsed: &Parsed) -> Vec<u64> {
    let is_unmatched =
        |line: &u64| parsed.rejects.get(*line).is_some_and(|reject| reject.reason == Reason::NoMatchingSale);
    (1..=parsed.rows + 1).filter(is_unmatched).collect()
}

#[test]
fn a_row_takes_back_the_latest_earlier_sale_of_its_customer() {
    let parsed = read(&["1,A,5,1,7", "2,A,5,3,7", "3,A,5,4,8", "4,A,5,6,7", "5,E,5,3,7", "C1,A,-2,5,7"]);
    assert_eq!(planned(&parsed), ["C1/2 A 2"]);
    assert_eq!(parsed.plan.wanted, BTreeMap::from([(7, 2)]));
    assert_eq!(parsed.rejects.len(), 0);
}

#[test]
fn more_than_is_left_of_the_latest_sale_goes_on_to_the_one_before() {
    let parsed = read(&["1,A,5,1,7", "2,A,2,2,7", "3,A,4,3,7", "C1,A,-7,5,7"]);
    assert_eq!(planned(&parsed), ["C1/3 A 4", "C1/2 A 2", "C1/1 A 1"]);
    assert_eq!(parsed.plan.returns[2].lines[0].sold_by, 2);
}

#[test]
fn the_earlier_cancellation_has_the_first_choice_wherever_it_stands_in_the_file() {
    let parsed = read(&["C2,A,-3,6,7", "C1,A,-3,5,7", "1,A,5,1,7", "2,A,4,2,7"]);
    assert_eq!(planned(&parsed), ["C1/2 A 3", "C2/2 A 1", "C2/1 A 2"]);
}

#[test]
fn a_row_that_takes_back_more_than_was_bought_is_matched_in_part() {
    let parsed = read(&["1,A,5,1,7", "C1,A,-8,5,7", "C2,A,-1,6,7"]);
    assert_eq!(planned(&parsed), ["C1/1 A 5"]);
    assert_eq!(parsed.plan.wanted, BTreeMap::from([(3, 8)]));
    assert_eq!(unmatched(&parsed), [4]);
    let detail = &parsed.rejects.get(4).unwrap().detail;
    assert_eq!(detail, "C2 takes 1 of A back, but customer 7's earlier sale of it is taken back already");
}

#[test]
fn a_row_without_an_earlier_sale_of_its_customer_is_unmatched() {
    let parsed =
        read(&["1,A,5,5,7", "C1,A,-1,4,7", "C2,A,-1,6,8", "C3,E,-1,6,7", "2,C,1,1,", "C4,C,-1,6,", "C5,POST,-1,6,7"]);
    assert!(planned(&parsed).is_empty());
    assert_eq!(unmatched(&parsed), [3, 4, 5, 7, 8]);
    let detail = |line| parsed.rejects.get(line).unwrap().detail.as_str();
    assert_eq!(detail(4), "C2 takes 1 of A back, but customer 8 has no earlier sale of it in this file");
    assert_eq!(detail(7), "C4 takes C back, but from whom is not written down");
    assert!(detail(8).starts_with("C5 takes POST back: a charge"), "{}", detail(8));
}

#[test]
fn at_the_same_minute_the_place_in_the_file_tells_which_was_first() {
    let parsed = read(&["C1,A,-1,1,7", "1,A,5,1,7", "C2,A,-1,1,7"]);
    assert_eq!((planned(&parsed), unmatched(&parsed)), (vec!["C2/1 A 1".to_owned()], vec![2]));
    let parsed = read(&["1,A,5,1 10:01,7", "C1,A,-1,1 10:00,7"]);
    assert_eq!(unmatched(&parsed), [3]);
}

#[test]
fn rows_of_one_cancellation_are_one_return_per_sale_with_one_line_per_sku() {
    let parsed = read(&["1,A,5,1,7", "1,E,5,1,7", "C1,A,-1,5,7", "C1,E,-2,5,7", "C1,A,-3,5,7"]);
    let [only] = parsed.plan.returns.as_slice() else { panic!("{:?}", parsed.plan) };
    let line =
        |sku: &str, sold_by, parts: &[(u64, i64)]| ReturnLine { sku: sku.into(), sold_by, parts: parts.to_vec() };
    assert_eq!(only.lines, [line("A", 2, &[(4, 1), (6, 3)]), line("E", 3, &[(5, 2)])]);
}

#[test]
fn a_sale_that_was_rejected_is_none() {
    let parsed = read(&["1,A,0,1,7", "C1,A,-1,5,7"]);
    assert_eq!(unmatched(&parsed), [3]);
}

/// Random sales and cancellations. Whatever they are: nothing is taken back that was not
/// sold, from nobody else, not before it was sold; and nothing is left that could have been.
#[test]
fn no_more_comes_back_than_was_sold_and_nothing_that_could_is_left() {
    let start: u64 = std::env::var("ORDERLY_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    for seed in (0..200).map(|round| start.wrapping_add(round)) {
        eprintln!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut row = |kind: &str, invoice: u32| {
            let (sku, customer) = (random.random_range(0..2), random.random_range(1..3));
            // A row of its customer: an invoice of two customers would lose some.
            let number = format!("{kind}{}{customer}", invoice / 2 + 1);
            let sign = if kind.is_empty() { "" } else { "-" };
            let (pieces, day) = (random.random_range(1..6), random.random_range(1..9));
            format!("{number},S{sku},{sign}{pieces},{day},{customer}")
        };
        let kinds = (0..12).map(|n| ("", n)).chain((0..10).map(|n| ("C", n)));
        let rows: Vec<String> = kinds.map(|(kind, n)| row(kind, n)).collect();
        let parsed = read(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        let mut back: BTreeMap<u64, i64> = BTreeMap::new();
        let mut left: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for invoice in &parsed.invoices {
            for line in &invoice.lines {
                left.insert((&invoice.number, &line.sku), line.quantity);
            }
        }
        for planned in &parsed.plan.returns {
            let sale = parsed.invoices.iter().find(|invoice| invoice.number == planned.sale).unwrap();
            assert!(planned.number.ends_with(&sale.customer), "seed {seed}: {planned:?} takes from another's sale");
            for line in &planned.lines {
                *left.get_mut(&(sale.number.as_str(), line.sku.as_str())).unwrap() -= line.quantity();
                for (row, pieces) in &line.parts {
                    assert!(*pieces > 0, "seed {seed}: {planned:?}");
                    *back.entry(*row).or_default() += pieces;
                }
            }
        }
        assert!(left.values().all(|left| *left >= 0), "seed {seed}: {left:?}");
        for (row, wanted) in &parsed.plan.wanted {
            assert!((1..=*wanted).contains(&back[row]), "seed {seed}: row {row}");
        }
        assert_eq!(back.len(), parsed.plan.wanted.len(), "seed {seed}");
        // Who is short has no earlier sale with anything left.
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.starts_with('C')) {
            let cells: Vec<&str> = row.split(',').collect();
            let pieces: i64 = cells[2].parse().unwrap();
            let line = at as u64 + 2;
            if back.get(&line).is_some_and(|back| *back == -pieces) {
                continue;
            }
            let date = |day: &str| super::super::fields::date(&format!("1/{day}/2011 10:00")).unwrap();
            for sale in parsed.invoices.iter().filter(|sale| sale.customer == cells[4] && sale.date <= date(cells[3])) {
                let left = left.get(&(sale.number.as_str(), cells[1])).copied().unwrap_or_default();
                assert_eq!(left, 0, "seed {seed}: {row} could have taken from {}", sale.number);
            }
        }
    }
}
