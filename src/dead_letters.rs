//! `orderly dead-letters`: messages that a service could not obey, looked at, mended,
//! tried again or given up, in a running shop.
//!
//! A parked message is named by its subject, mostly an order's id, and where that is not
//! enough by service, source and sequence ([`choose`]).

mod choose;

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use contracts::ops::{DiscardRequest, EditRequest, ListParkedRequest, ParkedMessage, RedriveRequest};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tonic::Code;

use crate::print::{self, Table};
use crate::remote::{Line, Remote, told_of};
use choose::{Found, Named};

/// Most messages of a service that are looked at in one go.
const MOST: i32 = 500;

/// Look at messages that could not be obeyed, mend them, try them again, or give them up
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// What waits for an operator, in all services
    List(Box<List>),
    /// Everything about the parked messages of a subject
    Show(Box<Show>),
    /// Try a message again, now
    Redrive(Box<Redrive>),
    /// Give a message up; what lined up behind it goes on
    Discard(Box<Discard>),
    /// Put another envelope in the place of a message's own
    Edit(Box<Edit>),
}

/// What `list` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct List {
    /// Only of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Also what is tried again by itself, and what lines up behind another
    #[arg(long)]
    parked: bool,
    /// At most so many of each service
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=500))]
    first: i32,
    /// One line of JSON a message
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What `show` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,
    /// Nothing but the envelope of the one message, as `edit` takes it back
    #[arg(long, conflicts_with = "json")]
    envelope: bool,
    /// One line of JSON a message
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What `redrive` takes.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["subject", "all"]))]
pub(crate) struct Redrive {
    #[command(flatten)]
    named: Named,
    /// Every dead letter of --service, or of all services
    #[arg(long, conflicts_with_all = ["source", "sequence"])]
    all: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What `discard` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    remote: Remote,
}

/// What `edit` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    named: Named,
    /// The file with the new envelope; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    from: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

/// Runs the command.
///
/// # Errors
/// The shop does not answer, or refuses; or it is not clear which message is meant.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    print::unless_nobody_reads(match command {
        Command::List(args) => list(*args).await,
        Command::Show(args) => show(*args).await,
        Command::Redrive(args) => redrive(*args).await,
        Command::Discard(args) => discard(*args).await,
        Command::Edit(args) => edit(*args).await,
    })
}

async fn list(args: List) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    let mut table =
        Table::new(&["SERVICE", "STATE", "SUBJECT", "NO.", "TYPE", "TRIES", "PARKED AT (UTC)", "LAST ERROR"]);
    let (mut shown, mut more) = (0, 0);
    let services = line.services(args.service.as_deref()).await?;
    let ask = async |service| {
        let asked = ListParkedRequest { service, dead_only: !args.parked, first: args.first, ..Default::default() };
        line.ops().list_parked(asked).await
    };
    let (replies, away) = line.each(services, ask).await?;
    for (service, reply) in replies {
        more += reply.total - i64::try_from(reply.messages.len())?;
        for message in reply.messages {
            shown += 1;
            if args.json {
                print::json(&as_json(&service, &message))?;
                continue;
            }
            table.row([
                service.as_str(),
                &message.state,
                &message.subject,
                &message.sequence.to_string(),
                &kind(&message),
                &message.attempts.to_string(),
                &print::moment(Some(message.parked_at)),
                message.errors.last().map_or("", String::as_str),
            ]);
        }
    }
    if args.json {
        return told_of(&away);
    }
    match shown {
        // Who is away may have some.
        0 if !away.is_empty() => {}
        0 if args.parked => print::line("nothing is parked")?,
        0 => print::line("no dead letters")?,
        _ => table.print()?,
    }
    if more > 0 {
        print::line(&format!("… and {more} more; --first N shows more of them"))?;
    }
    told_of(&away)
}

