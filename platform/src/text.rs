//! Checks of text at the boundary, the same for every service.
//!
//! A NUL fails a whole JSON array on Postgres, and with it a batch of strangers'
//! inputs; other control characters have no business in a name. They are refused
//! where they come in, whoever sends them.

use crate::error::Rejection;
use crate::message::fresh_id;

/// A key: ASCII letters, digits and `-_./`, 1 to 64 of them. It becomes part of the
/// path of a page, so no part of it between slashes may be `.` or `..`, which a
/// browser takes as a way to another page.
///
/// # Errors
/// BAD_INPUT that names the field.
pub fn key(field: &str, text: &str) -> Result<(), Rejection> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    if !fits {
        Err(Rejection::bad_input(format!("{field} must be 1 to 64 letters, digits or - _ . /")))
    } else if text.split('/').any(|part| part == "." || part == "..") {
        Err(Rejection::bad_input(format!("{field} must not have . or .. as a part between slashes")))
    } else {
        Ok(())
    }
}

/// A line of text for people: 1 to `most` characters, none of them control.
///
/// # Errors
/// BAD_INPUT that names the field.
pub fn line(field: &str, text: &str, most: usize) -> Result<(), Rejection> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > most {
        Err(Rejection::bad_input(format!("{field} must be 1 to {most} characters")))
    } else if text.chars().any(char::is_control) {
        Err(Rejection::bad_input(format!("{field} must not contain control characters")))
    } else {
        Ok(())
    }
}

/// An ISO 4217 code in form: three capital letters.
///
/// # Errors
/// BAD_INPUT.
pub fn currency(text: &str) -> Result<(), Rejection> {
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(())
    } else {
        Err(Rejection::bad_input("currency must be three capital letters"))
    }
}

/// A command id as sent, or a fresh one if none was.
///
/// # Errors
/// BAD_INPUT.
pub fn command_id(text: String) -> Result<String, Rejection> {
    if text.is_empty() {
        return Ok(fresh_id());
    }
    line("command_id", &text, 400)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_no_way_to_another_page() {
        for good in ["MUG-1", "a/b", "a.b", "...", "a../b", ".a", "0b1/2_3"] {
            assert!(key("sku", good).is_ok(), "{good}");
        }
        for bad in [".", "..", "a/..", "../a", "a/./b", "a/../b", "", "a b", "a%2eb", "ü"] {
            assert!(key("sku", bad).is_err(), "{bad}");
        }
        assert!(key("sku", &"a".repeat(64)).is_ok());
        assert!(key("sku", &"a".repeat(65)).is_err());
    }
}
