//! `orderly config`: the effective values, and what can be set.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::setting::Setting;
use super::{Effect, Effective, Origin};
use crate::print;

/// Print the settings that a start would have, and where each is from
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long, global = true, conflicts_with = "template")]
    json: bool,
    /// Print a TOML file with every setting, commented out
    #[arg(long, global = true)]
    template: bool,
    /// Print the tables of the documents
    #[arg(long, global = true, hide = true)]
    markdown: bool,
}

/// Prints.
///
/// # Errors
/// Standard output cannot be written to.
pub(crate) fn run(args: Args, effective: &Effective) -> anyhow::Result<ExitCode> {
    let text = match args {
        Args { markdown: true, .. } => markdown(&effective.known),
        Args { template: true, .. } => effective.template(),
        Args { json: true, .. } => format!("{}\n", effective.json()),
        Args { .. } => effective.text(),
    };
    let printed = text.lines().try_for_each(|line| Ok(print::line(line)?));
    print::unless_nobody_reads(printed.map(|()| ExitCode::SUCCESS))
}

impl Effective {
    fn text(&self) -> String {
        let file = self.file.as_deref().map(|file| format!(", with the file {file}")).unwrap_or_default();
        let mut text = print::harmless(&format!("# orderly {}{file}", self.command)) + "\n";
        let rows: Vec<[String; 3]> = self.values.iter().map(|effect| self.row(effect)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (names, values) = (width(0), width(1));
        for [name, value, origin] in &rows {
            text += &format!("{name:names$}  {value:values$}  {origin}\n");
        }
        text
    }

    fn row(&self, effect: &Effect) -> [String; 3] {
        let shown: Vec<String> = effect.shown();
        let value = if shown.is_empty() { "-".to_owned() } else { shown.join(",") };
        let origin = match &effect.origin {
            Origin::Flag => "flag".to_owned(),
            Origin::Environment(name) => format!("environment {name}"),
            Origin::File(line) => format!("{}:{line}", self.file.as_deref().unwrap_or("file")),
            Origin::Default => "default".to_owned(),
            Origin::Nowhere => "not set".to_owned(),
        };
        [effect.setting.name().to_owned(), print::harmless(&value), print::harmless(&origin)]
    }

    fn json(&self) -> Value {
        let settings = self.values.iter().map(|effect| {
            let (from, line) = match &effect.origin {
                Origin::Flag => ("flag", None),
                Origin::Environment(_) => ("environment", None),
                Origin::File(line) => ("file", Some(line)),
                Origin::Default => ("default", None),
                Origin::Nowhere => ("not set", None),
            };
            json!({
                "setting": effect.setting.name(),
                "value": effect.value(),
                "from": from,
                "line": line,
                "environment": effect.setting.environment(),
                "secret": effect.setting.is_secret(),
            })
        });
        json!({ "command": self.command, "file": self.file, "settings": settings.collect::<Vec<_>>() })
    }

    /// A file that changes nothing until somebody takes a `#` away.
    fn template(&self) -> String {
        let mut text = format!(
            "# Settings of `orderly {0}`. Start with `orderly {0} --config FILE`, or name the file in ORDERLY_CONFIG.\n\
             # A flag wins over the environment, the environment over this file. Print what a start would have with\n\
             # `orderly config --config FILE {0}`. If you keep a password here, let nobody else read the file (chmod 600).\n",
            self.command
        );
        for setting in self.documented() {
            text += "\n";
            for line in wrapped(&setting.about()) {
                text += &format!("# {line}\n");
            }
            let choices = setting.choices();
            if !choices.is_empty() {
                let which = if setting.is_list() { "Any" } else { "One" };
                text += &format!("# {which} of {}.\n", choices.join(", "));
            }
            let default = if setting.default_values().is_empty() { "; there is no default" } else { "" };
            text += &format!("# Environment: {}{default}\n", setting.environment());
            text += &format!("#{} = {}\n", setting.name(), example(setting));
        }
        text
    }

    fn documented(&self) -> impl Iterator<Item = &Setting> {
        let own = self.known.iter().filter(|(command, _)| *command == self.command);
        own.flat_map(|(_, settings)| settings).filter(|setting| !setting.is_undocumented())
    }
}

impl Effect {
    /// The values as everybody may see them.
    fn shown(&self) -> Vec<String> {
        self.values.iter().map(|value| self.setting.show(value)).collect()
    }

    fn value(&self) -> Value {
        let mut shown = self.shown();
        if self.setting.is_list() {
            return shown.into();
        }
        match shown.pop() {
            None => Value::Null,
            Some(text) if self.setting.is_switch() => super::setting::is_on(&text).into(),
            Some(text) => text.into(),
        }
    }
}

/// The default, or what a value might look like, in TOML.
fn example(setting: &Setting) -> String {
    let defaults = setting.default_values();
    let scalar = |text: &str| match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => text.to_owned(),
        _ if setting.is_switch() => text.to_owned(),
        _ => quoted(text),
    };
    let mut texts: Vec<String> = defaults.iter().map(|value| scalar(&setting.show(value))).collect();
    if texts.is_empty() {
        texts.push(quoted(setting.choices().first().unwrap_or(&setting.placeholder())));
    }
    if setting.is_list() { format!("[{}]", texts.join(", ")) } else { texts.join(", ") }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Lines of at most a hundred characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < 100) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A table for each command.
fn markdown(known: &[(String, Vec<Setting>)]) -> String {
    let mut text = String::new();
    for (command, settings) in known {
        text += &format!("### `orderly {command}`\n\n");
        text += "| setting | environment | default | what for |\n|---|---|---|---|\n";
        for setting in settings.iter().filter(|setting| !setting.is_undocumented()) {
            let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;").replace('>', "&gt;");
            let defaults: Vec<String> = setting.default_values().iter().map(|value| setting.show(value)).collect();
            let default = if defaults.is_empty() { String::new() } else { format!("`{}`", defaults.join(",")) };
            let choices = setting.choices();
            let choices = if choices.is_empty() { String::new() } else { format!(": any of {}", choices.join(", ")) };
            let secret = if setting.is_secret() { " *(secret)*" } else { "" };
            text += &format!(
                "| `{}` | `{}` | {} | {}{}{} |\n",
                setting.name(),
                setting.environment(),
                default.replace('|', "\\|"),
                cell(&setting.about()),
                cell(&choices),
                secret
            );
        }
        text += "\n";
    }
    text
}
