//! The book of orders: every order that was accepted, until it has come to its right end.
//!
//! The shop's answer and the news that the order is confirmed travel on two connections, and
//! either may be first. So news of an order that is not in the book yet is kept for a while.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::meter::{Meter, Series};

/// How long news of an unknown order is kept: longer than an answer may take. Most of it is of
/// other customers.
const KEPT: Duration = Duration::from_secs(35);

/// Where an order should come to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Paid, and sold.
    Confirmed,
    /// Never paid.
    Expired {
        /// Its deadline, Unix milliseconds by the shop's clock.
        pay_before: i64,
    },
}

/// Where an order stands, as far as an end is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    /// As GraphQL names it.
    pub(super) status: String,
    /// When that was decided by the shop's clock, Unix milliseconds, if it was asked for.
    pub(super) at: Option<i64>,
}

/// An order on its way.
struct Open {
    /// When its operation began.
    began: Instant,
    accepted: Instant,
    wanted: Wanted,
    /// Told when it has come to an end.
    client: Option<oneshot::Sender<()>>,
}

/// An order that has come to an end that is not right.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    pub(super) id: String,
    pub(super) status: String,
}

/// See the [module](self).
pub(super) struct Book {
    pub(super) meter: Meter,
    open: HashMap<Box<str>, Open>,
    early: HashMap<Box<str>, (Instant, News)>,
    /// When the early ones came, the oldest first.
    early_line: VecDeque<(Instant, Box<str>)>,
    /// All that were accepted.
    pub(super) accepted: u64,
    /// Of them, those that could not be served: there was not enough in stock.
    pub(super) rejected: u64,
    pub(super) confirmed: u64,
    pub(super) expired: u64,
    /// The first ten, and how many in all.
    pub(super) wrong: Vec<Wrong>,
    pub(super) wrong_count: u64,
    /// Keys of orders of which no answer came, to the last.
    pub(super) unknown: Vec<String>,
    /// From the deadline to the decision, by the shop's clock.
    pub(super) decided: Series,
    /// Deadlines that were obeyed before they were due.
    pub(super) early_deadlines: u64,
    /// Orders whose end was found out by asking, since no news of it came.
    pub(super) asked: u64,
    /// How often the subscription had to be begun again.
    pub(super) resubscribed: u64,
}

/// How many of a kind are named.
pub(super) const NAMED: usize = 10;

impl Book {
    pub(super) fn new(meter: Meter) -> Self {
        Self {
            meter,
            open: HashMap::new(),
            early: HashMap::new(),
            early_line: VecDeque::new(),
            accepted: 0,
            rejected: 0,
            confirmed: 0,
            expired: 0,
            wrong: Vec::new(),
            wrong_count: 0,
            unknown: Vec::new(),
            decided: Series::new(),
            early_deadlines: 0,
            asked: 0,
            resubscribed: 0,
        }
    }

    /// An order was accepted. What is returned is told when it has come to an end.
    pub(super) fn accept(&mut self, id: Box<str>, began: Instant, wanted: Wanted) -> oneshot::Receiver<()> {
        let now = Instant::now();
        self.accepted += 1;
        self.meter.accepted(began, now);
        let (client, told) = oneshot::channel();
        let open = Open { began, accepted: now, wanted, client: Some(client) };
        match self.early.remove(&id) {
            Some((seen, news)) => self.end(id, open, &news, seen),
            None => {
                self.open.insert(id, open);
            }
        }
        told
    }

    /// News of an order, which was seen at this moment.
    pub(super) fn hear(&mut self, id: &str, news: News, seen: Instant) {
        match self.open.remove_entry(id) {
            Some((id, open)) => self.end(id, open, &news, seen),
            None => {
                self.early.insert(id.into(), (seen, news));
                self.early_line.push_back((seen, id.into()));
                self.forget_before(seen);
            }
        }
    }

    /// What the shop answered about an order; nothing new about one that has come to its end.
    pub(super) fn hear_answer(&mut self, id: &str, news: News, seen: Instant) {
        if self.open.contains_key(id) {
            self.hear(id, news, seen);
        }
    }

    fn forget_before(&mut self, now: Instant) {
        while let Some((seen, _)) = self.early_line.front()
            && now.saturating_duration_since(*seen) > KEPT
            && let Some((seen, id)) = self.early_line.pop_front()
        {
            if self.early.get(&id).is_some_and(|(kept, _)| *kept == seen) {
                self.early.remove(&id);
            }
        }
    }

