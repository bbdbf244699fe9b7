//! Waits until placed orders have ended: confirmed, or not.
//!
//! A mutation answers when the order's own transaction has committed; the rest of the
//! saga goes on behind it and shows in the read model a little later. So the orders are
//! asked for again, many in one query by aliases, with a back-off that starts anew
//! whenever one of them has ended.

use std::fmt::Write;
use std::time::Instant;

use anyhow::anyhow;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value};

use super::client::{CallError, Client};
use super::parse::Invoice;
use super::progress::Progress;

/// Orders asked for in one query.
const BATCH: usize = 25;

/// Queries under way at once.
const AT_ONCE: usize = 8;

/// How an order ended, as far as an import is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Sold: confirmed, or what comes after that.
    Taken,
    /// Not sold.
    Failed {
        /// The order's status.
        status: String,
        /// For people.
        reason: String,
    },
}

/// Waits for every order of `open` (ids with their invoices) and tells each ending once.
///
/// # Errors
/// No order ended for as long as the client's patience, or a call was stopped. The
/// endings told so far stand.
pub(crate) async fn settle<'i>(
    client: &Client,
    mut open: Vec<(String, &'i Invoice)>,
    progress: &Progress,
    mut ended: impl FnMut(&'i Invoice, Ending),
) -> anyhow::Result<()> {
    let (mut last_ending, mut rounds) = (Instant::now(), 0);
    while !open.is_empty() {
        let queries: Vec<_> = open.chunks(BATCH).map(|batch| statuses(client, batch)).collect();
        let answers = stream::iter(queries).buffered(AT_ONCE).try_collect::<Vec<_>>().await;
        let statuses = answers.map_err(|error| match error {
            CallError::Refused(refusal) => anyhow!(
                "{} does not tell how the orders ended ({}: {}); run the same command again",
                client.address(),
                refusal.code,
                refusal.message
            ),
            CallError::Stopped(error) => error,
        })?;
        let before = open.len();
        let mut waiting = Vec::new();
        for ((id, invoice), status) in open.into_iter().zip(statuses.into_iter().flatten()) {
            match status.ending() {
                Some(ending) => ended(invoice, ending),
                None => waiting.push((id, invoice, status)),
            }
        }
        let endings = before - waiting.len();
        progress.step(endings);
        if endings > 0 {
            (last_ending, rounds) = (Instant::now(), 0);
        }
        let silent = last_ending.elapsed();
        if let Some((id, invoice, status)) = waiting.first()
            && silent > client.pace().patience
        {
            return Err(anyhow!(
                "no order has ended at {} for {} s; {} are open, for example invoice {} \
                 (order {id}, {}); run the same command again: it resumes",
                client.address(),
                silent.as_secs(),
                waiting.len(),
                invoice.number,
                status.name()
            ));
        }
        open = waiting.into_iter().map(|(id, invoice, _)| (id, invoice)).collect();
        if !open.is_empty() {
            tokio::time::sleep(client.pace().pause_after(rounds)).await;
            rounds += 1;
        }
    }
    Ok(())
}

/// What the read model says of an order; nothing yet if it has not heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Status(Option<(String, String)>);

impl Status {
    fn read(order: &Value) -> Self {
        let status = order["status"].as_str().map(ToOwned::to_owned);
        let reason = order["statusReason"].as_str().unwrap_or_default().to_owned();
        Status(status.map(|status| (status, reason)))
    }

    fn name(&self) -> &str {
        self.0.as_ref().map_or("not visible yet", |(status, _)| status)
    }

    /// REFUNDED was sold once: a later refund does not undo the import of the sale.
    fn ending(&self) -> Option<Ending> {
        let (status, reason) = self.0.as_ref()?;
        match status.as_str() {
            "CONFIRMED" | "SHIPPED" | "DELIVERED" | "REFUNDED" => Some(Ending::Taken),
            "REJECTED" | "EXPIRED" | "CANCELLED" => Some(Ending::Failed {
                status: status.clone(),
                reason: if reason.is_empty() { "no reason given".into() } else { reason.clone() },
            }),
            _ => None,
        }
    }
}

/// The status of each order of a batch, in its order.
async fn statuses(client: &Client, batch: &[(String, &Invoice)]) -> Result<Vec<Status>, CallError> {
    let (mut head, mut body) = (String::new(), String::new());
    let mut variables = Map::new();
    for (at, (id, _)) in batch.iter().enumerate() {
        write!(head, "$i{at}: ID! ").expect("a string takes all");
        writeln!(body, "  o{at}: order(id: $i{at}) {{ status statusReason }}").expect("a string takes all");
        variables.insert(format!("i{at}"), Value::from(id.as_str()));
    }
    let query = format!("query Statuses({head}) {{\n{body}}}");
    let data = client.call(&query, &Value::Object(variables)).await?;
    Ok((0..batch.len()).map(|at| Status::read(&data[format!("o{at}")])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ending(status: &str) -> Option<Ending> {
        Status::read(&json!({ "status": status, "statusReason": null })).ending()
    }

    #[test]
    fn every_status_is_an_ending_or_is_waited_for() {
        for status in ["CONFIRMED", "SHIPPED", "DELIVERED", "REFUNDED"] {
            assert_eq!(ending(status), Some(Ending::Taken), "{status}");
        }
        for status in ["REJECTED", "EXPIRED", "CANCELLED"] {
            assert!(matches!(ending(status), Some(Ending::Failed { .. })), "{status}");
        }
        for status in ["PLACED", "AWAITING_PAYMENT", "PAID", "A_LATER_VERSIONS"] {
            assert_eq!(ending(status), None, "{status}");
        }
    }

    #[test]
    fn an_order_that_the_read_model_has_not_heard_of_is_waited_for() {
        assert_eq!(Status::read(&Value::Null).ending(), None);
    }
}
