//! Passwords: argon2id (RFC 9106), as slow and as hungry as OWASP advises.
//!
//! A hash takes tens of milliseconds of one core and 19 MiB, on purpose. So it
//! runs on the blocking threads, a few at a time (*bulkhead*), and when too many
//! wait, the next is told `OVERLOADED` instead of starving the shop.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use platform::error::{Failure, Unavailable};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::ApiError;

/// Hashes computed at one time.
const AT_WORK: usize = 2;
/// And waiting to be: some seconds of work.
const WAITING: usize = 254;

/// Of no password, with the parameters that all have: for emails that nobody has.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$b3JkZXJseS1ub2JvZHk$lZ2G9mCbsOAUMzMMq4V0pGVQw1Z6h5y8nYk3iE8m0aM";

/// See the [module](self).
pub(super) struct Passwords {
    queue: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
}

/// A place at work, for one hash. Whoever has it may ask once more whether the hash
/// is still wanted, since things may have changed while he waited, and keeps others
/// out until he has drawn his conclusions.
pub(super) struct Turn {
    permits: Arc<Permits>,
}

struct Permits {
    _at_work: OwnedSemaphorePermit,
    _queued: OwnedSemaphorePermit,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let queue = Arc::new(Semaphore::new(AT_WORK + WAITING));
        Self { queue, at_work: Arc::new(Semaphore::new(AT_WORK)) }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// `OVERLOADED` if too many wait.
    pub(super) async fn turn(&self) -> Result<Turn, ApiError> {
        let Ok(queued) = Arc::clone(&self.queue).try_acquire_owned() else {
            return Err(Failure::from(Unavailable::overloaded("password hashing")).into());
        };
        let at_work = Arc::clone(&self.at_work).acquire_owned().await;
        let at_work = at_work.map_err(|error| ended(&error))?;
        Ok(Turn { permits: Arc::new(Permits { _at_work: at_work, _queued: queued }) })
    }
}

impl Turn {
    /// A new password's hash, as a PHC string with parameters and salt.
    pub(super) async fn hash(&self, password: &str) -> Result<String, ApiError> {
        let password = password.to_owned();
        let hashed = self.run(move || {
            let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
            Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
        });
        hashed.await?.map_err(|error: argon2::password_hash::Error| ended(&error))
    }

    /// Whether the hash is this password's. A hash that does not read is nobody's.
    pub(super) async fn verify(&self, password: &str, hash: &str) -> Result<bool, ApiError> {
        let (password, hash) = (password.to_owned(), hash.to_owned());
        self.run(move || {
            PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    /// Takes as long as [`verify`](Self::verify).
    pub(super) async fn verify_nothing(&self, password: &str) -> Result<(), ApiError> {
        self.verify(password, NOBODYS).await.map(|_| ())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        // The place goes with the work: a caller who leaves does not make room for
        // one more while a core is still busy with his.
        let permits = Arc::clone(&self.permits);
        let work = tokio::task::spawn_blocking(move || {
            let _permits = permits;
            work()
        });
        work.await.map_err(|error| ended(&error))
    }
}

fn ended(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::internal("hashing a password", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn hash(passwords: &Passwords, password: &str) -> String {
        passwords.turn().await.expect("a place").hash(password).await.expect("hashes")
    }

    #[tokio::test]
    async fn a_hash_is_its_password_s_alone() {
        let passwords = Passwords::new();
        let first = hash(&passwords, "orderly").await;
        assert!(first.starts_with("$argon2id$"));
        for (password, against, right) in
            [("orderly", first.as_str(), true), ("Orderly", &first, false), ("orderly", "no hash", false)]
        {
            let turn = passwords.turn().await.expect("a place");
            assert_eq!(turn.verify(password, against).await, Ok(right), "{password}");
        }
        assert_ne!(hash(&passwords, "orderly").await, first, "salted");
    }

    #[tokio::test]
    async fn nobody_s_hash_costs_what_all_cost() {
        let real = hash(&Passwords::new(), "orderly").await;
        let parameters = |text: &str| text.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(NOBODYS), parameters(&real));
        let nobodys = PasswordHash::new(NOBODYS).expect("reads");
        assert_eq!(nobodys.hash.map(|hash| hash.len()), Some(32));
        assert!(nobodys.salt.is_some());
    }

    #[tokio::test]
    async fn too_many_at_once_are_told_so() {
        let passwords = Passwords::new();
        let _all = passwords.queue.try_acquire_many(u32::try_from(AT_WORK + WAITING).expect("few")).expect("free");
        let error = passwords.turn().await.err().expect("full");
        assert_eq!(error.code, platform::error::Code::Overloaded);
    }

    #[tokio::test]
    async fn a_place_that_is_not_used_is_free_again() {
        let passwords = Passwords::new();
        let turns = (passwords.turn().await, passwords.turn().await);
        assert_eq!(passwords.at_work.available_permits(), 0);
        drop(turns);
        assert_eq!(passwords.at_work.available_permits(), AT_WORK);
    }
}
