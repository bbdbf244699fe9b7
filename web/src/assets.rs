//! The style sheet, the script and the icon: built into the binary, served from `/assets`.
//!
//! Pages name them with a version (`?v=` and the start of their SHA-256), so that a browser may
//! keep what it has for a year and still gets a new one at once. Asked for without the right
//! version, an asset is checked each time by its `ETag`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::error::PageError;

/// One file.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
    /// Half of its SHA-256, in hex.
    version: String,
}

impl Asset {
    fn new(name: &'static str, media_type: &'static str, text: &'static str) -> Self {
        let digest = Sha256::digest(text);
        let version = digest[..8].iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self { name, media_type, text, version }
    }

    fn url(&self) -> String {
        format!("/assets/{}?v={}", self.name, self.version)
    }
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("orderly.css", "text/css; charset=utf-8", include_str!("../assets/orderly.css")),
        Asset::new("orderly.js", "text/javascript; charset=utf-8", include_str!("../assets/orderly.js")),
        Asset::new("orderly.svg", "image/svg+xml", include_str!("../assets/orderly.svg")),
    ]
});

/// Where the pages find them.
#[derive(Debug)]
pub(crate) struct AssetUrls {
    pub(crate) css: String,
    pub(crate) js: String,
    pub(crate) icon: String,
}

/// The versioned addresses.
pub(crate) static URLS: LazyLock<AssetUrls> = LazyLock::new(|| {
    let [css, js, icon] = &*ASSETS;
    AssetUrls { css: css.url(), js: js.url(), icon: icon.url() }
});

/// `GET /assets/{file}`.
pub(crate) async fn serve(
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let asset =
        ASSETS.iter().find(|asset| asset.name == file).ok_or_else(|| PageError::not_found("There is no such file."))?;
    let etag = format!("\"{}\"", asset.version);
    let versioned = query.as_deref().and_then(|query| query.strip_prefix("v=")) == Some(&asset.version);
    let keep = if versioned { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
    let about = [
        (header::ETAG, etag),
        (header::CACHE_CONTROL, keep.to_owned()),
        (header::CONTENT_TYPE, asset.media_type.to_owned()),
    ];
    Ok(if known { (StatusCode::NOT_MODIFIED, about).into_response() } else { (about, asset.text).into_response() })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(file: &str, query: Option<&str>, etag: Option<String>) -> Result<Response, PageError> {
        let mut headers = HeaderMap::new();
        if let Some(etag) = etag {
            headers.insert(header::IF_NONE_MATCH, etag.parse().expect("an etag"));
        }
        serve(Path(file.to_owned()), RawQuery(query.map(str::to_owned)), headers).await
    }

    #[tokio::test]
    async fn an_asset_is_kept_for_good_only_under_its_version() {
        let (_, query) = URLS.css.split_once('?').expect("versioned");
        let versioned = get("orderly.css", Some(query), None).await.expect("there");
        assert!(versioned.headers()[header::CACHE_CONTROL].to_str().is_ok_and(|v| v.contains("immutable")));
        let plain = get("orderly.css", None, None).await.expect("there");
        assert_eq!(plain.headers()[header::CACHE_CONTROL], "public, no-cache");
        let etag = plain.headers()[header::ETAG].to_str().expect("ascii").to_owned();
        let again = get("orderly.css", None, Some(etag)).await.expect("there");
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn there_are_no_other_files() {
        for file in ["", "../Cargo.toml", "orderly.html"] {
            assert!(get(file, None, None).await.is_err(), "{file}");
        }
    }
}
