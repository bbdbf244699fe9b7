//! One connection: its transactions and its statements.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection};
use serde::Serialize;

use super::Purpose;
use super::bind::bind;
use super::by_row::by_row;
use crate::store::row::{self, Columns, Value};
use crate::store::{Row, Sql, StoreError, json};

/// A connection, and how its commits are set.
#[derive(Debug)]
pub(super) struct Connected {
    connection: Connection,
    is_durable: bool,
    /// The statements that were to run row by row, under their set form; `None`: it has none.
    by_row: HashMap<Sql, Option<Arc<ByRow>>>,
}

/// A statement for one row, and the names of its parameters.
#[derive(Debug)]
struct ByRow {
    sql: String,
    names: Vec<String>,
}

impl Connected {
    /// A connection whose commits are durable so far.
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, is_durable: true, by_row: HashMap::new() }
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    pub(super) fn begin(&mut self, purpose: Purpose) -> rusqlite::Result<()> {
        let begin = match purpose {
            Purpose::Snapshot => "BEGIN",
            Purpose::Durable | Purpose::Lazy => "BEGIN IMMEDIATE",
        };
        let durable = purpose == Purpose::Durable;
        if purpose != Purpose::Snapshot && durable != self.is_durable {
            self.batch(if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })?;
            self.is_durable = durable;
        }
        self.say(begin)
    }

    /// Statements without arguments, separated by `;`.
    pub(super) fn batch(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.execute_batch(sql)
    }

    /// A word without arguments or answer.
    pub(super) fn say(&self, word: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(word)?.execute([]).map(drop)
    }

    fn prepare(&self, sql: &str, json: &str) -> rusqlite::Result<CachedStatement<'_>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        if statement.parameter_count() > 0 {
            statement.raw_bind_parameter(1, json)?;
        }
        Ok(statement)
    }

    pub(super) fn execute(&self, sql: &str, json: &str) -> rusqlite::Result<u64> {
        let mut statement = self.prepare(sql, json)?;
        run(&mut statement)?;
        Ok(self.connection.changes())
    }

    /// The statement's form for one row, if it has one.
    fn for_one_row(&mut self, sql: &Sql) -> rusqlite::Result<Option<Arc<ByRow>>> {
        if let Some(known) = self.by_row.get(sql) {
            return Ok(known.clone());
        }
        let found = match by_row(sql) {
            None => None,
            Some(one) => {
                let statement = self.connection.prepare_cached(&one)?;
                // Without the colon.
                let name = |index| statement.parameter_name(index).and_then(|name| name.get(1..)).unwrap_or_default();
                let names = (1..=statement.parameter_count()).map(|index| name(index).to_owned()).collect();
                drop(statement);
                Some(Arc::new(ByRow { sql: one, names }))
            }
        };
        self.by_row.insert(sql.clone(), found.clone());
        Ok(found)
    }

    pub(super) fn execute_each<T: Serialize>(&mut self, sql: &Sql, rows: &[T]) -> Result<u64, StoreError> {
        let Some(one) = self.for_one_row(sql)? else { return Ok(self.execute(sql, &json(&rows)?)?) };
        let mut statement = self.connection.prepare_cached(&one.sql)?;
        let mut changed = 0;
        for row in rows {
            bind(&mut statement, &one.names, row)?;
            run(&mut statement)?;
            changed += self.connection.changes();
        }
        Ok(changed)
    }

    pub(super) fn insert_each<T: Serialize>(&mut self, sql: &Sql, rows: &[T]) -> Result<Option<Vec<i64>>, StoreError> {
        let Some(one) = self.for_one_row(sql)? else { return Ok(None) };
        let mut statement = self.connection.prepare_cached(&one.sql)?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in rows {
            bind(&mut statement, &one.names, row)?;
            run(&mut statement)?;
            ids.push(self.connection.last_insert_rowid());
        }
        Ok(Some(ids))
    }

    pub(super) fn fetch_each<T: Row>(&mut self, sql: &Sql, keys: &[impl Serialize]) -> Result<Vec<T>, StoreError> {
        let Some(one) = self.for_one_row(sql)? else { return self.fetch(sql, &json(&keys)?) };
        let mut statement = self.connection.prepare_cached(&one.sql)?;
        let names = names_of(&statement);
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            bind(&mut statement, &one.names, key)?;
            take(&mut statement, &names, &mut found)?;
        }
        Ok(found)
    }

    pub(super) fn fetch<T: Row>(&self, sql: &str, json: &str) -> Result<Vec<T>, StoreError> {
        let mut statement = self.prepare(sql, json)?;
        let (names, mut found) = (names_of(&statement), Vec::new());
        take(&mut statement, &names, &mut found)?;
        Ok(found)
    }
}

/// Runs a statement whose rows, if it gives any, nobody wants.
fn run(statement: &mut CachedStatement<'_>) -> rusqlite::Result<()> {
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

/// Runs a query and adds its rows.
fn take<T: Row>(statement: &mut CachedStatement<'_>, names: &[String], found: &mut Vec<T>) -> Result<(), StoreError> {
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        found.push(row::read(&Named { row, names })?);
    }
    Ok(())
}

fn names_of(statement: &CachedStatement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}

/// A row and the names of its columns, which are the same for all rows of an answer.
struct Named<'a, 'r> {
    row: &'a rusqlite::Row<'r>,
    names: &'a [String],
}

impl Columns for Named<'_, '_> {
    fn count(&self) -> usize {
        self.names.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn value(&self, index: usize) -> Result<Value<'_>, String> {
        match self.row.get_ref(index).map_err(|error| error.to_string())? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) => Ok(Value::Number(number)),
            ValueRef::Text(text) => str::from_utf8(text).map(Value::Text).map_err(|error| error.to_string()),
            other @ (ValueRef::Real(_) | ValueRef::Blob(_)) => {
                Err(format!("a {}, which no row of ours holds", other.data_type()))
            }
        }
    }
}
