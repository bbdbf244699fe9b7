//! Session tokens, and a short memory of them.
//!
//! Every request of a logged-in caller looks its session up, so the ones seen in
//! the last seconds are kept in memory (*cache-aside*). A session ended at another
//! gateway lives on here for at most that long; one ended here is gone at once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use platform::clock::Millis;
use sha2::{Digest, Sha256};

use crate::api::Account;

/// How long a look-up is believed: 10 seconds.
const BELIEVED: Millis = 10_000;
/// Sessions kept in memory at most.
const CAPACITY: usize = 10_000;

/// 256 random bits, as 64 hex digits. Not `Debug`: it is a secret.
pub(super) struct Token(String);

impl Token {
    pub(super) fn fresh() -> Self {
        Self(hex(&random()))
    }

    /// A token as a client sent it; `None` if it has not the shape of one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let shaped = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        shaped.then(|| Self(text.to_owned()))
    }

    /// What is stored instead of it.
    pub(super) fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }

    /// The token itself, for its owner.
    pub(super) fn reveal(self) -> String {
        self.0
    }
}

/// From the operating system's generator, by way of a seeded one.
pub(super) fn random() -> [u8; 32] {
    rand::random()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// See the [module](self).
pub(super) struct SessionCache {
    known: Mutex<Known>,
}

struct Known {
    /// By token hash: whose it is, and until when that is believed.
    sessions: HashMap<String, (Account, Millis)>,
    /// How many sessions were ended here. A look-up that began before the last of
    /// them may have read a row that is gone, and is not kept.
    age: u64,
}

impl SessionCache {
    pub(super) fn new() -> Self {
        Self { known: Mutex::new(Known { sessions: HashMap::new(), age: 0 }) }
    }

    pub(super) fn get(&self, hash: &str, now: Millis) -> Option<Account> {
        let known = self.lock();
        known.sessions.get(hash).filter(|(_, until)| now < *until).map(|(account, _)| account.clone())
    }

    /// To be taken before the look-up that is then [`put`](Self::put).
    pub(super) fn age(&self) -> u64 {
        self.lock().age
    }

    pub(super) fn put(&self, hash: String, account: Account, now: Millis, expires_at: Millis, age: u64) {
        let mut known = self.lock();
        if known.age != age {
            return;
        }
        if known.sessions.len() >= CAPACITY {
            known.sessions.retain(|_, (_, until)| now < *until);
        }
        if known.sessions.len() >= CAPACITY {
            known.sessions.clear();
        }
        known.sessions.insert(hash, (account, expires_at.min(now + BELIEVED)));
    }

    pub(super) fn forget(&self, hash: &str) {
        let mut known = self.lock();
        known.age += 1;
        known.sessions.remove(hash);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Role;

    fn ada() -> Account {
        Account { id: "a".into(), email: "ada@example.com".into(), role: Role::Customer }
    }

    #[test]
    fn a_look_up_is_believed_for_a_while_and_never_past_the_session_s_end() {
        let cache = SessionCache::new();
        cache.put("h".into(), ada(), 0, 1_000_000, cache.age());
        assert!(cache.get("h", BELIEVED - 1).is_some());
        assert!(cache.get("h", BELIEVED).is_none());
        cache.put("h".into(), ada(), 0, 5, cache.age());
        assert!(cache.get("h", 5).is_none());
    }

    #[test]
    fn a_look_up_that_a_log_out_overtook_is_not_kept() {
        let cache = SessionCache::new();
        let before = cache.age();
        cache.forget("h");
        cache.put("h".into(), ada(), 0, 1_000_000, before);
        assert!(cache.get("h", 1).is_none());
    }

    #[test]
    fn the_memory_is_bounded() {
        let cache = SessionCache::new();
        for n in 0..=CAPACITY {
            cache.put(n.to_string(), ada(), 0, 1_000_000, cache.age());
        }
        assert!(cache.lock().sessions.len() <= CAPACITY);
    }

    #[test]
    fn a_token_is_sixty_four_hex_digits_and_its_hash_another() {
        let token = Token::fresh();
        let (text, hash) = (token.0.clone(), token.hash());
        assert!(Token::parse(&text).is_some_and(|same| same.hash() == hash));
        assert_ne!(text, hash);
        assert!(Token::parse("").is_none());
        assert!(Token::parse(&text.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A")).is_none());
    }
}
