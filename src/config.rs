//! Configuration: where each setting of `up` and `serve` gets its value.
//!
//! A setting is an argument of these commands. It is given by its flag, by an environment variable, or by
//! a line of a **TOML file**; else it has its default. The first of these wins, in this order.
//!
//! Nothing here knows a setting by name: everything is read off the `clap` command, so that a new argument
//! can be set in every way from its first day. The command line is parsed twice. The first time with nothing
//! but what the user typed: it says which flags are given, and which file. Then whatever environment and file
//! say about the *other* settings is checked, each value by the parser of its flag, and typed behind the user's
//! words as a flag of its own. The second time parses it all, and so what `clap` knows about arguments
//! (required, conflicting, one of a list) holds for a value wherever it is from.
//!
//! An empty environment variable counts as not set: compose files pass `${NAME:-}`.

mod file;
mod hide;
mod nearest;
mod print;
mod setting;
mod target;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};

use file::File;
pub(crate) use print::{Args, run};
use setting::Setting;
use target::Target;

/// The commands that have settings, as far as there are any of that name.
const CONFIGURABLE: [&str; 2] = ["up", "serve"];

/// The environment, as it was at the start.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// A command line that is in order.
pub(crate) struct Read {
    /// For the command's own type to be made of.
    pub(crate) matches: ArgMatches,
    /// What `orderly config` prints.
    pub(crate) effective: Effective,
    /// For the user to know, and no reason to stop.
    pub(crate) warnings: Vec<String>,
}

/// The settings of a command, and what became of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effective {
    command: String,
    file: Option<String>,
    values: Vec<Effect>,
    /// Of all commands that have settings.
    known: Vec<(String, Vec<Setting>)>,
}

/// A setting's value. A secret is in it as it is.
#[derive(Clone)]
struct Effect {
    setting: Setting,
    values: Vec<OsString>,
    origin: Origin,
}

impl std::fmt::Debug for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effect").field("setting", &self.setting.name()).field("origin", &self.origin).finish()
    }
}

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Flag,
    Environment(String),
    /// The line, from 1.
    File(usize),
    Default,
    Nowhere,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The command line is wrong in itself; or help was wanted. With a word about the other ways, where it helps.
    Usage(Box<clap::Error>, Option<String>),
    /// Environment or file are wrong: everything that is.
    Settings(Vec<String>),
}

impl Refusal {
    /// Prints it, help to standard output; with the code to exit with.
    pub(crate) fn tell(self) -> ExitCode {
        match self {
            Self::Usage(error, note) => {
                let help = !error.use_stderr();
                // Who has closed these streams does not want to know.
                let _ = error.print();
                if let Some(note) = note {
                    eprintln!("\n{note}");
                }
                if help { ExitCode::SUCCESS } else { ExitCode::from(2) }
            }
            Self::Settings(wrong) => {
                for wrong in wrong {
                    eprintln!("orderly: {}", crate::print::harmless(&wrong));
                }
                ExitCode::FAILURE
            }
        }
    }
}

