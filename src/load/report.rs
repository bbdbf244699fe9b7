//! The account of a run: a table for people, or a line of JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Done;
use super::audit::Audited;
use super::book::NAMED;
use super::cost::{self, TOO_MUCH};
use super::meter::Figures;
use super::mix::Mix;
use crate::print::{Table, harmless, json, line};

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    mix: &'static str,
    #[serde(rename = "loop")]
    kind: &'static str,
    concurrency: usize,
    rate: Option<f64>,
    duration_s: f64,
    seed: u64,
    accepted: Figures,
    confirmed: Figures,
    browse: Option<Figures>,
    /// From the deadline until it was seen.
    expired: Option<Figures>,
    /// By code, of the whole run.
    errors: BTreeMap<String, u64>,
    /// Of the whole run.
    orders: Orders,
    /// Operations that an open loop began late.
    late: u64,
    /// Those that it could not begin at all.
    not_begun: u64,
    resubscribed: u64,
    /// Orders whose end no news told of.
    asked: u64,
    /// Accepted orders that have not come to an end, and those of which no answer came.
    unfinished: u64,
    /// The first of them.
    unfinished_orders: Vec<String>,
    /// Orders that have come to an end that is not theirs.
    wrong: u64,
    wrong_orders: Vec<String>,
    drained_s: f64,
    generator: cost::Figures,
    audit: Option<Audit>,
    /// Why there was no audit.
    no_audit: Option<String>,
    pub(super) ok: bool,
    #[serde(skip)]
    audited: Option<String>,
}

/// What became of the orders.
#[derive(Debug, Clone, Copy, Serialize)]
struct Orders {
    accepted: u64,
    confirmed: u64,
    expired: u64,
    /// For want of stock.
    rejected: u64,
}

#[derive(Debug, Serialize)]
struct Audit {
    rules: usize,
    breaches: usize,
    #[serde(skip)]
    first: Vec<String>,
}

impl Report {
    /// Of a run, and the audit after it.
    pub(super) fn of(done: &Done, audited: Audited) -> Self {
        let Done { plan, book, .. } = done;
        let (audit, no_audit, of) = match audited {
            Audited::Done { of, rules, breaches } => {
                let first = breaches.iter().take(NAMED).cloned().collect();
                (Some(Audit { rules, breaches: breaches.len(), first }), None, Some(of))
            }
            Audited::Not(why) => (None, Some(why), None),
        };
        let unfinished = (book.open() + book.unknown.len()) as u64;
        let mut unfinished_orders = done.unfinished.clone();
        unfinished_orders.extend(book.unknown.iter().map(|key| format!("unanswered, key {key}")));
        unfinished_orders.truncate(NAMED);
        let meter = &book.meter;
        let accepted = meter.all_figures(&meter.accepted);
        let browse = meter.figures(&meter.browse);
        let not_begun = plan.count.map_or(0, |count| count.saturating_sub(meter.operations));
        let measured = accepted.samples + browse.as_ref().map_or(0, |browse| browse.samples);
        Self {
            mix: plan.mix.as_str(),
            kind: if plan.rate.is_some() { "open" } else { "closed" },
            concurrency: done.concurrency,
            rate: plan.rate,
            duration_s: plan.duration.as_secs_f64(),
            seed: done.seed,
            ok: unfinished == 0
                && not_begun == 0
                && book.wrong_count == 0
                && measured > 0
                && audit.as_ref().is_none_or(|audit| audit.breaches == 0),
            accepted,
            confirmed: meter.all_figures(&meter.confirmed),
            browse,
            expired: meter.figures(&meter.expired),
            errors: meter.errors.clone(),
            orders: Orders {
                accepted: book.accepted,
                confirmed: book.confirmed,
                expired: book.expired,
                rejected: book.rejected,
            },
            late: meter.late,
            not_begun,
            resubscribed: book.resubscribed,
            asked: book.asked,
            unfinished,
            unfinished_orders,
            wrong: book.wrong_count,
            wrong_orders: book.wrong.iter().map(|wrong| format!("{} {}", wrong.id, wrong.status)).collect(),
            drained_s: done.drained.as_secs_f64(),
            generator: done.cost.figures(),
            audit,
            no_audit,
            audited: of,
        }
    }

