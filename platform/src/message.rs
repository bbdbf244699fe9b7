//! Messages: the envelope every event and command travels in.
//!
//! The attributes are those of [CloudEvents 1.0](https://cloudevents.io), their
//! names in its lower-case form. `sequence` is gapless per (`source`, `subject`):
//! it is what the inbox counts by. A *source* is one outlet of a service, such as
//! `/a` for its events or `/a/b.commands` for the commands it sends to service b;
//! so a group that hears one of them sees no gaps where the other spoke.
//!
//! The payload is proto3 JSON of the type named in `type`.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::clock::Millis;

/// A contract type that can travel: it has a full protobuf name and a JSON form.
pub trait Payload: Serialize + DeserializeOwned {
    /// `orderly.<package>.v1.<Name>`.
    fn type_name() -> String;
}

impl<T: prost::Name + Serialize + DeserializeOwned> Payload for T {
    fn type_name() -> String {
        T::full_name()
    }
}

/// What travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// UUIDv7.
    pub id: String,
    /// Full protobuf name of the payload's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The outlet that spoke.
    pub source: String,
    /// The aggregate's id.
    pub subject: String,
    /// 1, 2, 3 … per (source, subject), given in the producer's transaction.
    pub sequence: i64,
    /// When it was decided.
    #[serde(with = "rfc3339")]
    pub time: Millis,
    /// Version of the payload's schema.
    pub dataschema: String,
    /// The business process that this belongs to.
    #[serde(rename = "correlationid")]
    pub correlation_id: String,
    /// The message or command that caused this one.
    #[serde(rename = "causationid")]
    pub causation_id: String,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Not to be obeyed before this time.
    #[serde(rename = "deliverat", default, skip_serializing_if = "Option::is_none")]
    pub deliver_at: Option<Millis>,
    /// Proto3 JSON.
    pub data: Box<RawValue>,
    /// The text it was read from, if it was: for [`Envelope::text`]. Whoever changes another
    /// field of what was read empties this one.
    #[serde(skip)]
    pub text: Option<Arc<str>>,
}

impl Envelope {
    /// The type's last word: `OrderPlaced` of `orderly.order.v1.OrderPlaced`.
    pub fn short_kind(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or(&self.kind)
    }

    /// Reads an envelope from the wire.
    ///
    /// # Errors
    /// The text is not an envelope.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        serde_json::from_str(text).map_err(|error| Malformed(format!("not an envelope: {error}")))
    }

    /// Reads an envelope and keeps its text, so that it can be handed on as it came.
    ///
    /// # Errors
    /// The text is not an envelope.
    pub fn read(text: &Arc<str>) -> Result<Self, Malformed> {
        Ok(Self { text: Some(text.clone()), ..Self::parse(text)? })
    }

    /// The envelope as it travels: the text it was read from, or else written now.
    ///
    /// # Panics
    /// If it cannot be written as JSON, which every envelope can.
    pub fn text(&self) -> Arc<str> {
        match &self.text {
            Some(text) => text.clone(),
            None => serde_json::to_string(self).expect("an envelope is JSON").into(),
        }
    }

    /// Reads the payload as `T`.
    ///
    /// # Errors
    /// The data is no `T`.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_str(self.data.get())
            .map_err(|error| Malformed(format!("{} does not read as its type: {error}", self.kind)))
    }
}

/// A message that nobody will ever be able to read: straight to the dead letters.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// A message that a decision wants said; the loop makes the envelope around it.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Index into the service's declared outlets.
    pub outlet: usize,
    /// The aggregate's id.
    pub subject: String,
    /// Full protobuf name.
    pub kind: String,
    /// The business process that this belongs to.
    pub correlation_id: String,
    /// Proto3 JSON.
    pub data: Box<RawValue>,
}

impl Outgoing {
    /// A message to be said through an outlet.
    ///
    /// # Panics
    /// If a generated contract type cannot be written as JSON, which none does.
    pub fn new<T: Payload>(outlet: usize, subject: &str, correlation_id: &str, payload: &T) -> Self {
        Self {
            outlet,
            subject: subject.to_owned(),
            kind: T::type_name(),
            correlation_id: correlation_id.to_owned(),
            data: serde_json::value::to_raw_value(payload).expect("a contract type is JSON"),
        }
    }
}

/// A fresh id, UUIDv7: sortable by the time it was made.
pub fn fresh_id() -> String {
    Uuid::now_v7().to_string()
}

/// Milliseconds as CloudEvents writes time.
mod rfc3339 {
    use std::fmt;

    use chrono::{DateTime, SecondsFormat};
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    use super::Millis;

    pub(super) fn serialize<S: Serializer>(millis: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
        let time = DateTime::from_timestamp_millis(*millis).unwrap_or_default();
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
        deserializer.deserialize_str(Time)
    }

    /// Reads a time where it stands in the text, without a copy.
    struct Time;

    impl Visitor<'_> for Time {
        type Value = Millis;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time such as 2026-01-31T12:00:00.000Z")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Millis, E> {
            DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis()).map_err(E::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_survives_the_wire() {
        let envelope = Envelope {
            id: fresh_id(),
            kind: "orderly.test.v1.Happened".into(),
            source: "/test".into(),
            subject: "s-1".into(),
            sequence: 7,
            time: 1_700_000_000_123,
            dataschema: "1".into(),
            correlation_id: "c".into(),
            causation_id: "d".into(),
            traceparent: None,
            deliver_at: None,
            data: RawValue::from_string(r#"{"z":1,"a":"ü"}"#.into()).expect("JSON"),
            text: None,
        };
        let text = serde_json::to_string(&envelope).expect("writes");
        assert!(text.contains("2023-11-14T22:13:20.123Z"), "{text}");
        let back = Envelope::parse(&text).expect("reads");
        assert_eq!(back.time, envelope.time);
        assert_eq!(back.data.get(), envelope.data.get());
        assert_eq!(back.short_kind(), "Happened");
    }
    #[test]
    fn what_was_read_is_handed_on_as_it_came() {
        let text: Arc<str> = r#"{ "specversion": "1.0", "id": "i", "type": "t", "source": "/s", "subject": "x",
            "sequence": 1, "time": "2023-11-14T22:13:20.123+00:00", "dataschema": "1", "correlationid": "c",
            "causationid": "d", "data": {} }"#
            .into();
        let read = Envelope::read(&text).expect("reads");
        assert_eq!(read.time, 1_700_000_000_123);
        assert_eq!(read.text(), text);
        let made = Envelope { text: None, ..read };
        let back = Envelope::parse(&made.text()).expect("reads");
        assert_eq!((back.id, back.subject, back.time), (made.id, made.subject, made.time));
    }
}
