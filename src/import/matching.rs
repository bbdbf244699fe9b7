//! `C…` invoices -> returns: which earlier sale each of their rows takes back.
//!
//! A till writes what comes back as a new invoice, and not which sale it undoes. So a
//! row is matched: it takes back pieces of its customer's **latest earlier sale** of the
//! SKU, and when nothing of that one is left, of the one before. Earlier is by date, and
//! at the same minute by the place in the file. What no sale is left for stays unmatched:
//! nobody is given money for what they did not buy.
//!
//! Pure, and from the file alone: how the sales fare in the shop does not change it, so
//! the same file always asks for the same returns under the same idempotency keys.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDateTime;

use super::parse::Invoice;
use super::rejects::{Reason, Rejects};

/// A row of a `C…` invoice.
#[derive(Debug)]
pub(crate) struct TakenBack {
    pub(crate) line: u64,
    pub(crate) invoice: String,
    pub(crate) customer: String,
    pub(crate) sku: String,
    pub(crate) pieces: i64,
    pub(crate) date: NaiveDateTime,
}

/// What a file takes back.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// One per `C…` invoice and sale; those of one sale by their dates.
    pub(crate) returns: Vec<Return>,
    /// How many pieces each matched row takes back, by line. A row may be matched in part
    /// only: the returns then have fewer.
    pub(crate) wanted: BTreeMap<u64, i64>,
}

/// What one `C…` invoice takes back of one sale.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Return {
    /// The `C…` invoice.
    pub(crate) number: String,
    /// The sale's invoice.
    pub(crate) sale: String,
    /// One per SKU.
    pub(crate) lines: Vec<ReturnLine>,
}

/// Pieces of one SKU of one sale.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReturnLine {
    pub(crate) sku: String,
    /// The row that sold it, the first if there are several.
    pub(crate) sold_by: u64,
    /// Rows of the `C…` invoice with their pieces.
    pub(crate) parts: Vec<(u64, i64)>,
}

impl ReturnLine {
    /// Its pieces.
    pub(crate) fn quantity(&self) -> i64 {
        self.parts.iter().map(|(_, pieces)| pieces).sum()
    }
}

/// A sale's line, as far as it is not yet taken back.
struct Sold<'i> {
    invoice: &'i str,
    date: NaiveDateTime,
    row: u64,
    left: i64,
}

/// Matches the rows of all `C…` invoices with the sales. Rows without a match join the
/// rejects.
pub(crate) fn match_sales(mut rows: Vec<TakenBack>, sales: &[Invoice], rejects: &mut Rejects) -> Plan {
    let mut sold = by_customer_and_sku(sales);
    let mut plan = Plan::default();
    let mut places: HashMap<(String, &str), usize> = HashMap::new();
    // The earlier cancellation has the first choice.
    rows.sort_by_key(|row| (row.date, row.line));
    for row in &rows {
        let of_the_sku = sold.get_mut(row.customer.as_str()).and_then(|skus| skus.get_mut(row.sku.as_str()));
        let earlier = of_the_sku.map(Vec::as_mut_slice).unwrap_or_default();
        let earlier = earlier.iter_mut().rev().filter(|sale| (sale.date, sale.row) < (row.date, row.line));
        let (mut missing, mut bought) = (row.pieces, 0);
        for sale in earlier {
            bought += 1;
            let pieces = missing.min(sale.left);
            if pieces == 0 {
                continue;
            }
            sale.left -= pieces;
            missing -= pieces;
            let place = *places.entry((row.invoice.clone(), sale.invoice)).or_insert_with(|| {
                let (number, sale) = (row.invoice.clone(), sale.invoice.to_owned());
                plan.returns.push(Return { number, sale, lines: Vec::new() });
                plan.returns.len() - 1
            });
            plan.returns[place].take(row, sale.row, pieces);
        }
        if missing < row.pieces {
            plan.wanted.insert(row.line, row.pieces);
        } else {
            rejects.add(row.line, Reason::NoMatchingSale, unmatched(row, bought));
        }
    }
    plan
}

impl Return {
    /// The rows of the `C…` invoice.
    pub(crate) fn rows(&self) -> impl Iterator<Item = u64> {
        self.lines.iter().flat_map(|line| line.parts.iter().map(|(row, _)| *row))
    }

    fn take(&mut self, row: &TakenBack, sold_by: u64, pieces: i64) {
        match self.lines.iter_mut().find(|line| line.sku == row.sku) {
            Some(line) => line.parts.push((row.line, pieces)),
            None => {
                let parts = vec![(row.line, pieces)];
                self.lines.push(ReturnLine { sku: row.sku.clone(), sold_by, parts });
            }
        }
    }
}

/// The sales' lines, of each customer and SKU in the order of their dates.
fn by_customer_and_sku(sales: &[Invoice]) -> HashMap<&str, HashMap<&str, Vec<Sold<'_>>>> {
    let mut sold: HashMap<&str, HashMap<&str, Vec<Sold<'_>>>> = HashMap::new();
    for invoice in sales {
        let skus = sold.entry(&invoice.customer).or_default();
        for line in &invoice.lines {
            let Some(&row) = line.rows.first() else { continue };
            let (date, left) = (invoice.date, line.quantity);
            skus.entry(&line.sku).or_default().push(Sold { invoice: &invoice.number, date, row, left });
        }
    }
    sold
}

fn unmatched(row: &TakenBack, bought: usize) -> String {
    let TakenBack { invoice, customer, sku, pieces, .. } = row;
    let why = match bought {
        0 => format!("customer {customer} has no earlier sale of it in this file"),
        1 => format!("customer {customer}'s earlier sale of it is taken back already"),
        _ => format!("customer {customer}'s {bought} earlier sales of it are taken back already"),
    };
    format!("{invoice} takes {pieces} of {sku} back, but {why}")
}

#[cfg(test)]
mod tests;