    /// Prints it.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn tell(&self, done: &Done, as_json: bool) -> anyhow::Result<()> {
        if as_json { json(self) } else { self.print(done) }
    }

    fn print(&self, done: &Done) -> anyhow::Result<()> {
        let Report { mix, kind, concurrency, seed, .. } = self;
        let rate = self.rate.map(|rate| format!(" at {rate}/s")).unwrap_or_default();
        line(&format!(
            "{mix}, {kind} loop{rate}, {concurrency} clients, {} after {} of warm-up, seed {seed}, to {}",
            humantime::format_duration(done.plan.duration),
            humantime::format_duration(done.plan.warm_up),
            done.to,
        ))?;
        line("")?;
        self.table(done.plan.mix)?.print()?;
        line("")?;
        if done.plan.mix.orders() {
            let Orders { accepted, confirmed, expired, rejected } = self.orders;
            line(&format!(
                "orders     {accepted} accepted: {confirmed} confirmed, {expired} expired, {rejected} rejected for want \
                 of stock; drained in {:.2} s",
                self.drained_s
            ))?;
        }
        let errors: Vec<String> = self.errors.iter().map(|(code, count)| format!("{code} {count}")).collect();
        line(&format!(
            "errors     {}",
            if errors.is_empty() { "none".to_owned() } else { harmless(&errors.join(", ")) }
        ))?;
        if self.late > 0 {
            line(&format!(
                "late       {} operations began late, since every client was busy; their times count from when they \
                 should have begun",
                self.late
            ))?;
        }
        if self.resubscribed + self.asked > 0 {
            line(&format!(
                "watch      subscribed again {} times; the end of {} orders was found out by asking",
                self.resubscribed, self.asked
            ))?;
        }
        tell_generator(&self.generator)?;
        self.tell_audit()?;
        self.tell_failures()
    }

    fn table(&self, mix: Mix) -> anyhow::Result<Table> {
        let mut table = Table::new(&["", "count", "per s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"]);
        let rows = [
            ("accepted", mix.orders().then_some(&self.accepted)),
            ("confirmed", mix.orders().then_some(&self.confirmed).filter(|_| mix != Mix::PlaceThenExpire)),
            ("browse", self.browse.as_ref()),
            ("expired", self.expired.as_ref()),
        ];
        for (name, figures) in rows {
            let Some(figures) = figures else { continue };
            let Figures { count, per_s, p50_ms, p90_ms, p99_ms, p999_ms, max_ms, samples: _ } = figures;
            let times = [p50_ms, p90_ms, p99_ms, p999_ms, max_ms].map(|time| format!("{time:.2}"));
            table.row([name.to_owned(), count.to_string(), format!("{per_s:.1}")].into_iter().chain(times));
        }
        Ok(table)
    }

    fn tell_audit(&self) -> anyhow::Result<()> {
        match (&self.audit, &self.no_audit) {
            (Some(audit), _) => {
                let of = self.audited.as_deref().unwrap_or_default();
                line(&format!("audit      {} rules, {} breaches, of {}", audit.rules, audit.breaches, harmless(of)))?;
                for breach in &audit.first {
                    line(&format!("           {}", harmless(breach)))?;
                }
            }
            (None, Some(why)) => line(&format!("audit      {}", harmless(why)))?,
            (None, None) => {}
        }
        Ok(())
    }

    fn tell_failures(&self) -> anyhow::Result<()> {
        for (count, what, orders) in [
            (self.unfinished, "have not come to an end", &self.unfinished_orders),
            (self.wrong, "have come to an end that is not theirs", &self.wrong_orders),
        ] {
            if count == 0 {
                continue;
            }
            line(&format!("FAILED     {count} orders {what}:"))?;
            for order in orders {
                line(&format!("           {}", harmless(order)))?;
            }
        }
        if self.not_begun > 0 {
            line(&format!(
                "FAILED     {} operations were not even begun: the shop does not keep up with this rate",
                self.not_begun
            ))?;
        }
        if self.accepted.samples == 0 && self.browse.is_none() {
            line("FAILED     nothing was accepted: there is nothing to tell")?;
        }
        Ok(())
    }
}

/// What the generator took, with a warning if that was much.
pub(super) fn tell_generator(figures: &cost::Figures) -> anyhow::Result<()> {
    let cost::Figures { cpu_s, cpu_us_per_op, cpu_share_of_machine } = figures;
    line(&format!(
        "generator  {cpu_s:.2} s of processor time, {cpu_us_per_op:.0} µs an operation, {:.0} % of the machine",
        cpu_share_of_machine * 100.0
    ))?;
    if *cpu_share_of_machine > TOO_MUCH {
        line("           which is so much that it was in the way of what it measured")?;
    }
    Ok(())
}
