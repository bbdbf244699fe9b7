//! The GraphQL schema: the shop's public contract.
//!
//! Resolvers are thin: they take the caller from the request's data, call the
//! typed [`Api`], and show the answer under the contract's names. They fail with an
//! [`ApiError`](crate::api::ApiError); in one place (`errors.rs`) every error gets
//! its `extensions.code`. What a stranger's document may cost is bounded before it
//! is looked at any further (`limits.rs`, once for each that comes again: `documents.rs`),
//! however it comes: over HTTP, over a WebSocket, or by its hash (`persisted.rs`).
//!
//! The schema is committed as `schema.graphql` and a test compares.
//!
//! Chapter: `docs/gateway.md`.

mod batches;
mod connection;
mod documents;
mod errors;
mod inputs;
mod limits;
mod mutation;
mod objects;
mod persisted;
mod query;
mod recent;
mod request;
mod subscription;

use async_graphql::{Request, Response, Schema, ServerError, Value};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use platform::grpc::deadline;

use crate::api::{Api, PATIENCE};
use batches::Batches;
use documents::Documents;
use mutation::Mutation;
use persisted::Persisted;
use query::Query;
use subscription::Subscription;

use errors::error_of;
pub(crate) use errors::refusal;
pub(crate) use request::Asker;

/// The schema over an API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct GraphQl {
    schema: Schema<Query, Mutation, Subscription>,
    api: Api,
    persisted: Persisted,
    documents: Documents,
}

/// What an operation over a WebSocket comes to.
#[derive(Debug)]
pub(crate) enum Event {
    /// An answer; there may be more.
    Next(Response),
    /// It was not begun, and these say why. Nothing follows.
    Refused(Vec<ServerError>),
}

impl GraphQl {
    /// The schema whose resolvers stand on `api`.
    pub(crate) fn new(api: Api) -> Self {
        let persisted = Persisted::default();
        let schema = builder().data(api.clone()).extension(persisted.clone()).finish();
        Self { schema, api, persisted, documents: Documents::default() }
    }

    /// Runs a query or a mutation. Whatever is wrong is in the response's errors, each
    /// with its code.
    pub(crate) async fn execute(&self, asker: Asker, request: Request) -> Response {
        match self.admit(asker, request) {
            Ok((_, true)) => {
                let elsewhere = "a subscription needs a WebSocket: connect to /graphql with graphql-transport-ws";
                errors::with_codes(Response::from_errors(vec![ServerError::new(elsewhere, None)]))
            }
            Ok((request, false)) => errors::with_codes(self.answer(request).await),
            Err(refused) => errors::with_codes(Response::from_errors(vec![refused])),
        }
    }

    /// All calls to services that one query or mutation needs share one deadline:
    /// whoever waits for the whole does not care which part takes long.
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let schema = self.schema.clone();
        deadline::within(PATIENCE, async move { schema.execute(request).await })
    }

    /// Runs an operation of any kind, a subscription among them, which may never end;
    /// drop it to stop.
    pub(crate) fn execute_stream(&self, asker: Asker, request: Request) -> BoxStream<'static, Event> {
        let (request, subscribes) = match self.admit(asker, request) {
            Ok(admitted) => admitted,
            Err(refused) => {
                let refused = errors::with_codes(Response::from_errors(vec![refused])).errors;
                return stream::iter([Event::Refused(refused)]).boxed();
            }
        };
        // A subscription has no end; each of the calls that it makes has one.
        let responses = if subscribes {
            self.schema.execute_stream(request).left_stream()
        } else {
            stream::once(self.answer(request)).right_stream()
        };
        let responses = responses.map(errors::with_codes);
        // The executor goes on after an operation that it could not begin; a client
        // that was told so does not listen any more.
        let events = responses.scan(Progress::Begins, move |progress, response| {
            let event = match progress {
                Progress::Over => None,
                Progress::Begins if not_begun(&response, subscribes) => {
                    *progress = Progress::Over;
                    Some(Event::Refused(response.errors))
                }
                Progress::Begins | Progress::Under => {
                    *progress = Progress::Under;
                    Some(Event::Next(response))
                }
            };
            async { event }
        });
        events.boxed()
    }

    /// The request with all that its resolvers need, and whether it subscribes.
    fn admit(&self, asker: Asker, mut request: Request) -> Result<(Request, bool), ServerError> {
        self.persisted.resolve(&mut request).map_err(error_of)?;
        let subscribes = self.documents.admit(&mut request)?;
        let batches = Batches::loader(self.api.clone(), asker.caller.clone());
        Ok((request.data(batches).data(asker), subscribes))
    }
}

/// Where an operation over a WebSocket is.
enum Progress {
    Begins,
    Under,
    Over,
}

/// Whether an operation's first response says that it was not begun: none of its
/// fields was resolved, or the field of a subscription gave no stream.
fn not_begun(response: &Response, subscribes: bool) -> bool {
    let fields = usize::from(subscribes);
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.len() <= fields)
}

/// The schema in GraphQL's schema definition language.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription)
        .limit_complexity(limits::MOST_COMPLEX)
        .limit_directives(limits::MOST_DIRECTIVES)
        .override_output_type_description::<DateTime<Utc>>("A moment as RFC 3339 writes it, UTC.")
}

#[cfg(test)]
mod tests;
