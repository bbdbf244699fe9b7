//! Where the read models stand: the rows that every folding transaction locks.
//! Also what a rebuild does to whole generations: compare, switch, clear away.

use std::collections::BTreeMap;

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::Deserialize;
use serde_json::json;

use super::generation;
use crate::overlay::{Batch, Clearing};
use crate::read_model::{Building, Model, Rebuild, Scope, Standing};

#[derive(Deserialize)]
struct StandingRow {
    name: String,
    generation: i64,
    position: i64,
    building_generation: Option<i64>,
    building_position: Option<i64>,
    rebuild_id: Option<String>,
    rebuild_begun_at: Option<Millis>,
    rebuild_at: Option<Millis>,
}

/// Locks the standings, and with them the log: whoever folds next waits until this
/// transaction has ended.
pub(super) async fn lock(tx: &mut Tx) -> Result<BTreeMap<Model, Standing>, StoreError> {
    let rows: Vec<StandingRow> = tx
        .fetch_for_update(
            "SELECT name, generation, position, building_generation, building_position, rebuild_id,
                    rebuild_begun_at, rebuild_at
             FROM read_models WHERE $1 <> '' ORDER BY name",
            &[0],
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let model = Model::parse(&row.name)
                .ok_or_else(|| StoreError::Refused(format!("there is no read model {:?}", row.name)))?;
            let building = row.building_generation.zip(row.building_position);
            let building = building.map(|(generation, position)| Building { generation, position });
            let times = row.rebuild_begun_at.zip(row.rebuild_at);
            let rebuild = row.rebuild_id.zip(times).map(|(id, (begun_at, at))| Rebuild { id, begun_at, at, building });
            Ok((model, Standing { generation: row.generation, position: row.position, rebuild }))
        })
        .collect()
}

/// Moves every live read model to the head of the log, which has just been
/// appended to.
pub(super) async fn advance(tx: &mut Tx, now: Millis) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE read_models
         SET position = (SELECT MAX(position) FROM event_log), folded_at = CAST(r.value->>'now' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &[json!({ "now": now })],
    )
    .await?;
    Ok(())
}

/// Writes how far the rebuilds of the batch have come, and switches over where one
/// has reached the end.
pub(super) async fn save(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    for (model, rebuilding) in &batch.rebuilds {
        if rebuilding.is_folded && rebuilding.chunk.is_last {
            compare(tx, *model).await?;
        }
    }
    let rows: Vec<_> = batch
        .stepped
        .iter()
        .filter_map(|model| Some((model, batch.standings.get(model)?)))
        .map(|(model, Standing { generation, position: _, rebuild })| {
            let building = rebuild.as_ref().and_then(|rebuild| rebuild.building);
            json!({
                "name": model.as_str(),
                "generation": generation,
                "building_generation": building.map(|building| building.generation),
                "building_position": building.map(|building| building.position),
                "rebuild_id": rebuild.as_ref().map(|rebuild| &rebuild.id),
                "rebuild_begun_at": rebuild.as_ref().map(|rebuild| rebuild.begun_at),
                "rebuild_at": rebuild.as_ref().map(|rebuild| rebuild.at),
            })
        })
        .collect();
    tx.execute_each(
        "UPDATE read_models
         SET generation = CAST(r.value->>'generation' AS BIGINT),
             building_generation = CAST(r.value->>'building_generation' AS BIGINT),
             building_position = CAST(r.value->>'building_position' AS BIGINT),
             rebuild_id = r.value->>'rebuild_id',
             rebuild_begun_at = CAST(r.value->>'rebuild_begun_at' AS BIGINT),
             rebuild_at = CAST(r.value->>'rebuild_at' AS BIGINT)
         FROM jsonb_each($1) AS r WHERE read_models.name = r.value->>'name'",
        &rows,
    )
    .await
}

