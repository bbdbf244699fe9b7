//! The **tail**: every message as it is published, for whoever watches right now.
//!
//! Reading the streams without a group would show only what is not trimmed yet, and
//! a stream is trimmed a moment after its last group has acked. So the relays
//! themselves tell: what they have published they announce once more on a topic, and
//! only while somebody tails. A tail says every two seconds that it is there; a relay
//! that has not heard it for six tells no more. Where nobody tails, this costs one
//! comparison per published batch.
//!
//! Nothing is kept and nothing is promised: a message that is published again, after
//! a crash or a loss of the broker, is seen again, and who falls too far behind is
//! told so and cut off. What the delay queue fires is not seen: it is no message.
//!
//! Chapter: `docs/operations.md`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::ops::TailedMessage;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::bus::{Bus, BusError, Entry};

/// Where relays tell what they have published.
const TOLD: &str = "orderly.tail";
/// Where tails say that they are there.
const WANTED: &str = "orderly.tail.wanted";
/// Between two sayings of a tail that it is there.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long a relay goes on telling: three sayings may be lost.
const WANTED_FOR: Duration = Duration::from_secs(6);
/// Between two attempts of a relay to listen for tails.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// The relay's side: whether anybody tails.
pub(crate) struct Demand {
    asked: Option<broadcast::Receiver<Arc<str>>>,
    /// When to begin to listen again.
    listen_at: Instant,
    until: Option<Instant>,
}

impl Demand {
    /// Nobody has asked yet.
    pub(crate) fn new() -> Self {
        Self { asked: None, listen_at: Instant::now(), until: None }
    }

    /// Begins to listen for tails, if it does not yet.
    pub(crate) async fn listen(&mut self, bus: &dyn Bus) {
        if self.asked.is_none() {
            self.listen_at = Instant::now() + LISTEN_AGAIN;
            // What fails now is tried again; until then nobody can tail this relay, and
            // nothing else is lost.
            self.asked = bus.tail(WANTED).await.ok();
        }
    }

    /// Waits until a tail says that it is there, and remembers it. Cancel-safe.
    pub(crate) async fn asked(&mut self, bus: &dyn Bus) {
        loop {
            let Some(asked) = &mut self.asked else {
                sleep_until(self.listen_at).await;
                self.listen(bus).await;
                continue;
            };
            match asked.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    self.until = Some(Instant::now() + WANTED_FOR);
                    return;
                }
                Err(RecvError::Closed) => self.asked = None,
            }
        }
    }

    /// Tells what was published, if anybody wants to know. Losing it loses nothing.
    pub(crate) async fn tell(&self, bus: &dyn Bus, published: &[Entry]) {
        if self.until.is_none_or(|until| until < Instant::now()) {
            return;
        }
        let told: Vec<String> = published.iter().map(|entry| told(&entry.stream, &entry.body)).collect();
        if let Err(error) = bus.announce(TOLD, &told).await {
            tracing::debug!(%error, "a tail has missed messages");
        }
    }
}

/// What travels on the topic. The envelope is JSON already, and stays byte for byte.
fn told(stream: &str, envelope: &str) -> String {
    format!(r#"{{"stream":"{stream}","envelope":{envelope}}}"#)
}

#[derive(Deserialize)]
struct Told<'a> {
    stream: &'a str,
    #[serde(borrow)]
    envelope: &'a RawValue,
}

/// Whose messages a tail wants.
#[derive(Debug, Clone)]
pub(crate) enum Streams {
    /// Those of every stream but of commands.
    OfEvents,
    /// Those of these streams.
    Named(BTreeSet<String>),
}

impl Streams {
    fn want(&self, stream: &str) -> bool {
        match self {
            Self::OfEvents => !stream.ends_with(".commands"),
            Self::Named(names) => names.contains(stream),
        }
    }

    fn choose(&self, text: &str) -> Option<TailedMessage> {
        let told: Told<'_> = serde_json::from_str(text).ok()?;
        let wanted = self.want(told.stream);
        wanted.then(|| TailedMessage { stream: told.stream.to_owned(), envelope: told.envelope.get().to_owned() })
    }
}

/// Begins to tail: what is published after this has returned is seen. Ends with
/// `stop`, with RESOURCE_EXHAUSTED if the reader falls too far behind, or with UNAVAILABLE
/// if messages may have been missed.
///
/// # Errors
/// The bus cannot be reached.
pub(crate) async fn begin(
    bus: Arc<dyn Bus>,
    streams: Streams,
    stop: CancellationToken,
) -> Result<BoxStream<'static, Result<TailedMessage, Status>>, BusError> {
    let tail = bus.tail(TOLD).await?;
    bus.announce(WANTED, &["once".to_owned()]).await?;
    // A task of its own: a reader who takes his time still wants to be told.
    let asking = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            sleep(ASK_EVERY).await;
            if let Err(error) = bus.announce(WANTED, &["still".to_owned()]).await {
                tracing::debug!(%error, "the relays may stop telling this tail");
            }
        }
    }));
    let messages = stream::unfold(Some((tail, asking, streams)), |state| async {
        let (mut tail, asking, streams) = state?;
        loop {
            match tail.recv().await {
                Ok(text) => {
                    if let Some(message) = streams.choose(&text) {
                        return Some((Ok(message), Some((tail, asking, streams))));
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    let why = format!("the tail fell behind and has missed {missed} messages; begin anew");
                    return Some((Err(Status::resource_exhausted(why)), None));
                }
                Err(RecvError::Closed) => {
                    let why = "the bus was away, and messages may have been missed; begin anew";
                    return Some((Err(Status::unavailable(why)), None));
                }
            }
        }
    });
    Ok(messages.take_until(stop.cancelled_owned()).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_comes_back_byte_for_byte() {
        let envelope = r#"{"z":1,  "a":"ü \" \\ {"}"#;
        let text = told("orderly.a", envelope);
        let message = Streams::OfEvents.choose(&text).expect("is wanted");
        assert_eq!((message.stream.as_str(), message.envelope.as_str()), ("orderly.a", envelope));
    }

    #[test]
    fn commands_are_told_to_who_names_their_stream() {
        let text = told("orderly.a.commands", "{}");
        assert!(Streams::OfEvents.choose(&text).is_none());
        assert!(Streams::Named(["orderly.a".to_owned()].into()).choose(&text).is_none());
        assert!(Streams::Named(["orderly.a.commands".to_owned()].into()).choose(&text).is_some());
    }
}
