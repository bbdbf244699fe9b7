//! Accounts and sessions: who may log in, and who is logged in.
//!
//! The one thing that the gateway owns, in a store of its own. Passwords are kept
//! as argon2id hashes (`passwords.rs`), and guessing at them is slowed down
//! (`attempts.rs`). A session is a random token that its owner
//! shows with each request; the store has only its hash (`sessions.rs`). Both are
//! plain rows: nothing here needs the service loop, since nothing is told to others.

mod attempts;
mod passwords;
mod sessions;
mod store;

use std::net::IpAddr;
use std::sync::Arc;

use chrono::DateTime;
use platform::clock::{Clock, Millis};
use platform::error::Code;
use platform::message::fresh_id;
use platform::store::{Db, StoreError};

use crate::api::{Account, ApiError, Role, Session, validate};
use attempts::Attempts;
use passwords::Passwords;
use sessions::{SessionCache, Token};
use store::{AccountRow, NewAccount};

/// How long a session lasts: 30 days.
const SESSION_LIFE: Millis = 30 * 24 * 60 * 60 * 1000;

/// Both demo accounts' password.
pub const DEMO_PASSWORD: &str = "orderly";
/// The customer of a new data folder.
pub const DEMO_CUSTOMER: &str = "ada@example.com";
/// The operator of a new data folder.
pub const DEMO_OPERATOR: &str = "operator@example.com";

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    clock: Clock,
    passwords: Passwords,
    attempts: Attempts,
    cache: SessionCache,
    secret: [u8; 32],
}

impl Accounts {
    /// Opens the accounts in their store: brings its schema forward, and makes the
    /// server's secret if there is none yet.
    ///
    /// # Errors
    /// The store cannot be reached or migrated.
    pub async fn open(db: Db, clock: Clock) -> Result<Self, StoreError> {
        db.migrate(&store::MIGRATIONS).await?;
        let secret = store::secret(&db, "server", sessions::random()).await?;
        let (passwords, attempts, cache) = (Passwords::new(), Attempts::new(), SessionCache::new());
        Ok(Self { inner: Arc::new(Inner { db, clock, passwords, attempts, cache, secret }) })
    }

