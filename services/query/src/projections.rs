//! The **projections**: what each event makes of the read models.
//!
//! A projection's `fold` is a pure function from a state and an event to the next
//! state. The states are small: what an order says once and for all (its
//! [`Placement`](orders::Placement)) is written with its first event and not read
//! again by later ones.

pub mod notifications;
pub mod orders;
pub mod products;

use std::sync::Arc;

use self::notifications::Notification;
use self::orders::OrderEvent;
use self::products::ProductEvent;

/// An event, sorted by the read model that it changes. Its subject is the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something happened to an order.
    Order(OrderEvent),
    /// Something happened to a product.
    Product(ProductEvent),
    /// A customer was told something.
    Notified(Arc<Notification>),
    /// Kept in the event log, folded into nothing: it tells no read model more
    /// than another event does, or its type is not known (yet).
    LogOnly,
}
