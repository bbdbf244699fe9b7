//! Reading what Redis answers: ids, entries, and the pairs of the `XINFO` kind.
//!
//! Entries are parsed here by hand and never fail: one that somebody wrote by
//! hand, without our field or not in UTF-8, must not hold up its neighbours.

use std::sync::Arc;

use redis::Value;

use super::keys::BODY;
use crate::bus::{BusError, Position};

/// A position as Redis writes it.
pub(super) fn id(position: Position) -> String {
    format!("{}-{}", position.ms, position.seq)
}

/// The next position that there can be.
pub(super) fn after(position: Position) -> Position {
    match position.seq.checked_add(1) {
        Some(seq) => Position { seq, ..position },
        None => Position { ms: position.ms.saturating_add(1), seq: 0 },
    }
}

/// The last position that there can have been.
pub(super) fn before(position: Position) -> Position {
    match position.seq.checked_sub(1) {
        Some(seq) => Position { seq, ..position },
        None => Position { ms: position.ms.saturating_sub(1), seq: if position.ms == 0 { 0 } else { u64::MAX } },
    }
}

/// An id as a position.
pub(super) fn position(value: &Value) -> Result<Position, BusError> {
    text(value).ok_or_else(|| unexpected("an id", value))?.parse()
}

/// Where an entry stands, and its body unless it is gone.
pub(super) type Found = (Position, Option<Arc<str>>);

/// Entries `[[id, [field, text, …]], …]`.
pub(super) fn entries(value: Value) -> Result<Vec<Found>, BusError> {
    list(value)?
        .into_iter()
        .filter(|entry| *entry != Value::Nil)
        .map(|entry| {
            let mut parts = list(entry)?.into_iter();
            let position = position(&parts.next().unwrap_or_default())?;
            let fields = parts.next().unwrap_or_default();
            Ok((position, (fields != Value::Nil).then(|| body(&fields))))
        })
        .collect()
}

/// The body, or for what we did not write all its text: it will be found
/// malformed and end up as a dead letter where an operator can look at it.
fn body(fields: &Value) -> Arc<str> {
    let Value::Array(fields) = fields else { return "".into() };
    let ours = fields.chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some(BODY));
    match ours.map(|pair| &pair[1]) {
        Some(Value::BulkString(bytes)) => match std::str::from_utf8(bytes) {
            Ok(body) => body.into(),
            Err(_) => String::from_utf8_lossy(bytes).into(),
        },
        Some(other) => lossy(other).into(),
        None => fields.iter().map(lossy).collect::<Vec<_>>().join(" ").into(),
    }
}

fn lossy(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => text(other).unwrap_or_default(),
    }
}

/// The elements of an array.
pub(super) fn list(value: Value) -> Result<Vec<Value>, BusError> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        other => Err(unexpected("a list", &other)),
    }
}

/// A text or number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The value of a name in a flat list of pairs.
pub(super) fn field(pairs: &[Value], name: &str) -> Option<String> {
    pairs.chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some(name)).and_then(|pair| text(&pair[1]))
}

/// The same, a number.
pub(super) fn number(pairs: &[Value], name: &str) -> Option<u64> {
    field(pairs, name)?.parse().ok()
}

/// Redis answered something else than the protocol says.
pub(super) fn unexpected(wanted: &str, got: &Value) -> BusError {
    let mut shown = format!("{got:?}");
    shown.truncate(shown.char_indices().nth(200).map_or(shown.len(), |(index, _)| index));
    BusError::Broken(format!("expected {wanted}, got {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    #[test]
    fn positions_have_neighbours_across_the_millisecond() {
        let first = Position { ms: 5, seq: 0 };
        assert_eq!(before(first), Position { ms: 4, seq: u64::MAX });
        assert_eq!(after(before(first)), first);
        assert_eq!(before(Position::default()), Position::default());
    }

    #[test]
    fn an_entry_that_we_did_not_write_is_still_an_entry() {
        let entry = |fields: Vec<Value>| Value::Array(vec![bulk(b"1-0"), Value::Array(fields)]);
        let read = entries(Value::Array(vec![
            entry(vec![bulk(b"e"), bulk(b"body")]),
            entry(vec![bulk(b"e"), bulk(b"\xff")]),
            entry(vec![bulk(b"x"), bulk(b"y")]),
            Value::Array(vec![bulk(b"2-0"), Value::Nil]),
        ]));
        let bodies: Vec<_> = read.expect("all are read").into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies, [Some("body".into()), Some("\u{fffd}".into()), Some("x y".into()), None]);
    }
}