    /// Whether this is an end, and which; an order that is still on its way stays open.
    fn end(&mut self, id: Box<str>, mut open: Open, news: &News, seen: Instant) {
        match (open.wanted, news.status.as_str()) {
            (_, "PLACED" | "AWAITING_PAYMENT" | "PAID") => {
                self.open.insert(id, open);
                return;
            }
            (Wanted::Confirmed, "CONFIRMED" | "SHIPPED" | "DELIVERED") => {
                self.confirmed += 1;
                self.meter.confirmed(open.began, seen);
            }
            (Wanted::Expired { pay_before }, "EXPIRED") => {
                self.expired += 1;
                self.meter.expired(open.began, lateness(now_millis_at(seen), pay_before));
                if let Some(at) = news.at {
                    self.early_deadlines += u64::from(at < pay_before);
                    self.decided.record(lateness(at, pay_before));
                }
            }
            // There was not enough in stock: as it should be.
            (_, "REJECTED") => self.rejected += 1,
            (_, status) => {
                self.wrong_count += 1;
                if self.wrong.len() < NAMED {
                    self.wrong.push(Wrong { id: id.into(), status: status.to_owned() });
                }
            }
        }
        if let Some(client) = open.client.take() {
            // Who does not wait for it does not mind.
            let _ = client.send(());
        }
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Those that are open and were accepted before, and should have come to an end by now;
    /// the same with all, whatever they wait for.
    pub(super) fn overdue(&self, accepted_before: Instant, all: bool) -> Vec<(String, bool)> {
        let now = Utc::now().timestamp_millis();
        let due = |open: &Open| match open.wanted {
            Wanted::Confirmed => open.accepted < accepted_before,
            Wanted::Expired { pay_before } => pay_before + 5_000 < now,
        };
        let open = self.open.iter().filter(|(_, open)| all || due(open));
        open.map(|(id, open)| (id.to_string(), matches!(open.wanted, Wanted::Expired { .. }))).collect()
    }

    /// The last deadline among those that are open, Unix milliseconds.
    pub(super) fn last_deadline(&self) -> Option<i64> {
        let deadlines = self.open.values().filter_map(|open| match open.wanted {
            Wanted::Expired { pay_before } => Some(pay_before),
            Wanted::Confirmed => None,
        });
        deadlines.max()
    }

    /// Some of those that are open.
    pub(super) fn some_open(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.open.keys().map(ToString::to_string).collect();
        ids.sort_unstable();
        ids.truncate(NAMED);
        ids
    }
}

/// The wall clock's time at a moment that has just been.
fn now_millis_at(moment: Instant) -> i64 {
    let ago = i64::try_from(moment.elapsed().as_millis()).unwrap_or(0);
    Utc::now().timestamp_millis() - ago
}

fn lateness(at: i64, due: i64) -> Duration {
    Duration::from_millis(u64::try_from(at - due).unwrap_or(0))
}

/// RFC 3339 as Unix milliseconds.
pub(super) fn millis(moment: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(moment).ok().map(|moment| moment.timestamp_millis())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::meter::Window;
    use super::*;

    fn book() -> Book {
        let begin = Instant::now();
        Book::new(Meter::new(Window { begin, end: begin + Duration::from_secs(60) }))
    }

    fn news(status: &str) -> News {
        News { status: status.to_owned(), at: None }
    }

    #[test]
    fn news_may_come_before_the_answer_and_counts_once() {
        let mut book = book();
        let began = Instant::now();
        book.hear("early", news("CONFIRMED"), began);
        let mut told = book.accept("early".into(), began, Wanted::Confirmed);
        assert!(told.try_recv().is_ok());
        let mut told = book.accept("late".into(), began, Wanted::Confirmed);
        assert!(told.try_recv().is_err());
        book.hear("late", news("PAID"), began);
        assert_eq!(book.open(), 1, "it is on its way");
        book.hear("late", news("CONFIRMED"), began);
        book.hear("late", news("SHIPPED"), began);
        assert!(told.try_recv().is_ok());
        assert_eq!((book.accepted, book.confirmed, book.open()), (2, 2, 0));
    }

    #[test]
    fn an_end_that_is_not_the_right_one_is_named() {
        let mut book = book();
        let began = Instant::now();
        for (id, wanted, status) in [
            ("a", Wanted::Confirmed, "CANCELLED"),
            ("b", Wanted::Expired { pay_before: 0 }, "CONFIRMED"),
            ("c", Wanted::Confirmed, "REJECTED"),
            ("d", Wanted::Expired { pay_before: 0 }, "EXPIRED"),
        ] {
            book.accept(id.into(), began, wanted);
            book.hear(id, news(status), began);
        }
        let wrong: Vec<_> = book.wrong.iter().map(|wrong| (wrong.id.as_str(), wrong.status.as_str())).collect();
        assert_eq!(wrong, [("a", "CANCELLED"), ("b", "CONFIRMED")]);
        assert_eq!((book.rejected, book.expired, book.open()), (1, 1, 0));
    }

    #[test]
    fn a_deadline_that_is_obeyed_too_early_is_counted() {
        let mut book = book();
        let began = Instant::now();
        for (id, at) in [("a", 999), ("b", 1_003)] {
            book.accept(id.into(), began, Wanted::Expired { pay_before: 1_000 });
            book.hear(id, News { status: "EXPIRED".into(), at: Some(at) }, began);
        }
        assert_eq!(book.early_deadlines, 1);
        assert!((book.decided.max() - 3.0).abs() < 0.01);
    }

    #[test]
    fn what_is_overdue_is_asked_for_and_news_of_strangers_is_forgotten() {
        let mut book = book();
        let began = Instant::now();
        book.accept("a".into(), began, Wanted::Confirmed);
        book.accept("b".into(), began, Wanted::Expired { pay_before: i64::MAX - 10_000 });
        let later = Instant::now() + Duration::from_secs(1);
        assert_eq!(book.overdue(later, false), [("a".to_owned(), false)]);
        assert_eq!(book.overdue(later, true).len(), 2);
        assert_eq!(book.some_open(), ["a", "b"]);
        book.hear("stranger", news("CONFIRMED"), began);
        book.hear("another", news("CONFIRMED"), began + KEPT + Duration::from_secs(1));
        assert_eq!(book.early.len(), 1);
    }
}
