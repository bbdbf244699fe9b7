//! The states that a batch touches, as the earlier inputs of the batch have left
//! them. Each is saved once, however many events it had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::clock::Millis;
use platform::error::Rejection;

use crate::projections::Event;
use crate::projections::notifications::{self, Telling};
use crate::projections::orders::{self, Course, OrderEvent, Placement};
use crate::projections::products::{self, Product, ProductEvent};
use crate::projections::sales::{self, Basket, Window};
use crate::read_model::{Model, Scope, Standing};
use crate::rebuild::{self, Chunk, Progress, Step};
use crate::store::LogEntry;

/// An event that was heard: what the log keeps of it, and what it changes. Shared,
/// since a batch that meets a conflict is folded again.
#[derive(Debug, Clone)]
pub struct Heard {
    pub(crate) entry: Arc<LogEntry>,
    pub(crate) event: Event,
}

/// An event that was read from the log again.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) subject: String,
    pub(crate) sequence: i64,
    pub(crate) time: Millis,
    pub(crate) event: Event,
}

/// What a projection needs of an event, wherever it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fact<'a> {
    pub(crate) subject: &'a str,
    pub(crate) sequence: i64,
    pub(crate) time: Millis,
    pub(crate) event: &'a Event,
}

impl Heard {
    pub(crate) fn fact(&self) -> Fact<'_> {
        Fact { subject: &self.entry.subject, sequence: self.entry.sequence, time: self.entry.time, event: &self.event }
    }
}

impl Logged {
    pub(crate) fn fact(&self) -> Fact<'_> {
        Fact { subject: &self.subject, sequence: self.sequence, time: self.time, event: &self.event }
    }
}

/// What a batch loads, folds and saves.
#[derive(Debug)]
pub struct Batch {
    pub(crate) standings: BTreeMap<Model, Standing>,
    /// Whose standing a step of a rebuild has changed.
    pub(crate) stepped: BTreeSet<Model>,
    pub(crate) log: Vec<Arc<LogEntry>>,
    pub(crate) live: Overlay,
    pub(crate) rebuilds: BTreeMap<Model, Rebuilding>,
    pub(crate) clearings: BTreeMap<Model, Clearing>,
}

/// A rebuild's next chunk, and what it changes.
#[derive(Debug)]
pub(crate) struct Rebuilding {
    pub(crate) chunk: Chunk,
    pub(crate) events: Vec<Logged>,
    pub(crate) overlay: Overlay,
    /// Whether the chunk was asked for, and so counts.
    pub(crate) is_folded: bool,
    /// What this batch itself appends to the log. The last chunk takes it along:
    /// what is switched over has everything that is in the log by then.
    pub(crate) following: Vec<Heard>,
}

/// Rows of a read model that nobody sees any more.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clearing {
    /// Whether there are more than one step clears away.
    pub(crate) is_more: bool,
    pub(crate) is_asked: bool,
    /// Rows that this step clears away, at most.
    pub(crate) most: i64,
}

impl Batch {
    /// Appends an event to the log and folds it into the live read models.
    pub(crate) fn hear(&mut self, heard: &Heard) {
        self.log.push(heard.entry.clone());
        self.live.fold(heard.fact());
        for rebuilding in self.rebuilds.values_mut().filter(|rebuilding| rebuilding.chunk.is_last) {
            rebuilding.following.push(heard.clone());
        }
    }

    /// Takes a step of a rebuild.
    ///
    /// # Errors
    /// CONFLICT, see [`rebuild`].
    pub(crate) fn take(&mut self, step: &Step, now: Millis) -> Result<Progress, Rejection> {
        let model = step.model();
        let standing = self.standings.get_mut(&model).ok_or_else(|| Rejection::not_found("no such read model"))?;
        match step {
            Step::Begin { model: _, id, alone } => {
                let progress = rebuild::begin(standing, id, *alone, now)?;
                self.stepped.insert(model);
                Ok(progress)
            }
            Step::Fold { model: _, id, after, most: _ } => {
                let next = self.rebuilds.get_mut(&model);
                let chunk = next.as_ref().map(|rebuilding| rebuilding.chunk);
                let (progress, counts) = rebuild::fold(standing, id, *after, chunk, now)?;
                if let (true, Some(rebuilding)) = (counts, next) {
                    rebuilding.is_folded = true;
                    self.stepped.insert(model);
                    for logged in std::mem::take(&mut rebuilding.events) {
                        rebuilding.overlay.fold(logged.fact());
                    }
                }
                Ok(progress)
            }
            Step::Clear { model: _, most: _ } => {
                let clearing = self.clearings.entry(model).or_default();
                clearing.is_asked = true;
                Ok(Progress {
                    generation: standing.generation,
                    position: standing.position,
                    events: 0,
                    done: !clearing.is_more,
                })
            }
        }
    }

    /// After the last input: a rebuild that goes live takes along what this batch
    /// has heard, whether that stood before or behind its step.
    pub(crate) fn close(&mut self) {
        for rebuilding in self.rebuilds.values_mut().filter(|rebuilding| rebuilding.is_folded) {
            for heard in std::mem::take(&mut rebuilding.following) {
                rebuilding.overlay.fold(heard.fact());
            }
        }
    }
}

