//! Errors as pages: what went wrong, in a visitor's words, with the right status.
//!
//! A handler answers `Result<_, PageError>`. Only the middleware of `session.rs` knows who the
//! visitor is, so the error travels to it in the response's extensions and is drawn there, with
//! header and cart like every other page. The kinds come from the platform's one table of codes;
//! no internal text can get here, because the API has left it behind. A handler that panics, which
//! is a defect, becomes a page in the same way.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use gateway::ApiError;
use platform::error::Code;

use crate::mistakes::words;

/// A page that says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageError {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) message: Cow<'static, str>,
    /// Whether looking again in a moment will do: the page then does so by itself.
    pub(crate) catching_up: bool,
    /// In how many seconds it is worth asking again, if that is known.
    pub(crate) retry_after: Option<u64>,
}

impl PageError {
    fn new(status: StatusCode, title: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, title, message: message.into(), catching_up: false, retry_after: None }
    }

    /// 400: the request is wrong in itself.
    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That did not make sense", message)
    }

    /// 403: the form is not one that this shop gave to this visitor.
    pub(crate) fn foreign_form() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This form has expired",
            "It was opened before you logged in or out, or it came from somewhere else. \
             Go back, reload the page and try again; nothing has been changed.",
        )
    }

    /// 404: no such page, or none for this visitor.
    pub(crate) fn not_found(message: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing here", message)
    }

    /// 405: a page was asked for as a form, or the other way round.
    pub(crate) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "That is not how this page works",
            "Start again from the shop\u{2019}s pages.",
        )
    }

    /// 413: more than any form of ours sends.
    pub(crate) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "That was too much",
            "The form carried more than the shop reads at once.",
        )
    }

    /// 500: a defect of ours. What it is stands in the log, never on the page.
    pub(crate) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something of ours is broken",
            "The page could not be made. It is our mistake, not yours, and it has been written down. \
             What you did before is safe.",
        )
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        let status = status(error.code);
        let title = match error.code {
            Code::BadInput => "That did not make sense",
            Code::Unauthenticated => "Please log in",
            Code::Forbidden => "That is not for you to do",
            Code::NotFound => "There is nothing here",
            Code::Shortage | Code::Conflict => "That is not possible now",
            Code::Stale => "Just a moment",
            Code::Overloaded | Code::RateLimited => "Rather busy just now",
            Code::Unavailable => "A part of the shop is resting",
        };
        Self {
            catching_up: error.code == Code::Stale,
            retry_after: error.retry_after,
            ..Self::new(status, title, words(&error))
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        // The text is for what is outside the middleware; see above.
        let mut response = (self.status, self.message.to_string()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware: a handler's panic becomes [`PageError::broken`]. The panic itself has been logged
/// by then, by the hook that every panic runs through.
pub(crate) async fn catch_panic(request: Request, next: Next) -> Response {
    // Nothing is looked at again that the panic may have left half done: the request is over.
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    response.unwrap_or_else(|_| PageError::broken().into_response())
}

/// For programs: when it is worth asking again.
pub(crate) fn retry_after(seconds: Option<u64>) -> Option<(HeaderName, HeaderValue)> {
    Some((header::RETRY_AFTER, HeaderValue::from(seconds?)))
}

/// The HTTP status of the one table.
pub(crate) fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.http()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

/// The API's words as a sentence: "log in first" is "Log in first."
pub(crate) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let mut text: String = letters.next().map_or_else(String::new, |first| first.to_uppercase().collect());
    text.push_str(letters.as_str());
    if !text.ends_with(['.', '!', '?', '…']) && !text.is_empty() {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn the_status_is_the_one_of_the_table_and_stale_pages_look_again() {
        for (code, status, again) in [
            (Code::BadInput, 400, false),
            (Code::NotFound, 404, false),
            (Code::Conflict, 409, false),
            (Code::Stale, 503, true),
            (Code::RateLimited, 429, false),
            (Code::Unavailable, 503, false),
        ] {
            let page = PageError::from(ApiError::new(code, "no"));
            assert_eq!((page.status.as_u16(), page.catching_up), (status, again));
        }
        let limited = ApiError { retry_after: Some(9), ..ApiError::new(Code::RateLimited, "no") };
        let page = PageError::from(limited);
        assert_eq!((page.retry_after, &*page.message), (Some(9), "Too many attempts. Try again in 9 seconds."));
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_a_page_that_says_whose_mistake_it_is() {
        let router = Router::new()
            .route(
                "/",
                get(|| async {
                    if true {
                        panic!("a secret of the shop's")
                    }
                }),
            )
            .layer(from_fn(catch_panic));
        let response = router.oneshot(Request::new(Body::empty())).await.expect("never fails");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.extensions().get(), Some(&PageError::broken()));
        let body = to_bytes(response.into_body(), 1_024).await.expect("a body");
        assert!(!body.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn the_apis_words_become_a_sentence() {
        assert_eq!(sentence("log in first"), "Log in first.");
        assert_eq!(sentence("Wait a little!"), "Wait a little!");
        assert_eq!(sentence(""), "");
    }
}
