//! What a request carries, as extractors: [`Form`] for posted forms, [`Query`] for addresses.
//!
//! A form is read only after it has shown that it may be: not from another origin, not too large,
//! of the right type, and with the visitor's CSRF token. Handlers cannot forget to ask, since
//! this is the only way to a form's fields.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::Shop;
use crate::csrf::{self, is_cross_origin};
use crate::error::PageError;
use crate::fields::Fields;
use crate::session::Visitor;

/// Largest body of a form, in bytes.
const LARGEST_FORM: usize = 64 * 1024;

/// A form of this visitor's.
#[derive(Debug)]
pub(crate) struct Form(pub(crate) Fields);

impl FromRequest<Shop> for Form {
    type Rejection = PageError;

    async fn from_request(request: Request, shop: &Shop) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        if is_cross_origin(&parts.headers, &parts.uri) {
            return Err(PageError::foreign_form());
        }
        if announced_length(&parts.headers).is_some_and(|length| length > LARGEST_FORM) {
            return Err(PageError::too_large());
        }
        if !is_form(&parts.headers) {
            return Err(PageError::bad_request("That was no form of this shop."));
        }
        // Fails for a longer body, or for a connection that is gone, where nobody reads the answer.
        let body = to_bytes(body, LARGEST_FORM).await.map_err(|_| PageError::too_large())?;
        let fields = Fields::parse(&body)?;
        let visitor = Visitor::from_request_parts(&mut parts, shop).await?;
        let token = fields.optional(csrf::FIELD).unwrap_or_default();
        if !shop.csrf.verify(visitor.identity(), token) {
            return Err(PageError::foreign_form());
        }
        Ok(Self(fields))
    }
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// What stands after the question mark.
#[derive(Debug)]
pub(crate) struct Query(pub(crate) Fields);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()).map(Self)
    }
}

/// The one changing part of a path. Without control characters: what is none of ours is 404.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| PageError::bad_request("The address could not be read."))?;
        if text.chars().any(char::is_control) {
            return Err(PageError::bad_request("The address could not be read."));
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_encoded_forms_are_forms() {
        let is = |value: &'static str| {
            is_form(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        assert!(is("application/x-www-form-urlencoded"));
        assert!(is("application/X-WWW-Form-Urlencoded; charset=UTF-8"));
        assert!(!is("multipart/form-data; boundary=x"));
        assert!(!is("text/plain"));
        assert!(!is_form(&HeaderMap::new()));
    }
}