/// The touched rows of the read models in its scope.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) scope: Scope,
    /// The generation that each of its read models is folded into.
    pub(crate) generations: BTreeMap<Model, i64>,
    pub(crate) orders: BTreeMap<String, OrderState>,
    pub(crate) products: BTreeMap<String, ProductState>,
    /// By the message's id.
    pub(crate) notifications: BTreeMap<String, Telling>,
    /// What is to be added to each window.
    pub(crate) sales: BTreeMap<sales::Key, Window>,
}

/// An order in the batch.
#[derive(Debug, Default)]
pub(crate) struct OrderState {
    pub(crate) customer_id: String,
    /// `None`: not placed, as far as is known.
    pub(crate) basket: Option<Basket>,
    /// Whether it has ever been confirmed, and so counts as sold.
    pub(crate) is_confirmed: bool,
    /// `None`: not placed, as far as is known; or not in scope.
    pub(crate) course: Option<Course>,
    /// Set if it is placed in this batch: a row to insert.
    pub(crate) placed: Option<Arc<Placement>>,
    /// When the change was decided: of several in this batch, the last that changed
    /// where it stands.
    pub(crate) at: Millis,
    pub(crate) changed: bool,
}

/// A product in the batch.
#[derive(Debug, Default)]
pub(crate) struct ProductState {
    pub(crate) product: Product,
    /// Whether it has a row.
    pub(crate) is_stored: bool,
    pub(crate) change: Change,
}

/// What of a product is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Change {
    /// Nothing.
    #[default]
    None,
    /// Its level alone.
    Level,
    /// All of it.
    Row,
}

impl Overlay {
    pub(crate) const fn new(scope: Scope) -> Self {
        Self {
            scope,
            generations: BTreeMap::new(),
            orders: BTreeMap::new(),
            products: BTreeMap::new(),
            notifications: BTreeMap::new(),
            sales: BTreeMap::new(),
        }
    }

    /// Folds an event into what is in scope.
    pub(crate) fn fold(&mut self, fact: Fact<'_>) {
        match fact.event {
            Event::Order(event) => self.fold_order(event, fact),
            Event::Product(event) if self.scope.has(Model::Products) => {
                entry_of(&mut self.products, fact.subject).fold(event);
            }
            Event::Notification(event) if self.scope.has(Model::Notifications) => {
                let telling = entry_of(&mut self.notifications, event.id());
                *telling = notifications::fold(std::mem::take(telling), event);
            }
            Event::Product(_) | Event::Notification(_) | Event::LogOnly => {}
        }
    }

    fn fold_order(&mut self, event: &OrderEvent, fact: Fact<'_>) {
        let (rows, windows) = (self.scope.has(Model::Orders), self.scope.has(Model::Sales));
        if !rows && !windows {
            return;
        }
        let order = entry_of(&mut self.orders, fact.subject);
        if let OrderEvent::Placed { placement, .. } = event {
            order.basket = Some(Basket::of(placement));
        }
        order.is_confirmed |= matches!(event, OrderEvent::Confirmed { .. });
        if windows {
            sales::fold(&mut self.sales, event, order.basket.as_ref(), order.is_confirmed, fact.time);
        }
        if rows {
            order.fold(event, fact);
        }
    }

    /// The orders whose rows this batch changes.
    pub(crate) fn changed_orders(&self) -> impl Iterator<Item = (&str, &OrderState)> {
        self.orders.iter().filter(|(_, order)| order.changed).map(|(id, order)| (id.as_str(), order))
    }
}

impl ProductState {
    fn fold(&mut self, event: &ProductEvent) {
        let change = match event {
            ProductEvent::LevelChanged { .. } if self.is_stored => Change::Level,
            ProductEvent::LevelChanged { .. } | ProductEvent::Upserted(_) => Change::Row,
        };
        self.product = products::fold(std::mem::take(&mut self.product), event);
        self.change = self.change.max(change);
    }
}

impl OrderState {
    fn fold(&mut self, event: &OrderEvent, fact: Fact<'_>) {
        if let OrderEvent::Placed { placement, .. } = event {
            self.customer_id.clone_from(&placement.customer_id);
            self.placed = Some(placement.clone());
        }
        let before = self.course.as_ref().map(|course| course.status);
        self.course = orders::fold(self.course.take(), event, fact.sequence);
        if self.at == 0 || self.course.as_ref().map(|course| course.status) != before {
            self.at = fact.time;
        }
        self.changed = self.course.is_some();
    }
}

/// The loader has made an entry for every key, so a key is copied only if it did
/// not know of one.
fn entry_of<'a, T: Default>(states: &'a mut BTreeMap<String, T>, key: &str) -> &'a mut T {
    if !states.contains_key(key) {
        states.insert(key.to_owned(), T::default());
    }
    states.get_mut(key).expect("was there or was just put there")
}
