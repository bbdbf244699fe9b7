//! `orderly load`: asks a running shop for much, and looks whether it keeps its promises.
//!
//! A load generator that speaks the public GraphQL API over HTTP, as customers do ([`drive`]), and
//! sees through the read model what became of their orders, over one subscription ([`watch`]).
//! Every order that was accepted stands in a [`book`] until it has come to its right end; the run
//! ends with an audit. What is measured is told in [`meter`].
//!
//! It shares the machine with the shop more often than not. So it has one thread, does little for a
//! request, and says what it took itself.
//!
//! Chapter: `docs/load.md`.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Subcommand;
use tokio::task::{JoinHandle, LocalSet};

mod api;
mod audit;
mod book;
mod cost;
mod drive;
mod line;
mod meter;
mod mix;
mod progress;
mod report;
mod setup;
mod timers;
mod watch;

use crate::print::unless_nobody_reads;
use crate::settings::{Databases, Login};
use book::Book;
use cost::Cost;
use drive::{Run, Schedule, client};
use line::{Address, Line};
use meter::{Meter, Window};
use mix::Mix;
use progress::Progress;
use report::Report;
use watch::Watch;

/// Ask a running shop for much, measure how it answers, and look whether it keeps its promises
///
/// Orders, customers and products of the load stay in the shop. Products are called LOAD-0 and so
/// on.
///
/// Exit code 0: every accepted order has come to its right end, and the audit has found nothing.
/// 1: not so, or the shop does not answer or refuses. 2: the command is wrong.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Measure how late payment deadlines are obeyed
    Timers(Box<timers::Args>),
}

#[derive(Debug, Clone, clap::Args)]
struct LoadArgs {
    /// What is done
    #[arg(long, value_enum, default_value = "checkout")]
    mix: Mix,
    /// Operations a second, at an even rate, whatever the shop answers (open loop); without it each
    /// client begins when it has seen the end of what it began before (closed loop)
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// Before anything is measured
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// How long is measured
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Lines of an order
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    lines: u16,
    #[command(flatten)]
    common: Common,
}

/// What every kind of load takes.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    #[command(flatten)]
    login: Login,
    /// Clients, each with a connection of its own; by default 64, and 256 where there is a rate
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    concurrency: Option<u16>,
    /// Products that are ordered
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    products: u16,
    /// What the choice of products begins with; by default another one each time
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How long orders may take to come to their end after the last was placed, or has expired
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    drain: Duration,
    /// The longest payment window that is waited for, where orders shall expire
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = humantime::parse_duration)]
    at_most: Duration,
    /// End with one line of JSON on stdout; no progress bar
    #[arg(long)]
    json: bool,
    /// No audit at the end
    #[arg(long)]
    no_audit: bool,
    /// The shop's data folder, for the audit
    #[arg(long, value_name = "DIR", default_value = "orderly-data", env = "ORDERLY_DATA_DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    databases: Databases,
}

/// `orderly load`.
///
/// # Errors
/// The shop does not answer or refuses, or standard output is closed.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    unless_nobody_reads(match args.command {
        Some(Command::Timers(args)) => timers::run(*args).await,
        None => load(args.load).await,
    })
}

async fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    if let Some(rate) = args.rate {
        ensure!(rate.is_finite() && rate > 0.0, "--rate: operations a second, above zero");
    }
    ensure!(!args.duration.is_zero(), "--duration: there is nothing to measure in no time");
    let plan = Plan {
        mix: args.mix,
        rate: args.rate,
        count: args.rate.map(|rate| (rate * (args.warm_up + args.duration).as_secs_f64()).ceil() as u64),
        warm_up: args.warm_up,
        duration: args.duration,
        lines: args.lines.into(),
        times: false,
    };
    let (common, json) = (args.common.clone(), args.common.json);
    let done = on_one_thread(move || go(common, plan)).await?;
    let audit = audit::of(&args.common, done.book.accepted).await;
    let report = Report::of(&done, audit);
    report.tell(&done, json)?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is done, and for how long.
#[derive(Debug, Clone, Copy)]
struct Plan {
    mix: Mix,
    rate: Option<f64>,
    /// How many an open loop begins.
    count: Option<u64>,
    warm_up: Duration,
    duration: Duration,
    lines: usize,
    /// Whether the times of decisions are wanted.
    times: bool,
}

/// A run that is over.
struct Done {
    plan: Plan,
    to: Address,
    concurrency: usize,
    seed: u64,
    book: Book,
    /// Some of those that are open still.
    unfinished: Vec<String>,
    /// From the end of the window on.
    drained: Duration,
    cost: Cost,
}

/// The generator runs in one thread with a runtime of its own: nothing of it needs a lock.
async fn on_one_thread<F>(run: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<Done>
where
    F: Future<Output = anyhow::Result<Done>> + 'static,
{
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, run())
    });
    thread.await.context("the generator has failed")?
}

