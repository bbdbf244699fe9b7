//! What the notification service says: that it has written to somebody.

use contracts::notification::CustomerNotified;
use platform::message::Outgoing;

use crate::store::Notification;

/// Index of the one outlet, `/notification`.
const EVENTS: usize = 0;

/// A message was stored. Its subject is the customer; it belongs to the order.
pub(crate) fn customer_notified(notification: &Notification) -> Outgoing {
    let payload = CustomerNotified {
        notification_id: notification.notification_id.clone(),
        customer_id: notification.customer_id.clone(),
        order_id: notification.order_id.clone(),
        title: notification.title.clone(),
        body: notification.body.clone(),
    };
    Outgoing::new(EVENTS, &notification.customer_id, &notification.order_id, &payload)
}
