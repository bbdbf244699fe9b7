//! What a request carries, as extractors: [`Form`] for posted forms, [`Query`] and [`Segment`] for
//! addresses, [`Peer`] for where it comes from.
//!
//! A form is read only after it has shown that it may be: not from another origin, not too large,
//! of the right type, and with the visitor's CSRF token. Handlers cannot forget to ask, since
//! this is the only way to a form's fields.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;

use crate::Shop;
use crate::csrf::{self, is_cross_origin};
use crate::error::PageError;
use crate::fields::Fields;
use crate::session::Visitor;

/// Largest body of a form, in bytes: the return of an order of 500 lines, whose longest SKUs make
/// field names of some 200 bytes.
pub(crate) const LARGEST_FORM: usize = 128 * 1024;

/// How much of a larger form is read and thrown away, in bytes, so that its sender gets to read why.
/// One that goes on is cut off.
const LARGEST_WASTE: usize = 32 << 20;

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
        let body = collect(body).await?;
        if !is_form(&parts.headers) {
            return Err(PageError::bad_request("That was no form of this shop."));
        }
        let fields = Fields::parse(&body)?;
        let visitor = Visitor::from_request_parts(&mut parts, shop).await?;
        let token = fields.optional(csrf::FIELD).unwrap_or_default();
        if !shop.csrf.verify(visitor.identity(), token) {
            return Err(PageError::foreign_form());
        }
        Ok(Self(fields))
    }
}

/// The whole body. One that is too large is still read, up to a bound: to answer and close while
/// its sender sends would cost him the answer.
async fn collect(body: Body) -> Result<Vec<u8>, PageError> {
    let mut chunks = body.into_data_stream();
    let (mut collected, mut seen) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        // The connection is gone, and nobody reads the answer.
        let chunk = chunk.map_err(|_| PageError::bad_request("The form broke off."))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= LARGEST_FORM {
            collected.extend_from_slice(&chunk);
        } else if seen > LARGEST_WASTE {
            break;
        }
    }
    if seen > LARGEST_FORM { Err(PageError::too_large()) } else { Ok(collected) }
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

/// The address that the request's connection comes from; `None` where the server does not say.
/// What headers claim about it is anybody's word and is not asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())))
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
