//! The rows that were not imported: why, and the file that gives them back.
//!
//! Every row ends in exactly one of two places, imported or here; [`Rejects`] is keyed
//! by line, so that no row can be counted twice. A row of a `C…` invoice that could be
//! returned in part only is here, since somebody must look at it; its detail tells how
//! much of it was done.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use super::rows::rows;

/// Why a row was not imported. The code is stable: scripts may rely on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Too few or too many columns.
    Columns,
    /// A quotation that the line does not close.
    Quote,
    /// No usable invoice number.
    Invoice,
    /// A `C…` invoice takes an earlier sale of the file back, which only a replay does.
    Cancellation,
    /// A `C…` invoice takes back what the customer did not buy before, as far as the
    /// file tells, or no longer has.
    NoMatchingSale,
    /// An `A…` invoice: a bookkeeping entry.
    Adjustment,
    /// No usable stock code.
    Sku,
    /// A charge or correction in place of a stock code.
    NotAProduct,
    /// No whole quantity of at least one.
    Quantity,
    /// No price of at least one minor unit.
    Price,
    /// No date that can be read.
    Date,
    /// No usable customer, or another one than the invoice's.
    Customer,
    /// The invoice has more products than an order may have lines.
    TooManyLines,
    /// The server refused the product, its stock, the order or its return, with this
    /// error code.
    Refused(String),
    /// The order ended in this status instead of being confirmed.
    Order(String),
}

impl Reason {
    /// The code as files and summaries show it: `PRICE`, `BAD_USER_INPUT`,
    /// `ORDER_EXPIRED`.
    pub(crate) fn code(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Reason::Columns => "COLUMNS",
            Reason::Quote => "QUOTE",
            Reason::Invoice => "INVOICE",
            Reason::Cancellation => "CANCELLATION",
            Reason::NoMatchingSale => "NO_MATCHING_SALE",
            Reason::Adjustment => "ADJUSTMENT",
            Reason::Sku => "SKU",
            Reason::NotAProduct => "NOT_A_PRODUCT",
            Reason::Quantity => "QUANTITY",
            Reason::Price => "PRICE",
            Reason::Date => "DATE",
            Reason::Customer => "CUSTOMER",
            Reason::TooManyLines => "TOO_MANY_LINES",
            Reason::Refused(code) => code,
            Reason::Order(status) => return Cow::Owned(format!("ORDER_{status}")),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code())
    }
}

/// A reason and one sentence for the person who will mend the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

/// The rejected rows by line.
#[derive(Debug, Default)]
pub(crate) struct Rejects {
    by_line: BTreeMap<u64, Reject>,
}

impl Rejects {
    /// Rejects a row. The first reason stands.
    pub(crate) fn add(&mut self, line: u64, reason: Reason, detail: impl Into<String>) {
        self.by_line.entry(line).or_insert_with(|| Reject { reason, detail: detail.into() });
    }

    /// Rejects several rows for one reason.
    pub(crate) fn add_all(&mut self, lines: &[u64], reason: &Reason, detail: &str) {
        for line in lines {
            self.add(*line, reason.clone(), detail);
        }
    }

    /// How many rows are rejected.
    pub(crate) fn len(&self) -> u64 {
        self.by_line.len() as u64
    }

    /// The reject of the row at `line`.
    pub(crate) fn get(&self, line: u64) -> Option<&Reject> {
        self.by_line.get(&line)
    }

    /// Rows by reason, most first.
    pub(crate) fn tally(&self) -> Vec<(Cow<'_, str>, u64)> {
        let mut counts: BTreeMap<Cow<'_, str>, u64> = BTreeMap::new();
        for reject in self.by_line.values() {
            *counts.entry(reject.reason.code()).or_default() += 1;
        }
        let mut tally: Vec<_> = counts.into_iter().collect();
        tally.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        tally
    }

    /// Writes the rejected rows of `data`, the file they come from: line, reason,
    /// detail, then the row's own columns as text. Without rejects, the header alone.
    ///
    /// # Errors
    /// What `to` answers.
    pub(crate) fn write(&self, data: &[u8], to: impl Write) -> io::Result<()> {
        let mut file = csv::WriterBuilder::new().flexible(true).from_writer(to);
        let mut header = true;
        for row in rows(data) {
            let texts = row.cells.texts();
            let texts = texts.iter().map(|text| text.as_bytes());
            if header {
                let ours: [&[u8]; 3] = [b"line", b"reason", b"detail"];
                file.write_record(ours.into_iter().chain(texts))?;
                header = false;
            } else if let Some(reject) = self.get(row.line) {
                let (line, code) = (row.line.to_string(), reject.reason.code());
                let ours = [line.as_bytes(), code.as_bytes(), reject.detail.as_bytes()];
                file.write_record(ours.into_iter().chain(texts))?;
            }
        }
        file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(rejects: &Rejects, data: &[u8]) -> String {
        let mut file = Vec::new();
        rejects.write(data, &mut file).unwrap();
        String::from_utf8(file).unwrap()
    }

    #[test]
    fn rejected_rows_come_back_with_line_reason_and_their_own_columns() {
        let data = b"A,B\n1,\"x, y\"\n\n2\n3,caf\xe9\n4,\"open\n";
        let mut rejects = Rejects::default();
        rejects.add(2, Reason::Price, "the price is missing");
        rejects.add(5, Reason::Order("EXPIRED".into()), "not paid, \"late\"");
        rejects.add(6, Reason::Quote, "a quotation is not closed");
        assert_eq!(
            written(&rejects, data),
            "line,reason,detail,A,B\n\
             2,PRICE,the price is missing,1,\"x, y\"\n\
             5,ORDER_EXPIRED,\"not paid, \"\"late\"\"\",3,café\n\
             6,QUOTE,a quotation is not closed,\"4,\"\"open\"\n"
        );
    }

    #[test]
    fn without_rejects_the_file_has_its_header_only() {
        assert_eq!(written(&Rejects::default(), b"A,B\n1,2\n"), "line,reason,detail,A,B\n");
    }

    #[test]
    fn the_first_reason_of_a_row_stands_and_it_counts_once() {
        let mut rejects = Rejects::default();
        rejects.add(7, Reason::Date, "first");
        rejects.add_all(&[7, 8, 9], &Reason::Refused("CONFLICT".into()), "second");
        assert_eq!(rejects.len(), 3);
        assert_eq!(rejects.tally(), vec![("CONFLICT".into(), 2), ("DATE".into(), 1)]);
    }
}
