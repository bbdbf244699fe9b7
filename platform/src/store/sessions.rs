//! **Sessions**: the connections to one Postgres database, bounded in number and in time.
//!
//! Pattern: *a connection pool*. A session is a process of the server and costs
//! megabytes and milliseconds to make, so it is used again; and a server has a
//! fixed number of them for all replicas of all services. Ours is made of sqlx's
//! single connections. sqlx's own pool waits without a limit for the answer to a
//! last question whenever a connection comes back, so that a silent network takes
//! the whole pool away; and that question is a round trip for each transaction.
//!
//! How it works here:
//! * Everything that waits for the server has a bound. The server is told a shorter
//!   one (`statement_timeout`, `lock_timeout`), so that normally it speaks first.
//! * A session goes back only between two transactions. One that was dropped inside
//!   of one is tidied up first, in the background and within a bound; one that broke
//!   or did not answer in time is closed, and the server undoes what it had begun.
//! * Nobody asks an idle session whether it still lives. The first statement tells,
//!   and it is a `BEGIN` or a read, which may be said again to the next session.
//! * Postgres is made to look at tables that grow ([`statistics`]), or it would go on
//!   with what it planned for empty ones.
//!
//! Chapter: `docs/store.md`.

mod session;
mod statistics;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection as _};
use tokio::sync::Semaphore;

use super::{Row, Sql, StoreError, StoreOptions};
pub(super) use session::Session;

/// Older sessions are replaced, so that a server that has moved is found, and what a
/// server process has gathered is given back.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// A session that nobody has needed for so long is closed.
const MAX_IDLE: Duration = Duration::from_secs(5 * 60);

/// How long each half of closing them may take.
const CLOSING: Duration = Duration::from_millis(500);

/// The sessions with one database.
pub(super) struct Sessions {
    options: PgConnectOptions,
    /// For people: who, where, which database. No password.
    place: String,
    patience: Duration,
    size: u32,
    permits: Arc<Semaphore>,
    /// The one used last is the last.
    idle: Mutex<Vec<Idle>>,
    /// Begun so far.
    transactions: AtomicU64,
}

struct Idle {
    connection: PgConnection,
    born: Instant,
    since: Instant,
}

impl Sessions {
    /// Connects for the first time.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: the URL, the login, the database's name or the
    /// certificate is wrong. [`StoreError::Unavailable`]: the server is not there.
    pub(super) async fn open(url: &str, options: StoreOptions) -> Result<Arc<Self>, StoreError> {
        let connect = PgConnectOptions::from_str(url)
            .map_err(|error| StoreError::Refused(format!("not the URL of a Postgres database: {error}")))?;
        // sqlx reads it in these modes only, and would trust anybody in the others.
        let verifies = matches!(connect.get_ssl_mode(), PgSslMode::VerifyFull | PgSslMode::VerifyCa);
        if !verifies && (url.contains("sslrootcert=") || url.contains("ssl-root-cert=") || url.contains("ssl-ca=")) {
            return Err(StoreError::Refused("sslrootcert means something with sslmode=verify-full only".into()));
        }
        let name = connect.get_application_name().unwrap_or("orderly").to_owned();
        let millis = |part: u32| (options.patience / part).as_millis().max(1).to_string();
        let connect =
            connect.application_name(&name).statement_cache_capacity(256).disable_statement_logging().options([
                ("statement_timeout", millis(1)),
                ("lock_timeout", millis(2)),
                // A process that sleeps inside a transaction holds rows and leases.
                ("idle_in_transaction_session_timeout", millis(1)),
                // Rows are found by their keys, and those asked for are mostly in memory. With the
                // server's own figure (4, for disks that turn) it reads a table of ten thousand
                // rows through rather than look up a hundred.
                ("random_page_cost", "1.1".into()),
                // How soon the server notices that nobody is at the other end.
                ("tcp_keepalives_idle", "10".into()),
                ("tcp_keepalives_interval", "5".into()),
                ("tcp_keepalives_count", "3".into()),
            ]);
        let place = format!(
            "{} of {} at {}:{}",
            connect.get_database().unwrap_or("the default database"),
            connect.get_username(),
            connect.get_host(),
            connect.get_port()
        );
        let sessions = Arc::new(Self {
            options: connect,
            place,
            patience: options.patience,
            size: options.connections.max(1),
            permits: Arc::new(Semaphore::new(options.connections.max(1) as usize)),
            idle: Mutex::default(),
            transactions: AtomicU64::new(0),
        });
        let connection = sessions.connect().await?;
        sessions.put_away(connection, Instant::now());
        Ok(sessions)
    }

