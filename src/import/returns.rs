//! Takes back what the `C…` invoices say, by `returnOrder`.
//!
//! An order can be returned once it is *delivered*, which takes the shop a while after
//! the sale, and one return at a time. So the orders are looked at again until they may
//! be returned: not before the next stage that the shop has planned for them, and then
//! with a back-off. Returns of one order follow one another by date; orders do not wait
//! for each other.
//!
//! The *idempotency key* of a return is its `C…` invoice with the invoice of the sale.
//! The shop stores a refusal under the key as well as a success, so a refusal that time
//! will change (somebody else's return of the order is under way) is asked again under
//! the next key: `C536383/536365`, `C536383/536365/2`, … A second run goes through the
//! same keys, finds the same answers, and changes nothing.

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::client::{CallError, Client, Refusal};
use super::look::look;
use super::matching::{Plan, Return};
use super::parse::Parsed;
use super::progress::Progress;
use super::rejects::{Reason, Rejects};
use super::replay::{AT_ONCE, Written};

mod ledger;
mod visit;

use ledger::Ledger;
use visit::{Turn, Visit, give_up_if_silent, waiting};

/// Keys of one return: with the pauses between them about half a minute.
const MOST_KEYS: u32 = 12;

/// How the shop's words say that another return of the order is not through yet: the one
/// CONFLICT that passes. Any other is final, so that no doubt returns anything twice.
const UNDER_WAY: &str = "under way";

/// How often the time that is left is shown anew.
const TICK: Duration = Duration::from_secs(1);

const RETURN: &str = "mutation Return($order: ID!, $lines: [OrderLineInput!], $reason: String, $key: String) {
  returnOrder(orderId: $order, lines: $lines, reason: $reason, idempotencyKey: $key) {
    version lines { sku unitPrice { amount } }
  }
}";

/// Carries the plan out. `orders` are the ids of the orders by the numbers of their
/// invoices. Rows that are not returned, or in part only, join the rejects.
///
/// # Errors
/// The shop vanished, or nothing happens to an order that something should happen to.
/// What is returned stays returned.
///
/// # On crash
/// Some returns are made, the rest are not; the same file run again repeats all calls
/// with the same keys, of which only the missing have an effect.
pub(crate) async fn take_back(
    client: &Client,
    parsed: &mut Parsed,
    orders: &HashMap<String, String>,
    progress: &Progress,
    written: &mut Written,
) -> anyhow::Result<()> {
    let Plan { returns, wanted } = mem::take(&mut parsed.plan);
    if returns.is_empty() {
        return Ok(());
    }
    let mut ledger = Ledger::new(wanted);
    progress.start("returns", returns.len());
    let mut open: Vec<Visit> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for planned in returns {
        let Some(planned) = in_the_shop(planned, &parsed.rejects, &mut ledger) else {
            progress.step(1);
            continue;
        };
        let id = orders.get(&planned.sale);
        let id = id.ok_or_else(|| anyhow!("invoice {} has no order: please report this", planned.sale))?;
        let place = *places.entry(id.clone()).or_insert_with(|| {
            open.push(Visit::new(id.clone()));
            open.len() - 1
        });
        open[place].queue.push_back(planned);
    }
    visit_all(client, open, progress, &mut ledger).await?;
    ledger.close(&mut parsed.rejects, written);
    Ok(())
}

/// The lines whose sale the shop has; what became of the sale becomes of the others.
fn in_the_shop(mut planned: Return, rejects: &Rejects, ledger: &mut Ledger) -> Option<Return> {
    let Return { number, sale, lines } = &mut planned;
    lines.retain(|line| {
        let Some(reject) = rejects.get(line.sold_by) else { return true };
        let detail = format!(
            "{number} takes back what invoice {sale} sells in line {}, which is not in the shop: {}",
            line.sold_by, reject.detail
        );
        ledger.refuse(line.parts.iter().map(|(row, _)| *row), &reject.reason, &detail);
        false
    });
    (!planned.lines.is_empty()).then_some(planned)
}

