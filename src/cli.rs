//! The command line: one enum, one `run` per command.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{audit, config, dead_letters, events, health, import, load, ops, read_model, serve, up};

/// An event-driven shop in one binary: order, payment, inventory and notification services that talk through messages
#[derive(Debug, Parser)]
#[command(name = "orderly", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// What `up` takes, when no command is named
    #[command(flatten)]
    up: up::Args,
    /// What environment and file have added.
    #[arg(skip)]
    effective: config::Effective,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the whole shop in this process (the default)
    Up(Box<up::Args>),
    /// Start some parts of the shop in this process, the others elsewhere
    Serve(Box<serve::Args>),
    /// Ask a process of the shop whether it serves; exit code 0 if it does
    Health(health::Args),
    /// Import sales in the UCI "Online Retail" format into a running shop
    Import(Box<import::Args>),
    /// Ask a running shop for much, measure how it answers, and look whether it keeps its promises
    Load(Box<load::Args>),
    /// Check the shop's promises against its stores; exit code 1 on a breach
    Audit(audit::Args),
    /// Look at messages that could not be obeyed, mend them, try them again, or give them up
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Watch the messages of a running shop
    #[command(subcommand)]
    Events(events::Command),
    /// Look at the read models of a running shop, or fold one anew
    #[command(subcommand)]
    ReadModel(read_model::Command),
    /// Look inside a running shop, or make a part of it fail
    #[command(subcommand)]
    Ops(ops::Command),
    /// Print the settings that a start would have, and where each is from
    Config(config::Args),
    /// Print a contract of the shop
    Schema {
        /// Which
        #[command(subcommand)]
        schema: Schema,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Schema {
    /// The GraphQL schema, in SDL
    Graphql,
}

impl Cli {
    /// The command that this process was started with, with all that environment and file say. What stands in
    /// the way is printed, and so are warnings.
    ///
    /// # Errors
    /// There is nothing to run; with the code to exit with: 0 after help, 2 if the command is wrong in itself,
    /// 1 if environment or file are.
    pub fn read() -> Result<Self, ExitCode> {
        let args: Vec<OsString> = std::env::args_os().collect();
        let environment = std::env::vars_os().collect();
        let read = config::read(Self::command(), &args, &environment).map_err(config::Refusal::tell)?;
        for warning in &read.warnings {
            eprintln!("orderly: warning: {warning}");
        }
        let mut cli = Self::from_arg_matches(&read.matches)
            .map_err(|error| config::Refusal::Usage(Box::new(error), None).tell())?;
        cli.effective = read.effective;
        Ok(cli)
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Whatever stopped it, with what to do about it.
    #[expect(clippy::print_stdout, reason = "the schema is what this command is for")]
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::try_from_env("ORDERLY_LOG").unwrap_or_else(|_| EnvFilter::new("warn")))
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        match self.command {
            None => up::run(self.up).await,
            Some(Command::Up(args)) => up::run(*args).await,
            Some(Command::Serve(args)) => serve::run(*args).await,
            Some(Command::Health(args)) => health::run(args).await,
            Some(Command::Import(args)) => import::run(*args).await,
            Some(Command::Load(args)) => load::run(*args).await,
            Some(Command::Audit(args)) => audit::run(args).await,
            Some(Command::DeadLetters(command)) => dead_letters::run(command).await,
            Some(Command::Events(command)) => events::run(command).await,
            Some(Command::ReadModel(command)) => read_model::run(command).await,
            Some(Command::Ops(command)) => ops::run(command).await,
            Some(Command::Config(args)) => config::run(args, &self.effective),
            Some(Command::Schema { schema: Schema::Graphql }) => {
                print!("{}", gateway::graphql::sdl());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
