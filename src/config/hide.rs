//! Secrets, kept out of everything that is printed.
//!
//! An argument is a secret if its values are hidden in the help (`hide_env_values`). Of a secret URL only the
//! password is hidden, since the rest is what one looks for when something cannot be reached; anything else is
//! hidden wholly. Where a text is ambiguous, too much is hidden rather than too little.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, Error};

/// Stands for what is not shown.
pub(super) const HIDDEN: &str = "(hidden)";
const MASK: &str = "***";

/// The text of a secret that may be shown.
pub(super) fn secret(value: &OsStr) -> String {
    value.to_str().and_then(without_password).unwrap_or_else(|| HIDDEN.to_owned())
}

/// Whether something of it would have to be hidden.
pub(super) fn holds_a_secret(value: &OsStr) -> bool {
    value.to_str() != Some(&secret(value))
}

/// A URL with its password masked; nothing if it is no URL.
fn without_password(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let named = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if scheme.is_empty() || !scheme.chars().all(named) || rest.chars().any(char::is_whitespace) {
        return None;
    }
    // Up to the LAST at sign: a password may hold one, or a slash, which nobody has escaped.
    let (user, rest) = match rest.rsplit_once('@') {
        None => (String::new(), rest),
        Some((user, rest)) => match user.split_once(':') {
            Some((user, _)) => (format!("{user}:{MASK}@"), rest),
            None => (format!("{user}@"), rest),
        },
    };
    let rest = match rest.split_once('?') {
        Some((place, query)) => format!("{place}?{}", query.split('&').map(parameter).collect::<Vec<_>>().join("&")),
        None => rest.to_owned(),
    };
    Some(format!("{scheme}://{user}{rest}"))
}

/// A parameter of a query, masked if its name says so.
fn parameter(text: &str) -> String {
    let secret = |name: &str| ["pass", "secret", "token", "key"].iter().any(|word| name.contains(word));
    match text.split_once('=') {
        Some((name, _)) if secret(&name.to_ascii_lowercase()) => format!("{name}={MASK}"),
        _ => text.to_owned(),
    }
}

/// The error without the value of a secret argument, and without a password in whatever else was typed.
pub(super) fn in_error(error: Error, command: &Command) -> Error {
    // Help is no error, and may show what a URL looks like.
    if !error.use_stderr() {
        return error;
    }
    let about_a_secret = |argument: &str| {
        let name = argument.trim_start_matches('-').split([' ', '=', '[', '<']).next().unwrap_or_default();
        secrets(command).contains(name)
    };
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => Some(argument.clone()),
        _ => None,
    };
    if let Some(argument) = argument.filter(|argument| about_a_secret(argument))
        && error.get(ContextKind::InvalidValue).is_some()
    {
        return Error::raw(error.kind(), format!("the value of '{argument}' makes no sense {HIDDEN}\n"));
    }
    let text = error.to_string();
    let clean = without_passwords(&text);
    if clean == text {
        return error;
    }
    Error::raw(error.kind(), clean.trim_start_matches("error: "))
}

/// A text with the password of every URL in it masked.
pub(super) fn without_passwords(text: &str) -> String {
    let words = text.split_inclusive(|c: char| c.is_whitespace() || "'\"`<>".contains(c));
    words
        .map(|word| {
            let end = word.trim_end_matches(|c: char| c.is_whitespace() || "'\"`<>".contains(c)).len();
            match without_password(&word[..end]) {
                Some(clean) => clean + &word[end..],
                None => word.to_owned(),
            }
        })
        .collect()
}

/// The long names of the secret arguments of a command and all below it.
fn secrets(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter(|arg| arg.is_hide_env_values_set()).filter_map(Arg::get_long);
    let mut names: BTreeSet<String> = own.map(str::to_owned).collect();
    names.extend(command.get_subcommands().flat_map(secrets));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_password_is_hidden() {
        for (url, shown) in [
            ("redis://localhost:6379/0", "redis://localhost:6379/0"),
            ("redis://ada:hunter2@localhost:6379/0", "redis://ada:***@localhost:6379/0"),
            ("redis://:hunter2@localhost", "redis://:***@localhost"),
            ("postgres://ada@db/{service}?sslmode=require", "postgres://ada@db/{service}?sslmode=require"),
            ("postgres://db/a?user=ada&password=hunter2", "postgres://db/a?user=ada&password=***"),
            ("postgres://db/a?PGPASSWORD=hunter2", "postgres://db/a?PGPASSWORD=***"),
            ("smtp://ada:a@b:c/d?e@host:587?tls=required", "smtp://ada:***@host:587?tls=required"),
        ] {
            assert_eq!(secret(OsStr::new(url)), shown);
            assert_eq!(holds_a_secret(OsStr::new(url)), url != shown, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_hidden_wholly() {
        for text in ["hunter2", "redis:/ada:hunter2@host", "://x", "host=db password=hunter2", "a b://c:d@e", ""] {
            assert_eq!(secret(OsStr::new(text)), HIDDEN, "{text}");
        }
    }

    #[test]
    fn a_password_inside_a_text_is_masked() {
        let text = "error: unexpected argument 'redis://ada:hunter2@host' found\n\nUsage: orderly\n";
        assert_eq!(
            without_passwords(text),
            "error: unexpected argument 'redis://ada:***@host' found\n\nUsage: orderly\n"
        );
        assert_eq!(without_passwords("no\n 'url' here <a>\n"), "no\n 'url' here <a>\n");
    }
}
