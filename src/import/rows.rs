//! The rows of a CSV file, one per physical line, with their line numbers.
//!
//! CSV lets a quoted cell run over several lines. A till's export never means that:
//! a quotation that its line does not close is a typing error, and a plain CSV
//! reader would swallow every row up to the next quotation mark without a word.
//! Here such a line is handed out alone as [`Cells::Unclosed`], and reading goes on
//! at the next line. Thus a row is a line, and its line number names it.

use std::borrow::Cow;

use csv::{ByteRecord, Reader, ReaderBuilder};

/// One row of the file.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// The physical line in the file, from 1; blank lines count.
    pub(crate) line: u64,
    pub(crate) cells: Cells<'a>,
}

/// What stands in a row.
#[derive(Debug)]
pub(crate) enum Cells<'a> {
    /// As many cells as the line has.
    Record(ByteRecord),
    /// The raw line: it opens a quotation and does not close it.
    Unclosed(&'a [u8]),
}

impl Cells<'_> {
    /// The cells as text, for showing the row again as it was.
    pub(crate) fn texts(&self) -> Vec<Cow<'_, str>> {
        match self {
            Cells::Record(record) => record.iter().map(decode).collect(),
            Cells::Unclosed(raw) => vec![decode(raw)],
        }
    }
}

/// The rows of `data`, its header included, blank lines left out.
pub(crate) fn rows(data: &[u8]) -> Rows<'_> {
    Rows { data, reader: reader(data), base: 0, counted: 0, line: 1 }
}

/// See [`rows`].
pub(crate) struct Rows<'a> {
    data: &'a [u8],
    reader: Reader<&'a [u8]>,
    /// Where in `data` the present reader began.
    base: usize,
    /// Up to where in `data` the line breaks are counted into `line`.
    counted: usize,
    line: u64,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let mut record = ByteRecord::new();
        let found =
            self.reader.read_byte_record(&mut record).expect("byte records of any length can be read from memory");
        if !found {
            return None;
        }
        let start = self.start_of(&record);
        self.line += line_breaks(&self.data[self.counted..start]);
        self.counted = start;

        let cells = if record.as_slice().iter().any(is_break) {
            let rest = &self.data[start..];
            let end = start + rest.iter().position(is_break).unwrap_or(rest.len());
            self.base = end;
            self.reader = reader(&self.data[end..]);
            Cells::Unclosed(&self.data[start..end])
        } else {
            Cells::Record(record)
        };
        Some(Row { line: self.line, cells })
    }
}

impl Rows<'_> {
    /// Where the record's first byte is. The reader's own position still points
    /// before the blank lines that it skipped on the way.
    fn start_of(&self, record: &ByteRecord) -> usize {
        let offset = record.position().map_or(0, csv::Position::byte);
        let offset = usize::try_from(offset).expect("an offset into memory fits");
        let from = (self.base + offset).min(self.data.len());
        let blank = self.data[from..].iter().take_while(|b| is_break(b)).count();
        from + blank
    }
}

fn reader(data: &[u8]) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).from_reader(data)
}

fn is_break(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Line breaks in all three customs: `\n`, `\r\n` and `\r` alone.
fn line_breaks(data: &[u8]) -> u64 {
    let mut breaks = 0;
    for (at, byte) in data.iter().enumerate() {
        if *byte == b'\n' || (*byte == b'\r' && data.get(at + 1) != Some(&b'\n')) {
            breaks += 1;
        }
    }
    breaks
}

/// UTF-8, or where it is not, Latin-1: every byte is the code point of that number.
/// Decided cell by cell, because such files are pasted together.
pub(crate) fn decode(cell: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(cell) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(cell.iter().map(|byte| char::from(*byte)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(data: &[u8]) -> Vec<(u64, Vec<String>, bool)> {
        rows(data)
            .map(|row| {
                let unclosed = matches!(row.cells, Cells::Unclosed(_));
                let texts = row.cells.texts();
                let texts = texts.into_iter().map(Cow::into_owned).collect();
                (row.line, texts, unclosed)
            })
            .collect()
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>, bool) {
        (line, cells.iter().map(|c| (*c).to_owned()).collect(), false)
    }

    #[test]
    fn blank_lines_are_no_rows_but_count_as_lines() {
        let expected = vec![row(2, &["a", "b"]), row(5, &["c"]), row(6, &["d"])];
        assert_eq!(seen(b"\na,b\n\n\nc\nd"), expected);
        assert_eq!(seen(b"\r\na,b\r\n\r\n\r\nc\r\nd\r\n"), expected);
        assert_eq!(seen(b"\ra,b\r\r\rc\rd\r"), expected);
    }

    #[test]
    fn a_quoted_cell_may_hold_commas_and_quotation_marks() {
        assert_eq!(
            seen(b"1,\"TEA, COFFEE \"\"AND\"\" SUGAR\",2\n"),
            vec![row(1, &["1", "TEA, COFFEE \"AND\" SUGAR", "2"])]
        );
    }

    #[test]
    fn a_quotation_that_is_not_closed_costs_its_own_line_only() {
        let found = seen(b"1,2\n3,\"RECORD FRAME 7,4\n5,6\n\n7,\"8\n9,\"x\"\n");
        let unclosed = |line, raw: &str| (line, vec![raw.to_owned()], true);
        assert_eq!(
            found,
            vec![
                row(1, &["1", "2"]),
                unclosed(2, "3,\"RECORD FRAME 7,4"),
                row(3, &["5", "6"]),
                unclosed(5, "7,\"8"),
                row(6, &["9", "x"]),
            ]
        );
    }

    #[test]
    fn nothing_has_no_rows() {
        assert!(seen(b"").is_empty());
        assert!(seen(b"\n\r\n\n").is_empty());
    }

    #[test]
    fn what_is_not_utf_8_is_latin_1() {
        assert_eq!(decode(b"GIFT \xa320"), "GIFT £20");
        assert_eq!(decode("GIFT £20".as_bytes()), "GIFT £20");
        assert_eq!(decode(b"CAF\xc9"), "CAFÉ");
    }
}
