//! The states that a batch of events touches, as the earlier events of the batch
//! have left them. Each is saved once, however many events it had.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Input;
use crate::projections::Event;
use crate::projections::notifications::{self, Notification};
use crate::projections::orders::{self, Course, OrderEvent, Placement};
use crate::projections::products::{self, Product};
use crate::store::LogEntry;

/// What a batch loads, folds and saves.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) log: Vec<Arc<LogEntry>>,
    pub(crate) orders: BTreeMap<String, OrderState>,
    pub(crate) products: BTreeMap<String, ProductState>,
    pub(crate) notifications: Vec<Arc<Notification>>,
}

/// An order in the batch.
#[derive(Debug, Default)]
pub(crate) struct OrderState {
    pub(crate) customer_id: String,
    /// `None`: not placed, as far as is known.
    pub(crate) course: Option<Course>,
    /// Set if it is placed in this batch: a row to insert.
    pub(crate) placed: Option<Arc<Placement>>,
    pub(crate) changed: bool,
}

/// A product in the batch.
#[derive(Debug, Default)]
pub(crate) struct ProductState {
    pub(crate) product: Product,
    pub(crate) changed: bool,
}

impl Batch {
    /// Appends an event to the log and folds it into the read model it belongs to.
    pub(crate) fn fold(&mut self, input: &Input) {
        let entry = &input.entry;
        self.log.push(entry.clone());
        match &input.event {
            Event::Order(event) => {
                let order = entry_of(&mut self.orders, &entry.subject);
                order.fold(event, entry.sequence);
            }
            Event::Product(event) => {
                let state = entry_of(&mut self.products, &entry.subject);
                state.product = products::fold(std::mem::take(&mut state.product), event);
                state.changed = true;
            }
            Event::Notified(notification) => {
                let told = std::mem::take(&mut self.notifications);
                self.notifications = notifications::fold(told, notification);
            }
            Event::LogOnly => {}
        }
    }

    /// The orders whose rows this batch changes.
    pub(crate) fn changed_orders(&self) -> impl Iterator<Item = (&str, &OrderState)> {
        self.orders.iter().filter(|(_, order)| order.changed).map(|(id, order)| (id.as_str(), order))
    }
}

impl OrderState {
    fn fold(&mut self, event: &OrderEvent, sequence: i64) {
        if let OrderEvent::Placed { placement, .. } = event {
            self.customer_id.clone_from(&placement.customer_id);
            self.placed = Some(placement.clone());
        }
        self.course = orders::fold(self.course.take(), event, sequence);
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
