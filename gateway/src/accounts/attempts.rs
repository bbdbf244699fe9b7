//! Attempts to log in: how many may fail before the next has to wait.
//!
//! A *rate limit* by the generic cell rate algorithm (ITU-T I.371): of each key one
//! time is kept, the moment at which its bucket is empty again. A failure adds one
//! interval to it; more than a bucket's worth ahead of now is too much. Two kinds
//! of keys are counted at once: the email that is tried, so that many machines
//! cannot guess at one account, and the address that tries, so that one machine
//! cannot guess at many. Nothing is ever counted for somebody else's email.
//!
//! Only failures count. Who knows the password may log in as often as he likes, and
//! a guess costs the same whether it comes alone or among a thousand good ones.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use platform::clock::Millis;

use crate::api::ApiError;

/// Failures on one email: ten at once, then one every 6 seconds.
const EMAIL: Rate = Rate { interval: 6_000, burst: 10 };
/// Failures and sign-ups from one address: thirty at once, then one every 2 seconds.
const ADDRESS: Rate = Rate { interval: 2_000, burst: 30 };

/// Keys that are kept of one kind. A key is forgotten when its bucket is empty, so
/// this many failures within a minute would be needed to reach it.
const CAPACITY: usize = 100_000;
/// Below this many keys nothing is looked through.
const FEW: usize = 1_000;

/// How fast a bucket empties, and how much it holds.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// For one failure to be forgotten.
    interval: Millis,
    /// Failures that fit.
    burst: i64,
}

impl Rate {
    /// How long until a bucket is empty, in ms.
    ///
    /// The clock is the machine's and may be put back. A time further off than a
    /// full bucket's was written before that, and counts for nothing: else it would
    /// lock out for as long as the clock went back. One interval more is allowed for,
    /// since two threads do not read the clock at one moment.
    fn until(self, empty_at: Millis, now: Millis) -> Millis {
        let ahead = empty_at - now;
        if ahead > self.interval * (self.burst + 1) { 0 } else { ahead.max(0) }
    }
}

/// See the [module](self).
pub(super) struct Attempts {
    emails: Mutex<Buckets<String>>,
    addresses: Mutex<Buckets<IpAddr>>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self { emails: Mutex::new(Buckets::new(EMAIL)), addresses: Mutex::new(Buckets::new(ADDRESS)) }
    }

    /// Whether this email may be tried now.
    ///
    /// # Errors
    /// `RATE_LIMITED`, with the seconds to wait.
    pub(super) fn admit_email(&self, email: &str, now: Millis) -> Result<(), ApiError> {
        lock(&self.emails).admit(email, now).map_err(limited)
    }

    /// Whether this address may try now.
    ///
    /// # Errors
    /// `RATE_LIMITED`, with the seconds to wait.
    pub(super) fn admit_address(&self, from: Option<IpAddr>, now: Millis) -> Result<(), ApiError> {
        let Some(network) = from.and_then(network) else { return Ok(()) };
        lock(&self.addresses).admit(&network, now).map_err(limited)
    }

    /// It failed: counts for the email.
    pub(super) fn count_email(&self, email: &str, now: Millis) {
        lock(&self.emails).count(email.to_owned(), now);
    }

    /// It failed, or was a sign-up: counts for the address.
    pub(super) fn count_address(&self, from: Option<IpAddr>, now: Millis) {
        if let Some(network) = from.and_then(network) {
            lock(&self.addresses).count(network, now);
        }
    }
}

fn lock<T>(buckets: &Mutex<T>) -> MutexGuard<'_, T> {
    buckets.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds as the seconds to tell, rounded up.
fn limited(wait: Millis) -> ApiError {
    ApiError::rate_limited(u64::try_from(wait).unwrap_or(0).div_ceil(1_000))
}