/// The key of a read model's rows within a generation, and their other columns.
const fn columns(model: Model) -> (&'static [&'static str], &'static [&'static str]) {
    match model {
        Model::Orders => (
            &["id"],
            &[
                "customer_id",
                "status",
                "status_reason",
                "version",
                "placed_at",
                "pay_before",
                "fulfil_at",
                "total",
                "currency",
                "pieces",
                "refunded",
                "cancelling",
                "refund",
                "returned",
                "lines",
                "address",
            ],
        ),
        Model::Products => (&["sku"], &["name", "price", "currency", "on_hand", "reserved", "search_text"]),
        Model::Notifications => (&["id"], &["customer_id", "order_id", "topic", "title", "body", "at", "mailed_at"]),
        Model::Sales => (&["minute", "currency"], &["orders", "pieces", "revenue", "refunded"]),
    }
}

/// Counts the rows of the generation that goes live, and those in which the one
/// before differs from it: in a column, or because only one of them has the row.
///
/// Two look-ups by key for every row; as `EXCEPT`, which sorts both sets whole, it
/// took four times as long.
async fn compare(tx: &mut Tx, model: Model) -> Result<(), StoreError> {
    tx.take_time().await?;
    let (table, (key, others)) = (model.as_str(), columns(model));
    let (live, building) = (generation(Scope::Live, model), generation(Scope::Building(model), model));
    let same_key: Vec<_> = key.iter().map(|column| format!("n.{column} = o.{column}")).collect();
    let same_key = same_key.join(" AND ");
    let of = |row: &str| others.iter().map(|column| format!("{row}.{column}")).collect::<Vec<_>>().join(", ");
    tx.execute(
        format!(
            "UPDATE read_models
             SET rebuilt_rows = (SELECT COUNT(*) FROM {table} WHERE generation = {building}),
                 rebuilt_differences =
                     (SELECT COUNT(*) FROM {table} AS o
                      LEFT JOIN {table} AS n ON n.generation = {building} AND {same_key}
                      WHERE o.generation = {live}
                        AND (n.generation IS NULL OR ({}) IS DISTINCT FROM ({})))
                     + (SELECT COUNT(*) FROM {table} AS n WHERE n.generation = {building} AND NOT EXISTS
                            (SELECT 1 FROM {table} AS o WHERE o.generation = {live} AND {same_key}))
             FROM jsonb_each($1) AS r WHERE read_models.name = r.value->>'name'",
            of("o"),
            of("n")
        ),
        &[json!({ "name": model.as_str() })],
    )
    .await?;
    Ok(())
}

/// Generations before the live one are seen by nobody: replaced ones, and ones that
/// were left half way.
fn past(model: Model) -> String {
    format!("generation < {}", generation(Scope::Live, model))
}

#[derive(Deserialize)]
struct Past {
    n: i64,
    generations: i64,
}

/// Whether there is more to clear away than one step does.
pub(super) async fn clearing(tx: &mut Tx, model: Model, most: i64) -> Result<Clearing, StoreError> {
    let (table, past) = (model.as_str(), past(model));
    let rows: Vec<Past> = tx
        .fetch(
            format!(
                "SELECT COUNT(*) AS n, COUNT(DISTINCT generation) AS generations
                 FROM (SELECT generation FROM {table} WHERE {past} AND $1 <> '' LIMIT {most} + 1) AS old"
            ),
            &[0; 0],
        )
        .await?;
    let is_more = rows.first().is_some_and(|Past { n, generations }| *n > most || *generations > 1);
    Ok(Clearing { is_more, is_asked: false, most })
}

/// Clears away up to `most` rows of the oldest of these generations.
///
/// One generation, and a number that stands in the statement: so both engines look
/// the rows up by key. Of several, or without knowing how many, each step would read
/// all that is left.
pub(super) async fn clear(tx: &mut Tx, model: Model, most: i64) -> Result<(), StoreError> {
    let (table, key, past) = (model.as_str(), columns(model).0.join(", "), past(model));
    let oldest = format!("generation = (SELECT MIN(generation) FROM {table} WHERE {past})");
    tx.execute(
        format!(
            "DELETE FROM {table}
             WHERE {oldest} AND ({key}) IN (SELECT {key} FROM {table} WHERE {oldest} AND $1 <> '' LIMIT {most})"
        ),
        &[0; 0],
    )
    .await?;
    Ok(())
}
