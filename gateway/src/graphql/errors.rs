//! Every error gets its code: the edge of the one table of codes.

use std::sync::Arc;

use async_graphql::{ErrorExtensionValues, Response, ServerError};
use platform::error::Code;

use crate::api::ApiError;

/// Sets `extensions.code` of every error: a resolver's own, and `BAD_USER_INPUT`
/// for what the executor found wrong with the document itself.
pub(super) fn with_codes(mut response: Response) -> Response {
    for error in &mut response.errors {
        let (code, retry_after) =
            error.source::<ApiError>().map_or((Code::BadInput, None), |error| (error.code, error.retry_after));
        let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
        extensions.set("code", code.graphql());
        if let Some(seconds) = retry_after {
            extensions.set("retryAfter", seconds);
        }
    }
    response
}

/// An error of the API as the executor carries it.
pub(crate) fn error_of(error: ApiError) -> ServerError {
    let mut carried = ServerError::new(error.message.clone(), None);
    carried.source = Some(Arc::new(error));
    carried
}

/// A response that refuses the request as a whole.
pub(crate) fn refusal(error: ApiError) -> Response {
    with_codes(Response::from_errors(vec![error_of(error)]))
}
