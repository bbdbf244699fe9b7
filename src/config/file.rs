//! The file: flat lines of TOML, `name = value`, where the name is that of a flag.
//!
//! Text, numbers and switches are written as TOML has them; a list is `["a", "b"]`. There are no tables: one file
//! can serve several commands, and a setting means the same in all of them.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::setting::Setting;
use super::{hide, nearest};

/// How far from a known name a misspelt one may be.
const NEAR: usize = 3;

const A_TABLE: &str = "is a table, and settings are lines of their own: name = value";

/// A file that is TOML; whether it makes sense is for [`check`](Self::check) to say.
pub(super) struct File {
    name: String,
    /// Of the file, by which others may read it.
    mode: u32,
    entries: Vec<Entry>,
}

/// A line of it.
pub(super) struct Entry {
    name: String,
    line: usize,
    values: Vec<OsString>,
    /// What it is in place of a text, a number, a switch or a list of these.
    odd: Option<String>,
    is_list: bool,
    is_table: bool,
}

impl Entry {
    /// From 1.
    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// As a command line would have them.
    pub(super) fn values(&self) -> &[OsString] {
        &self.values
    }

    fn new(name: String, line: usize, value: &DeValue<'_>) -> Self {
        let is_table = value.is_table();
        let (items, is_list): (Vec<&DeValue<'_>>, _) = match value {
            DeValue::Array(items) => (items.iter().map(Spanned::get_ref).collect(), true),
            one => (vec![one], false),
        };
        let texts: Result<Vec<OsString>, String> = items.into_iter().map(text).collect();
        match texts {
            Ok(values) => Self { name, line, values, odd: None, is_list, is_table },
            Err(odd) => Self { name, line, values: Vec::new(), odd: Some(odd), is_list, is_table },
        }
    }

    /// Whether the setting of this name takes it.
    fn check(&self, setting: &Setting) -> Result<(), String> {
        if let Some(odd) = &self.odd {
            return Err(odd.clone());
        }
        if self.is_list && !setting.is_list() {
            return Err("takes one value, and this is a list".to_owned());
        }
        if self.values.is_empty() || self.values.iter().any(|value| value.is_empty()) {
            return Err("is empty; leave the line out if nothing is meant".to_owned());
        }
        setting.check(&self.values)
    }
}

/// The value as a command line would have it.
fn text(value: &DeValue<'_>) -> Result<OsString, String> {
    Ok(match value {
        DeValue::String(text) => OsString::from(&**text),
        DeValue::Integer(number) => decimal(number).into(),
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(switch) => switch.to_string().into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(_) => return Err("is a list in a list".to_owned()),
        DeValue::Table(_) => return Err(A_TABLE.to_owned()),
    })
}

fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string())
}

impl File {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read, or is no TOML; with its name and the line.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<String>> {
        let name = path.display().to_string();
        let unreadable = |error: std::io::Error| {
            vec![format!("{name}: the configuration file (--config, ORDERLY_CONFIG) cannot be read: {error}")]
        };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            vec![format!("{name}: line {line}: is not UTF-8")]
        })?;
        Ok(Self { entries: entries(&name, &text)?, name, mode })
    }

    /// As it was given.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it says about a setting.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Everything that is wrong with it, for a start of `command`. What is a setting of another command only
    /// is checked and has no effect.
    pub(super) fn check(&self, command: &str, known: &[(String, Vec<Setting>)]) -> Vec<String> {
        let mut wrong = Vec::new();
        for entry in &self.entries {
            let verdict = match find(&entry.name, command, known) {
                Some(setting) => entry.check(setting),
                None if entry.is_table => Err(A_TABLE.to_owned()),
                None => Err(unknown(&entry.name, command, known)),
            };
            if let Err(why) = verdict {
                wrong.push(format!("{}: line {}: {}: {why}", self.name, entry.line, entry.name));
            }
        }
        wrong
    }

    /// A word about secrets that others may read.
    pub(super) fn warning(&self, known: &[(String, Vec<Setting>)]) -> Option<String> {
        if self.mode & 0o077 == 0 {
            return None;
        }
        let is_secret = |entry: &&Entry| {
            let setting = known.iter().flat_map(|(_, settings)| settings).find(|setting| setting.name() == entry.name);
            setting.is_some_and(Setting::is_secret) && entry.values.iter().any(|value| hide::holds_a_secret(value))
        };
        let secrets: Vec<&str> = self.entries.iter().filter(is_secret).map(|entry| entry.name.as_str()).collect();
        let Self { name, mode, .. } = self;
        (!secrets.is_empty()).then(|| {
            let mode = mode & 0o777;
            format!("{name}: its mode is {mode:o}, so others may read {}; chmod 600 is safer", secrets.join(", "))
        })
    }
}

/// The setting of this name: the command's, or else another's.
fn find<'a>(name: &str, command: &str, known: &'a [(String, Vec<Setting>)]) -> Option<&'a Setting> {
    let own = known.iter().filter(|(of, _)| of == command);
    let others = known.iter().filter(|(of, _)| of != command);
    own.chain(others).flat_map(|(_, settings)| settings).find(|setting| setting.name() == name)
}

fn unknown(name: &str, command: &str, known: &[(String, Vec<Setting>)]) -> String {
    let names = known.iter().flat_map(|(_, settings)| settings).map(Setting::name);
    let plain = name.trim_start_matches('-').replace('_', "-").to_lowercase();
    match nearest::within(NEAR.min(plain.len() / 2), &plain, names) {
        Some(near) => format!("no such setting; is {near} meant?"),
        None => format!("no such setting; `orderly config --template {command}` lists them"),
    }
}

/// Its lines, in their order.
fn entries(file: &str, text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let line_of = |at: usize| 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        // A name may be shown; whatever else is there may be a secret.
        let name = text.get(span.clone()).filter(|name| !name.is_empty() && name.chars().all(is_bare));
        let why = match (error.message(), name) {
            ("duplicate key", Some(name)) => format!("{name}: is set twice"),
            (message, _) => format!("is not TOML: {message}"),
        };
        vec![format!("{file}: line {}: {why}", line_of(span.start))]
    })?;
    let mut entries: Vec<(usize, Entry)> = table
        .get_ref()
        .iter()
        .map(|(key, value)| {
            let at = key.span().start;
            (at, Entry::new(key.get_ref().to_string(), line_of(at), value.get_ref()))
        })
        .collect();
    entries.sort_by_key(|(at, _)| *at);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-".contains(c)
}