    /// Makes the demo customer and the demo operator, unless they exist.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn ensure_demo(&self) -> Result<(), ApiError> {
        for (email, role) in [(DEMO_CUSTOMER, Role::Customer), (DEMO_OPERATOR, Role::Operator)] {
            if self.find(email).await?.is_none() {
                let account = self.new_account(email.to_owned(), DEMO_PASSWORD, role, None).await?;
                let mut tx = self.inner.db.begin().await?;
                store::insert_account(&mut tx, &account).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// A key that all gateways over one store share.
    pub fn server_secret(&self) -> [u8; 32] {
        self.inner.secret
    }

    /// Closes the store's connections. For an orderly end.
    pub async fn close(&self) {
        self.inner.db.close().await;
    }

    pub(crate) async fn sign_up(
        &self,
        email: &str,
        password: &str,
        key: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Session, ApiError> {
        let email = validate::email(email)?;
        validate::password(password)?;
        let key = key.map(validate::idempotency_key).transpose()?;
        let now = self.inner.clock.now();
        self.inner.attempts.admit_address(from, now)?;
        // Successes count as well: each makes an account.
        self.inner.attempts.count_address(from, now);
        if let Some(known) = store::account_by_email(&self.inner.db, &email).await? {
            return self.sign_up_again(known, password, key).await;
        }
        let account = self.new_account(email, password, Role::Customer, key).await?;
        let (token, expires_at) = (Token::fresh(), now + SESSION_LIFE);
        let mut tx = self.inner.db.begin().await?;
        if !store::insert_account(&mut tx, &account).await? {
            // Two at once: the other was first.
            tx.rollback().await?;
            let known = store::account_by_email(&self.inner.db, &account.email).await?;
            return self.sign_up_again(known.ok_or_else(taken)?, password, key).await;
        }
        store::insert_session(&mut tx, &token.hash(), &account.id, expires_at).await?;
        tx.commit().await?;
        Ok(session(token, Account { id: account.id, email: account.email, role: Role::Customer }, expires_at))
    }

    /// The email has an account: the one that this same sign-up made, if it comes
    /// with the same key and its sender knows the password.
    async fn sign_up_again(&self, known: AccountRow, password: &str, key: Option<&str>) -> Result<Session, ApiError> {
        let again = key.is_some() && known.signup_key.as_deref() == key;
        if again && self.verify(Some(&known), &known.email, password, None).await? {
            self.open_session(known.into()).await
        } else {
            Err(taken())
        }
    }

    pub(crate) async fn log_in(&self, email: &str, password: &str, from: Option<IpAddr>) -> Result<Session, ApiError> {
        let wrong = || ApiError::new(Code::Unauthenticated, "wrong email or password");
        self.inner.attempts.admit_address(from, self.inner.clock.now())?;
        // What can be no password is none, for every email alike.
        let (Ok(email), Ok(())) = (validate::email(email), validate::password(password)) else {
            self.inner.attempts.count_address(from, self.inner.clock.now());
            return Err(wrong());
        };
        // Whether anybody has it or not: the answers must not tell which exist.
        self.inner.attempts.admit_email(&email, self.inner.clock.now())?;
        let known = store::account_by_email(&self.inner.db, &email).await?;
        if self.verify(known.as_ref(), &email, password, from).await?
            && let Some(known) = known
        {
            self.open_session(known.into()).await
        } else {
            Err(wrong())
        }
    }

    /// Whether the password is the account's; without one it is wrong, and that
    /// takes as long: time must not tell which exist. A wrong one counts.
    ///
    /// # Errors
    /// `RATE_LIMITED` if too many have been wrong, also those that were looked at
    /// while this one waited for its turn; `OVERLOADED`.
    async fn verify(
        &self,
        known: Option<&AccountRow>,
        email: &str,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<bool, ApiError> {
        let Inner { passwords, attempts, clock, .. } = &*self.inner;
        let turn = passwords.turn().await?;
        attempts.admit_address(from, clock.now())?;
        attempts.admit_email(email, clock.now())?;
        let right = match known {
            Some(known) => turn.verify(password, &known.password_hash).await?,
            None => {
                turn.verify_nothing(password).await?;
                false
            }
        };
        if !right {
            // Before the turn is over, or the next would be let in on what is known now.
            attempts.count_email(email, clock.now());
            attempts.count_address(from, clock.now());
        }
        drop(turn);
        Ok(right)
    }

    pub(crate) async fn log_out(&self, token: &str) -> Result<(), ApiError> {
        let Some(token) = Token::parse(token) else { return Ok(()) };
        let mut tx = self.inner.db.begin().await?;
        store::delete_session(&mut tx, &token.hash()).await?;
        tx.commit().await?;
        // After the commit: who reads now finds no row to put back into the cache.
        self.inner.cache.forget(&token.hash());
        Ok(())
    }

    pub(crate) async fn session(&self, token: &str) -> Result<Option<Account>, ApiError> {
        let Some(token) = Token::parse(token) else { return Ok(None) };
        let (hash, now) = (token.hash(), self.inner.clock.now());
        if let Some(account) = self.inner.cache.get(&hash, now) {
            return Ok(Some(account));
        }
        let before = self.inner.cache.age();
        let Some(row) = store::session(&self.inner.db, &hash, now).await? else { return Ok(None) };
        let (expires_at, account) = (row.expires_at, Account::from(row));
        self.inner.cache.put(hash, account.clone(), now, expires_at, before);
        Ok(Some(account))
    }

    /// The account of this email or id.
    pub(crate) async fn find(&self, email_or_id: &str) -> Result<Option<Account>, ApiError> {
        let found = store::account_by_email_or_id(&self.inner.db, &email_or_id.to_lowercase()).await?;
        Ok(found.map(Account::from))
    }

    async fn new_account(
        &self,
        email: String,
        password: &str,
        role: Role,
        signup_key: Option<&str>,
    ) -> Result<NewAccount, ApiError> {
        Ok(NewAccount {
            id: fresh_id(),
            email,
            password_hash: self.inner.passwords.turn().await?.hash(password).await?,
            role: role.as_str(),
            signup_key: signup_key.map(str::to_owned),
            created_at: self.inner.clock.now(),
        })
    }

    /// Also sweeps out the sessions that have expired.
    async fn open_session(&self, account: Account) -> Result<Session, ApiError> {
        let now = self.inner.clock.now();
        let (token, expires_at) = (Token::fresh(), now + SESSION_LIFE);
        let mut tx = self.inner.db.begin().await?;
        store::delete_expired(&mut tx, now).await?;
        store::insert_session(&mut tx, &token.hash(), &account.id, expires_at).await?;
        tx.commit().await?;
        Ok(session(token, account, expires_at))
    }
}

fn taken() -> ApiError {
    ApiError::new(Code::Conflict, "there is already an account with that email")
}

fn session(token: Token, account: Account, expires_at: Millis) -> Session {
    Session {
        token: token.reveal(),
        account,
        expires_at: DateTime::from_timestamp_millis(expires_at).unwrap_or_default(),
    }
}

/// A caller learns only that it cannot be done now.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal("the gateway's store", error)
    }
}

#[cfg(test)]
mod tests;