/// Prepares, loads, waits for the ends.
async fn go(common: Common, plan: Plan) -> anyhow::Result<Done> {
    let address = Rc::new(Address::try_new(&common.login.to)?);
    let progress = Progress::new(common.json);
    progress.say("preparing products and customers");
    let ready = setup::prepare(&address, &common.login.email, &common.login.password.0, common.products.into()).await?;
    let expires = plan.mix == Mix::PlaceThenExpire;
    let payment_window = if expires { setup::payment_window(&address, &ready).await? } else { Duration::ZERO };
    if payment_window > common.at_most {
        bail!(
            "the shop waits {} for its money, and orders would expire only then; start it with a shorter \
             --payment-window, or wait longer with --at-most",
            humantime::format_duration(payment_window)
        );
    }
    let seed = common.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let concurrency = common.concurrency.map_or(if plan.rate.is_some() { 256 } else { 64 }, usize::from);

    // The window is moved to where it belongs once the subscription stands.
    let now = Instant::now();
    let window = Window { begin: now, end: now };
    let book = Rc::new(RefCell::new(Book::new(Meter::new(window))));
    let watch = Watch {
        address: Rc::clone(&address),
        token: ready.operator.clone(),
        book: Rc::clone(&book),
        times: plan.times,
    };
    let socket = if plan.mix.orders() { Some(watch.open().await?) } else { None };
    let watch = Rc::new(watch);
    let watching = socket.map(|socket| {
        let watch = Rc::clone(&watch);
        tokio::task::spawn_local(async move { watch.run(Some(socket)).await })
    });

    let begin = Instant::now();
    let window = Window { begin: begin + plan.warm_up, end: begin + plan.warm_up + plan.duration };
    book.borrow_mut().meter = Meter::new(window);
    let schedule = plan.rate.zip(plan.count).map(|(per_s, count)| Schedule { begin, per_s, count, next: Cell::new(0) });
    let run = Rc::new(Run {
        address: Rc::clone(&address),
        ready,
        book: Rc::clone(&book),
        mix: plan.mix,
        lines: plan.lines,
        seed,
        schedule,
        until: window.end,
        give_up: Cell::new(window.end + common.drain),
        serial: Cell::new(0),
    });
    let mut cost = Cost::begin();
    let clients: Vec<_> =
        (0..concurrency).map(|number| tokio::task::spawn_local(client(Rc::clone(&run), number))).collect();

    while Instant::now() < window.end && !clients.iter().all(JoinHandle::is_finished) {
        progress.show(&plan, begin, &book.borrow());
        let next = Instant::now() + progress::EVERY;
        tokio::time::sleep_until(next.min(window.end).into()).await;
    }
    cost.end(book.borrow().meter.operations);
    let drained = drain(&run, &clients, common.drain, &progress).await;
    for client in &clients {
        client.abort();
    }
    for client in clients {
        match client.await {
            Ok(ended) => ended?,
            Err(aborted) if aborted.is_cancelled() => {}
            Err(failed) => return Err(anyhow!(failed).context("a client of the generator has failed")),
        }
    }
    if book.borrow().open() > 0 {
        // The last word is the shop's, not the silence of a subscription.
        let mut line = Line::try_new(&address, Some(&run.ready.operator))?;
        watch.ask_for(&mut line, true).await;
    }
    if let Some(watching) = watching {
        watching.abort();
        // It has ended by its own, or because it was told to.
        let _ = watching.await;
    }
    progress.finish();
    drop((watch, run));
    let book = Rc::into_inner(book).context("the book is still in use")?.into_inner();
    let unfinished = book.some_open();
    let to = Rc::unwrap_or_clone(address);
    Ok(Done { plan, to, concurrency, seed, book, unfinished, drained, cost })
}

/// Waits until every client has ended and every order has come to an end, but not for ever; tells
/// how long that took.
async fn drain(
    run: &Run,
    clients: &[JoinHandle<anyhow::Result<()>>],
    patience: Duration,
    progress: &Progress,
) -> Duration {
    let begin = Instant::now();
    loop {
        let (open, deadline) = {
            let book = run.book.borrow();
            (book.open(), book.last_deadline())
        };
        let busy = clients.iter().filter(|client| !client.is_finished()).count();
        if open == 0 && busy == 0 {
            return begin.elapsed();
        }
        let to_come = deadline.map_or(0, |deadline| deadline - chrono::Utc::now().timestamp_millis());
        if let Ok(to_come @ 1..) = u64::try_from(to_come) {
            run.give_up.set(run.give_up.get().max(Instant::now() + Duration::from_millis(to_come) + patience));
        }
        if Instant::now() >= run.give_up.get() {
            return begin.elapsed();
        }
        progress.wait(open + busy);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
