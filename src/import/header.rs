//! The header of the file: which column is where, and what a file without one may be.

use std::fmt;

use csv::ByteRecord;

use super::fields::shown;
use super::rows::{Cells, Row};

/// A column of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Invoice,
    Sku,
    Name,
    Quantity,
    Date,
    Price,
    Customer,
    /// Must be there; nothing is made of it.
    Country,
}

/// Each column with its name and, in lower case and without spaces, the names that
/// other editions of the data set give it.
const NAMES: [(Column, &str, &[&str]); 8] = [
    (Column::Invoice, "InvoiceNo", &["invoice"]),
    (Column::Sku, "StockCode", &[]),
    (Column::Name, "Description", &[]),
    (Column::Quantity, "Quantity", &[]),
    (Column::Date, "InvoiceDate", &[]),
    (Column::Price, "UnitPrice", &["price"]),
    (Column::Customer, "CustomerID", &[]),
    (Column::Country, "Country", &[]),
];

/// The file is not in the format; where, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FormatError {
    pub(crate) line: u64,
    /// The name of the missing or doubled column, when it is about one.
    pub(crate) column: Option<&'static str>,
    text: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.text)
    }
}

impl std::error::Error for FormatError {}

/// Where each column stands.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Indices in the order of [`NAMES`].
    places: [usize; 8],
    width: usize,
}

impl Columns {
    /// Finds the columns in the first row of `data`, in any order and case.
    ///
    /// # Errors
    /// A column that is missing or there twice, or no header at all.
    pub(crate) fn read(data: &[u8], first: Option<Row<'_>>) -> Result<Self, FormatError> {
        let fail = |line, column, text: String| Err(FormatError { line, column, text });
        if let Some(kind) = other_kind(data) {
            return fail(1, None, format!("this is {kind}; save it as comma-separated text (UTF-8)"));
        }
        let Some(row) = first else {
            return fail(1, None, format!("the file is empty; its header is {}", header()));
        };
        let Cells::Record(record) = &row.cells else {
            return fail(row.line, None, "the header has a quotation that is not closed".into());
        };
        let texts = row.cells.texts();
        let found: Vec<String> = texts.iter().map(|text| plain(text)).collect();
        let mut places = [0; 8];
        for (place, (_, name, others)) in places.iter_mut().zip(NAMES) {
            let lower = name.to_ascii_lowercase();
            let is_it = |text: &String| *text == lower || others.contains(&text.as_str());
            let mut at = (0..found.len()).filter(|at| is_it(&found[*at]));
            let Some(first) = at.next() else {
                let mut text = format!("the header has no such column; it is {}", header());
                if let [only] = texts.as_slice() {
                    text += &format!(", here {}", shown(only));
                }
                return fail(row.line, Some(name), text);
            };
            if at.next().is_some() {
                return fail(row.line, Some(name), "the header has it twice".into());
            }
            *place = first;
        }
        Ok(Columns { places, width: record.len() })
    }

    /// Whether a row has the header's columns; empty ones at the end may be too many.
    ///
    /// # Errors
    /// A sentence with both numbers.
    pub(crate) fn check(&self, record: &ByteRecord) -> Result<(), String> {
        let surplus = record.iter().skip(self.width).any(|cell| !cell.is_empty());
        if record.len() < self.width || surplus {
            let (has, wants) = (record.len(), self.width);
            return Err(format!("the row has {has} columns, the header {wants}"));
        }
        Ok(())
    }

    /// A cell of a row that passed [`Columns::check`].
    pub(crate) fn cell<'r>(&self, record: &'r ByteRecord, column: Column) -> &'r [u8] {
        record.get(self.places[column as usize]).unwrap_or_default()
    }
}

fn header() -> String {
    NAMES.map(|(_, name, _)| name).join(",")
}

/// `Customer ID` -> `customerid`.
fn plain(text: &str) -> String {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// What is often taken for a CSV file.
fn other_kind(data: &[u8]) -> Option<&'static str> {
    let first = data.split(|b| *b == b'\n').next().unwrap_or_default();
    if data.starts_with(b"PK\x03\x04") {
        Some("a spreadsheet or an archive")
    } else if data.starts_with(b"\x1f\x8b") {
        Some("compressed")
    } else if data.starts_with(b"\xff\xfe") || data.starts_with(b"\xfe\xff") {
        Some("text in UTF-16")
    } else if first.contains(&b';') && !first.contains(&b',') {
        Some("separated by semicolons")
    } else if first.contains(&b'\t') && !first.contains(&b',') {
        Some("separated by tabs")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::rows::rows;

    fn error(data: &[u8]) -> String {
        match Columns::read(data, rows(data).next()) {
            Ok(columns) => panic!("taken for a header: {columns:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn is_header(data: &[u8]) -> bool {
        Columns::read(data, rows(data).next()).is_ok()
    }

    #[test]
    fn the_table_of_names_is_in_the_order_of_the_columns() {
        for (place, (column, _, _)) in NAMES.iter().enumerate() {
            assert_eq!(place, *column as usize);
        }
    }

    #[test]
    fn a_missing_column_is_named_with_its_line() {
        let text = error(b"\nInvoiceNo,StockCode,Description,Quantity,InvoiceDate,CustomerID,Country\n");
        assert!(text.starts_with("line 2, column UnitPrice: "), "{text}");
    }

    #[test]
    fn a_doubled_column_is_named() {
        let text = error(b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country,Quantity");
        assert_eq!(text, "line 1, column Quantity: the header has it twice");
    }

    #[test]
    fn what_is_no_csv_file_is_called_by_its_kind() {
        assert!(error(b"").contains("empty"));
        assert!(error(b"PK\x03\x04\x14\0").contains("spreadsheet"));
        assert!(error(b"\x1f\x8b\x08").contains("compressed"));
        assert!(error(b"\xff\xfeI\0n\0").contains("UTF-16"));
        assert!(error(b"InvoiceNo;StockCode;Description\n1;2;3\n").contains("semicolons"));
        assert!(error(b"InvoiceNo\tStockCode\n").contains("tabs"));
        assert!(error(b"\"InvoiceNo,StockCode\n1,2\n").contains("quotation"));
        assert!(error(b"just a line\n").contains("just a line"));
    }

    #[test]
    fn case_order_and_the_second_edition_of_the_data_set_do_not_matter() {
        assert!(is_header(b"Country,Customer ID,Price,InvoiceDate,quantity,Description,StockCode,INVOICE\n"));
    }
}
