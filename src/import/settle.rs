//! Waits until placed orders have ended: confirmed, or not.
//!
//! A mutation answers when the order's own transaction has committed; the rest of the
//! saga goes on behind it and shows in the read model a little later. So the orders are
//! looked at again ([`look`]), with a back-off that starts anew whenever one of them
//! has ended.

use std::time::Instant;

use anyhow::anyhow;

use super::client::Client;
use super::look::{Seen, look};
use super::parse::Invoice;
use super::progress::Progress;

/// An invoice that the shop has taken.
#[derive(Debug)]
pub(crate) struct Placed<'i> {
    /// The order's id.
    pub(crate) id: String,
    pub(crate) invoice: &'i Invoice,
    /// What it costs, minor units.
    pub(crate) total: i64,
}

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

/// Waits for every order of `open` and tells each ending once.
///
/// # Errors
/// No order ended for as long as the client's patience, or a call was stopped. The
/// endings told so far stand.
pub(crate) async fn settle<'i>(
    client: &Client,
    mut open: Vec<Placed<'i>>,
    progress: &Progress,
    mut ended: impl FnMut(&Placed<'i>, Ending),
) -> anyhow::Result<()> {
    let (mut last_ending, mut rounds) = (Instant::now(), 0);
    while !open.is_empty() {
        let ids: Vec<&str> = open.iter().map(|placed| placed.id.as_str()).collect();
        let seen = look(client, &ids).await?;
        let before = open.len();
        let mut waiting = Vec::new();
        for (placed, seen) in open.into_iter().zip(seen) {
            match seen.as_ref().and_then(ending) {
                Some(ending) => ended(&placed, ending),
                None => waiting.push((placed, seen)),
            }
        }
        let endings = before - waiting.len();
        progress.step(endings);
        if endings > 0 {
            (last_ending, rounds) = (Instant::now(), 0);
        }
        let silent = last_ending.elapsed();
        if let Some((placed, seen)) = waiting.first()
            && silent > client.pace().patience
        {
            return Err(anyhow!(
                "no order has ended at {} for {} s; {} are open, for example invoice {} \
                 (order {}, {}); run the same command again: it resumes",
                client.address(),
                silent.as_secs(),
                waiting.len(),
                placed.invoice.number,
                placed.id,
                seen.as_ref().map_or("not visible yet", |seen| &seen.status)
            ));
        }
        open = waiting.into_iter().map(|(placed, _)| placed).collect();
        if !open.is_empty() {
            tokio::time::sleep(client.pace().pause_after(rounds)).await;
            rounds += 1;
        }
    }
    Ok(())
}

/// REFUNDED was sold once: a later refund does not undo the import of the sale.
fn ending(seen: &Seen) -> Option<Ending> {
    match seen.status.as_str() {
        "CONFIRMED" | "SHIPPED" | "DELIVERED" | "REFUNDED" => Some(Ending::Taken),
        "REJECTED" | "EXPIRED" | "CANCELLED" => {
            Some(Ending::Failed { status: seen.status.clone(), reason: seen.reason().to_owned() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: &str) -> Option<Ending> {
        let (status, reason) = (status.to_owned(), String::new());
        ending(&Seen { version: 1, status, reason, unwinding: false, fulfil_at: None })
    }

    #[test]
    fn every_status_is_an_ending_or_is_waited_for() {
        for status in ["CONFIRMED", "SHIPPED", "DELIVERED", "REFUNDED"] {
            assert_eq!(of(status), Some(Ending::Taken), "{status}");
        }
        for status in ["REJECTED", "EXPIRED", "CANCELLED"] {
            assert!(matches!(of(status), Some(Ending::Failed { .. })), "{status}");
        }
        for status in ["PLACED", "AWAITING_PAYMENT", "PAID", "A_LATER_VERSIONS"] {
            assert_eq!(of(status), None, "{status}");
        }
    }
}
