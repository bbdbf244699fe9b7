//! Where the replicas of a service are: a list of addresses from the command line.
//!
//! A host may be a DNS name that stands for several addresses: each of them is a
//! replica. So `http://order:8081` is enough for a service of any size under a
//! container platform, and `http://order-1:8081,http://order-2:8081` names them one
//! by one. Names are looked up by the balancer, again and again (`balance.rs`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;

/// One or more addresses, `http://host:port`, with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers(Arc<[Peer]>);

/// A host, by name or by number, and its port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    /// An IPv6 address stands without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

/// What is wrong with a list of peers. Never repeats what may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPeers {
    /// Nothing between two commas, or nothing at all.
    #[error("an address is missing; wanted is http://host:port, several with commas between them")]
    Missing,
    /// Another scheme, or none.
    #[error("{0:?} must begin with http://; between the services nothing else is spoken")]
    Scheme(String),
    /// A user or a password.
    #[error("an address holds a user or a password; calls carry the gRPC token instead (--grpc-token)")]
    User,
    /// Not of the form `http://host:port`.
    #[error("{0:?} is no address of the form http://host:port")]
    Form(String),
    /// No port.
    #[error("{0:?} has no port; wanted is http://host:port")]
    Port(String),
    /// The same address twice.
    #[error("{0:?} is named twice")]
    Twice(String),
}

impl Peers {
    /// Reads a list such as `http://order-1:8081,http://order-2:8081`. Nothing is
    /// looked up yet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn try_new(list: &str) -> Result<Self, BadPeers> {
        let mut peers: Vec<Peer> = Vec::new();
        for text in list.split(',').map(str::trim) {
            let peer = Peer::try_new(text)?;
            if peers.contains(&peer) {
                return Err(BadPeers::Twice(text.to_owned()));
            }
            peers.push(peer);
        }
        Ok(Self(peers.into()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.0.iter()
    }
}

impl FromStr for Peers {
    type Err = BadPeers;

    fn from_str(list: &str) -> Result<Self, BadPeers> {
        Self::try_new(list)
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, peer) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}http://{peer}")?;
        }
        Ok(())
    }
}

impl Peer {
    fn try_new(text: &str) -> Result<Self, BadPeers> {
        if text.is_empty() {
            return Err(BadPeers::Missing);
        }
        if text.contains('@') {
            return Err(BadPeers::User);
        }
        // Without it, `order:8081` would read as a scheme with a path.
        if !text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")) {
            return Err(BadPeers::Scheme(text.to_owned()));
        }
        let form = || BadPeers::Form(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| form())?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(form());
        }
        match uri.port_u16() {
            Some(0) => Err(form()),
            Some(port) => Ok(Self { host: host.to_owned(), port }),
            // One that is no number, or too large, was meant to be one.
            None if has_port(&uri) => Err(form()),
            None => Err(BadPeers::Port(text.to_owned())),
        }
    }
}

/// Whether something stands where a port belongs: behind the host, which may be an
/// IPv6 address in brackets.
fn has_port(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit_once(']').map_or(authority, |(_, behind)| behind).contains(':')
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_written_the_same() {
        for list in [
            "http://order:8081",
            "http://order-1:8081,http://order-2:8081",
            "http://127.0.0.1:1,http://[::1]:65535,http://order.shop.internal:80",
        ] {
            let peers = Peers::try_new(list).expect("a list");
            assert_eq!(peers.to_string(), list);
            assert_eq!(list.parse(), Ok(peers));
        }
        let peers = Peers::try_new(" HTTP://order:8081/ , http://[::1]:5 ").expect("a list");
        assert_eq!(peers.to_string(), "http://order:8081,http://[::1]:5");
        assert_eq!(peers.iter().last().map(|peer| peer.host.as_str()), Some("::1"), "as a resolver wants it");
    }

    #[test]
    fn what_is_no_list_says_what_is_wrong() {
        let wrong = |list: &str| Peers::try_new(list).expect_err(list).to_string();
        for list in ["", ",", "http://a:1,", " "] {
            assert!(wrong(list).contains("missing"), "{list:?}");
        }
        for list in ["order:8081", "https://order:8081", "grpc://order:8081", "//order:8081", "http:/o"] {
            assert!(wrong(list).contains("http://"), "{list:?}");
        }
        for list in ["http://order", "http://order/", "http://[::1]"] {
            assert!(wrong(list).contains("no port"), "{list:?}: {}", wrong(list));
        }
        for list in [
            "http://",
            "http://:8081",
            "http://order:0",
            "http://order:x",
            "http://order:65536",
            "http://order:8081/api",
            "http://order:8081?a=b",
            "http://order:8081#a",
            "http://or der:8081",
            "http://\u{fc}:1",
        ] {
            assert!(wrong(list).contains("form"), "{list:?}: {}", wrong(list));
        }
        assert!(wrong("http://a:1,http://b:1,http://a:1").contains("twice"));
    }

    #[test]
    fn a_password_is_not_repeated() {
        let wrong = Peers::try_new("http://admin:hunter2@order:8081").expect_err("refused");
        assert!(!format!("{wrong} {wrong:?}").contains("hunter2"), "{wrong}");
    }
}
