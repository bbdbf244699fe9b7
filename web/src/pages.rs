//! The pages, one file an area. A handler asks the API, makes a view of the answer, draws it.

pub(crate) mod account;
pub(crate) mod cart;
pub(crate) mod catalogue;
pub(crate) mod checkout;
pub(crate) mod messages;
pub(crate) mod orders;

use axum::response::{IntoResponse, Redirect, Response};
use uuid::Uuid;

use crate::url;

/// Sends a visitor who is not logged in to do so, and back here afterwards.
fn log_in_first(back_to: &str) -> Response {
    Redirect::to(&format!("/login?next={}", url::encode(back_to))).into_response()
}

/// An idempotency key for a form: sent twice, the form counts once.
fn fresh_key() -> String {
    Uuid::new_v4().to_string()
}

/// The address of a list's next page: the path, what it is filtered by, and the cursor.
fn next_page(path: &str, filter: Option<(&str, &str)>, has_next: bool, cursor: Option<&str>) -> Option<String> {
    let cursor = cursor.filter(|_| has_next)?;
    let filter = filter.map_or_else(String::new, |(name, value)| format!("{name}={}&", url::encode(value)));
    Some(format!("{path}?{filter}after={}", url::encode(cursor)))
}
