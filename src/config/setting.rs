//! A **setting**: an argument of `up` or `serve`, seen as something that has a name, a variable and a value.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::{CONFIGURABLE, hide};

/// See the [module](self).
#[derive(Clone)]
pub(super) struct Setting {
    name: String,
    arg: Arg,
}

/// The name alone: clap's own text has the variable's value in it.
impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Setting").field(&self.name).finish()
    }
}

/// Whether an argument is a setting: not `--help`, nor `--config` itself.
pub(super) fn is_setting(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append | ArgAction::SetTrue)
        && !matches!(arg.get_id().as_str(), "config" | "help" | "version")
}

/// The name of an argument in a file: its long flag, or what it is called if it has none.
pub(super) fn name_of(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| arg.get_id().as_str().replace('_', "-"), str::to_owned)
}

/// The settings of each command that has any.
pub(super) fn of_all(root: &Command) -> Vec<(String, Vec<Setting>)> {
    let commands = CONFIGURABLE.iter().filter_map(|name| root.find_subcommand(name));
    commands.map(|command| (command.get_name().to_owned(), of(command))).collect()
}

fn of(command: &Command) -> Vec<Setting> {
    let settings = command.get_arguments().filter(|arg| is_setting(arg));
    settings.map(|arg| Setting { name: name_of(arg), arg: arg.clone() }).collect()
}

impl Setting {
    /// As in a file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As clap calls it.
    pub(super) fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }

    /// The variable that sets it.
    pub(super) fn environment(&self) -> Cow<'_, str> {
        self.arg.get_env().map_or_else(|| super::tree::variable(&self.arg).into(), OsStr::to_string_lossy)
    }

    /// As the list of what is missing writes it.
    pub(super) fn usage(&self) -> String {
        match self.arg.get_long() {
            Some(long) => format!("--{long} <"),
            None => format!("<{}>", self.placeholder()),
        }
    }

    /// Whether its value is not for everybody to read.
    pub(super) fn is_secret(&self) -> bool {
        self.arg.is_hide_env_values_set()
    }

    /// Whether documents leave it out.
    pub(super) fn is_undocumented(&self) -> bool {
        self.arg.is_hide_set()
    }

    /// Whether it is on or off.
    pub(super) fn is_switch(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::SetTrue)
    }

    /// Whether it can have several values.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    /// What stands for its value in the help.
    pub(super) fn placeholder(&self) -> String {
        self.arg.get_value_names().and_then(|names| names.first()).map_or_else(|| "…".to_owned(), ToString::to_string)
    }

    /// What it is for.
    pub(super) fn about(&self) -> String {
        let text = self.arg.get_long_help().or_else(|| self.arg.get_help()).map(ToString::to_string);
        text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What it can be, if that is a list.
    pub(super) fn choices(&self) -> Vec<String> {
        if self.is_switch() {
            return Vec::new();
        }
        self.arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
    }

    /// What it is when nobody says anything.
    pub(super) fn default_values(&self) -> Vec<OsString> {
        if self.is_switch() {
            return vec!["false".into()];
        }
        self.arg.get_default_values().iter().map(|value| value.as_os_str().to_owned()).collect()
    }

    /// The values in the text of a variable, none if it is empty. Those of a list have commas between them.
    pub(super) fn split(&self, text: &OsStr) -> Vec<OsString> {
        match text.to_str() {
            Some("") => Vec::new(),
            Some(text) if self.is_list() => {
                let parts = text.split(self.arg.get_value_delimiter().unwrap_or(',')).map(str::trim);
                parts.filter(|part| !part.is_empty()).map(OsString::from).collect()
            }
            _ => vec![text.to_owned()],
        }
    }

    /// The value as it can be shown to everybody.
    pub(super) fn show(&self, value: &OsStr) -> String {
        if self.is_secret() { hide::secret(value) } else { hide::without_passwords(&value.to_string_lossy()) }
    }

    /// Whether its flag would take these values.
    ///
    /// # Errors
    /// Why not, without the value if it is a secret.
    pub(super) fn check(&self, values: &[OsString]) -> Result<(), String> {
        // No requirement and no conflict: these are a matter of all arguments together.
        let mut arg = Arg::new("value").long("value").action(ArgAction::Append);
        arg = match self.is_switch() {
            true => arg.value_parser(BoolishValueParser::new()),
            false => arg.value_parser(self.arg.get_value_parser().clone()).ignore_case(self.arg.is_ignore_case_set()),
        };
        if let Some(delimiter) = self.arg.get_value_delimiter() {
            arg = arg.value_delimiter(delimiter);
        }
        let line = values.iter().map(|value| flag("value", value));
        match Command::new("setting").no_binary_name(true).arg(arg).try_get_matches_from(line) {
            Ok(_) => Ok(()),
            Err(_) if self.is_secret() => Err(format!("its value makes no sense {}", hide::HIDDEN)),
            // Somebody may have put a secret here by mistake.
            Err(error) => Err(hide::without_passwords(&self.reason(&error, values))),
        }
    }

    fn reason(&self, error: &clap::Error, values: &[OsString]) -> String {
        let value = match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) => value.clone(),
            _ => values.first().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default(),
        };
        if self.is_switch() {
            return format!("'{value}' is neither true nor false");
        }
        let choices = self.choices();
        if error.kind() == ErrorKind::InvalidValue && !choices.is_empty() {
            return format!("'{value}' is none of {}", choices.join(", "));
        }
        match std::error::Error::source(error) {
            Some(source) => format!("'{value}': {source}"),
            None if error.kind() == ErrorKind::InvalidUtf8 => "is not UTF-8".to_owned(),
            None => format!("'{value}' makes no sense"),
        }
    }

    /// The words of a command line that give it these values: flags, or else positional ones.
    pub(super) fn words(&self, values: &[OsString]) -> (Vec<OsString>, Vec<OsString>) {
        match self.arg.get_long() {
            Some(long) => (values.iter().map(|value| flag(long, value)).collect(), Vec::new()),
            None => (Vec::new(), values.to_vec()),
        }
    }
}

/// Whether the text of a switch, which has been checked, means on.
pub(super) fn is_on(text: &str) -> bool {
    let on = BoolishValueParser::new().parse_ref(&Command::new("setting"), None, OsStr::new(text));
    on.unwrap_or(false)
}

/// `--name=value`
fn flag(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}
