//! A transaction on either engine.

use std::time::Duration;

use serde::Serialize;

use super::sessions::Session;
use super::{Row, Sql, StoreError, UNHURRIED, json, sqlite};

/// Rolled back when dropped without [`commit`](Tx::commit).
pub struct Tx {
    inner: Inner,
    /// The longest that one statement may take, on Postgres.
    bound: Duration,
}

enum Inner {
    Sqlite(sqlite::Session),
    Postgres(Session),
}

impl Tx {
    pub(super) const fn sqlite(session: sqlite::Session) -> Self {
        Self { inner: Inner::Sqlite(session), bound: UNHURRIED }
    }

    pub(super) const fn postgres(session: Session, bound: Duration) -> Self {
        Self { inner: Inner::Postgres(session), bound }
    }

    /// Runs a statement over the JSON array `args` and gives the number of rows it
    /// changed.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn execute(&mut self, sql: impl Into<Sql>, args: &impl Serialize) -> Result<u64, StoreError> {
        let (sql, json) = (sql.into(), json(args)?);
        match &mut self.inner {
            Inner::Sqlite(session) => session.execute(sql, json).await,
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
        let sql = sql.into();
        let changed = match &mut self.inner {
            Inner::Sqlite(session) => session.execute_each(sql, rows).await?,
            Inner::Postgres(session) => session.execute(sql, json(&rows)?, self.bound).await?,
        };
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
            Inner::Sqlite(session) => session.fetch(sql, json).await,
            Inner::Postgres(session) => session.fetch(sql, json, self.bound).await,
        }
    }

    /// Whether a statement over a set runs row by row here, so that what it returns costs more
    /// than to look at the rows afterwards.
    pub(super) const fn is_row_by_row(&self) -> bool {
        match &self.inner {
            Inner::Sqlite(session) => session.is_here(),
            Inner::Postgres(_) => false,
        }
    }

    /// Inserts `rows` one by one, where the engine is quick at that, and gives the ids that the
    /// store has given them. `None`: it is not, and nothing was done.
    ///
    /// # Errors
    /// As the store answers.
    pub(super) fn insert_each<T: Serialize>(
        &mut self,
        sql: impl Into<Sql>,
        rows: &[T],
    ) -> Result<Option<Vec<i64>>, StoreError> {
        match &mut self.inner {
            Inner::Sqlite(session) => session.insert_each(sql.into(), rows),
            Inner::Postgres(_) => Ok(None),
        }
    }

    /// Runs a query that looks something up for each of `keys`, and gives all that is found.
    /// Which key it was found for must stand in the row.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn fetch_each<T: Row>(
        &mut self,
        sql: impl Into<Sql>,
        keys: &[impl Serialize],
    ) -> Result<Vec<T>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.inner {
            Inner::Sqlite(session) => session.fetch_each(sql.into(), keys).await,
            Inner::Postgres(session) => session.fetch(sql.into(), json(&keys)?, self.bound).await,
        }
    }

    /// Like [`fetch_each`](Self::fetch_each), and locks the rows where that means something:
    /// `FOR UPDATE` on Postgres, nothing on SQLite, whose writer is alone anyway.
    /// `sql` must end in `ORDER BY <key>`, so that two batches lock in one order,
    /// and name one table only.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn fetch_for_update<T: Row>(
        &mut self,
        sql: &'static str,
        keys: &[impl Serialize],
    ) -> Result<Vec<T>, StoreError> {
        match &self.inner {
            Inner::Sqlite(_) => self.fetch_each(sql, keys).await,
            Inner::Postgres(_) => self.fetch_each(format!("{sql} FOR UPDATE"), keys).await,
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
            Inner::Sqlite(session) => session.batch(sql).await,
            Inner::Postgres(session) => session.batch(sql.into(), self.bound).await,
        }
    }

    /// Makes it so.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when it is unknown whether the commit happened.
    /// On Postgres, what the first statement that failed has failed with.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Sqlite(session) => session.commit().await.map_err(StoreError::of_commit),
            Inner::Postgres(session) => session.commit(self.bound).await,
        }
    }

    /// Undoes it and waits until that is done.
    ///
    /// # Errors
    /// The store cannot be reached; it will undo it by itself.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Sqlite(session) => session.rollback().await,
            Inner::Postgres(session) => session.rollback(self.bound).await,
        }
    }
}
