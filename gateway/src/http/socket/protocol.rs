//! The words of `graphql-transport-ws`, as `graphql-ws` by Denis Badurina defines
//! them (its PROTOCOL.md), and the codes that a connection is closed with.

use async_graphql::{Request, Response, ServerError};
use serde::{Deserialize, Serialize};

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    /// The first message: who it is.
    ConnectionInit {
        #[serde(default)]
        payload: Option<Init>,
    },
    /// Begins an operation under an id of the client's choice.
    Subscribe { id: String, payload: Box<Request> },
    /// Ends one; what is on its way may still arrive.
    Complete { id: String },
    /// Asks whether anybody is there.
    Ping {},
    /// The answer to a ping; we send none of this kind.
    Pong {},
}

/// What comes with the first message.
#[derive(Default, Deserialize)]
pub(super) struct Init {
    /// `Bearer <token>`.
    #[serde(default, alias = "Authorization")]
    pub(super) authorization: Option<String>,
}

impl Said {
    /// `None` for what is no message of the protocol.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What the gateway answers.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Answer<'a> {
    /// The first message was taken.
    ConnectionAck,
    /// Somebody is here.
    Pong,
    /// An operation's answer, or its next one.
    Next { id: &'a str, payload: Response },
    /// An operation was not begun. Nothing follows.
    Error { id: &'a str, payload: Vec<ServerError> },
    /// An operation is over.
    Complete { id: &'a str },
}

impl Answer<'_> {
    /// As it goes over the wire.
    pub(super) fn write(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// Why the gateway closes a connection. Codes from 4000 on are the protocol's; clients
/// connect anew by themselves after the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// The client has closed it, or is gone.
    Gone,
    /// The gateway stops.
    GoingAway,
    /// The account has enough connections.
    TooMany,
    /// Something failed here.
    Unavailable,
    /// What came is no message of the protocol, or too long.
    BadRequest,
    /// An operation before the first message.
    Unauthorised,
    /// The token is nobody's, or the session has ended.
    Forbidden,
    /// No first message in time.
    Late,
    /// An id is in use.
    Taken,
    /// A second first message.
    Again,
}

impl Closing {
    /// The close frame's code and reason; `None` if nobody would read it.
    pub(super) const fn frame(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Gone => return None,
            Self::GoingAway => (1001, "The shop stops"),
            Self::TooMany => (1013, "Too many connections of this account"),
            Self::Unavailable => (1011, "A part of the shop cannot be reached; try again shortly"),
            Self::BadRequest => (4400, "Not a graphql-transport-ws message of at most 1 MiB"),
            Self::Unauthorised => (4401, "Unauthorized"),
            Self::Forbidden => (4403, "Forbidden: the bearer token is unknown or has expired"),
            Self::Late => (4408, "Connection initialisation timeout"),
            Self::Taken => (4409, "A subscriber with this id already exists"),
            Self::Again => (4429, "Too many initialisation requests"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_may_say_is_read_and_nothing_else() {
        let init = |text: &str| match Said::read(text) {
            Some(Said::ConnectionInit { payload }) => Some(payload.unwrap_or_default().authorization),
            _ => None,
        };
        assert_eq!(init(r#"{"type":"connection_init"}"#), Some(None));
        assert_eq!(init(r#"{"type":"connection_init","payload":null}"#), Some(None));
        assert_eq!(init(r#"{"type":"connection_init","payload":{"other":1}}"#), Some(None));
        for name in ["authorization", "Authorization"] {
            let text = format!(r#"{{"type":"connection_init","payload":{{"{name}":"Bearer x"}}}}"#);
            assert_eq!(init(&text), Some(Some("Bearer x".into())));
        }
        assert!(matches!(Said::read(r#"{"type":"ping","payload":{"a":[1]}}"#), Some(Said::Ping {})));
        let subscribe = r#"{"type":"subscribe","id":"1","payload":{"query":"{ me { id } }","variables":{"a":1}}}"#;
        assert!(
            matches!(Said::read(subscribe), Some(Said::Subscribe { id, payload }) if id == "1" && payload.query.len() == 13)
        );
        for wrong in [
            "",
            "[]",
            "null",
            "{}",
            "\u{0}",
            r#"{"type":"start","id":"1","payload":{"query":"{ me { id } }"}}"#,
            r#"{"type":"connection_terminate"}"#,
            r#"{"type":"subscribe","payload":{"query":"{ me { id } }"}}"#,
            r#"{"type":"subscribe","id":1,"payload":{"query":"{ me { id } }"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"connection_init","payload":"Bearer x"}"#,
            r#"{"type":"connection_init","payload":{"authorization":7}}"#,
        ] {
            assert!(Said::read(wrong).is_none(), "{wrong}");
        }
        assert!(Said::read(&"[".repeat(500_000)).is_none());
    }

    #[test]
    fn the_reasons_fit_into_a_close_frame() {
        for closing in [
            Closing::GoingAway,
            Closing::TooMany,
            Closing::Unavailable,
            Closing::BadRequest,
            Closing::Unauthorised,
            Closing::Forbidden,
            Closing::Late,
            Closing::Taken,
            Closing::Again,
        ] {
            assert!(closing.frame().is_some_and(|(_, reason)| reason.len() <= 123), "{closing:?}");
        }
    }
}
