//! The account of the rows that take something back: wanted, returned, refused.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::matching::Return;
use super::super::rejects::{Reason, Rejects};
use super::super::replay::{Written, amount_of};

/// What becomes of each row that takes something back.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Pieces, by row.
    wanted: BTreeMap<u64, i64>,
    /// Pieces that the shop has taken back, by row.
    back: BTreeMap<u64, i64>,
    refused: BTreeMap<u64, (Reason, String)>,
    returns: u64,
    /// Given back, minor units.
    amount: i64,
}

impl Ledger {
    /// An account of rows with the pieces that they take back.
    pub(super) fn new(wanted: BTreeMap<u64, i64>) -> Self {
        Ledger { wanted, ..Ledger::default() }
    }

    /// A return is made.
    ///
    /// `order` is the shop's answer: the money is what was paid, not what the file says.
    pub(super) fn done(&mut self, planned: &Return, order: &Value) {
        self.returns += 1;
        for line in &planned.lines {
            self.amount += amount_of(order, |sku| if sku == line.sku { line.quantity() } else { 0 });
            for (row, pieces) in &line.parts {
                *self.back.entry(*row).or_default() += pieces;
            }
        }
    }

    /// Rows are not returned, or not all of their pieces. The first reason stands.
    pub(super) fn refuse(&mut self, rows: impl Iterator<Item = u64>, reason: &Reason, detail: &str) {
        for row in rows {
            self.refused.entry(row).or_insert_with(|| (reason.clone(), detail.to_owned()));
        }
    }

    /// Whole rows are imported; the others are rejected, with what was done of them.
    pub(super) fn close(mut self, rejects: &mut Rejects, written: &mut Written) {
        written.returns += self.returns;
        written.returned.pence += self.amount;
        for (row, wanted) in self.wanted {
            let back = self.back.remove(&row).unwrap_or_default();
            written.returned.pieces += back;
            if back == wanted {
                written.returned.rows += 1;
                continue;
            }
            let (reason, detail) = self.refused.remove(&row).unwrap_or_else(|| {
                (Reason::NoMatchingSale, "the customer's earlier sales in this file have no more of it".to_owned())
            });
            let done = if back == 0 { String::new() } else { format!("{back} of {wanted} pieces are returned; ") };
            rejects.add(row, reason, done + &detail);
        }
    }
}
