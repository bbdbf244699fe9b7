//! Connections to one file, lent out one by one and in turn.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connected::Connected;
use crate::store::StoreError;

/// Connections that read.
const READERS: u32 = 4;
/// The longest wait for one of them, and for another process that has the file locked.
const PATIENCE: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared.
const PREPARED: usize = 256;

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

impl Role {
    const fn connections(self) -> u32 {
        match self {
            Self::Writer => 1,
            Self::Reader => READERS,
        }
    }

    fn open(self, path: &Path) -> Result<Connected, StoreError> {
        // Each connection is used by one thread at a time: SQLite need not lock it as well.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        // A plan does not depend on the values that are bound: else the statement is prepared
        // again for other values, which costs more than to run it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute_batch(match self {
            Self::Writer => {
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8000;
                 PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 10000;"
            }
            // Their caches are small, since they are four, and void after each commit.
            Self::Reader => {
                "PRAGMA journal_mode = WAL; PRAGMA cache_size = -1000; PRAGMA temp_store = MEMORY;
                 PRAGMA query_only = ON;"
            }
        })?;
        Ok(Connected::new(connection))
    }
}

/// Connections of one role, lent out one by one and in turn.
#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    role: Role,
    idle: Mutex<Vec<Connected>>,
    /// Closed with the pool.
    permits: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(path: &Path, role: Role) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(role.connections() as usize));
        Arc::new(Self { path: path.to_owned(), role, idle: Mutex::default(), permits })
    }

    /// Opens a connection, to be lent out later.
    ///
    /// # Errors
    /// The file cannot be opened, or is no database.
    pub(super) fn open_one(&self) -> Result<(), StoreError> {
        let connected = self.role.open(&self.path)?;
        self.idle().push(connected);
        Ok(())
    }

    /// # Errors
    /// It is closed, or all readers are busy.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Seat, StoreError> {
        let permit = self.permits.clone().acquire_owned();
        let permit = match self.role {
            // A queue of transactions, each of which ends.
            Role::Writer => permit.await,
            Role::Reader => tokio::time::timeout(PATIENCE, permit)
                .await
                .map_err(|_| StoreError::Unavailable("all readers of the store are busy".to_owned()))?,
        }
        .map_err(|_| StoreError::Unavailable("the store is closed".to_owned()))?;
        let idle = self.idle().pop();
        let connected = match idle {
            Some(connected) => connected,
            None => self.role.open(&self.path)?,
        };
        Ok(Seat { connected: Some(connected), home: self.clone(), _permit: permit })
    }

    /// Closes all connections, after what is under way.
    pub(super) async fn close(&self) {
        let all = self.permits.acquire_many(self.role.connections()).await;
        self.permits.close();
        drop(all);
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connected>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan. Whatever is left open is rolled back when it is given back.
#[derive(Debug)]
pub(super) struct Seat {
    /// `None` only in its end.
    connected: Option<Connected>,
    home: Arc<Pool>,
    /// Declared last: given back after the connection was.
    _permit: OwnedSemaphorePermit,
}

impl Deref for Seat {
    type Target = Connected;

    fn deref(&self) -> &Connected {
        self.connected.as_ref().expect("a seat has its connection until it is dropped")
    }
}

impl DerefMut for Seat {
    fn deref_mut(&mut self) -> &mut Connected {
        self.connected.as_mut().expect("a seat has its connection until it is dropped")
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(connected) = self.connected.take() else { return };
        if connected.is_in_transaction() && connected.say("ROLLBACK").is_err() {
            // Closed, which undoes it too; another one is opened in its place.
            return;
        }
        self.home.idle().push(connected);
    }
}
