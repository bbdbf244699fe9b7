//! All SQL of the query service: here what a batch loads and saves, in [`reads`]
//! what is asked from outside.
//!
//! Every folding transaction locks the standings of the read models first, so one
//! process at a time folds, whatever partitions it holds: no row's version needs to
//! be tested, and the positions of the log are in the order of the commits.

pub(crate) mod log;
pub(crate) mod orders;
pub(crate) mod reads;
mod rows;
mod standings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde::Serialize;

pub(crate) use log::LogEntry;

use crate::Input;
use crate::overlay::{Batch, Fact, Heard, Logged, Overlay, Rebuilding};
use crate::projections::Event;
use crate::read_model::{Model, Rebuild, Scope, Standing};
use crate::rebuild::Step;

/// The generation of a read model that a scope is about, as a part of a statement.
/// It is looked up once a statement, not once a row.
fn generation(scope: Scope, model: Model) -> String {
    let column = match scope {
        Scope::Live => "generation",
        Scope::Building(_) => "building_generation",
    };
    format!("(SELECT {column} FROM read_models WHERE name = '{}')", model.as_str())
}

/// The rows of `$1`, each with the generation that it belongs to. Without that
/// detour SQLite would begin at the generation, all of it, instead of at these rows.
fn rows_of(generation: &str) -> String {
    format!(
        "WITH r AS MATERIALIZED (
             SELECT g.generation, e.value FROM jsonb_each($1) AS e, (SELECT {generation} AS generation) AS g)"
    )
}

/// Where all read models stand, as a folding transaction has locked them.
type Standings = BTreeMap<Model, Standing>;

/// The generation that a model is folded into.
const fn into(scope: Scope, standing: &Standing) -> Option<i64> {
    match (scope, &standing.rebuild) {
        (Scope::Live, _) => Some(standing.generation),
        (Scope::Building(_), Some(Rebuild { building: Some(building), .. })) => Some(building.generation),
        (Scope::Building(_), _) => None,
    }
}

/// The same as it was when the overlay was loaded, as a number that stands in statements: it
/// changes only with a rebuild.
fn into_generation(overlay: &Overlay, model: Model) -> Result<i64, StoreError> {
    let none = || StoreError::Refused(format!("no generation of {} is being folded", model.as_str()));
    overlay.generations.get(&model).copied().ok_or_else(none)
}

/// A row that is looked up.
#[derive(Serialize)]
struct Key<'a> {
    key: &'a str,
}

fn keys<'a>(keys: &BTreeSet<&'a str>) -> Vec<Key<'a>> {
    keys.iter().map(|key| Key { key }).collect()
}

/// Loads the rows that the inputs touch, and for each step of a rebuild the chunk
/// that it folds and the rows that this touches.
pub(crate) async fn load(tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
    let standings = standings::lock(tx).await?;
    let heard: Vec<&Heard> = inputs.iter().filter_map(|input| input.heard()).collect();
    let live = overlay(tx, Scope::Live, &standings, heard.iter().map(|heard| heard.fact())).await?;
    let mut batch = Batch {
        standings,
        stepped: BTreeSet::new(),
        log: Vec::with_capacity(heard.len()),
        live,
        rebuilds: BTreeMap::new(),
        clearings: BTreeMap::new(),
    };
    for step in inputs.iter().filter_map(|input| input.step()) {
        match step {
            Step::Begin { .. } => {}
            Step::Fold { model, id, after, most } => {
                let rebuild = batch.standings.get(model).and_then(|standing| standing.rebuild.as_ref());
                let building = rebuild.filter(|rebuild| rebuild.id == *id).and_then(|rebuild| rebuild.building);
                if building.is_some_and(|building| building.position == *after) {
                    let rebuilding = rebuilding(tx, *model, (*after, *most), &batch.standings, &heard).await?;
                    batch.rebuilds.insert(*model, rebuilding);
                }
            }
            Step::Clear { model, most } => {
                batch.clearings.insert(*model, standings::clearing(tx, *model, *most).await?);
            }
        }
    }
    Ok(batch)
}

async fn rebuilding(
    tx: &mut Tx,
    model: Model,
    (after, most): (i64, i64),
    standings: &Standings,
    heard: &[&Heard],
) -> Result<Rebuilding, StoreError> {
    let (chunk, events) = log::chunk(tx, model, after, most).await?;
    let following = heard.iter().filter(|_| chunk.is_last).map(|heard| heard.fact());
    let facts = events.iter().map(Logged::fact).chain(following);
    let overlay = overlay(tx, Scope::Building(model), standings, facts).await?;
    Ok(Rebuilding { chunk, events, overlay, is_folded: false, following: Vec::new() })
}

/// The rows in scope that these events touch, before they are folded.
async fn overlay<'a>(
    tx: &mut Tx,
    scope: Scope,
    standings: &Standings,
    facts: impl Iterator<Item = Fact<'a>>,
) -> Result<Overlay, StoreError> {
    let facts: Vec<_> = facts.collect();
    let (mut ids, mut skus) = (BTreeSet::new(), BTreeSet::new());
    for fact in &facts {
        match fact.event {
            Event::Order(_) => ids.insert(fact.subject),
            Event::Product(_) => skus.insert(fact.subject),
            // Rows that are added, and marks that need no look at them.
            Event::Notification(_) | Event::LogOnly => false,
        };
    }
    let mut overlay = Overlay::new(scope);
    overlay.generations =
        standings.iter().filter_map(|(model, standing)| Some((*model, into(scope, standing)?))).collect();
    if scope.has(Model::Orders) {
        overlay.orders = orders::load(tx, into_generation(&overlay, Model::Orders)?, &ids).await?;
    } else if scope.has(Model::Sales) {
        overlay.orders = log::orders(tx, &facts).await?;
    }
    if scope.has(Model::Products) {
        overlay.products = rows::load_products(tx, into_generation(&overlay, Model::Products)?, &skus).await?;
    }
    Ok(overlay)
}

/// Saves what the batch has become: the log, then each changed row once, then where
/// the read models stand.
pub(crate) async fn save(tx: &mut Tx, batch: &Batch, now: Millis) -> Result<(), StoreError> {
    log::append(tx, &batch.log).await?;
    save_overlay(tx, &batch.live).await?;
    for rebuilding in batch.rebuilds.values().filter(|rebuilding| rebuilding.is_folded) {
        save_overlay(tx, &rebuilding.overlay).await?;
    }
    for (model, clearing) in batch.clearings.iter().filter(|(_, clearing)| clearing.is_asked) {
        standings::clear(tx, *model, clearing.most).await?;
    }
    if !batch.log.is_empty() {
        standings::advance(tx, now).await?;
    }
    standings::save(tx, batch).await
}

async fn save_overlay(tx: &mut Tx, overlay: &Overlay) -> Result<(), StoreError> {
    orders::save(tx, overlay).await?;
    rows::save_products(tx, overlay).await?;
    rows::save_notifications(tx, overlay).await?;
    rows::save_sales(tx, overlay).await
}
