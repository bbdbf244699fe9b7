//! GraphQL over HTTP: `POST /graphql`, JSON in, JSON out.
//!
//! Bearer tokens only, no cookies: a page of another site cannot make a browser
//! send one. Whatever arrives, the answer is GraphQL-shaped JSON with a code; a
//! request that reaches the executor is answered 200 even if it failed, as the
//! GraphQL-over-HTTP specification has it for `application/json`.

use async_graphql::{Request, Response as GraphQlResponse};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;

use crate::api::{Api, ApiError, Caller};
use crate::graphql::{GraphQl, refusal, sdl};

/// The largest request body: 1 MiB.
const LARGEST_BODY: usize = 1 << 20;

/// How much of a larger body is read and thrown away, so that its sender gets to
/// read why: 32 MiB. One that goes on is cut off.
const LARGEST_WASTE: usize = 32 << 20;

#[derive(Clone)]
struct Endpoint {
    api: Api,
    graphql: GraphQl,
}

/// The routes of the GraphQL gateway: `/graphql`, and its schema to read.
pub fn router(api: Api) -> Router {
    let endpoint = Endpoint { graphql: GraphQl::new(api.clone()), api };
    Router::new()
        .route("/graphql", post(answer).fallback(not_post))
        .route("/graphql/schema", get(async || sdl()))
        .with_state(endpoint)
}

async fn answer(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Body) -> Response {
    let request = match read(&headers, body).await {
        Ok(request) => request,
        Err((status, message)) => return json(status, &refusal(&ApiError::bad_input(message))),
    };
    match caller(&endpoint.api, &headers).await {
        Ok(caller) => json(StatusCode::OK, &endpoint.graphql.execute(caller, request).await),
        Err(error) => json(StatusCode::OK, &refusal(&error)),
    }
}

async fn not_post() -> Response {
    let message = "GraphQL is served here: send POST with content-type application/json and a body {\"query\": …}";
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &refusal(&ApiError::bad_input(message)));
    response.headers_mut().insert(ALLOW, axum::http::HeaderValue::from_static("POST"));
    response
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
    let token = header.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let caller = match token {
        Some(token) => api.session(token).await?,
        None => None,
    };
    caller.ok_or_else(|| {
        ApiError::new(
            platform::error::Code::Unauthenticated,
            "the bearer token is unknown or has expired; log in again",
        )
    })
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