async fn show(args: Show) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    if args.envelope {
        let found = args.named.the_one(&line).await?;
        // As it is, so that it can be given back; pretty only where it is JSON.
        print::line(&pretty(&found.message.envelope).unwrap_or(found.message.envelope))?;
        return Ok(ExitCode::SUCCESS);
    }
    for Found { service, message } in args.named.all(&line).await? {
        if args.json {
            print::json(&as_json(&service, &message))?;
        } else {
            print_whole(&service, &message)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_whole(service: &str, message: &ParkedMessage) -> anyhow::Result<()> {
    let said = |name: &str, text: &str| print::line(&format!("{name:<10} {}", print::harmless(text)));
    said("service", service)?;
    said("source", &message.source)?;
    said("subject", &message.subject)?;
    said("sequence", &message.sequence.to_string())?;
    said("stream", &message.stream)?;
    let state = match message.state.as_str() {
        "RETRY" => format!("RETRY, tried again at {} UTC", print::moment(message.next_due)),
        "BEHIND" => "BEHIND, waits for the one before it".to_owned(),
        "DEAD" => "DEAD, waits for an operator".to_owned(),
        other => other.to_owned(),
    };
    said("state", &state)?;
    said("parked at", &format!("{} UTC", print::moment(Some(message.parked_at))))?;
    said("attempts", &message.attempts.to_string())?;
    for error in &message.errors {
        said("", error)?;
    }
    said("envelope", "")?;
    match pretty(&message.envelope) {
        // JSON escapes what a terminal would obey.
        Some(envelope) => print::line(&envelope)?,
        None => print::line(&print::harmless(&message.envelope))?,
    }
    Ok(print::line("")?)
}

async fn redrive(args: Redrive) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    if args.all {
        return redrive_all(&line, args.named.service.as_deref()).await;
    }
    let found = args.named.the_one(&line).await?;
    let asked = redrive_request(&found.service, &found.message);
    line.ops().redrive(asked).await.map_err(|status| line.explain(&status))?;
    print::line(&format!("{} is tried again now", found.name()))?;
    Ok(ExitCode::SUCCESS)
}

async fn redrive_all(line: &Line, service: Option<&str>) -> anyhow::Result<ExitCode> {
    let (mut redriven, mut left) = (0, 0);
    for service in line.services(service).await? {
        let asked = ListParkedRequest {
            service: service.clone(),
            dead_only: true,
            first: MOST,
            ..ListParkedRequest::default()
        };
        let reply = line.ops().list_parked(asked).await.map_err(|status| line.explain(&status))?.into_inner();
        left += reply.total - i64::try_from(reply.messages.len())?;
        for message in &reply.messages {
            match line.ops().redrive(redrive_request(&service, message)).await {
                Ok(_) => redriven += 1,
                // Somebody else has dealt with it meanwhile.
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(line.explain(&status)),
            }
        }
    }
    print::line(&format!("{redriven} dead letters are tried again now"))?;
    if left > 0 {
        print::line(&format!("{left} more are left; ask once more for them"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn redrive_request(service: &str, message: &ParkedMessage) -> RedriveRequest {
    RedriveRequest {
        service: service.to_owned(),
        source: message.source.clone(),
        subject: message.subject.clone(),
        sequence: message.sequence,
    }
}

async fn discard(args: Discard) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    let found = args.named.the_one(&line).await?;
    let RedriveRequest { service, source, subject, sequence } = redrive_request(&found.service, &found.message);
    let asked = DiscardRequest { service, source, subject, sequence };
    line.ops().discard(asked).await.map_err(|status| line.explain(&status))?;
    print::line(&format!("{} is given up; its line goes on", found.name()))?;
    Ok(ExitCode::SUCCESS)
}

async fn edit(args: Edit) -> anyhow::Result<ExitCode> {
    let envelope = if args.from.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("standard input cannot be read")?;
        text
    } else {
        std::fs::read_to_string(&args.from).with_context(|| format!("{} cannot be read", args.from.display()))?
    };
    ensure!(
        !envelope.trim().is_empty(),
        "the new envelope is empty; `dead-letters show --envelope` prints the old one"
    );
    // As it was written: whether it can stand there, the shop decides.
    serde_json::from_str::<&RawValue>(&envelope).context("the new envelope is not JSON")?;
    let line = args.remote.connect().await?;
    let found = args.named.the_one(&line).await?;
    let RedriveRequest { service, source, subject, sequence } = redrive_request(&found.service, &found.message);
    let asked = EditRequest { service, source, subject, sequence, envelope: envelope.trim().to_owned() };
    line.ops().edit(asked).await.map_err(|status| line.explain(&status))?;
    let then = if found.message.state == "DEAD" { "; redrive it to have it tried" } else { "" };
    print::line(&format!("{} has its new text{then}", found.name()))?;
    Ok(ExitCode::SUCCESS)
}

/// The last word of the type, if the envelope has one.
fn kind(message: &ParkedMessage) -> String {
    let envelope: Option<Value> = serde_json::from_str(&message.envelope).ok();
    let kind = envelope.as_ref().and_then(|envelope| envelope["type"].as_str()).unwrap_or("?");
    kind.rsplit('.').next().unwrap_or(kind).to_owned()
}

fn pretty(envelope: &str) -> Option<String> {
    let envelope: Value = serde_json::from_str(envelope).ok()?;
    serde_json::to_string_pretty(&envelope).ok()
}

fn as_json(service: &str, message: &ParkedMessage) -> Value {
    // The envelope as JSON where it is, else as the text that it is.
    let envelope = serde_json::from_str(&message.envelope).unwrap_or_else(|_| Value::String(message.envelope.clone()));
    json!({
        "service": service, "source": message.source, "subject": message.subject, "sequence": message.sequence,
        "stream": message.stream, "state": message.state, "attempts": message.attempts, "errors": message.errors,
        "nextDue": message.next_due, "parkedAt": message.parked_at, "envelope": envelope,
    })
}
