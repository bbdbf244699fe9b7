//! `orderly load timers`: how late deadlines are obeyed.
//!
//! Orders without a card are placed at an even rate; each has a deadline of its own, `payBefore`.
//! The shop's loop decides the expiry and stamps it with its time. So the *lateness* is that time
//! less the deadline, both by the shop's clock; *seen* is when the generator heard of it, by its
//! own clock.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use super::book::NAMED;
use super::meter::Series;
use super::mix::Mix;
use super::report::tell_generator;
use super::{Common, Done, Plan, cost, go, on_one_thread};
use crate::print::{Table, json, line};

/// Measure how late payment deadlines are obeyed
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// How many deadlines
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Within which time they are due, at an even rate
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    within: Duration,
    #[command(flatten)]
    common: Common,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    mix: &'static str,
    count: u64,
    within_s: f64,
    lateness: Times,
    seen: Times,
    /// Deadlines that were obeyed before they were due.
    early: u64,
    errors: std::collections::BTreeMap<String, u64>,
    late: u64,
    not_begun: u64,
    unfinished: u64,
    unfinished_orders: Vec<String>,
    wrong: u64,
    generator: cost::Figures,
    ok: bool,
}

#[derive(Debug, Serialize)]
struct Times {
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Times {
    fn of(series: &Series) -> Self {
        Self { p50_ms: series.quantile(0.5), p99_ms: series.quantile(0.99), max_ms: series.max() }
    }
}

/// Runs it.
///
/// # Errors
/// As [`run`](super::run).
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure!(!args.within.is_zero(), "--within: a time above zero");
    let plan = Plan {
        mix: Mix::PlaceThenExpire,
        rate: Some(args.count as f64 / args.within.as_secs_f64()),
        count: Some(args.count),
        warm_up: Duration::ZERO,
        // With room for what begins late.
        duration: args.within + Duration::from_secs(30),
        lines: 1,
        times: true,
    };
    let (common, as_json) = (args.common.clone(), args.common.json);
    let done = on_one_thread(move || go(common, plan)).await?;
    let report = Report::of(&args, &done);
    if as_json {
        json(&report)?
    } else {
        report.print(&done)?
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    fn of(args: &Args, done: &Done) -> Self {
        let book = &done.book;
        let unfinished = (book.open() + book.unknown.len()) as u64;
        let not_begun = args.count.saturating_sub(book.meter.operations);
        Self {
            mix: "timers",
            count: book.expired,
            within_s: args.within.as_secs_f64(),
            lateness: Times::of(&book.decided),
            seen: Times::of(&book.meter.expired),
            early: book.early_deadlines,
            errors: book.meter.errors.clone(),
            late: book.meter.late,
            not_begun,
            unfinished,
            unfinished_orders: done.unfinished.iter().take(NAMED).cloned().collect(),
            wrong: book.wrong_count,
            generator: done.cost.figures(),
            ok: unfinished + not_begun == 0 && book.wrong_count == 0 && book.early_deadlines == 0 && book.expired > 0,
        }
    }

    fn print(&self, done: &Done) -> anyhow::Result<()> {
        line(&format!("{} deadlines within {} s, to {}", self.count, self.within_s, done.to))?;
        line("")?;
        let mut table = Table::new(&["after the deadline", "p50 ms", "p99 ms", "max ms"]);
        for (name, Times { p50_ms, p99_ms, max_ms }) in [("decided", &self.lateness), ("seen", &self.seen)] {
            let times = [p50_ms, p99_ms, max_ms].map(|time| format!("{time:.2}"));
            table.row([name.to_owned()].into_iter().chain(times));
        }
        table.print()?;
        line("")?;
        tell_generator(&self.generator)?;
        if self.not_begun > 0 {
            line(&format!("FAILED     {} orders could not even be placed in time", self.not_begun))?;
        }
        if self.early > 0 {
            line(&format!("FAILED     {} deadlines were obeyed before they were due", self.early))?;
        }
        if self.unfinished + self.wrong > 0 {
            line(&format!(
                "FAILED     {} orders have not expired, {} came to another end: {}",
                self.unfinished,
                self.wrong,
                self.unfinished_orders.join(", ")
            ))?;
        }
        Ok(())
    }
}
