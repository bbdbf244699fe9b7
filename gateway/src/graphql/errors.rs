//! Every error gets its code: the edge of the one table of codes.

use async_graphql::{ErrorExtensionValues, Response, ServerError};
use platform::error::Code;

use crate::api::ApiError;

/// Sets `extensions.code` of every error: a resolver's own, and `BAD_USER_INPUT`
/// for what the executor found wrong with the document itself.
pub(super) fn with_codes(mut response: Response) -> Response {
    for error in &mut response.errors {
        let code = error.source::<ApiError>().map_or(Code::BadInput, |error| error.code);
        set_code(error, code);
    }
    response
}

/// A response that refuses the request as a whole.
pub(crate) fn refusal(error: &ApiError) -> Response {
    let mut refused = ServerError::new(error.message.clone(), None);
    set_code(&mut refused, error.code);
    Response::from_errors(vec![refused])
}

fn set_code(error: &mut ServerError, code: Code) {
    error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("code", code.graphql());
}
