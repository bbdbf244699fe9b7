//! **Statistics**: what Postgres knows of the tables, kept abreast of their growth.
//!
//! Postgres plans by what it knows of a table, and keeps the plan of a prepared statement
//! until the table is analysed again. A new shop has only empty tables, the server's own
//! `autovacuum` looks at each database once a minute, and in a minute a table can grow
//! from nothing to a hundred thousand rows: meanwhile every batch would read all of them
//! to find its own. So whoever writes has the tables analysed too, after 64
//! transactions, after 128, after 256, and so on: no plan is then older than
//! half of the transactions so far, and what it costs is spread over ever more of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Sessions;
use crate::store::{StoreError, UNHURRIED};

/// The first time, in transactions; then at twice as many, and so on.
const FIRST: u64 = 64;

/// Our own tables, as one list. (Of others, the server's catalogues among them, Postgres would
/// warn each time that they are not ours to analyse.)
const TABLES: &str = "SELECT string_agg(quote_ident(c.relname), ', ') AS tables FROM pg_class AS c
    WHERE c.relkind = 'r' AND c.relnamespace = CAST(current_schema() AS regnamespace)
      AND pg_has_role(c.relowner, 'USAGE') AND $1 = '[]'";

impl Sessions {
    /// Counts a transaction that was begun, and has the tables analysed when it is time.
    pub(super) fn count_transaction(self: &Arc<Self>) {
        let count = self.transactions.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= FIRST && count.is_power_of_two() {
            let sessions = self.clone();
            tokio::spawn(async move {
                if let Err(error) = sessions.analyze().await {
                    tracing::debug!(database = sessions.place, %error, "the tables were not analysed");
                }
            });
        }
    }

    /// Has all tables analysed that are ours. Each is a transaction of its own, so that no
    /// lock on one is held for the sake of the next.
    ///
    /// # Errors
    /// As [`begin`](Self::begin). Nothing depends on it but speed.
    async fn analyze(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut session = self.acquire().await?;
        let patience = self.patience;
        let tables: Vec<(Option<String>,)> = session.fetch(TABLES.into(), "[]".into(), patience).await?;
        let Some((Some(tables),)) = tables.into_iter().next() else { return Ok(()) };
        session.batch(format!("SET statement_timeout TO {}", UNHURRIED.as_millis()).into(), patience).await?;
        let analyzed = session.batch(format!("ANALYZE {tables}").into(), UNHURRIED).await;
        session.batch("RESET statement_timeout".into(), patience).await?;
        analyzed
    }
}
