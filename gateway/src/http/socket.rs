//! GraphQL over WebSocket: the subprotocol `graphql-transport-ws`, and only it.
//!
//! The handshake is an HTTP request, which a page of any site may make a browser
//! send, without asking (there is no CORS for WebSockets). No cookie says who it is:
//! the token comes in the first message. Still the `Origin` is checked, so that
//! another site's page cannot talk at all. How many connections there may be, and
//! how many of one account, is bounded here; what goes over one is `connection.rs`,
//! the words are `protocol.rs`.

mod connection;
mod protocol;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, WebSocketUpgrade};
use axum::http::header::{HOST, ORIGIN, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use platform::error::Code;

use super::{Endpoint, LARGEST_BODY, refused};
use crate::api::{ApiError, Caller};
use connection::Connection;
pub(super) use connection::Patience;

/// What clients name in `Sec-WebSocket-Protocol`.
const PROTOCOL: &str = "graphql-transport-ws";

/// Connections at one time.
const MOST: usize = 4_000;
/// Connections of one account at one time; of one address, for those without.
const MOST_OF_ONE: usize = 32;
/// Bytes of a connection's buffers; the library would take 128 KiB for each.
const BUFFER: usize = 8 << 10;

/// What a request to `GET /graphql` wants.
pub(super) enum Upgrade {
    /// An answer.
    NotAsked,
    /// A WebSocket, but the handshake is wrong.
    Wrong,
    /// A WebSocket.
    Asked(Box<WebSocketUpgrade>),
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        if !parts.headers.contains_key(UPGRADE) {
            return Ok(Self::NotAsked);
        }
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        Ok(upgrade.map_or(Self::Wrong, |upgrade| Self::Asked(Box::new(upgrade))))
    }
}

/// The connections of this process. Cheap to clone; clones count together.
#[derive(Clone)]
pub(super) struct Sockets {
    open: Arc<Mutex<Open>>,
    patience: Patience,
}

#[derive(Default)]
struct Open {
    all: usize,
    of: HashMap<Owner, usize>,
}

/// Who a connection is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    Account(String),
    Address(Option<IpAddr>),
}

impl Sockets {
    /// None yet.
    pub(super) fn new(patience: Patience) -> Self {
        Self { open: Arc::default(), patience }
    }

    /// Answers the handshake, and serves the connection from then on.
    pub(super) fn open(
        self,
        endpoint: Arc<Endpoint>,
        from: Option<IpAddr>,
        headers: &HeaderMap,
        upgrade: WebSocketUpgrade,
    ) -> Response {
        if !same_origin(headers) {
            let error = ApiError::new(Code::Forbidden, "pages of other sites may not connect");
            return refused(StatusCode::FORBIDDEN, error);
        }
        let upgrade = upgrade.protocols([PROTOCOL]);
        if upgrade.selected_protocol().is_none() {
            let error = ApiError::bad_input("the WebSocket subprotocol is graphql-transport-ws");
            return refused(StatusCode::BAD_REQUEST, error);
        }
        let Some(place) = self.enter() else {
            let error = ApiError::new(Code::Overloaded, "too many connections at the moment; try again shortly");
            return refused(StatusCode::SERVICE_UNAVAILABLE, error);
        };
        upgrade
            .max_message_size(LARGEST_BODY)
            .max_frame_size(LARGEST_BODY)
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .on_upgrade(move |socket| Connection::new(socket, endpoint, from, place).run())
    }

    /// A place for one more connection, if there is one.
    fn enter(&self) -> Option<Place> {
        let mut open = self.lock();
        (open.all < MOST).then(|| {
            open.all += 1;
            Place { sockets: self.clone(), owner: None }
        })
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among all. Dropping it frees it.
struct Place {
    sockets: Sockets,
    /// Known when the connection has said who it is.
    owner: Option<Owner>,
}

impl Place {
    /// Counts the connection for its owner; false if that one has enough.
    fn claim(&mut self, caller: &Caller, from: Option<IpAddr>) -> bool {
        let owner = match caller {
            Caller::Account(account) => Owner::Account(account.id.clone()),
            Caller::Anonymous => Owner::Address(from),
        };
        let mut open = self.sockets.lock();
        let count = open.of.entry(owner.clone()).or_default();
        if *count >= MOST_OF_ONE {
            return false;
        }
        *count += 1;
        drop(open);
        self.owner = Some(owner);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sockets.lock();
        open.all -= 1;
        if let Some(owner) = &self.owner
            && let Some(count) = open.of.get_mut(owner)
        {
            *count -= 1;
            if *count == 0 {
                open.of.remove(owner);
            }
        }
    }
}

/// Whether the page that asks is one of this host's own. A program that is no
/// browser sends no origin.
fn same_origin(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let text = |value: &axum::http::HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let (Some(origin), Some(host), None) = (text(origin), headers.get(HOST).and_then(text), origins.next()) else {
        return false;
    };
    // A proxy in front may speak TLS with the browser and plain HTTP with us, so the
    // scheme says nothing but which port is left out.
    match origin.split_once("://") {
        Some(("http", authority)) => without_port(authority, ":80") == without_port(&host, ":80"),
        Some(("https", authority)) => without_port(authority, ":443") == without_port(&host, ":443"),
        _ => false,
    }
}

fn without_port<'a>(authority: &'a str, port: &str) -> &'a str {
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_host_may_connect_and_programs_may() {
        let with = |origin: Option<&str>, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a header"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().expect("a header"));
            }
            same_origin(&headers)
        };
        assert!(with(None, "127.0.0.1:8080"));
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://shop.example", "Shop.example:80"),
            ("https://shop.example", "shop.example"),
            ("https://shop.example:443", "shop.example"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert!(with(Some(origin), host), "{origin} {host}");
        }
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:80800",
            "http://127.0.0.1:8080.evil.example",
            "http://evil.example/127.0.0.1:8080",
            "file://127.0.0.1:8080",
            "127.0.0.1:8080",
        ] {
            assert!(!with(Some(origin), "127.0.0.1:8080"), "{origin}");
        }
    }

    #[test]
    fn places_are_bounded_in_all_and_for_each_and_freed() {
        let sockets = Sockets::new(Patience::default());
        let places: Vec<_> = (0..MOST).filter_map(|_| sockets.enter()).collect();
        assert_eq!(places.len(), MOST);
        assert!(sockets.enter().is_none());
        drop(places);

        let mut places: Vec<_> = (0..=MOST_OF_ONE).filter_map(|_| sockets.enter()).collect();
        let claimed = places.iter_mut().filter_map(|place| place.claim(&Caller::Anonymous, None).then_some(())).count();
        assert_eq!(claimed, MOST_OF_ONE);
        let mut elsewhere = sockets.enter().expect("a place");
        assert!(elsewhere.claim(&Caller::Anonymous, Some(IpAddr::from([203, 0, 113, 7]))));
        drop((places, elsewhere));
        let open = sockets.lock();
        assert_eq!((open.all, open.of.len()), (0, 0));
    }
}
