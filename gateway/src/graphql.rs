//! The GraphQL schema: the shop's public contract.
//!
//! Resolvers are thin: they take the caller from the request's data, call the
//! typed [`Api`], and show the answer under the contract's names. They fail with an
//! [`ApiError`](crate::api::ApiError); in one place (`errors.rs`) every error gets
//! its `extensions.code`. What a stranger's document may cost is bounded before it
//! is looked at any further (`limits.rs`).
//!
//! The schema is committed as `schema.graphql` and a test compares.
//!
//! Chapter: `docs/gateway.md`.

mod connection;
mod errors;
mod inputs;
mod limits;
mod mutation;
mod objects;
mod query;

use async_graphql::{EmptySubscription, Request, Response, Schema};
use chrono::{DateTime, Utc};

use crate::api::{Api, Caller};
use mutation::Mutation;
use query::Query;

pub(crate) use errors::refusal;

/// The schema over an API. Cheap to clone.
#[derive(Clone)]
pub struct GraphQl {
    schema: Schema<Query, Mutation, EmptySubscription>,
}

impl GraphQl {
    /// The schema whose resolvers stand on `api`.
    pub fn new(api: Api) -> Self {
        Self { schema: builder().data(api).finish() }
    }

    /// Runs a request for a caller. Whatever is wrong is in the response's errors,
    /// each with its code.
    pub async fn execute(&self, caller: Caller, mut request: Request) -> Response {
        if let Err(too_much) = limits::admit(&mut request) {
            return errors::with_codes(Response::from_errors(vec![too_much]));
        }
        errors::with_codes(self.schema.execute(request.data(caller)).await)
    }
}

/// The schema in GraphQL's schema definition language.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query, Mutation, EmptySubscription)
        .limit_complexity(limits::MOST_COMPLEX)
        .limit_directives(limits::MOST_DIRECTIVES)
        .override_output_type_description::<DateTime<Utc>>("A moment as RFC 3339 writes it, UTC.")
}

#[cfg(test)]
mod tests;
