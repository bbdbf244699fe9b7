//! `orderly read-model`: where the read models of a running shop stand, and folding one
//! of them anew beside the live one.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Subcommand;
use contracts::query::{ListReadModelsRequest, RebuildProgress, RebuildReadModelRequest};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::print::{self, Table};
use crate::remote::Remote;

/// Look at the read models of a running shop, or fold one anew
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Where each read model stands, and how far behind it is
    List(Box<List>),
    /// Fold a read model anew from the event log, beside the live one, compare the two, switch over
    Rebuild(Box<Rebuild>),
}

/// What `list` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct List {
    /// One line of JSON a read model
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What `rebuild` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Rebuild {
    /// Which: orders, products, notifications or sales
    name: String,
    /// End with one line of JSON on stdout; no progress bar
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Runs the command. Differences that a rebuild has found are repaired, so they are no
/// failure; they are told.
///
/// # Errors
/// The shop does not answer or refuses, such as while another rebuild is under way.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    print::unless_nobody_reads(match command {
        Command::List(args) => list(*args).await,
        Command::Rebuild(args) => rebuild(*args).await,
    })
}

async fn list(args: List) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    let reply = line.query().list_read_models(ListReadModelsRequest {}).await;
    let reply = reply.map_err(|status| line.explain(&status))?.into_inner();
    let mut table = Table::new(&["MODEL", "GENERATION", "POSITION", "BEHIND", "LAST FOLDED (UTC)", "REBUILDING SINCE"]);
    for model in &reply.models {
        if args.json {
            print::json(&json!({
                "name": model.name, "generation": model.generation, "position": model.position, "lag": model.lag,
                "foldedAt": model.folded_at, "rebuildingAt": model.rebuilding_at, "head": reply.head,
                "unheard": reply.unheard,
            }))?;
        }
        table.row([
            model.name.clone(),
            model.generation.to_string(),
            model.position.to_string(),
            model.lag.to_string(),
            print::moment(Some(model.folded_at).filter(|at| *at > 0)),
            print::moment(model.rebuilding_at),
        ]);
    }
    if !args.json {
        table.print()?;
        print::line(&format!(
            "the event log ends at position {}; {} events are on their way to it",
            reply.head, reply.unheard
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn rebuild(args: Rebuild) -> anyhow::Result<ExitCode> {
    let line = args.remote.connect().await?;
    let begun = Instant::now();
    let bar = bar(args.json);
    let progress = line.query().rebuild_read_model(RebuildReadModelRequest { name: args.name }).await;
    let mut progress = progress.map_err(|status| line.explain(&status))?.into_inner();
    let mut last = None;
    while let Some(told) = progress.message().await.map_err(|status| line.explain(&status))? {
        bar.set_length(told.events.unsigned_abs());
        bar.set_position(told.folded.unsigned_abs());
        last = Some(told);
    }
    bar.finish_and_clear();
    let done = last.filter(|last| last.done);
    let done = done.context("the rebuild did not come to its end; the live read model is as it was")?;
    let took = begun.elapsed();
    if args.json {
        print::json(&json!({
            "name": done.name, "generation": done.generation, "events": done.folded, "rows": done.rows,
            "differences": done.differences, "seconds": took.as_secs_f64(), "eventsPerSecond": rate(done.folded, took),
        }))?;
    } else {
        print::line(&account(&done, took))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// On a terminal, and only there.
fn bar(hidden: bool) -> ProgressBar {
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("[{bar:36}] {pos}/{len} events  {per_sec}  {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}

/// Events a second.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(events: i64, took: Duration) -> i64 {
    (events as f64 / took.as_secs_f64().max(0.001)).round() as i64
}

fn account(done: &RebuildProgress, took: Duration) -> String {
    let RebuildProgress { name, generation, folded, rows, differences, .. } = done;
    let seconds = took.as_secs_f64();
    let made = format!(
        "{name}: generation {generation} is live: {rows} rows from {folded} events in {seconds:.2} s, {} a second",
        rate(*folded, took)
    );
    match differences {
        0 => format!("{made}; the old one was equal to it"),
        1 => format!("{made}; 1 row of the old one DIFFERED and is repaired"),
        n => format!("{made}; {n} rows of the old one DIFFERED and are repaired"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_that_repaired_something_says_so() {
        let done = |differences| RebuildProgress {
            name: "orders".into(),
            generation: 3,
            folded: 1_000,
            events: 1_000,
            done: true,
            rows: 200,
            differences,
        };
        let told = |differences| account(&done(differences), Duration::from_millis(500));
        assert!(told(0).contains("generation 3") && told(0).contains("2000 a second"), "{}", told(0));
        assert!(told(0).ends_with("equal to it"));
        assert!(told(1).contains("1 row of the old one DIFFERED"));
        assert!(told(7).contains("7 rows of the old one DIFFERED"));
    }
}
