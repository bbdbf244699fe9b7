//! The auditor in the background of a shop, beside `orderly up` or as a role of its own:
//! the same rules as `orderly audit`, again and again, with the last result where a page
//! can show it.
//!
//! An audit reads every order, so its price grows with the shop. It is paced by what
//! it cost: however large the shop is, it takes about one part in twenty of one core.

pub(crate) mod grpc;

use std::time::Duration;

use platform::audit::Report;
use platform::clock::Clock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::{Stores, audit};

/// From the end of an audit to the begin of the next, at least so many times as long
/// as it took.
const REST: u32 = 20;

/// From the start of the shop to its first audit: a start has enough to do.
const FIRST: Duration = Duration::from_secs(5);

/// A running auditor; dropping it ends it.
pub(crate) struct Auditor {
    task: JoinHandle<()>,
    reports: watch::Receiver<Option<Report>>,
}

impl Auditor {
    /// Starts auditing `stores`, first after [`FIRST`], then every `every` or less often,
    /// see above.
    pub(crate) fn start(stores: Stores, clock: Clock, every: Duration) -> Self {
        let (told, reports) = watch::channel(None);
        let task = tokio::spawn(async move {
            sleep(FIRST.min(every)).await;
            loop {
                let begun = Instant::now();
                let report = report(&stores, &clock, begun).await;
                tell(&report);
                told.send_replace(Some(report));
                sleep(every.max(begun.elapsed() * REST)).await;
            }
        });
        Self { task, reports }
    }

    /// The last report; `None` until the first audit is done.
    pub(crate) fn reports(&self) -> watch::Receiver<Option<Report>> {
        self.reports.clone()
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn report(stores: &Stores, clock: &Clock, begun: Instant) -> Report {
    let at = clock.now();
    let (findings, failure) = match audit(stores, clock).await {
        Ok(findings) => (findings, None),
        Err(error) => {
            tracing::warn!(%error, "the audit could not read the stores; it will try again");
            (Vec::new(), Some("the stores could not be read; the log says why".to_owned()))
        }
    };
    Report { at, took_ms: i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX), findings, failure }
}

/// A breach is a defect of the shop or of whoever changed its stores behind its back.
fn tell(report: &Report) {
    for finding in report.findings.iter().filter(|finding| !finding.breaches.is_empty()) {
        tracing::error!(
            rule = %finding.rule,
            breaches = finding.breaches.len(),
            first = finding.breaches.first(),
            "the audit found a breach"
        );
    }
}
