//! Whose settings a command line is about, and what it says about them itself.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::setting::Setting;
use super::{CONFIGURABLE, Effect, Environment, Origin, tree};

/// See the [module](self).
pub(super) struct Target<'a> {
    /// One of the commands that have settings.
    pub(super) command: &'a str,
    /// The file with settings.
    pub(super) file: Option<PathBuf>,
    /// Whether it asks what settings there are, not what they are.
    pub(super) is_reference: bool,
    /// Whether the command's name has to be added to the line.
    is_implied: bool,
    flags: Option<&'a ArgMatches>,
}

impl<'a> Target<'a> {
    /// Nothing, for a command without settings.
    ///
    /// # Errors
    /// A flag is where it would be without effect, or there are two files.
    pub(super) fn of(root: &'a ArgMatches, environment: &Environment) -> Result<Option<Self>, String> {
        let mut levels = vec![root];
        let mut names = Vec::new();
        while let Some((name, matches)) = levels[levels.len() - 1].subcommand() {
            names.push(name);
            levels.push(matches);
        }
        let has_settings = names.first().is_none_or(|name| *name == "config" || CONFIGURABLE.contains(name));
        if let Some(name) = names.first() {
            let lost = typed(root).find(|id| !has_settings || *id != "config");
            if let Some(lost) = lost.map(|id| id.replace('_', "-")) {
                return Err(format!("--{lost} is before '{name}', where it would do nothing; it belongs behind"));
            }
        }
        if !has_settings {
            return Ok(None);
        }
        let flag = |name| {
            levels.get(1).is_some_and(|config| config.try_get_one::<bool>(name).is_ok_and(|on| on == Some(&true)))
        };
        let is_config = names.first() == Some(&"config");
        let is_reference = is_config && (flag("template") || flag("markdown"));
        let is_implied = names == ["config"];
        let flags = (!is_implied).then(|| levels[levels.len() - 1]);
        if is_reference && let Some(flag) = flags.and_then(|flags| typed(flags).find(|id| !is_own(id))) {
            return Err(format!("--{} is without effect on what settings there are", flag.replace('_', "-")));
        }
        Ok(Some(Self {
            command: names.last().filter(|name| **name != "config").copied().unwrap_or(CONFIGURABLE[0]),
            file: file(&levels, environment)?,
            is_reference,
            is_implied,
            flags,
        }))
    }

    /// What the flag of a setting says, if it was given.
    pub(super) fn flag(&self, setting: &Setting) -> Option<Vec<OsString>> {
        let flags = self.flags?;
        let typed = flags.value_source(setting.id()) == Some(ValueSource::CommandLine);
        typed.then(|| flags.get_raw(setting.id()).into_iter().flatten().map(OsStr::to_owned).collect())
    }

    /// The command line with everything that comes from elsewhere, as flags.
    pub(super) fn complete(&self, args: &[OsString], effects: &[Effect]) -> Vec<OsString> {
        let given = effects.iter().filter(|effect| matches!(effect.origin, Origin::Environment(_) | Origin::File(_)));
        let (flags, words): (Vec<_>, Vec<_>) = given.map(|effect| effect.setting.words(&effect.values)).unzip();
        let (mut flags, words) = (flags.concat(), words.concat());
        if self.is_implied {
            flags.insert(0, self.command.into());
        }
        // Behind this there are no flags.
        let end = args.iter().position(|word| word == "--");
        let (before, after) = args.split_at(end.unwrap_or(args.len()));
        let dashes = (end.is_none() && !words.is_empty()).then(|| OsString::from("--"));
        [before, &flags, dashes.as_slice(), after, &words].concat()
    }
}

/// The arguments that were typed.
fn typed(matches: &ArgMatches) -> impl Iterator<Item = &str> {
    let ids = matches.ids().map(clap::Id::as_str);
    // Groups have ids, too, and no values of their own.
    ids.filter(|id| matches.try_get_raw(id).is_ok())
        .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
}

/// Whether it is an argument of `config` itself.
fn is_own(id: &str) -> bool {
    ["config", "json", "template", "markdown"].contains(&id)
}

fn file(levels: &[&ArgMatches], environment: &Environment) -> Result<Option<PathBuf>, String> {
    let named = |matches: &&ArgMatches| matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let mut files = levels.iter().filter_map(named);
    match (files.next(), files.next()) {
        (Some(_), Some(_)) => Err("--config is given twice".to_owned()),
        (Some(file), None) => Ok(Some(file)),
        (None, _) => {
            let variable = environment.get(OsStr::new(tree::CONFIG_VARIABLE));
            Ok(variable.filter(|file| !file.is_empty()).map(PathBuf::from))
        }
    }
}
