//! What the API answers instead of a result.

use std::error::Error as _;

use platform::error::{Code, Failure, Rejection, Unavailable};

/// A no that a caller may read. Internal causes were logged and left behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The row of the one table of codes.
    pub code: Code,
    /// For the caller's eyes.
    pub message: String,
    /// In how many seconds it is worth asking again; only of `RATE_LIMITED`.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// A no of the given kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The request is wrong in itself.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(Code::BadInput, message)
    }

    /// Nobody is logged in.
    pub fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "log in first")
    }

    /// Somebody is, who may not do this.
    pub fn for_operators() -> Self {
        Self::new(Code::Forbidden, "for operators only")
    }

    /// There is no such thing for this caller.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// Too many attempts; the next is looked at in so many seconds.
    pub(crate) fn rate_limited(retry_after: u64) -> Self {
        let message = "too many attempts; wait a little";
        Self { retry_after: Some(retry_after), ..Self::new(Code::RateLimited, message) }
    }

    /// Logs the cause, which stays here, and says that it cannot be done now.
    pub(crate) fn internal(what: &str, cause: impl std::fmt::Display) -> Self {
        tracing::warn!(%cause, "{what}");
        Self::from(Failure::from(Unavailable::new("")))
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code(), failure.public_message())
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection.code, rejection.message)
    }
}

/// The boundary. A service has logged its own causes; what it never saw (no
/// connection, no answer, a status outside the table) is logged here.
impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        let told_by_service = Code::of_grpc(status.code()).grpc() == status.code() && status.source().is_none();
        if !told_by_service {
            tracing::warn!(code = ?status.code(), cause = status.message(), source = ?status.source(), "a call failed");
        }
        Self::from(Failure::from(status))
    }
}
