//! The progress bar: on a terminal, and only there.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a phase shows, and in place of its guess of the end what it waits for.
const GOES_ON: &str = "{msg:>9} [{bar:36}] {pos}/{len}  {per_sec}  {eta} left";
const WAITS: &str = "{msg:>9} [{bar:36}] {pos}/{len}  {prefix}";

/// One bar, used for one phase after the other.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Whether people can read what is said, with or without a bar.
    quiet: bool,
    /// Whether this phase has said what it waits for.
    said: AtomicBool,
}

impl Progress {
    /// A bar on stderr, which draws nothing where that is no terminal.
    pub(crate) fn new(hidden: bool) -> Self {
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        Progress { bar, quiet: hidden, said: AtomicBool::new(false) }
    }

    /// Begins a phase of so many steps.
    pub(crate) fn start(&self, phase: &'static str, steps: usize) {
        self.style(GOES_ON);
        self.said.store(false, Ordering::Relaxed);
        self.bar.reset();
        self.bar.set_length(steps as u64);
        self.bar.set_message(phase);
        if !self.bar.is_hidden() {
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    /// Says what the phase waits for: on the bar; where there is none, in a line, once.
    pub(crate) fn say(&self, what: &str) {
        let first = !self.said.swap(true, Ordering::Relaxed);
        if first {
            self.style(WAITS);
        }
        self.bar.set_prefix(what.to_owned());
        if first && !self.quiet && !std::io::stderr().is_terminal() {
            eprintln!("{what}");
        }
    }

    /// Nothing is waited for any more.
    pub(crate) fn go_on(&self) {
        self.bar.set_prefix("");
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
    }

    /// So many steps are done.
    pub(crate) fn step(&self, steps: usize) {
        self.bar.inc(steps as u64);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
