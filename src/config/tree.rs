//! What is done to the `clap` command before it parses.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, ArgAction, Command};

use super::CONFIGURABLE;
use super::setting::{is_setting, name_of};

/// The variable that names the file.
pub(super) const CONFIG_VARIABLE: &str = "ORDERLY_CONFIG";

/// Variables that are not a matter of arguments.
const OTHERS: [&str; 1] = ["ORDERLY_LOG"];

/// The variable of an argument that does not name one itself.
pub(super) fn variable(arg: &Arg) -> String {
    format!("ORDERLY_{}", name_of(arg).replace('-', "_").to_uppercase())
}

/// The command in which every setting has a variable, the commands that have settings take `--config`, and
/// `config` takes whatever these commands take.
pub(super) fn with_every_way(root: Command) -> Command {
    let mut settings = BTreeSet::new();
    for command in CONFIGURABLE.iter().filter_map(|name| root.find_subcommand(name)) {
        settings.extend(command.get_arguments().filter(|arg| is_setting(arg)).map(|arg| arg.get_id().clone()));
    }
    let mut root = named_everywhere(root, &|arg| settings.contains(arg.get_id()));
    for name in CONFIGURABLE {
        if root.find_subcommand(name).is_some() {
            root = root.mut_subcommand(name, |command| command.arg(config()));
        }
    }
    let commands: Vec<Command> = CONFIGURABLE.iter().filter_map(|name| root.find_subcommand(name)).cloned().collect();
    if root.find_subcommand("config").is_some() {
        root = root.mut_subcommand("config", |command| command.arg(config()).subcommands(commands));
    }
    root.arg(config())
}

/// A flag means the same setting in whichever command it is.
fn named_everywhere(command: Command, is_ours: &dyn Fn(&Arg) -> bool) -> Command {
    let command = command.mut_args(|arg| {
        let unnamed = is_ours(&arg) && arg.get_env().is_none();
        if unnamed {
            // clap keeps names that live as long as the process; there are some dozen, made once.
            let name: &'static str = variable(&arg).leak();
            arg.env(name)
        } else {
            arg
        }
    });
    command.mut_subcommands(|command| named_everywhere(command, is_ours))
}

fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env(CONFIG_VARIABLE)
        .help_heading(Resettable::Reset)
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .help("Settings in a TOML file; `orderly config --template` prints one")
}

/// The command as it parses. The ones with settings see flags and nothing else; the others see their variables as
/// ever, but for empty ones.
pub(super) fn of_flags_alone(root: Command) -> Command {
    let root = root.mut_args(flag_alone);
    root.mut_subcommands(|command| match command.get_name() {
        "config" => command.mut_args(flag_alone).mut_subcommands(|command| command.mut_args(flag_alone)),
        name if CONFIGURABLE.contains(&name) => command.mut_args(flag_alone),
        _ => without_empty(command),
    })
}

fn flag_alone(arg: Arg) -> Arg {
    let is_switch = is_setting(&arg) && matches!(arg.get_action(), ArgAction::SetTrue);
    let arg = arg.env(Resettable::Reset);
    if !is_switch {
        return arg;
    }
    // `--switch=false` takes back what a file has switched on.
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_name("true|false")
        .value_parser(BoolishValueParser::new())
        .default_value("false")
        .default_missing_value("true")
}

/// The value of a variable of this process that is set and empty.
fn is_empty(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}

fn without_empty(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let empty = arg.get_env().is_some_and(is_empty);
        if empty { arg.env(Resettable::Reset) } else { arg }
    });
    command.mut_subcommands(without_empty)
}

/// Every variable that means something.
pub(super) fn variables(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(Arg::get_env).map(|name| name.to_string_lossy().into_owned());
    let mut names: BTreeSet<String> = own.collect();
    names.extend(OTHERS.map(str::to_owned));
    names.extend(command.get_subcommands().flat_map(variables));
    names
}