/// What stands for an address: of IPv6 the /64, which one household has whole. This
/// machine's own is none: it is a proxy in front, behind which everybody is.
fn network(from: IpAddr) -> Option<IpAddr> {
    match from.to_canonical() {
        own if own.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// When each key's bucket is empty again, Unix milliseconds. A key whose time has
/// passed is as good as absent.
struct Buckets<K> {
    rate: Rate,
    empty_at: HashMap<K, Millis>,
    /// Looked through when so many are kept.
    sweep_at: usize,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, empty_at: HashMap::new(), sweep_at: FEW }
    }

    /// How long to wait, in ms, if the bucket has no room for one more.
    fn admit<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Millis) -> Result<(), Millis>
    where
        K: std::borrow::Borrow<Q>,
    {
        let full_for = self.empty_at.get(key).map_or(0, |empty_at| self.rate.until(*empty_at, now));
        let wait = full_for + self.rate.interval - self.rate.interval * self.rate.burst;
        if wait > 0 { Err(wait) } else { Ok(()) }
    }

    fn count(&mut self, key: K, now: Millis) {
        self.make_room(now);
        if self.empty_at.len() >= CAPACITY && !self.empty_at.contains_key(&key) {
            // The keys that are known stay limited.
            tracing::warn!("too many keys at once; an attempt was not counted");
            return;
        }
        let rate = self.rate;
        let empty_at = self.empty_at.entry(key).or_insert(now);
        // Never over the brim: some that were let in together fail together.
        *empty_at = now + (rate.until(*empty_at, now) + rate.interval).min(rate.interval * rate.burst);
    }

    /// Forgets the keys whose time has passed, as often as their number doubles.
    fn make_room(&mut self, now: Millis) {
        if self.empty_at.len() >= self.sweep_at {
            let rate = self.rate;
            self.empty_at.retain(|_, empty_at| rate.until(*empty_at, now) > 0);
            self.empty_at.shrink_to(FEW);
            self.sweep_at = (2 * self.empty_at.len()).clamp(FEW, CAPACITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(attempts: &Attempts, email: &str, count: usize, now: Millis) {
        for _ in 0..count {
            attempts.count_email(email, now);
        }
    }

    #[test]
    fn ten_failures_on_an_email_then_one_every_six_seconds() {
        let attempts = Attempts::new();
        for _ in 0..10 {
            assert_eq!(attempts.admit_email("ada@example.com", 1_000), Ok(()));
            attempts.count_email("ada@example.com", 1_000);
        }
        let refused = attempts.admit_email("ada@example.com", 1_001).expect_err("an eleventh");
        assert_eq!(refused.retry_after, Some(6));
        assert!(attempts.admit_email("ada@example.com", 6_999).is_err());
        assert_eq!(attempts.admit_email("ada@example.com", 7_000), Ok(()));
        attempts.count_email("ada@example.com", 7_000);
        assert!(attempts.admit_email("ada@example.com", 7_000).is_err());
        assert_eq!(attempts.admit_email("bob@example.com", 1_001), Ok(()), "nobody else's email is meant");
    }

    #[test]
    fn failures_that_were_let_in_together_do_not_lock_for_longer() {
        let attempts = Attempts::new();
        failures(&attempts, "ada@example.com", 1_000, 0);
        assert_eq!(attempts.admit_email("ada@example.com", 6_000), Ok(()));
    }

    #[test]
    fn a_clock_that_is_put_back_locks_nobody_out() {
        let attempts = Attempts::new();
        let hour = 3_600_000;
        failures(&attempts, "ada@example.com", 10, hour);
        assert!(attempts.admit_email("ada@example.com", hour - 5).is_err(), "not by what two cores disagree on");
        assert_eq!(attempts.admit_email("ada@example.com", 0), Ok(()));
        failures(&attempts, "ada@example.com", 9, 0);
        assert_eq!(attempts.admit_email("ada@example.com", 0), Ok(()));
        failures(&attempts, "ada@example.com", 1, 0);
        assert_eq!(attempts.admit_email("ada@example.com", 0).expect_err("ten").retry_after, Some(6));
        for n in 0..CAPACITY {
            failures(&attempts, &n.to_string(), 1, 10 * hour);
        }
        failures(&attempts, "bob@example.com", 10, hour);
        assert!(attempts.admit_email("bob@example.com", hour).is_err(), "there is room for those of now");
    }

    #[test]
    fn an_address_is_limited_whatever_emails_it_tries_and_this_machine_is_not() {
        let attempts = Attempts::new();
        let address = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        for from in ["203.0.113.7", "2001:db8::1", "127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            for _ in 0..30 {
                attempts.count_address(address(from), 0);
            }
        }
        let admitted = |from| attempts.admit_address(address(from), 0).is_ok();
        assert!(!admitted("203.0.113.7"));
        assert!(!admitted("::ffff:203.0.113.7"), "the same address, written otherwise");
        assert!(admitted("203.0.113.8"));
        assert!(!admitted("2001:db8::ffff"), "the same household");
        assert!(admitted("2001:db8:0:1::1"));
        assert!(admitted("127.0.0.1") && admitted("::1"));
        assert_eq!(attempts.admit_address(None, 0), Ok(()));
    }

    #[test]
    fn a_flood_of_keys_is_forgotten_when_it_is_over_and_bounded_while_it_lasts() {
        let attempts = Attempts::new();
        for n in 0..CAPACITY + 100 {
            failures(&attempts, &n.to_string(), 1, 0);
        }
        assert_eq!(lock(&attempts.emails).empty_at.len(), CAPACITY);
        failures(&attempts, "0", 9, 0);
        assert!(attempts.admit_email("0", 0).is_err(), "a known one is counted on");
        failures(&attempts, "later", 1, 100_000);
        assert_eq!(lock(&attempts.emails).empty_at.len(), 1);
        assert!(lock(&attempts.emails).empty_at.capacity() < CAPACITY);
    }
}
