//! The explorer: GraphiQL in the browser, at `/explorer`.
//!
//! All of it is in this binary, so it works without a network, and nothing of it is
//! asked from another host: the page's content security policy would refuse that. The
//! page has no session of its own and sends no cookie; its token comes from a log-in
//! over GraphQL. What is not ours is in `gateway/explorer/vendor`, as it was
//! published, compressed; `gateway/explorer/README.md` has versions and licences.

use std::sync::OnceLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use platform::error::Code;
use sha2::{Digest, Sha256};

use super::refused;
use crate::api::ApiError;

/// Where it is.
pub(super) const PATH: &str = "/explorer";

/// What the page may load and whom it may talk to: this host. GraphiQL's dialogs put
/// their own style elements into the page, hence the one relaxation; no script may.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file in this binary.
struct File {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    /// With gzip; every browser of these years takes it.
    compressed: bool,
    /// From its bytes, so that a new binary's file is another one.
    etag: OnceLock<String>,
}

macro_rules! file {
    ($name:literal, $media_type:expr) => {
        File {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../explorer/", $name)),
            compressed: false,
            etag: OnceLock::new(),
        }
    };
}

macro_rules! vendored {
    ($name:literal, $media_type:expr) => {
        File {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../explorer/vendor/", $name, ".gz")),
            compressed: true,
            etag: OnceLock::new(),
        }
    };
}

static PAGE: File = file!("explorer.html", HTML);

static FILES: [File; 6] = [
    file!("explorer.css", CSS),
    file!("explorer.js", SCRIPT),
    vendored!("graphiql.min.css", CSS),
    vendored!("graphiql.min.js", SCRIPT),
    vendored!("react.production.min.js", SCRIPT),
    vendored!("react-dom.production.min.js", SCRIPT),
];

/// The page and its files.
pub(super) fn router() -> Router {
    Router::new().route(PATH, get(async |headers: HeaderMap| serve(&PAGE, &headers))).route(
        "/explorer/{file}",
        get(async |Path(name): Path<String>, headers: HeaderMap| match FILES.iter().find(|file| file.name == name) {
            Some(file) => serve(file, &headers),
            None => refused(StatusCode::NOT_FOUND, ApiError::new(Code::NotFound, "there is no such file")),
        }),
    )
}

/// A browser keeps what it has, and asks each time whether it is still right.
fn serve(file: &File, headers: &HeaderMap) -> Response {
    let etag = file.etag();
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == etag);
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { file.bytes.into_response() };
    let about = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "public, no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CONTENT_TYPE, file.media_type),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        about.insert(name, HeaderValue::from_static(value));
    }
    if file.compressed {
        about.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(etag) = HeaderValue::from_str(etag) {
        about.insert(ETAG, etag);
    }
    response
}

impl File {
    fn etag(&self) -> &str {
        self.etag.get_or_init(|| {
            let digest = Sha256::digest(self.bytes);
            let hex = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            format!("\"{hex}\"")
        })
    }
}

#[cfg(test)]
mod tests;
