//! Checks of text at the boundary, the same for every service.
//!
//! A NUL fails a whole JSON array on Postgres, and with it a batch of strangers'
//! inputs; other control characters have no business in a name. They are refused
//! where they come in, whoever sends them.

use crate::error::Rejection;
use crate::message::fresh_id;

/// A key: ASCII letters, digits and `-_./`, 1 to 64 of them.
///
/// # Errors
/// BAD_INPUT that names the field.
pub fn key(field: &str, text: &str) -> Result<(), Rejection> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    if fits { Ok(()) } else { Err(Rejection::bad_input(format!("{field} must be 1 to 64 letters, digits or - _ . /"))) }
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