/// Reads a command line, and what environment and file say about the settings of its command.
///
/// # Errors
/// The command line, a variable or the file is wrong. No secret is in the text.
pub(crate) fn read(command: Command, args: &[OsString], environment: &Environment) -> Result<Read, Refusal> {
    let shown = tree::with_every_way(command);
    let plain = tree::of_flags_alone(shown.clone());
    let usage = |error: clap::Error| Refusal::Usage(Box::new(hide::in_error(error, &shown)), None);
    let (first, missing) = match plain.clone().try_get_matches_from(args) {
        Ok(matches) => (matches, None),
        // It may come from elsewhere.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
            (plain.clone().ignore_errors(true).try_get_matches_from(args).map_err(usage)?, Some(error))
        }
        // The help names the variables.
        Err(error) if !error.use_stderr() => {
            let help = shown.clone().try_get_matches_from(args).err();
            return Err(usage(help.filter(|help| !help.use_stderr()).unwrap_or(error)));
        }
        Err(error) => return Err(usage(error)),
    };
    let target =
        Target::of(&first, environment).map_err(|why| usage(plain.clone().error(ErrorKind::ArgumentConflict, why)))?;
    let known = setting::of_all(&shown);
    let Some(target) = target else {
        let effective = Effective { known, ..Effective::default() };
        return match missing {
            Some(error) => Err(usage(error)),
            None => Ok(Read { matches: first, effective, warnings: Vec::new() }),
        };
    };
    if target.is_reference {
        let effective = Effective { command: target.command.to_owned(), known, ..Effective::default() };
        return Ok(Read { matches: first, effective, warnings: Vec::new() });
    }

    let file = target.file.as_deref().map(File::read).transpose().map_err(Refusal::Settings)?;
    let mut wrong = file.as_ref().map(|file| file.check(target.command, &known)).unwrap_or_default();
    let settings = known.iter().find(|(command, _)| command == target.command).map(|(_, settings)| settings);
    let mut values = Vec::new();
    for setting in settings.into_iter().flatten() {
        match effect(setting, &target, environment, file.as_ref()) {
            Ok(effect) => values.push(effect),
            Err(why) => wrong.push(why),
        }
    }
    if !wrong.is_empty() {
        return Err(Refusal::Settings(wrong));
    }

    let matches = plain.try_get_matches_from(target.complete(args, &values)).map_err(|error| {
        let note = elsewhere(&error, &values);
        Refusal::Usage(Box::new(hide::in_error(error, &shown)), note)
    })?;
    let mut warnings: Vec<String> = file.iter().filter_map(|file| file.warning(&known)).collect();
    warnings.extend(misspelt(environment, &shown));
    let file = file.map(|file| file.name().to_owned());
    Ok(Read { matches, effective: Effective { command: target.command.to_owned(), file, values, known }, warnings })
}

/// The first of flag, environment, file and default that says something.
fn effect(
    setting: &Setting,
    target: &Target<'_>,
    environment: &Environment,
    file: Option<&File>,
) -> Result<Effect, String> {
    let effect = |values, origin| Ok(Effect { setting: setting.clone(), values, origin });
    if let Some(values) = target.flag(setting) {
        return effect(values, Origin::Flag);
    }
    let variable = setting.environment();
    let values = environment.get(OsStr::new(&*variable)).map(|value| setting.split(value)).unwrap_or_default();
    if !values.is_empty() {
        let name = variable.into_owned();
        setting.check(&values).map_err(|why| format!("{name}: {}: {why}", setting.name()))?;
        return effect(values, Origin::Environment(name));
    }
    // Its value is checked, with all others of the file.
    if let Some(entry) = file.and_then(|file| file.entry(setting.name())) {
        return effect(entry.values().to_vec(), Origin::File(entry.line()));
    }
    let default = setting.default_values();
    let origin = if default.is_empty() { Origin::Nowhere } else { Origin::Default };
    effect(default, origin)
}

/// How else a missing argument can be given.
fn elsewhere(error: &clap::Error, values: &[Effect]) -> Option<String> {
    if error.kind() != ErrorKind::MissingRequiredArgument {
        return None;
    }
    let text = error.to_string();
    let ways: Vec<String> = values
        .iter()
        .filter(|effect| effect.origin == Origin::Nowhere && text.contains(&effect.setting.usage()))
        .map(|Effect { setting, .. }| {
            let variable = setting.environment();
            format!("{0}: or the environment variable {variable}, or {0} in a file (--config)", setting.name())
        })
        .collect();
    (!ways.is_empty()).then(|| ways.join("\n"))
}

/// Variables that are nearly one of ours, and so are without effect.
fn misspelt(environment: &Environment, shown: &Command) -> Vec<String> {
    let known: BTreeSet<String> = tree::variables(shown);
    let ours = environment.keys().filter_map(|name| name.to_str()).filter(|name| name.starts_with("ORDERLY_"));
    ours.filter(|name| !known.contains(*name))
        .filter_map(|name| {
            let near = (name.len() - "ORDERLY_".len()) / 4;
            let meant = nearest::within(near.min(2), name, known.iter().map(String::as_str))?;
            Some(format!("the environment variable {name} is not one of orderly's; is {meant} meant?"))
        })
        .collect()
}
