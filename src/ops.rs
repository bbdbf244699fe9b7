//! `orderly ops`: the inside of a running shop at a glance, and faults on demand.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use contracts::ops::{Fault, FaultKind, InspectRequest, Inspection, ListRequest, SetFaultRequest};
use serde_json::json;

use crate::print::{self, Table};
use crate::remote::{Line, Remote, told_of};

/// Look inside a running shop, or make a part of it fail
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// What waits where: outbox, inbox, parked messages, timers, streams
    Inspect(Box<Inspect>),
    /// The faults that were asked for and have not ended
    Faults(Box<Inspect>),
    /// Make a service fail in a chosen way, until it is told to stop or restarted
    Fault(Box<SetFault>),
}

/// What looking takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Inspect {
    /// Only this service
    service: Option<String>,
    /// One line of JSON a service
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What `fault` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SetFault {
    /// Which service
    service: String,
    /// How
    fault: Kind,
    /// Of message-fails: the type, such as orderly.payment.v1.CapturePayment
    #[arg(long = "type", value_name = "TYPE", required_if_eq("fault", "message-fails"))]
    kind: Option<String>,
    /// Of message-fails: how often
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    times: i64,
    /// No longer
    #[arg(long)]
    clear: bool,
    #[command(flatten)]
    remote: Remote,
}

/// The faults there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Nothing is read from the streams: the service is down for its neighbours
    ReadingPaused,
    /// Nothing leaves the outbox
    RelayPaused,
    /// Messages of a type fail, and are parked
    MessageFails,
}

/// Runs the command.
///
/// # Errors
/// The shop does not answer, or refuses.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    print::unless_nobody_reads(match command {
        Command::Inspect(args) => inspect(*args).await,
        Command::Faults(args) => faults(*args).await,
        Command::Fault(args) => fault(*args).await,
    })
}

async fn inspect(args: Inspect) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    let mut table = Table::new(&[
        "SERVICE",
        "UNPUBLISHED",
        "OLDEST",
        "UNSETTLED",
        "LINES",
        "RETRYING",
        "BEHIND",
        "DEAD",
        "TIMERS",
        "LAG",
        "PENDING",
    ]);
    let services = line.services(args.service.as_deref()).await?;
    let ask = async |service| line.ops().inspect(InspectRequest { service }).await;
    let (inspections, away) = line.each(services, ask).await?;
    for (_, inspection) in &inspections {
        if args.json {
            print::json(&as_json(inspection))?;
        } else {
            table.row(as_row(inspection));
        }
    }
    if !args.json && !inspections.is_empty() {
        table.print()?;
    }
    told_of(&away)
}

fn as_row(seen: &Inspection) -> [String; 11] {
    let lag: i64 = seen.streams.iter().map(|stream| stream.lag).sum();
    let pending: i64 = seen.streams.iter().map(|stream| stream.pending).sum();
    let oldest = match seen.outbox_unpublished {
        0 => "-".to_owned(),
        _ => humantime::format_duration(Duration::from_millis(seen.outbox_oldest_ms.unsigned_abs())).to_string(),
    };
    [
        seen.service.clone(),
        seen.outbox_unpublished.to_string(),
        oldest,
        seen.outbox_unsettled.to_string(),
        seen.inbox_lines.to_string(),
        seen.parked_retrying.to_string(),
        seen.parked_behind.to_string(),
        seen.dead_letters.to_string(),
        seen.timers.to_string(),
        lag.to_string(),
        pending.to_string(),
    ]
}

fn as_json(seen: &Inspection) -> serde_json::Value {
    let streams: Vec<_> = seen
        .streams
        .iter()
        .map(|stream| {
            json!({ "stream": stream.stream, "length": stream.length, "lag": stream.lag, "pending": stream.pending })
        })
        .collect();
    json!({
        "service": seen.service, "outboxUnpublished": seen.outbox_unpublished,
        "outboxOldestMs": seen.outbox_oldest_ms, "outboxUnsettled": seen.outbox_unsettled,
        "inboxLines": seen.inbox_lines, "parkedRetrying": seen.parked_retrying, "parkedBehind": seen.parked_behind,
        "deadLetters": seen.dead_letters, "timers": seen.timers, "streams": streams,
    })
}

async fn faults(args: Inspect) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    let mut found = Vec::new();
    for service in line.services(args.service.as_deref()).await? {
        let faults = line.ops().list_faults(ListRequest { service: service.clone(), first: 0 }).await;
        let faults = faults.map_err(|status| line.explain(&status))?.into_inner().faults;
        found.extend(faults.into_iter().map(|fault| (service.clone(), fault)));
    }
    tell(&found, args.json)
}

async fn fault(args: SetFault) -> anyhow::Result<ExitCode> {
    let line: Line = args.remote.connect().await?;
    let fault = match args.fault {
        Kind::ReadingPaused => Fault { kind: FaultKind::ReadingPaused.into(), ..Fault::default() },
        Kind::RelayPaused => Fault { kind: FaultKind::RelayPaused.into(), ..Fault::default() },
        Kind::MessageFails => {
            Fault { kind: FaultKind::MessageFails.into(), r#type: args.kind.unwrap_or_default(), times: args.times }
        }
    };
    let set = SetFaultRequest { service: args.service.clone(), fault: Some(fault), active: !args.clear };
    let left = line.ops().set_fault(set).await.map_err(|status| line.explain(&status))?.into_inner().faults;
    tell(&left.into_iter().map(|fault| (args.service.clone(), fault)).collect::<Vec<_>>(), false)
}

fn tell(faults: &[(String, Fault)], as_json: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::new(&["SERVICE", "FAULT", "TYPE", "TIMES LEFT"]);
    for (service, fault) in faults {
        let name = match fault.kind() {
            FaultKind::ReadingPaused => "reading-paused",
            FaultKind::RelayPaused => "relay-paused",
            FaultKind::MessageFails => "message-fails",
            FaultKind::Unspecified => "unknown",
        };
        if as_json {
            print::json(&json!({ "service": service, "fault": name, "type": fault.r#type, "times": fault.times }))?;
        } else if fault.kind() == FaultKind::MessageFails {
            table.row([service.as_str(), name, &fault.r#type, &fault.times.to_string()]);
        } else {
            table.row([service.as_str(), name]);
        }
    }
    if !as_json {
        match faults {
            [] => print::line("no faults")?,
            _ => table.print()?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
