//! One session in use: what an answer, or none, means for it, and how it goes back.
//!
//! It knows three things about itself, and all else follows: whether a transaction is
//! open, whether an answer is still to be read, and whether it was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgDatabaseError, PgSeverity};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::error::Elapsed;

use super::{Sessions, grace};
use crate::store::{Row, Sql, StoreError, row};

/// A session in use.
pub(in crate::store) struct Session {
    /// `None`: given up.
    connection: Option<PgConnection>,
    born: Instant,
    /// It has been used before, and may have died since.
    used: bool,
    /// Between `BEGIN` and the end of the transaction.
    open: bool,
    /// A statement was sent and its answer has not been read.
    busy: bool,
    /// What the first statement of the transaction that failed has failed with.
    failed: Option<StoreError>,
    lost: Option<Lost>,
    home: Arc<Sessions>,
    /// `None` only in its end.
    permit: Option<OwnedSemaphorePermit>,
}

/// How a session was lost.
#[derive(Debug, Clone, Copy)]
enum Lost {
    /// The server or the network said so.
    Broken,
    /// Nothing was said in time.
    Silent,
}

impl Session {
    pub(super) const fn new(
        home: Arc<Sessions>,
        permit: OwnedSemaphorePermit,
        connection: PgConnection,
        born: Instant,
        used: bool,
    ) -> Self {
        Self {
            connection: Some(connection),
            born,
            used,
            open: false,
            busy: false,
            failed: None,
            lost: None,
            home,
            permit: Some(permit),
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub(super) async fn open(&mut self, opening: Sql, bound: Duration) -> Result<(), StoreError> {
        // Before it is sent: whoever drops this in between has it rolled back.
        self.open = true;
        self.batch(opening, bound).await
    }

    /// Runs a statement over `json`; how many rows it changed.
    ///
    /// # Errors
    /// As the server answers; [`StoreError::Unavailable`] if it does not, or if the
    /// session was given up before.
    pub(in crate::store) async fn execute(
        &mut self,
        sql: Sql,
        json: String,
        bound: Duration,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(AssertSqlSafe(sql)).bind(json).execute(self.speak()?);
        let answer = tokio::time::timeout(grace(bound), query).await;
        Ok(self.hear(answer)?.rows_affected())
    }

    /// Runs a query over `json`.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub(in crate::store) async fn fetch<T: Row>(
        &mut self,
        sql: Sql,
        json: String,
        bound: Duration,
    ) -> Result<Vec<T>, StoreError> {
        let query = sqlx::query(AssertSqlSafe(sql)).bind(json).fetch_all(self.speak()?);
        let answer = tokio::time::timeout(grace(bound), query).await;
        self.hear(answer)?.iter().map(row::read).collect()
    }

    /// Runs statements without arguments, separated by `;`, in one round trip.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub(in crate::store) async fn batch(&mut self, sql: Sql, bound: Duration) -> Result<(), StoreError> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.speak()?);
        let answer = tokio::time::timeout(grace(bound), query).await;
        self.hear(answer).map(drop)
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if nobody knows whether it happened. What a statement of
    /// the transaction failed with, if one did: Postgres answers such a `COMMIT` with a
    /// roll-back and calls it a success.
    pub(in crate::store) async fn commit(mut self, bound: Duration) -> Result<(), StoreError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let result = self.batch("COMMIT".into(), bound).await;
        self.open = false;
        match result {
            Err(StoreError::Unavailable(cause)) if self.lost.is_some() => Err(StoreError::Unknown(cause)),
            other => other,
        }
    }

    /// Undoes the transaction and waits until that is done.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); the server will undo it by itself.
    pub(in crate::store) async fn rollback(mut self, bound: Duration) -> Result<(), StoreError> {
        let result = self.batch("ROLLBACK".into(), bound).await;
        self.open = result.is_err();
        result
    }

    /// The connection, for one question.
    fn speak(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.busy = true;
        let gone = || StoreError::Unavailable(format!("the session was lost: {}", self.home.place));
        self.connection.as_mut().ok_or_else(gone)
    }

    /// What the answer means for the session.
    fn hear<T>(&mut self, answer: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, StoreError> {
        let error = match answer {
            Ok(Ok(value)) => {
                self.busy = false;
                return Ok(value);
            }
            Ok(Err(error)) => {
                match fate(&error) {
                    Fate::Goes => self.busy = false,
                    Fate::Over => self.lose(Lost::Broken),
                }
                StoreError::from(error)
            }
            Err(_) => {
                self.lose(Lost::Silent);
                // They lead to the same place.
                self.home.idle().clear();
                StoreError::Unavailable(format!("no answer in time from {}", self.home.place))
            }
        };
        if self.open {
            self.failed.get_or_insert_with(|| error.clone());
        }
        Err(error)
    }

    /// Closes the connection, without a word: there may be nobody who hears it.
    fn lose(&mut self, how: Lost) {
        self.connection = None;
        self.lost = Some(how);
    }

    /// It had died before it was asked anything.
    pub(super) const fn was_stale(&self) -> bool {
        self.used && matches!(self.lost, Some(Lost::Broken))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if !self.open && !self.busy {
            self.home.put_away(connection, self.born);
            return;
        }
        // Without a runtime it is closed, which undoes the transaction too.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (home, born, open, permit) = (self.home.clone(), self.born, self.open, self.permit.take());
        runtime.spawn(async move {
            let tidy = async {
                if open {
                    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.map(drop)
                } else {
                    connection.ping().await
                }
            };
            if matches!(tokio::time::timeout(grace(home.patience), tidy).await, Ok(Ok(()))) {
                home.put_away(connection, born);
            }
            // Only now may another be opened in its place.
            drop(permit);
        });
    }
}

/// What becomes of a session after an error.
enum Fate {
    Goes,
    Over,
}

fn fate(error: &sqlx::Error) -> Fate {
    use sqlx::Error as E;
    match error {
        E::Database(database) => {
            let known = database.try_downcast_ref::<PgDatabaseError>();
            let fatal = known.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic));
            // Read-only: it was the primary, and the next one is found by connecting again.
            if fatal || database.code().as_deref() == Some("25006") { Fate::Over } else { Fate::Goes }
        }
        _ => Fate::Over,
    }
}
