//! What a caller may ask for: pages, searches, and whose rows.

use contracts::common;
use platform::error::{Failure, Rejection};
use platform::grpc::Identity;
use platform::text;
use serde::de::DeserializeOwned;

use crate::cursor;
use crate::store::reads::Page;
use crate::store::reads::products;

/// Most rows in a page.
const LARGEST_PAGE: i32 = 100;
/// Most keys in one question.
const MOST_KEYS: usize = 1_000;
/// Longest search text, in characters.
const LONGEST_SEARCH: usize = 200;

/// Somebody else's order is not forbidden but not there.
pub(super) fn no_order() -> Failure {
    Rejection::not_found("there is no such order").into()
}

/// Customers see their own orders only.
pub(super) fn own(customer_id: &str, caller: &Identity) -> Result<(), Failure> {
    if caller.operator || customer_id == caller.account { Ok(()) } else { Err(no_order()) }
}

/// Whose rows are listed: an operator chooses, anybody else gets their own.
pub(super) fn whose(caller: Identity, asked: String) -> Result<Option<String>, Rejection> {
    if !caller.operator {
        return Ok(Some(caller.account));
    }
    if asked.is_empty() {
        return Ok(None);
    }
    text::key("customer_id", &asked)?;
    Ok(Some(asked))
}

/// The keys of a question about many things.
pub(super) fn many(field: &str, keys: &[String]) -> Result<(), Rejection> {
    if keys.len() > MOST_KEYS {
        return Err(Rejection::bad_input(format!("{field} must be at most {MOST_KEYS}")));
    }
    keys.iter().try_for_each(|key| text::key(field, key))
}

/// The patterns of a search.
pub(super) fn search_patterns(search: &str) -> Result<Vec<String>, Rejection> {
    if search.chars().count() > LONGEST_SEARCH {
        return Err(Rejection::bad_input(format!("search must be at most {LONGEST_SEARCH} characters")));
    }
    let patterns = products::patterns(search);
    if patterns.iter().any(|pattern| pattern.chars().any(char::is_control)) {
        return Err(Rejection::bad_input("search must not contain control characters"));
    }
    Ok(patterns)
}

/// A page of a list.
pub(super) fn read_page<K: DeserializeOwned>(list: &str, page: Option<&common::Page>) -> Result<Page<K>, Rejection> {
    let first = page.map_or(0, |page| page.first);
    if !(1..=LARGEST_PAGE).contains(&first) {
        return Err(Rejection::bad_input(format!("page.first must be between 1 and {LARGEST_PAGE}")));
    }
    let after = page.and_then(|page| page.after.as_deref()).map(|after| cursor::decode(list, after)).transpose()?;
    Ok(Page { after, rows: i64::from(first) })
}

/// Takes off the row that only showed that there is a next page.
pub(super) fn cut<T, K>(rows: &mut Vec<T>, page: &Page<K>) -> bool {
    let shown = usize::try_from(page.rows).unwrap_or(usize::MAX);
    let has_next = rows.len() > shown;
    rows.truncate(shown);
    has_next
}
