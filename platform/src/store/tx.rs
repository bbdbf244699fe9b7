//! A transaction on either engine.

use std::time::Duration;

use serde::Serialize;
use sqlx::{AssertSqlSafe, Sqlite, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::sessions::Session;
use super::{Row, Sql, StoreError, UNHURRIED, json};

/// Rolled back when dropped without [`commit`](Tx::commit).
pub struct Tx {
    inner: Inner,
    /// The longest that one statement may take, on Postgres.
    bound: Duration,
    /// Keeps other writers of a SQLite file away. Declared after `inner`: the
    /// roll-back starts before the next writer may.
    _writing: Option<OwnedMutexGuard<()>>,
}

enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Session),
}

impl Tx {
    pub(super) const fn sqlite(inner: Transaction<'static, Sqlite>, writing: Option<OwnedMutexGuard<()>>) -> Self {
        Self { inner: Inner::Sqlite(inner), bound: UNHURRIED, _writing: writing }
    }

    pub(super) const fn postgres(session: Session, bound: Duration) -> Self {
        Self { inner: Inner::Postgres(session), bound, _writing: None }
    }

    /// Runs a statement over the JSON array `args` and gives the number of rows it
    /// changed.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn execute(&mut self, sql: impl Into<Sql>, args: &impl Serialize) -> Result<u64, StoreError> {
        let (sql, json) = (sql.into(), json(args)?);
        match &mut self.inner {
            Inner::Sqlite(tx) => {
                Ok(sqlx::query(AssertSqlSafe(sql)).bind(json).execute(&mut **tx).await?.rows_affected())
            }
            Inner::Postgres(session) => session.execute(sql, json, self.bound).await,
        }
    }

    /// Like [`execute`](Self::execute), and every row of `args` must have changed
    /// one row of the table: the test of versions. Does nothing for no rows.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if fewer rows changed.
    pub async fn execute_each<T: Serialize>(&mut self, sql: impl Into<Sql>, rows: &[T]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let changed = self.execute(sql, &rows).await?;
        if changed == rows.len() as u64 {
            Ok(())
        } else {
            Err(StoreError::Conflict(format!("{changed} of {} rows had the version that was read", rows.len())))
        }
    }

    /// Runs a query over the JSON array `args`.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn fetch<T: Row>(&mut self, sql: impl Into<Sql>, args: &impl Serialize) -> Result<Vec<T>, StoreError> {
        let (sql, json) = (sql.into(), json(args)?);
        match &mut self.inner {
            Inner::Sqlite(tx) => Ok(sqlx::query_as(AssertSqlSafe(sql)).bind(json).fetch_all(&mut **tx).await?),
            Inner::Postgres(session) => session.fetch(sql, json, self.bound).await,
        }
    }

    /// Like [`fetch`](Self::fetch), and locks the rows where that means something:
    /// `FOR UPDATE` on Postgres, nothing on SQLite, whose writer is alone anyway.
    /// `sql` must end in `ORDER BY <key>`, so that two batches lock in one order,
    /// and name one table only.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn fetch_for_update<T: Row>(
        &mut self,
        sql: &'static str,
        args: &impl Serialize,
    ) -> Result<Vec<T>, StoreError> {
        match &self.inner {
            Inner::Sqlite(_) => self.fetch(sql, args).await,
            Inner::Postgres(_) => self.fetch(format!("{sql} FOR UPDATE"), args).await,
        }
    }

    /// Like [`fetch_for_update`](Self::fetch_for_update), and lets others read the
    /// rows meanwhile but not change them.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn fetch_for_share<T: Row>(
        &mut self,
        sql: &'static str,
        args: &impl Serialize,
    ) -> Result<Vec<T>, StoreError> {
        match &self.inner {
            Inner::Sqlite(_) => self.fetch(sql, args).await,
            Inner::Postgres(_) => self.fetch(format!("{sql} FOR SHARE"), args).await,
        }
    }

    /// From here on a statement of this transaction may take ten minutes, and so may
    /// the wait for another's lock: for what goes over whole tables.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn take_time(&mut self) -> Result<(), StoreError> {
        let Inner::Postgres(session) = &mut self.inner else { return Ok(()) };
        self.bound = UNHURRIED;
        let ms = UNHURRIED.as_millis();
        let unhurried = format!("SET LOCAL statement_timeout TO {ms}; SET LOCAL lock_timeout TO {ms}");
        session.batch(unhurried.into(), self.bound).await
    }

    /// Runs statements without arguments, separated by `;`.
    pub(super) async fn batch(&mut self, sql: String) -> Result<(), StoreError> {
        match &mut self.inner {
            Inner::Sqlite(tx) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **tx).await?;
                Ok(())
            }
            Inner::Postgres(session) => session.batch(sql.into(), self.bound).await,
        }
    }

    /// Makes it so.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when it is unknown whether the commit happened.
    /// On Postgres, what the first statement that failed has failed with.
    pub async fn commit(self) -> Result<(), StoreError> {
        // Not destructured by value into a lock-free tail: the guard must outlive
        // the commit.
        let Self { inner, bound, _writing } = self;
        match inner {
            Inner::Sqlite(tx) => tx.commit().await.map_err(StoreError::of_commit),
            Inner::Postgres(session) => session.commit(bound).await,
        }
    }

    /// Undoes it and waits until that is done.
    ///
    /// # Errors
    /// The store cannot be reached; it will undo it by itself.
    pub async fn rollback(self) -> Result<(), StoreError> {
        let Self { inner, bound, _writing } = self;
        match inner {
            Inner::Sqlite(tx) => Ok(tx.rollback().await?),
            Inner::Postgres(session) => session.rollback(bound).await,
        }
    }
}