    /// The longest that one statement may take, for the server.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// A session, and `opening` said to it. `opening` must be harmless to say twice: a
    /// session that has died since it was last used is replaced by the next.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], whatever the reason: no input is guilty of it.
    pub(super) async fn begin(self: &Arc<Self>, opening: &'static str) -> Result<Session, StoreError> {
        loop {
            let mut session = self.acquire().await?;
            match session.open(opening.into(), self.patience).await {
                Ok(()) => {
                    self.count_transaction();
                    return Ok(session);
                }
                Err(_) if session.was_stale() => {}
                Err(error) => return Err(error.not_the_inputs_fault()),
            }
        }
    }

    /// Reads outside of any transaction. A session that has died since it was last used
    /// is replaced by the next.
    ///
    /// # Errors
    /// As the server answers, or as [`begin`](Self::begin).
    pub(super) async fn read<T: Row>(self: &Arc<Self>, sql: Sql, json: String) -> Result<Vec<T>, StoreError> {
        loop {
            let mut session = self.acquire().await?;
            match session.fetch(sql.clone(), json.clone(), self.patience).await {
                Err(_) if session.was_stale() => {}
                result => return result,
            }
        }
    }

    /// A session outside of any transaction, used before or new.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    async fn acquire(self: &Arc<Self>) -> Result<Session, StoreError> {
        let permit = tokio::time::timeout(grace(self.patience), self.permits.clone().acquire_owned())
            .await
            .map_err(|_| StoreError::Unavailable(format!("all {} sessions with {} are busy", self.size, self.place)))?
            .map_err(|_| StoreError::Unavailable(format!("the store is closed: {}", self.place)))?;
        let idle = self.take_idle();
        let used = idle.is_some();
        let (connection, born) = match idle {
            Some(idle) => (idle.connection, idle.born),
            None => (self.connect().await.map_err(StoreError::not_the_inputs_fault)?, Instant::now()),
        };
        Ok(Session::new(self.clone(), permit, connection, born, used))
    }

    /// Waits for those in use, and takes leave of the server. Each within a bound that is
    /// short, since a process that stops has little time; the server notices the end of the rest.
    pub(super) async fn close(&self) {
        let all = self.permits.acquire_many(self.size);
        let _ = tokio::time::timeout(CLOSING, all).await;
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        let _ = tokio::time::timeout(CLOSING, join_all(idle.into_iter().map(|idle| idle.connection.close()))).await;
    }

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        match tokio::time::timeout(grace(self.patience), self.options.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(sqlx::Error::Io(io)))
                if io.kind() == std::io::ErrorKind::NotFound && self.options.get_socket().is_none() =>
            {
                Err(StoreError::Refused("a file that sslrootcert, sslcert or sslkey names is not there".into())
                    .at(&self.place))
            }
            Ok(Err(error)) => Err(StoreError::of_connect(error).at(&self.place)),
            Err(_) => Err(StoreError::Unavailable("the server does not answer".into()).at(&self.place)),
        }
    }

    /// The one used last, that the server has it in its cache; old ones are closed.
    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle();
        idle.retain(|one| one.born.elapsed() < MAX_AGE && one.since.elapsed() < MAX_IDLE);
        idle.pop()
    }

    fn put_away(&self, connection: PgConnection, born: Instant) {
        if !self.permits.is_closed() {
            self.idle().push(Idle { connection, born, since: Instant::now() });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sessions").field(&self.place).finish()
    }
}

/// The client's own bound: a little more than the server's, which knows the reason.
fn grace(bound: Duration) -> Duration {
    bound + bound / 4
}
