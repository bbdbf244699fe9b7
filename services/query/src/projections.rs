//! The **projections**: what each event makes of the read models.
//!
//! A projection's `fold` is a pure function from a state and an event to the next
//! state. The states are small: what an order says once and for all (its
//! [`Placement`](orders::Placement)) is written with its first event and not read
//! again by later ones.

pub mod notifications;
pub mod orders;
pub mod products;
pub mod sales;

use self::notifications::NotificationEvent;
use self::orders::OrderEvent;
use self::products::ProductEvent;

/// An event, sorted by what it is about. Its subject is the key, but for a message,
/// whose subject is its customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something happened to an order, and perhaps to the sales.
    Order(OrderEvent),
    /// Something happened to a product.
    Product(ProductEvent),
    /// Something happened to a message to a customer.
    Notification(NotificationEvent),
    /// Kept in the event log, folded into nothing: it tells no read model more
    /// than another event does, or its type is not known (yet).
    LogOnly,
}