/// Looks at the orders, and returns what can be returned, until nothing is left.
async fn visit_all(
    client: &Client,
    mut open: Vec<Visit>,
    progress: &Progress,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let (mut last_change, mut rounds) = (Instant::now(), 0);
    while !open.is_empty() {
        let now = client.shop_time();
        let next = open.iter().filter_map(Visit::planned).filter(|at| *at > now).min();
        match next {
            Some(at) => progress.say(&waiting(&open, at - now)),
            None => progress.go_on(),
        }
        let mut due: Vec<&mut Visit> = open.iter_mut().filter(|v| v.planned().is_none_or(|at| at <= now)).collect();
        if due.is_empty() {
            let left = next.map_or(TICK, |at| Duration::from_millis((at - now).unsigned_abs()));
            tokio::time::sleep(left.min(TICK)).await;
            (last_change, rounds) = (Instant::now(), 0);
            continue;
        }
        let ids: Vec<&str> = due.iter().map(|visit| visit.id.as_str()).collect();
        let seen = look(client, &ids).await?;
        let mut changed = false;
        for (visit, seen) in due.iter_mut().zip(seen) {
            changed |= visit.seen != seen;
            visit.seen = seen;
        }
        changed |= return_what_is_ready(client, due, progress, ledger).await?;
        open.retain(|visit| !visit.is_over());
        if changed {
            rounds = 0;
        }
        // As long as something is planned, silence is no bad sign.
        if changed || next.is_some() {
            last_change = Instant::now();
        }
        give_up_if_silent(client, &open, last_change.elapsed())?;
        if !open.is_empty() {
            tokio::time::sleep(client.pace().pause_after(rounds)).await;
            rounds += 1;
        }
    }
    Ok(())
}

/// Makes the next return of every order that is ready for it. Whether there was one.
async fn return_what_is_ready(
    client: &Client,
    seen: Vec<&mut Visit>,
    progress: &Progress,
    ledger: &mut Ledger,
) -> anyhow::Result<bool> {
    let mut calls = Vec::new();
    for visit in seen {
        match visit.turn() {
            Turn::Wait => {}
            Turn::Over => {
                for planned in mem::take(&mut visit.queue) {
                    let (status, reason) = visit.seen.as_ref().map_or(("", ""), |seen| (&seen.status, seen.reason()));
                    let detail = format!("{} takes invoice {} back: {reason}", planned.number, planned.sale);
                    ledger.refuse(planned.rows(), &Reason::Order(status.to_owned()), &detail);
                    progress.step(1);
                }
            }
            Turn::Ready => {
                if let Some(planned) = visit.queue.pop_front() {
                    calls.push(async move {
                        let answer = call(client, &visit.id, &planned).await;
                        (visit, planned, answer)
                    });
                }
            }
        }
    }
    let any = !calls.is_empty();
    let mut answers = stream::iter(calls).buffer_unordered(AT_ONCE);
    while let Some((visit, planned, answer)) = answers.next().await {
        match answer {
            Ok(order) => {
                visit.at_least = order["version"].as_i64().unwrap_or_default();
                ledger.done(&planned, &order);
            }
            Err(CallError::Refused(refusal)) => {
                let Refusal { code, message } = refusal;
                let detail =
                    format!("the shop refused the return of invoice {} by {}: {message}", planned.sale, planned.number);
                ledger.refuse(planned.rows(), &Reason::Refused(code), &detail);
            }
            Err(CallError::Stopped(error)) => return Err(error),
        }
        progress.step(1);
    }
    Ok(any)
}

/// Asks for a return until it is made or refused for good. Gives the order.
async fn call(client: &Client, order: &str, planned: &Return) -> Result<Value, CallError> {
    let lines = planned.lines.iter();
    let lines: Vec<Value> = lines.map(|line| json!({ "sku": line.sku, "quantity": line.quantity() })).collect();
    let mut tries = 1;
    loop {
        let variables = json!({
            "order": order,
            "lines": lines,
            "reason": format!("invoice {}", planned.number),
            "key": key(planned, tries),
        });
        match client.call(RETURN, &variables).await {
            Ok(mut data) => return Ok(data["returnOrder"].take()),
            Err(CallError::Refused(refusal)) if tries < MOST_KEYS && is_passing(&refusal) => {
                tokio::time::sleep(client.pace().pause_after(tries)).await;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn key(planned: &Return, tries: u32) -> String {
    let Return { number, sale, .. } = planned;
    if tries == 1 { format!("{number}/{sale}") } else { format!("{number}/{sale}/{tries}") }
}

fn is_passing(refusal: &Refusal) -> bool {
    refusal.code == "CONFLICT" && refusal.message.contains(UNDER_WAY)
}
