//! Cross-site request forgery: a form counts only if this shop gave it to this visitor.
//!
//! The pattern is OWASP's *HMAC-based token*: every form carries the HMAC-SHA256 of the visitor's
//! identity (the session when logged in, else a random id in a cookie) under a secret of the
//! server. Another site can make a browser send the cookie, but cannot read or make the token.
//! Beside it, defence in depth: `SameSite=Lax` cookies, and [`is_cross_origin`].

use std::fmt::Write as _;

use axum::http::{HeaderMap, Uri, header};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The name of the hidden field.
pub(crate) const FIELD: &str = "csrf";

/// Who the token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity<'a> {
    /// Logged in: the session's token.
    Session(&'a str),
    /// Not logged in: the random id of the visitor cookie.
    Visitor(&'a str),
}

/// Makes and checks tokens.
#[derive(Clone)]
pub(crate) struct Csrf {
    mac: Hmac<Sha256>,
}

impl Csrf {
    /// All processes of one shop need the same secret.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        Self { mac }
    }

    /// The token for the forms of this visitor: 64 hex digits.
    pub(crate) fn token(&self, identity: Identity<'_>) -> String {
        let digest = self.of(identity).finalize().into_bytes();
        digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Whether a form carried this visitor's token; takes the same time wherever it differs.
    pub(crate) fn verify(&self, identity: Identity<'_>, token: &str) -> bool {
        let bytes: Option<Vec<u8>> = token
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                let digits = std::str::from_utf8(pair).ok()?;
                let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                plain.then(|| u8::from_str_radix(digits, 16).ok())?
            })
            .collect();
        bytes.is_some_and(|bytes| self.of(identity).verify_slice(&bytes).is_ok())
    }

    fn of(&self, identity: Identity<'_>) -> Hmac<Sha256> {
        let (kind, id) = match identity {
            Identity::Session(token) => ("session", token),
            Identity::Visitor(id) => ("visitor", id),
        };
        let mut mac = self.mac.clone();
        mac.update(b"orderly csrf\0");
        mac.update(kind.as_bytes());
        mac.update(b"\0");
        mac.update(id.as_bytes());
        mac
    }
}

/// Whether the request says that a page of another origin sent it. Says it nothing (an old
/// browser, a command line), the token alone decides.
///
/// Only host and port are compared: behind a proxy that ends TLS the scheme differs.
pub(crate) fn is_cross_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let host = match headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        // HTTP/2 has `:authority` instead.
        None => uri.authority().map(|authority| authority.as_str()),
    };
    let from = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        .map(|(_, host)| host);
    match (from, host) {
        (Some(from), Some(host)) => !from.eq_ignore_ascii_case(host),
        // "null" (a sandboxed frame, a file) or nonsense.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_for_its_visitor_only() {
        let csrf = Csrf::new(b"secret");
        let token = csrf.token(Identity::Visitor("a"));
        assert_eq!(token.len(), 64);
        assert!(csrf.verify(Identity::Visitor("a"), &token));
        assert!(!csrf.verify(Identity::Visitor("b"), &token));
        assert!(!csrf.verify(Identity::Session("a"), &token));
        assert!(!Csrf::new(b"other").verify(Identity::Visitor("a"), &token));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let csrf = Csrf::new(b"secret");
        let token = csrf.token(Identity::Session("s"));
        let flipped = token.replacen(|_: char| true, if token.starts_with('0') { "1" } else { "0" }, 1);
        for bad in ["", "0", "zz", "+1+1", "€", &token[2..], &flipped, &format!("{token}00")] {
            assert!(!csrf.verify(Identity::Session("s"), bad), "{bad}");
        }
    }

    #[test]
    fn a_form_of_another_origin_is_told_from_one_of_ours() {
        let cross = |origin: Option<&str>, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a host"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("an origin"));
            }
            is_cross_origin(&headers, &Uri::from_static("/cart/add"))
        };
        assert!(!cross(None, "localhost:8080"));
        assert!(!cross(Some("http://localhost:8080"), "localhost:8080"));
        assert!(!cross(Some("https://Shop.example"), "shop.example"));
        assert!(cross(Some("http://localhost:9090"), "localhost:8080"));
        assert!(cross(Some("https://shop.example.evil.example"), "shop.example"));
        assert!(cross(Some("null"), "shop.example"));
        assert!(cross(Some("file://shop.example"), "shop.example"));
    }
}
