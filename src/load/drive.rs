//! Driving: so many clients, each with a connection of its own.
//!
//! In a *closed loop* a client begins when it has seen the end of what it began before, as a
//! person would: a slow shop is asked less. In an *open loop* the times are set beforehand and
//! the clients share them: a slow shop is asked all the same, and what begins late because every
//! client is busy is late by the schedule.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{sleep, sleep_until};

use super::api::{self, Answer, Placed, read};
use super::book::{Book, Wanted, millis};
use super::line::{Address, Line};
use super::mix::{Kind, Mix};
use super::setup::Ready;

/// After a refusal or a lost connection a client waits so long.
const PAUSE: Duration = Duration::from_millis(50);
/// An operation that begins so much after its time is late: more than a timer's tick.
const LATE: Duration = Duration::from_millis(5);

/// What the clients of a run share.
pub(super) struct Run {
    pub(super) address: Rc<Address>,
    pub(super) ready: Ready,
    pub(super) book: Rc<RefCell<Book>>,
    pub(super) mix: Mix,
    pub(super) lines: usize,
    pub(super) seed: u64,
    /// Of an open loop.
    pub(super) schedule: Option<Schedule>,
    /// Nothing begins after this.
    pub(super) until: Instant,
    /// What has no answer by then never gets one.
    pub(super) give_up: Cell<Instant>,
    pub(super) serial: Cell<u64>,
}

/// When operations begin: at an even rate, so many at most.
pub(super) struct Schedule {
    pub(super) begin: Instant,
    pub(super) per_s: f64,
    pub(super) count: u64,
    pub(super) next: Cell<u64>,
}

impl Schedule {
    fn take(&self) -> Option<Instant> {
        let number = self.next.get();
        self.next.set(number + 1);
        (number < self.count).then(|| self.begin + Duration::from_secs_f64(number as f64 / self.per_s))
    }
}

/// What an attempt came to.
enum Outcome {
    Taken(api::PlacedOrder),
    /// The shop said no, or not now.
    Refused,
    /// No answer came to the last.
    Unknown,
}

/// A client, from begin to end.
pub(super) async fn client(run: Rc<Run>, number: usize) -> anyhow::Result<()> {
    let token = &run.ready.customers[number % run.ready.customers.len()];
    let mut line = Line::try_new(&run.address, Some(token))?;
    let mut dice = StdRng::seed_from_u64(run.seed.wrapping_add(number as u64));
    while let Some(began) = next_begin(&run).await {
        run.book.borrow_mut().meter.operations += 1;
        match run.mix.draw(&mut dice) {
            Kind::Browse => browse(&run, &mut line, &mut dice, began).await,
            Kind::Checkout => place(&run, &mut line, &mut dice, began, true).await,
            Kind::Expire => place(&run, &mut line, &mut dice, began, false).await,
        }
    }
    Ok(())
}

/// When the next operation begins, which is now or was; `None` at the end.
async fn next_begin(run: &Run) -> Option<Instant> {
    let Some(schedule) = &run.schedule else {
        let now = Instant::now();
        return (now < run.until).then_some(now);
    };
    let begin = schedule.take().filter(|begin| *begin < run.until)?;
    let now = Instant::now();
    if now < begin {
        sleep_until(begin.into()).await;
    } else if now - begin > LATE {
        run.book.borrow_mut().meter.late += 1;
    }
    (Instant::now() < run.give_up.get()).then_some(begin)
}

async fn browse(run: &Run, line: &mut Line, dice: &mut StdRng, began: Instant) {
    let body = run.mix.browse(dice, &run.ready.skus);
    let answered = line.post(body).await;
    let refusal = match answered {
        Ok((status, answer)) => match read::<serde::de::IgnoredAny>(status, &answer) {
            Answer::Done(_) => {
                run.book.borrow_mut().meter.browsed(began, Instant::now());
                return;
            }
            Answer::Refused(refusal) => refusal.code,
        },
        Err(lost) => {
            tracing::debug!(%lost, "a question was lost");
            LOST.to_owned()
        }
    };
    run.book.borrow_mut().meter.error(&refusal);
    sleep(PAUSE).await;
}

/// What an answer that did not come is counted as.
const LOST: &str = "CONNECTION_LOST";

async fn place(run: &Run, line: &mut Line, dice: &mut StdRng, began: Instant, card: bool) {
    let serial = run.serial.get();
    run.serial.set(serial + 1);
    let key = format!("load-{}-{serial}", run.ready.run);
    let first = dice.random_range(0..run.ready.skus.len());
    let skus: Vec<&str> = run.ready.skus.iter().cycle().skip(first).take(run.lines).map(String::as_str).collect();
    match attempt(run, line, &key, api::place_order(&key, &skus, card)).await {
        Outcome::Refused => sleep(PAUSE).await,
        Outcome::Unknown => run.book.borrow_mut().unknown.push(key),
        Outcome::Taken(order) => {
            let due = order.pay_before.as_deref().and_then(millis);
            let wanted = if card { Wanted::Confirmed } else { Wanted::Expired { pay_before: due.unwrap_or_default() } };
            let ended = run.book.borrow_mut().accept(order.id, began, wanted);
            if card && run.schedule.is_none() {
                tokio::select! {
                    _ = ended => {}
                    () = sleep_until(run.give_up.get().into()) => {}
                }
            }
        }
    }
}

/// Sends an order until the shop has answered. After a lost connection nobody knows whether the
/// order was taken: it is asked again under the same key, under which it is placed once.
async fn attempt(run: &Run, line: &mut Line, key: &str, body: hyper::body::Bytes) -> Outcome {
    let mut was_lost = false;
    loop {
        match line.post(body.clone()).await {
            Ok((status, answer)) => match read::<Placed>(status, &answer) {
                Answer::Done(placed) => return Outcome::Taken(placed.order),
                Answer::Refused(refusal) => {
                    run.book.borrow_mut().meter.error(&refusal.code);
                    // Not now says nothing about what became of it before.
                    if !was_lost || !is_passing(&refusal.code) {
                        tracing::debug!(key, code = refusal.code, message = refusal.message, "refused");
                        return Outcome::Refused;
                    }
                }
            },
            Err(lost) => {
                tracing::debug!(key, %lost, "an answer was lost");
                run.book.borrow_mut().meter.error(LOST);
                was_lost = true;
            }
        }
        if Instant::now() >= run.give_up.get() {
            return Outcome::Unknown;
        }
        sleep(PAUSE).await;
    }
}

fn is_passing(code: &str) -> bool {
    matches!(code, "OVERLOADED" | "UNAVAILABLE" | "RATE_LIMITED" | "STALE") || code.starts_with("HTTP_5")
}
