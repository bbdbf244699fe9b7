//! What the commands print: tables for people, one line of JSON a thing for programs.
//!
//! Texts that came with a message may hold anything; what could speak to a terminal is
//! made harmless. A reader that has had enough (`| head`) ends a command quietly.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use chrono::DateTime;
use serde::Serialize;

/// Longest text in a column, in characters.
const WIDEST: usize = 60;

/// Prints a line, or fails with a closed pipe.
///
/// # Errors
/// Standard output cannot be written to.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints a thing as one line of JSON.
///
/// # Errors
/// Standard output cannot be written to.
pub(crate) fn json(thing: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string(thing)?)?)
}

/// Success, if the command ended because nobody reads on.
///
/// # Errors
/// Any other error of the command.
pub(crate) fn unless_nobody_reads(result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match result {
        Err(error)
            if error.chain().any(|cause| {
                cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
            }) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        result => result,
    }
}

/// A text without control characters, such as those that move a terminal's cursor.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A moment in UTC, to the second; a dash for none.
pub(crate) fn moment(millis: Option<i64>) -> String {
    let moment = millis.and_then(DateTime::from_timestamp_millis);
    moment.map_or_else(|| "-".to_owned(), |moment| moment.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Rows under a headline, each column as wide as its widest text.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows yet.
    pub(crate) fn new(headline: &[&str]) -> Self {
        Self { rows: vec![headline.iter().map(|title| (*title).to_owned()).collect()] }
    }

    /// Adds a row; a text that is too wide is cut off.
    pub(crate) fn row(&mut self, texts: impl IntoIterator<Item = impl ToString>) {
        self.rows.push(texts.into_iter().map(|text| cut(&harmless(&text.to_string()))).collect());
    }

    /// Prints it.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(crate) fn print(&self) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let texts: Vec<String> =
                row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}", width = *width)).collect();
            line(texts.join("  ").trim_end())?;
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    text.chars().take(WIDEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_made_harmless() {
        assert_eq!(harmless("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb\u{fffd}c");
        assert_eq!(cut(&"x".repeat(100)).chars().count(), WIDEST);
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_everything_else_is() {
        let closed = io::Error::new(ErrorKind::BrokenPipe, "closed");
        assert!(unless_nobody_reads(Err(anyhow::Error::from(closed).context("printing"))).is_ok());
        assert!(unless_nobody_reads(Err(anyhow::anyhow!("refused"))).is_err());
    }
}
