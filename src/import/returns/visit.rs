//! An order on its way to its returns: what it waits for, and when it is worth a look.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::anyhow;

use super::super::client::Client;
use super::super::look::Seen;
use super::super::matching::Return;

/// An order with its returns, until the last of them is through.
pub(super) struct Visit {
    /// The order's.
    pub(super) id: String,
    pub(super) queue: VecDeque<Return>,
    /// The version that the last return made: an older view of the order does not count.
    pub(super) at_least: i64,
    pub(super) seen: Option<Seen>,
}

/// What may be done with an order as it was seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing yet.
    Wait,
    /// The next return, or to leave.
    Ready,
    /// Nothing any more: it came to an end that nothing comes back from.
    Over,
}

impl Visit {
    /// A visit to an order that nobody has looked at yet.
    pub(super) fn new(id: String) -> Self {
        Visit { id, queue: VecDeque::new(), at_least: 0, seen: None }
    }

    /// What may be done with it now.
    pub(super) fn turn(&self) -> Turn {
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.version >= self.at_least && !seen.unwinding) else {
            return Turn::Wait;
        };
        match seen.status.as_str() {
            // Nothing is left of a refunded one. But a return of an earlier run may be what
            // refunded it, and its key knows.
            "DELIVERED" | "REFUNDED" => Turn::Ready,
            "REJECTED" | "EXPIRED" | "CANCELLED" => Turn::Over,
            _ => Turn::Wait,
        }
    }

    /// Whether nothing is left to do or to wait for.
    pub(super) fn is_over(&self) -> bool {
        match self.turn() {
            Turn::Wait => false,
            Turn::Ready => self.queue.is_empty(),
            Turn::Over => true,
        }
    }

    /// The moment before which nothing will happen to the order, by the shop's clock.
    pub(super) fn planned(&self) -> Option<i64> {
        self.seen.as_ref().and_then(|seen| seen.fulfil_at)
    }
}

/// Fails if nothing has happened to anything for longer than the client is patient.
pub(super) fn give_up_if_silent(client: &Client, open: &[Visit], silent: Duration) -> anyhow::Result<()> {
    let Some(visit) = open.first().filter(|_| silent > client.pace().patience) else { return Ok(()) };
    Err(anyhow!(
        "nothing has happened at {} for {} s to {} that returns wait for, for example {} ({}); \
         run the same command again: it resumes",
        client.address(),
        silent.as_secs(),
        orders(open.len()),
        visit.id,
        visit.seen.as_ref().map_or("not visible yet", |seen| &seen.status)
    ))
}

/// What the returns wait for, and about how long until the next news.
pub(super) fn waiting(open: &[Visit], left: i64) -> String {
    let planned = open.iter().filter(|visit| visit.planned().is_some()).count();
    let left = Duration::from_secs(left.unsigned_abs().div_ceil(1_000));
    format!(
        "waiting for the delivery of {}; the next stage of one is due in about {}",
        orders(planned),
        humantime::format_duration(left)
    )
}

fn orders(number: usize) -> String {
    if number == 1 { "1 order".to_owned() } else { format!("{number} orders") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(status: &str, version: i64, unwinding: bool) -> Turn {
        let (status, reason) = (status.to_owned(), String::new());
        let seen = Seen { version, status, reason, unwinding, fulfil_at: None };
        Visit { at_least: 7, seen: Some(seen), ..Visit::new("an-order".into()) }.turn()
    }

    #[test]
    fn every_status_has_its_turn() {
        for status in ["DELIVERED", "REFUNDED"] {
            assert_eq!(turn(status, 7, false), Turn::Ready, "{status}");
        }
        for status in ["REJECTED", "EXPIRED", "CANCELLED"] {
            assert_eq!(turn(status, 7, false), Turn::Over, "{status}");
        }
        for status in ["PLACED", "AWAITING_PAYMENT", "PAID", "CONFIRMED", "SHIPPED", "A_LATER_VERSIONS"] {
            assert_eq!(turn(status, 7, false), Turn::Wait, "{status}");
        }
    }

    #[test]
    fn an_order_that_is_unwinding_or_shows_an_older_version_has_to_wait() {
        assert_eq!(turn("DELIVERED", 8, true), Turn::Wait);
        assert_eq!(turn("DELIVERED", 6, false), Turn::Wait);
        assert_eq!(Visit::new("not-visible-yet".into()).turn(), Turn::Wait);
    }

    #[test]
    fn what_is_waited_for_is_said_with_about_how_long() {
        let seen = Seen {
            version: 5,
            status: "CONFIRMED".into(),
            reason: String::new(),
            unwinding: false,
            fulfil_at: Some(60_000),
        };
        let visit = Visit { seen: Some(seen), ..Visit::new("an-order".into()) };
        let said = waiting(&[visit, Visit::new("another".into())], 58_200);
        assert_eq!(said, "waiting for the delivery of 1 order; the next stage of one is due in about 59s");
    }
}
