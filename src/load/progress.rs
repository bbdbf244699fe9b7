//! The line that tells how it goes: on a terminal, and only there.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Plan;
use super::book::Book;

/// How often it is written anew.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// See the [module](self).
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// On stderr, unless it shall be hidden.
    pub(super) fn new(hidden: bool) -> Self {
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// What is done now.
    pub(super) fn say(&self, what: &'static str) {
        self.0.set_message(what);
        self.0.tick();
    }

    /// How the run goes.
    pub(super) fn show(&self, plan: &Plan, begin: Instant, book: &Book) {
        if self.0.is_hidden() {
            return;
        }
        let (meter, gone) = (&book.meter, begin.elapsed());
        let phase = if gone < plan.warm_up { "warming up" } else { "measuring" };
        let per_s = meter.operations as f64 / gone.as_secs_f64().max(0.001);
        let errors: u64 = meter.errors.values().sum();
        self.0.set_message(format!(
            "{phase} {}: {} begun ({per_s:.0}/s), {} accepted, {} confirmed, {} open, {errors} errors, accepted p99 \
             {:.1} ms, confirmed p99 {:.1} ms",
            plan.mix.as_str(),
            meter.operations,
            book.accepted,
            book.confirmed,
            book.open(),
            meter.accepted.quantile(0.99),
            meter.confirmed.quantile(0.99),
        ));
        self.0.tick();
    }

    /// So many orders are waited for.
    pub(super) fn wait(&self, open: usize) {
        if !self.0.is_hidden() {
            self.0.set_message(format!("waiting for the end of {open}"));
            self.0.tick();
        }
    }

    /// Clears the line.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
