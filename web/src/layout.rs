//! What all pages share: the frame around them, and the headers that fence them in.
//!
//! The *Content-Security-Policy* lets a page load from this shop only, and run no inline script
//! or style: text of a stranger that slipped through the templates' escaping would still be
//! nothing that a browser runs. Hence the templates keep to classes and SVG attributes.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::assets::{AssetUrls, URLS};
use crate::error::PageError;

/// What the frame shows of its visitor.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub(crate) assets: &'static AssetUrls,
    /// Of who is logged in.
    pub(crate) email: Option<String>,
    pub(crate) operator: bool,
    /// Pieces in the cart.
    pub(crate) cart: i64,
    /// For the forms of this visitor.
    pub(crate) csrf: String,
    /// What stands in the search field.
    pub(crate) search: String,
}

impl Shell {
    pub(crate) fn new(email: Option<String>, operator: bool, cart: i64, csrf: String) -> Self {
        Self { assets: &URLS, email, operator, cart, csrf, search: String::new() }
    }
}

/// A drawn page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => {
            let about = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                // Every page shows its visitor's cart and name: nobody's cache may keep it.
                (header::CACHE_CONTROL, "no-store"),
            ];
            (status, about, text).into_response()
        }
        Err(cause) => {
            tracing::error!(%cause, "a page could not be drawn");
            PageError::broken().into_response()
        }
    }
}

const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'; object-src 'none'";

/// Middleware: sets the headers on every answer.
pub(crate) async fn fence(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With less, browsers would send `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
