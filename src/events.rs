//! `orderly events tail`: every message of a running shop, as it is published.

use std::process::ExitCode;

use clap::Subcommand;
use contracts::ops::{TailRequest, TailedMessage};
use platform::message::Envelope;

use crate::print;
use crate::remote::Remote;

/// Watch the messages of a running shop
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Print each message as it is published, until Ctrl-C
    Tail(Box<Args>),
}

/// What `tail` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Only of this stream, such as orderly.order or orderly.payment.commands; may be repeated.
    /// By default every stream of events
    #[arg(long, value_name = "NAME")]
    stream: Vec<String>,
    /// Whole envelopes, one line of JSON each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Runs the command. Exit code 0: the shop has stopped, or nobody reads on.
///
/// # Errors
/// The shop does not answer, or the tail fell behind.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Tail(args) = command;
    print::unless_nobody_reads(tail(*args).await)
}

async fn tail(args: Args) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    let messages = line.ops().tail(TailRequest { streams: args.stream }).await;
    let mut messages = messages.map_err(|status| line.explain(&status))?.into_inner();
    while let Some(message) = messages.message().await.map_err(|status| line.explain(&status))? {
        print::line(&if args.json { message.envelope } else { in_a_line(&message) })?;
    }
    eprintln!("the shop has stopped");
    Ok(ExitCode::SUCCESS)
}

/// Time, stream, type, subject.
fn in_a_line(message: &TailedMessage) -> String {
    match Envelope::parse(&message.envelope) {
        Ok(envelope) => {
            let time = chrono::DateTime::from_timestamp_millis(envelope.time).unwrap_or_default();
            let text = format!(
                "{}  {:<26}  {:<24}  {}",
                time.format("%H:%M:%S%.3f"),
                message.stream,
                envelope.short_kind(),
                envelope.subject
            );
            print::harmless(&text)
        }
        // No relay publishes such a thing; it is shown all the same.
        Err(_) => print::harmless(&format!("{:<12}  {:<26}  {}", "-", message.stream, message.envelope)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let envelope = r#"{"id":"1","type":"orderly.order.v1.OrderPlaced","source":"/order","subject":"a\nb",
            "sequence":1,"time":"2026-01-02T03:04:05.678Z","dataschema":"1","correlationid":"c","causationid":"d",
            "data":{}}"#;
        let told = in_a_line(&TailedMessage { stream: "orderly.order".into(), envelope: envelope.into() });
        assert!(told.starts_with("03:04:05.678  orderly.order ") && told.contains("OrderPlaced"), "{told}");
        assert!(told.ends_with("a\u{fffd}b"), "{told}");
        let told = in_a_line(&TailedMessage { stream: "x".into(), envelope: "no\nenvelope".into() });
        assert!(told.ends_with("no\u{fffd}envelope"), "{told}");
    }
}
