//! Where the read models stand, and the sales.

use platform::clock::Millis;
use platform::store::{Db, StoreError};
use serde::Deserialize;
use serde_json::json;

use super::generation;
use crate::read_model::{Model, Scope};

/// A read model as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ReadModelRow {
    pub(crate) name: String,
    pub(crate) generation: i64,
    pub(crate) position: i64,
    pub(crate) folded_at: Millis,
    /// Set while a rebuild is under way, or was left half way.
    pub(crate) building_generation: Option<i64>,
    pub(crate) rebuild_begun_at: Option<Millis>,
    pub(crate) rebuild_at: Option<Millis>,
    /// The head of the log.
    pub(crate) head: i64,
    /// Messages that were acked and are not in the log: parked ones.
    pub(crate) parked: i64,
}

/// All read models, by name.
pub(crate) async fn read_models(db: &Db) -> Result<Vec<ReadModelRow>, StoreError> {
    db.read(
        "SELECT name, generation, position, folded_at, building_generation, rebuild_begun_at, rebuild_at,
                COALESCE((SELECT MAX(position) FROM event_log), 0) AS head, (SELECT COUNT(*) FROM parked) AS parked
         FROM read_models WHERE $1 <> '' ORDER BY name",
        &[0; 0],
    )
    .await
}

/// What a finished rebuild came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) rows: i64,
    pub(crate) differences: i64,
}

/// What the rebuild with this id came to.
///
/// # Errors
/// Also if it has not finished, or another one has since.
pub(crate) async fn outcome(db: &Db, model: Model, id: &str) -> Result<Outcome, StoreError> {
    let found: Vec<Outcome> = db
        .read(
            "SELECT m.rebuilt_rows AS rows, m.rebuilt_differences AS differences
             FROM jsonb_each($1) AS r
             JOIN read_models AS m ON m.name = r.value->>'name' AND m.rebuild_id = r.value->>'id'
             WHERE m.building_generation IS NULL",
            &[json!({ "name": model.as_str(), "id": id })],
        )
        .await?;
    found.first().copied().ok_or_else(|| StoreError::Unavailable(format!("rebuild {id} has no outcome")))
}

#[derive(Deserialize)]
struct Count {
    n: i64,
}

/// How many events the log has.
pub(crate) async fn events(db: &Db) -> Result<i64, StoreError> {
    let count: Vec<Count> = db.read("SELECT COUNT(*) AS n FROM event_log WHERE $1 <> ''", &[0; 0]).await?;
    Ok(count.first().map_or(0, |count| count.n))
}

/// A window of the sales.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SalesRow {
    pub(crate) minute: Millis,
    pub(crate) currency: String,
    pub(crate) orders: i64,
    pub(crate) pieces: i64,
    pub(crate) revenue: i64,
    pub(crate) refunded: i64,
}

/// At most `first` windows that begin from `from` on and before `to`, newest first.
pub(crate) async fn sales(db: &Db, from: Millis, to: Millis, first: i64) -> Result<Vec<SalesRow>, StoreError> {
    db.read(
        format!(
            "WITH a AS MATERIALIZED (
                 SELECT CAST(r.value->>'from' AS BIGINT) AS low, CAST(r.value->>'to' AS BIGINT) AS high,
                        CAST(r.value->>'first' AS BIGINT) AS size FROM jsonb_each($1) AS r)
             SELECT minute, currency, orders, pieces, revenue, refunded FROM sales
             WHERE generation = {} AND minute >= (SELECT low FROM a) AND minute < (SELECT high FROM a)
             ORDER BY minute DESC, currency LIMIT (SELECT size FROM a)",
            generation(Scope::Live, Model::Sales)
        ),
        &[json!({ "from": from, "to": to, "first": first })],
    )
    .await
}
