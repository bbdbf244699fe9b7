//! What is measured: times as histograms, rates over the measuring window, errors by code.
//!
//! A time counts if the operation *began* in the window, wherever it ends: who left out the slow
//! ones that end later would flatter the shop. A rate counts what *ended* in the window. In an
//! open loop an operation begins when its schedule says so, not when the generator got round to
//! it (the correction of *coordinated omission*).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Times are told apart up to an hour, in microseconds.
const LONGEST: u64 = 3_600_000_000;

/// From its begin on, so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) begin: Instant,
    pub(super) end: Instant,
}

impl Window {
    fn has(&self, moment: Instant) -> bool {
        self.begin <= moment && moment < self.end
    }

    fn length(&self) -> Duration {
        self.end - self.begin
    }
}

/// One kind of times, in microseconds.
#[derive(Debug)]
pub(super) struct Series {
    times: Histogram<u64>,
    /// How many ended in the window.
    ended: u64,
}

/// A series in figures. Milliseconds, and ends in a second.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    /// How many ended in the window.
    pub(super) count: u64,
    pub(super) per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) max_ms: f64,
    /// How many times the percentiles are of: those that began in the window.
    pub(super) samples: u64,
}

impl Series {
    /// Three digits of any time up to [`LONGEST`].
    pub(super) fn new() -> Self {
        Self { times: Histogram::new_with_max(LONGEST, 3).expect("bounds that a histogram can have"), ended: 0 }
    }

    fn end(&mut self, window: &Window, began: Instant, ended: Instant) {
        if window.has(ended) {
            self.ended += 1;
        }
        if window.has(began) {
            self.record(ended.saturating_duration_since(began));
        }
    }

    /// Counts a time.
    pub(super) fn record(&mut self, time: Duration) {
        self.times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The time that this part of all does not exceed, ms.
    pub(super) fn quantile(&self, part: f64) -> f64 {
        if self.times.is_empty() { 0.0 } else { self.times.value_at_quantile(part) as f64 / 1_000.0 }
    }

    /// The longest, ms.
    pub(super) fn max(&self) -> f64 {
        self.times.max() as f64 / 1_000.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ended == 0 && self.times.is_empty()
    }

    fn figures(&self, length: Duration) -> Figures {
        Figures {
            count: self.ended,
            per_s: self.ended as f64 / length.as_secs_f64(),
            p50_ms: self.quantile(0.5),
            p90_ms: self.quantile(0.9),
            p99_ms: self.quantile(0.99),
            p999_ms: self.quantile(0.999),
            max_ms: self.max(),
            samples: self.times.len(),
        }
    }
}

/// See the [module](self).
pub(super) struct Meter {
    window: Window,
    pub(super) accepted: Series,
    pub(super) confirmed: Series,
    pub(super) browse: Series,
    /// From its deadline on.
    pub(super) expired: Series,
    /// Of the whole run.
    pub(super) errors: BTreeMap<String, u64>,
    /// Operations begun in the whole run.
    pub(super) operations: u64,
    /// Of these, those that an open loop began late, since all its connections were busy.
    pub(super) late: u64,
}

impl Meter {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            accepted: Series::new(),
            confirmed: Series::new(),
            browse: Series::new(),
            expired: Series::new(),
            errors: BTreeMap::new(),
            operations: 0,
            late: 0,
        }
    }

    pub(super) fn accepted(&mut self, began: Instant, ended: Instant) {
        self.accepted.end(&self.window, began, ended);
    }

    pub(super) fn confirmed(&mut self, began: Instant, ended: Instant) {
        self.confirmed.end(&self.window, began, ended);
    }

    pub(super) fn browsed(&mut self, began: Instant, ended: Instant) {
        self.browse.end(&self.window, began, ended);
    }

    /// An order that was begun in the window has expired so long after its deadline,
    /// whenever that was.
    pub(super) fn expired(&mut self, began: Instant, late: Duration) {
        if self.window.has(began) {
            self.expired.ended += 1;
            self.expired.record(late);
        }
    }

    pub(super) fn error(&mut self, code: &str) {
        match self.errors.get_mut(code) {
            Some(count) => *count += 1,
            None => {
                self.errors.insert(code.to_owned(), 1);
            }
        }
    }

    /// A series in figures; `None` for one without a single time.
    pub(super) fn figures(&self, series: &Series) -> Option<Figures> {
        (!series.is_empty()).then(|| series.figures(self.window.length()))
    }

    /// As [`figures`](Self::figures), also of nothing.
    pub(super) fn all_figures(&self, series: &Series) -> Figures {
        series.figures(self.window.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_where_it_begins_and_a_rate_where_it_ends() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let mut meter = Meter::new(Window { begin: at(1_000), end: at(2_000) });
        meter.accepted(at(900), at(1_100));
        meter.accepted(at(1_500), at(1_600));
        meter.accepted(at(1_900), at(5_000));
        let figures = meter.all_figures(&meter.accepted);
        assert_eq!((figures.count, figures.samples), (2, 2));
        assert!((figures.per_s - 2.0).abs() < 1e-9, "{figures:?}");
        assert!((figures.max_ms - 3_100.0).abs() < 10.0, "the slow one is not left out: {figures:?}");
        assert!((figures.p50_ms - 100.0).abs() < 1.0, "{figures:?}");
    }

    #[test]
    fn a_series_without_a_time_has_no_figures() {
        let begin = Instant::now();
        let mut meter = Meter::new(Window { begin, end: begin + Duration::from_secs(1) });
        assert!(meter.figures(&meter.browse).is_none());
        meter.error("OVERLOADED");
        meter.error("OVERLOADED");
        assert_eq!(meter.errors["OVERLOADED"], 2);
    }
}
