//! A connection in use: statement after statement, here or aside.

use serde::Serialize;

use super::connected::Connected;
use super::pool::Seat;
use super::{Place, Purpose};
use crate::store::{Row, Sql, StoreError, json};

/// A connection in use, and where its statements run.
#[derive(Debug)]
pub(in crate::store) struct Session {
    /// `None` while a statement runs aside; for ever, if whoever waited for it gave up.
    seat: Option<Seat>,
    place: Place,
}

impl Session {
    pub(super) const fn new(seat: Seat, place: Place) -> Self {
        Self { seat: Some(seat), place }
    }

    /// # Errors
    /// As SQLite answers.
    pub(super) async fn begin(seat: Seat, place: Place, purpose: Purpose) -> Result<Self, StoreError> {
        let mut session = Self::new(seat, place);
        session.run(move |connected| connected.begin(purpose)).await?;
        Ok(session)
    }

    /// How many rows the statement changed.
    ///
    /// # Errors
    /// As SQLite answers.
    pub(in crate::store) async fn execute(&mut self, sql: Sql, json: String) -> Result<u64, StoreError> {
        self.run(move |connected| connected.execute(&sql, &json)).await
    }

    /// # Errors
    /// As SQLite answers, or the rows are not of that type.
    pub(in crate::store) async fn fetch<T: Row>(&mut self, sql: Sql, json: String) -> Result<Vec<T>, StoreError> {
        self.run(move |connected| connected.fetch(&sql, &json)).await
    }

    /// Like [`execute`](Self::execute), for each of `rows`.
    ///
    /// # Errors
    /// As SQLite answers.
    pub(in crate::store) async fn execute_each<T: Serialize>(
        &mut self,
        sql: Sql,
        rows: &[T],
    ) -> Result<u64, StoreError> {
        match self.here()? {
            Some(connected) => connected.execute_each(&sql, rows),
            None => self.execute(sql, json(&rows)?).await,
        }
    }

    /// Inserts `rows` one by one and gives the id that each was given; `None` where they are
    /// not inserted one by one, and nothing was done.
    ///
    /// # Errors
    /// As SQLite answers.
    pub(in crate::store) fn insert_each<T: Serialize>(
        &mut self,
        sql: Sql,
        rows: &[T],
    ) -> Result<Option<Vec<i64>>, StoreError> {
        match self.here()? {
            Some(connected) => connected.insert_each(&sql, rows),
            None => Ok(None),
        }
    }

    /// Like [`fetch`](Self::fetch), for each of `keys`.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub(in crate::store) async fn fetch_each<T: Row>(
        &mut self,
        sql: Sql,
        keys: &[impl Serialize],
    ) -> Result<Vec<T>, StoreError> {
        match self.here()? {
            Some(connected) => connected.fetch_each(&sql, keys),
            None => self.fetch(sql, json(&keys)?).await,
        }
    }

    /// Whether statements run on the thread that asks.
    pub(in crate::store) const fn is_here(&self) -> bool {
        matches!(self.place, Place::Here)
    }

    /// The connection, if statements run on the thread that asks.
    fn here(&mut self) -> Result<Option<&mut Connected>, StoreError> {
        match self.place {
            Place::Here => Ok(Some(self.seat.as_mut().ok_or_else(given_up)?)),
            Place::Aside => Ok(None),
        }
    }

    /// Statements without arguments, separated by `;`.
    ///
    /// # Errors
    /// As SQLite answers.
    pub(in crate::store) async fn batch(&mut self, sql: String) -> Result<(), StoreError> {
        self.run(move |connected| connected.batch(&sql)).await
    }

    /// # Errors
    /// As SQLite answers: it may have happened all the same, see [`StoreError::of_commit`].
    pub(in crate::store) async fn commit(mut self) -> Result<(), StoreError> {
        self.run(|connected| connected.say("COMMIT")).await
    }

    /// # Errors
    /// As SQLite answers.
    pub(in crate::store) async fn rollback(mut self) -> Result<(), StoreError> {
        self.run(|connected| connected.say("ROLLBACK")).await
    }

    async fn run<T, E>(
        &mut self,
        work: impl FnOnce(&mut Connected) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<StoreError> + Send + 'static,
    {
        if let Some(connected) = self.here()? {
            return work(connected).map_err(Into::into);
        }
        let mut seat = self.seat.take().ok_or_else(given_up)?;
        let (seat, result) = tokio::task::spawn_blocking(move || {
            let result = work(&mut seat);
            (seat, result)
        })
        .await
        .map_err(|error| StoreError::Unavailable(format!("a statement did not end: {error}")))?;
        self.seat = Some(seat);
        result.map_err(Into::into)
    }
}

fn given_up() -> StoreError {
    StoreError::Unavailable("a statement of this transaction was given up".to_owned())
}
