//! Limits: what a document may cost, checked before anything walks it.
//!
//! A document of a kilobyte can stand for billions of fields: fragments that
//! spread others twice double with each step. And one that is all brackets digs
//! as deep into the stack as it is long. So the text's nesting is counted before
//! it is parsed, and the parsed document is weighed with each fragment looked at
//! once (`scales.rs`). The executor's own limits (complexity, with the rows that a
//! list may have) come after these, and walk only what is small.
//!
//! A batch of documents in one body is no request at all (`http.rs`), so what is
//! bounded here is bounded for a request.

mod scales;

use async_graphql::{Request, ServerError};

use crate::api::validate;

/// What all fields of a document may cost together; a field costs 1, a list its
/// children times its rows, a password's hash far more.
pub(super) const MOST_COMPLEX: usize = 20_000;
/// What a field costs that asks a service.
pub(super) const CALL: usize = 10;
/// Directives in one place.
pub(super) const MOST_DIRECTIVES: usize = 10;
/// Bytes of a document: 256 KiB. What is long belongs into its variables.
const LONGEST: usize = 256 << 10;
/// Fields and spreads of a document, fragments written out.
const MOST_SELECTIONS: usize = 10_000;
/// Fields under another name, fragments written out: each may be a question of its
/// own to a service.
const MOST_ALIASES: usize = 200;
/// Selection sets inside one another, fragments written out.
const DEEPEST: usize = 32;
/// Brackets inside one another, of any kind.
const MOST_NESTED: usize = 64;
/// Arguments of one field or directive; the largest field has seven. The executor
/// compares those of fields that share a name, each with each.
const MOST_ARGUMENTS: usize = 20;
/// Variables of one operation.
const MOST_VARIABLES: usize = 500;

/// Parses a request's document, if it is of a bearable size, and weighs it.
pub(super) fn admit(request: &mut Request) -> Result<(), ServerError> {
    if request.query.len() > LONGEST {
        return Err(refused("the document is too long; put what is long into its variables"));
    }
    if nesting(&request.query) > MOST_NESTED {
        return Err(refused(TOO_DEEP));
    }
    scales::weigh(request.parsed_query()?)
}

/// Whether the operation that is meant is a subscription.
pub(super) fn subscribes(request: &mut Request) -> Result<bool, ServerError> {
    let name = request.operation_name.clone();
    Ok(scales::subscribes(request.parsed_query()?, name.as_deref()))
}

const TOO_DEEP: &str = "the document is nested too deep";

/// A list's cost: its rows times what one costs. `first` is as a stranger sent it.
pub(super) fn rows(first: Option<i32>, child_complexity: usize) -> usize {
    at_most(validate::LARGEST_PAGE, first, child_complexity)
}

/// As [`rows`], of a list of windows.
pub(super) fn windows(first: Option<i32>, child_complexity: usize) -> usize {
    at_most(validate::MOST_WINDOWS, first, child_complexity)
}

fn at_most(most: i32, first: Option<i32>, child_complexity: usize) -> usize {
    let rows = usize::try_from(first.unwrap_or(most).clamp(1, most)).unwrap_or(1);
    child_complexity.saturating_mul(rows).saturating_add(CALL)
}

fn refused(message: &str) -> ServerError {
    ServerError::new(message, None)
}

/// How deep the text's brackets go, leaving out those in strings and comments.
fn nesting(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut deepest) = (0, 0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => at += until(&bytes[at..], |rest| rest[0] == b'\n' || rest[0] == b'\r'),
            b'"' if bytes[at..].starts_with(b"\"\"\"") => at = end_of_block_string(bytes, at + 3),
            b'"' => at = end_of_string(bytes, at + 1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// How many bytes until the rest meets the condition, or ends.
fn until(bytes: &[u8], met: impl Fn(&[u8]) -> bool) -> usize {
    (0..bytes.len()).find(|&at| met(&bytes[at..])).unwrap_or(bytes.len())
}

/// The place of the quote that ends a string (or of the line's end, which makes it
/// a syntax error).
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' | b'\n' | b'\r' => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The place of the last of the three quotes that end a block string.
fn end_of_block_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"\\\"\"\"") {
            at += 4;
        } else if bytes[at..].starts_with(b"\"\"\"") {
            return at + 2;
        } else {
            at += 1;
        }
    }
    at
}

#[cfg(test)]
mod tests;
