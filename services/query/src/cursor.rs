//! **Cursors**: the opaque place of a row in a list, for keyset paging.
//!
//! A cursor holds the sort key of the last row seen, so that the next page begins
//! right after it, however many rows came or went meanwhile (an offset would skip
//! or repeat some), and is found through the index. It is written as JSON in
//! hexadecimal, with the list's name, so that it fits into any URL and is refused
//! by another list.

use platform::error::Rejection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest cursor that is looked at, in characters.
const LONGEST: usize = 4_096;

/// Writes the place of a row of `list`.
///
/// # Panics
/// If a key cannot be written as JSON, which texts and numbers can.
pub fn encode<K: Serialize>(list: &str, key: &K) -> String {
    let text = serde_json::to_vec(&(list, key)).expect("texts and numbers are JSON");
    text.iter().fold(String::with_capacity(text.len() * 2), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        hex
    })
}

/// Reads a cursor of `list`.
///
/// # Errors
/// BAD_INPUT if it is none.
pub fn decode<K: DeserializeOwned>(list: &str, cursor: &str) -> Result<K, Rejection> {
    parse(list, cursor).ok_or_else(|| Rejection::bad_input("page.after is not a cursor of this list"))
}

fn parse<K: DeserializeOwned>(list: &str, cursor: &str) -> Option<K> {
    if cursor.len() > LONGEST || !cursor.len().is_multiple_of(2) || !cursor.is_ascii() {
        return None;
    }
    let bytes: Vec<u8> = cursor
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()
        })
        .collect::<Option<_>>()?;
    let (name, key): (String, Value) = serde_json::from_slice(&bytes).ok()?;
    if name == list && is_clean(&key) { serde_json::from_value(key).ok() } else { None }
}

/// No control characters in it, which no row's key has and Postgres would choke on.
fn is_clean(key: &Value) -> bool {
    match key {
        Value::String(text) => !text.chars().any(char::is_control),
        Value::Array(parts) => parts.iter().all(is_clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for key in [("Tasse Ä \"blue\" \\ 100%", "MUG-1"), ("", ""), ("日本", "x")] {
            let cursor = encode("products", &key);
            assert!(cursor.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let back: (String, String) = decode("products", &cursor).expect("reads");
            assert_eq!((back.0.as_str(), back.1.as_str()), key);
        }
        let back: (i64, String) = decode("orders", &encode("orders", &(i64::MAX, "o-1"))).expect("reads");
        assert_eq!(back, (i64::MAX, "o-1".to_owned()));
    }

    #[test]
    fn what_is_no_cursor_of_the_list_is_refused() {
        let of_orders = encode("orders", &(1_i64, "o-1"));
        assert!(decode::<(i64, String)>("notifications", &of_orders).is_err());
        assert!(decode::<(String, String)>("orders", &of_orders).is_err());
        for text in ["", "a", "zz", "ää", "5b5d", "00", &"5b".repeat(4_000), "' OR 1=1 --"] {
            assert!(decode::<(i64, String)>("orders", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_with_control_characters_is_refused() {
        let forged = encode("orders", &(1_i64, "o\u{0}"));
        assert!(decode::<(i64, String)>("orders", &forged).is_err());
    }
}
