//! The pages, one file an area. A handler asks the API, makes a view of the answer, draws it.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod cancel;
pub(crate) mod cart;
pub(crate) mod catalogue;
pub(crate) mod checkout;
pub(crate) mod give_back;
pub(crate) mod messages;
pub(crate) mod order;
pub(crate) mod orders;
pub(crate) mod pay;
pub(crate) mod read_models;
pub(crate) mod sales;

use axum::response::{IntoResponse, Redirect, Response};
use uuid::Uuid;

use crate::error::PageError;
use crate::fields::Fields;
use crate::mistakes::Mistakes;
use crate::order_view::number;
use crate::session::Visitor;
use crate::url;

/// Longest reason that a customer gives for a cancellation or a return, in characters.
const LONGEST_REASON: usize = 200;

/// Sends a visitor who is not logged in to do so, and back here afterwards.
fn log_in_first(back_to: &str) -> Response {
    Redirect::to(&format!("/login?next={}", url::encode(back_to))).into_response()
}

/// What only operators see is not there for others.
fn for_operators(visitor: &Visitor) -> Result<(), PageError> {
    let nothing = "The page you asked for is not one of the shop\u{2019}s.";
    if visitor.caller.is_operator() { Ok(()) } else { Err(PageError::not_found(nothing)) }
}

/// An idempotency key for a form: sent twice, the form counts once.
fn fresh_key() -> String {
    Uuid::new_v4().to_string()
}

/// Why, in the customer's words; `None` if nothing was said.
fn reason(form: &Fields) -> Result<Option<String>, Mistakes> {
    match form.optional("reason") {
        Some(reason) if reason.chars().count() > LONGEST_REASON => {
            Err(Mistakes::at_field("reason", format!("Say it in at most {LONGEST_REASON} characters.")))
        }
        reason => Ok(reason.map(str::to_owned)),
    }
}

/// A customer as operators read of him: "customer 3F9A2C", or the reference of one without account.
fn customer(id: &str) -> String {
    match id.strip_prefix("ref:") {
        Some(reference) => format!("customer ref. {reference}"),
        None => format!("customer {}", number(id)),
    }
}

/// The address of a list's next page: the path, what it is filtered by, and the cursor.
fn next_page(path: &str, filter: Option<(&str, &str)>, has_next: bool, cursor: Option<&str>) -> Option<String> {
    let cursor = cursor.filter(|_| has_next)?;
    let filter = filter.map_or_else(String::new, |(name, value)| format!("{name}={}&", url::encode(value)));
    Some(format!("{path}?{filter}after={}", url::encode(cursor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_page_keeps_what_its_list_is_narrowed_to() {
        let next = |filter, has_next| next_page("/orders", filter, has_next, Some("a b&c"));
        assert_eq!(next(Some(("status", "PAID")), true).as_deref(), Some("/orders?status=PAID&after=a%20b%26c"));
        assert_eq!(next(None, true).as_deref(), Some("/orders?after=a%20b%26c"));
        assert_eq!(next(None, false), None);
    }

    #[test]
    fn a_customer_is_called_by_the_end_of_an_id_or_by_a_reference() {
        assert_eq!(customer("019ab3f0-0000-7000-8000-0000003f9a2c"), "customer 3F9A2C");
        assert_eq!(customer("ref:17850"), "customer ref. 17850");
    }
}
