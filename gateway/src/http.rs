//! GraphQL over HTTP: `POST /graphql`, JSON in, JSON out.
//!
//! Bearer tokens only, no cookies: a page of another site cannot make a browser
//! send one. Whatever arrives, the answer is GraphQL-shaped JSON with a code; a
//! request that reaches the executor is answered 200 even if it failed, as the
//! GraphQL-over-HTTP specification has it for `application/json`. Nothing is asked
//! by `GET`: that may become a WebSocket (`http/socket.rs`), or leads a browser to
//! the explorer (`http/explorer.rs`).

mod explorer;
mod peer;
mod socket;

use std::sync::Arc;

use async_graphql::{Request, Response as GraphQlResponse};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;
use platform::error::Code;

use crate::api::{Api, ApiError, Caller};
use crate::graphql::{Asker, GraphQl, refusal, sdl};
use peer::Peer;
use socket::{Patience, Sockets, Upgrade};

/// The largest request body, and the largest message over a WebSocket: 1 MiB.
const LARGEST_BODY: usize = 1 << 20;

/// How much of a larger body is read and thrown away, so that its sender gets to
/// read why: 32 MiB. One that goes on is cut off.
const LARGEST_WASTE: usize = 32 << 20;

/// Shared by all requests: one count for each, instead of a clone of every client in it.
struct Endpoint {
    api: Api,
    graphql: GraphQl,
    sockets: Sockets,
}

/// The routes of the GraphQL gateway: `/graphql`, its schema to read, and the
/// explorer. Served with connect info (`SocketAddr`), log-ins are limited by address
/// too.
pub fn router(api: Api) -> Router {
    router_with(api, Sockets::new(Patience::default()))
}

fn router_with(api: Api, sockets: Sockets) -> Router {
    let endpoint = Endpoint { graphql: GraphQl::new(api.clone()), api, sockets };
    Router::new()
        .route("/graphql", post(answer).get(open).fallback(not_post))
        .route("/graphql/schema", get(async || sdl()))
        .with_state(Arc::new(endpoint))
        .merge(explorer::router())
}

async fn answer(State(endpoint): State<Arc<Endpoint>>, Peer(from): Peer, headers: HeaderMap, body: Body) -> Response {
    let request = match read(&headers, body).await {
        Ok(request) => request,
        Err((status, message)) => return json(status, &refusal(ApiError::bad_input(message))),
    };
    match caller(&endpoint.api, &headers).await {
        Ok(caller) => json(StatusCode::OK, &endpoint.graphql.execute(Asker { caller, from }, request).await),
        Err(error) => json(StatusCode::OK, &refusal(error)),
    }
}

/// `GET /graphql`: a WebSocket, or a person with a browser.
async fn open(
    State(endpoint): State<Arc<Endpoint>>,
    Peer(from): Peer,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    match upgrade {
        Upgrade::Asked(upgrade) => endpoint.sockets.clone().open(endpoint, from, &headers, *upgrade),
        Upgrade::Wrong => refused(StatusCode::BAD_REQUEST, ApiError::bad_input("that is no WebSocket handshake")),
        Upgrade::NotAsked if wants_html(&headers) => ([(VARY, "accept")], Redirect::to(explorer::PATH)).into_response(),
        Upgrade::NotAsked => not_post().await,
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

async fn not_post() -> Response {
    let message = "GraphQL is served here: send POST with content-type application/json and a body {\"query\": …}";
    let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, ApiError::bad_input(message));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// Refuses before there is a GraphQL request.
fn refused(status: StatusCode, error: ApiError) -> Response {
    json(status, &refusal(error))
}

/// The request in a body, or what is wrong with it. Never repeats what was sent.
async fn read(headers: &HeaderMap, body: Body) -> Result<Request, (StatusCode, &'static str)> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content-type must be application/json"));
    }
    let body = collect(body).await?;
    if std::str::from_utf8(&body).is_err() {
        return Err((StatusCode::BAD_REQUEST, "the body is not UTF-8"));
    }
    // An array would read as a request's fields in a row.
    let object = body.trim_ascii_start().starts_with(b"{");
    let request = if object { serde_json::from_slice(&body).ok() } else { None };
    request.ok_or((StatusCode::BAD_REQUEST, "the body must be a JSON object with a query and its variables"))
}

/// The whole body. A body that is too large is still read, up to a bound, and
/// thrown away: to answer and close while the sender sends would cost him the
/// answer.
async fn collect(body: Body) -> Result<Bytes, (StatusCode, &'static str)> {
    let mut chunks = body.into_data_stream();
    let (mut collected, mut seen) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| (StatusCode::BAD_REQUEST, "the body broke off"))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= LARGEST_BODY {
            collected.extend_from_slice(&chunk);
        } else if seen > LARGEST_WASTE {
            break;
        } else {
            collected = Vec::new();
        }
    }
    if seen > LARGEST_BODY {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB"));
    }
    Ok(collected.into())
}

/// Who sends: nobody without the header; with it, whoever the token is.
async fn caller(api: &Api, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(Caller::Anonymous) };
    bearer(api, header.to_str().unwrap_or_default()).await.map(|(caller, _)| caller)
}

/// Who shows `Bearer <token>`, and the token.
async fn bearer<'a>(api: &Api, authorization: &'a str) -> Result<(Caller, &'a str), ApiError> {
    let token = authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim()).unwrap_or_default();
    let caller = api.session(token).await?;
    let unknown = "the bearer token is unknown or has expired; log in again";
    Ok((caller.ok_or_else(|| ApiError::new(Code::Unauthenticated, unknown))?, token))
}

fn json(status: StatusCode, response: &GraphQlResponse) -> Response {
    match serde_json::to_vec(response) {
        Ok(body) => {
            // Never guessed to be a page, never kept by a cache.
            let headers =
                [(CONTENT_TYPE, "application/json"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")];
            (status, headers, body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer does not write as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
