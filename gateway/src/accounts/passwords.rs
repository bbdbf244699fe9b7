//! Passwords: argon2id (RFC 9106), as slow and as hungry as OWASP advises.
//!
//! A hash takes tens of milliseconds of one core and 19 MiB, on purpose. So it
//! runs on the blocking threads, a few at a time (*bulkhead*), and when too many
//! wait, the next is told `OVERLOADED` instead of starving the shop.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use platform::error::{Failure, Unavailable};
use tokio::sync::Semaphore;

use crate::api::ApiError;

/// Hashes computed at one time.
const AT_WORK: usize = 2;
/// And waiting to be: some seconds of work.
const WAITING: usize = 254;

/// Of no password, with the parameters that all have: for emails that nobody has.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$b3JkZXJseS1ub2JvZHk$lZ2G9mCbsOAUMzMMq4V0pGVQw1Z6h5y8nYk3iE8m0aM";

/// See the [module](self).
pub(super) struct Passwords {
    queue: Semaphore,
    at_work: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { queue: Semaphore::new(AT_WORK + WAITING), at_work: Arc::new(Semaphore::new(AT_WORK)) }
    }

    /// A new password's hash, as a PHC string with parameters and salt.
    pub(super) async fn hash(&self, password: &str) -> Result<String, ApiError> {
        let password = password.to_owned();
        let hashed = self.run(move || {
            let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
            Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
        });
        hashed.await?.map_err(|error: argon2::password_hash::Error| ApiError::internal("hashing a password", error))
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
        let Ok(_queued) = self.queue.try_acquire() else {
            return Err(Failure::from(Unavailable::overloaded("password hashing")).into());
        };
        let ended = |error: &dyn std::fmt::Display| ApiError::internal("hashing a password", error);
        let permit = Arc::clone(&self.at_work).acquire_owned().await.map_err(|error| ended(&error))?;
        // The permit goes with the work: a caller who leaves does not make room
        // for one more while a core is still busy with his.
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        work.await.map_err(|error| ended(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_its_password_s_alone() {
        let passwords = Passwords::new();
        let hash = passwords.hash("orderly").await.expect("hashes");
        assert!(hash.starts_with("$argon2id$"));
        assert_eq!(passwords.verify("orderly", &hash).await, Ok(true));
        assert_eq!(passwords.verify("Orderly", &hash).await, Ok(false));
        assert_eq!(passwords.verify("orderly", "no hash").await, Ok(false));
        assert_ne!(passwords.hash("orderly").await.expect("hashes"), hash, "salted");
    }

    #[tokio::test]
    async fn nobody_s_hash_costs_what_all_cost() {
        let real = Passwords::new().hash("orderly").await.expect("hashes");
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
        let error = passwords.verify("orderly", NOBODYS).await.expect_err("full");
        assert_eq!(error.code, platform::error::Code::Overloaded);
    }
}
