//! Errors: two families that never mix.
//!
//! A **rejection** is the business saying no. It is deterministic: the same
//! request gets the same no, so it is stored with the idempotency key and never
//! retried. **Unavailability** is the system saying not now. It is never stored
//! and may be retried. This distinction *is* the decision between retry and dead
//! letter, and between "show the caller why" and "log the cause, tell the caller
//! to try again".
//!
//! One table ([`Code`]) maps the kinds to gRPC status codes, to the GraphQL
//! `extensions.code` and to HTTP.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of no it is. The one table of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Code {
    /// The request is wrong in itself.
    BadInput,
    /// Nobody is logged in.
    Unauthenticated,
    /// Somebody is, who may not do this.
    Forbidden,
    /// It does not exist, or not for this caller.
    NotFound,
    /// There is not enough of it.
    Shortage,
    /// The state of things does not allow it (now).
    Conflict,
    /// A read model has not yet seen the version that was asked for.
    Stale,
    /// A bounded queue is full.
    Overloaded,
    /// Too many requests from one place.
    RateLimited,
    /// A part of the system cannot be reached, or failed.
    Unavailable,
}

impl Code {
    const ALL: [Self; 10] = [
        Self::BadInput,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Shortage,
        Self::Conflict,
        Self::Stale,
        Self::Overloaded,
        Self::RateLimited,
        Self::Unavailable,
    ];

    /// gRPC status code, GraphQL `extensions.code`, HTTP status.
    const fn row(self) -> (tonic::Code, &'static str, u16) {
        match self {
            Self::BadInput => (tonic::Code::InvalidArgument, "BAD_USER_INPUT", 400),
            Self::Unauthenticated => (tonic::Code::Unauthenticated, "UNAUTHENTICATED", 401),
            Self::Forbidden => (tonic::Code::PermissionDenied, "FORBIDDEN", 403),
            Self::NotFound => (tonic::Code::NotFound, "NOT_FOUND", 404),
            Self::Shortage => (tonic::Code::FailedPrecondition, "OUT_OF_STOCK", 409),
            Self::Conflict => (tonic::Code::Aborted, "CONFLICT", 409),
            Self::Stale => (tonic::Code::OutOfRange, "STALE", 503),
            Self::Overloaded => (tonic::Code::ResourceExhausted, "OVERLOADED", 503),
            // Only the edge limits rates, so no service ever sends this one on.
            Self::RateLimited => (tonic::Code::ResourceExhausted, "RATE_LIMITED", 429),
            Self::Unavailable => (tonic::Code::Unavailable, "UNAVAILABLE", 503),
        }
    }

    /// The gRPC status code.
    pub const fn grpc(self) -> tonic::Code {
        self.row().0
    }

    /// The value of `extensions.code` in a GraphQL error.
    pub const fn graphql(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status.
    pub const fn http(self) -> u16 {
        self.row().2
    }

    /// The kind a gRPC status stands for; everything unknown is [`Code::Unavailable`].
    pub fn of_grpc(code: tonic::Code) -> Self {
        Self::ALL.into_iter().find(|kind| kind.grpc() == code).unwrap_or(Self::Unavailable)
    }

    /// Whether the same request may succeed later: the line between the families.
    pub const fn is_unavailability(self) -> bool {
        match self {
            Self::Stale | Self::Overloaded | Self::RateLimited | Self::Unavailable => true,
            Self::BadInput
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::NotFound
            | Self::Shortage
            | Self::Conflict => false,
        }
    }
}

/// The business said no. Deterministic; stored with the command's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// Never a code of the unavailability family.
    pub code: Code,
    /// For the caller's eyes.
    pub message: String,
}

impl Rejection {
    /// A rejection of the given kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        debug_assert!(!code.is_unavailability());
        Self { code, message: message.into() }
    }

    /// The request is wrong in itself.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(Code::BadInput, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// The state does not allow it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }
}

/// Not now. `cause` is for the log, never for a caller.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub struct Unavailable {
    /// Always a code of the unavailability family.
    pub code: Code,
    /// Internal text: logged once at the boundary.
    pub cause: String,
}

impl Unavailable {
    /// A part of the system failed or cannot be reached.
    pub fn new(cause: impl fmt::Display) -> Self {
        Self { code: Code::Unavailable, cause: cause.to_string() }
    }

    /// A bounded queue is full.
    pub fn overloaded(what: impl fmt::Display) -> Self {
        Self { code: Code::Overloaded, cause: what.to_string() }
    }
}

/// Either family, where both can come back.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The business said no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The system said not now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Failure {
    /// The row of the table.
    pub const fn code(&self) -> Code {
        match self {
            Self::Rejected(rejection) => rejection.code,
            Self::Unavailable(unavailable) => unavailable.code,
        }
    }

    /// What a caller may read: a rejection's own words, or a plain sentence that
    /// gives nothing internal away.
    pub fn public_message(&self) -> &str {
        match self {
            Self::Rejected(rejection) => &rejection.message,
            Self::Unavailable(unavailable) => match unavailable.code {
                Code::Overloaded => "too much to do at the moment; try again shortly",
                Code::Stale => "the read model has not caught up yet; try again shortly",
                Code::RateLimited => "too many attempts; wait a little",
                _ => "a part of the shop cannot be reached; try again shortly",
            },
        }
    }
}

/// The boundary: internal causes are logged here, once, and stay here.
impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        if let Failure::Unavailable(unavailable) = &failure
            && unavailable.code != Code::Stale
        {
            tracing::warn!(code = unavailable.code.graphql(), cause = %unavailable.cause, "unavailable");
        }
        Self::new(failure.code().grpc(), failure.public_message())
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let code = Code::of_grpc(status.code());
        if code.is_unavailability() {
            Self::Unavailable(Unavailable { code, cause: format!("{:?}: {}", status.code(), status.message()) })
        } else {
            Self::Rejected(Rejection::new(code, status.message()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_but_the_edge_s_own_survives_the_way_over_grpc() {
        for code in Code::ALL {
            let back = Code::of_grpc(code.grpc());
            if code == Code::RateLimited {
                assert_eq!(back, Code::Overloaded);
            } else {
                assert_eq!(back, code);
            }
        }
    }

    #[test]
    fn an_internal_cause_never_reaches_the_caller() {
        let failure = Failure::from(Unavailable::new("password=hunter2 at 10.0.0.1"));
        let status = tonic::Status::from(failure);
        assert!(!status.message().contains("hunter2"));
    }
}
