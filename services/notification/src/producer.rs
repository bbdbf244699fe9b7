//! What the notification service says: that it has written to somebody, that a
//! mail server has taken a message, and, to itself, that one is to be mailed.

use contracts::notification::{CustomerMailed, CustomerNotified, MailPreference as Wire, Preference, SendMail};
use platform::message::Outgoing;

use crate::mail::Letter;
use crate::store::Notification;
use crate::topic::MailPreference;

/// Indices of the outlets declared in `SPEC`.
const EVENTS: usize = 0;
const TO_ITSELF: usize = 1;

/// A message was stored. Its subject is the customer; it belongs to the order.
pub(crate) fn customer_notified(notification: &Notification) -> Outgoing {
    let payload = CustomerNotified {
        notification_id: notification.notification_id.clone(),
        customer_id: notification.customer_id.clone(),
        order_id: notification.order_id.clone(),
        title: notification.title.clone(),
        body: notification.body.clone(),
        topic: notification.topic.as_str().to_owned(),
    };
    Outgoing::new(EVENTS, &notification.customer_id, &notification.order_id, &payload)
}

/// A message is to go out by mail. Its subject is the order, so that the mails of
/// one order keep their order.
pub(crate) fn send_mail(notification: &Notification, to: &str) -> Outgoing {
    let payload = SendMail {
        notification_id: notification.notification_id.clone(),
        customer_id: notification.customer_id.clone(),
        to: to.to_owned(),
        title: notification.title.clone(),
        body: notification.body.clone(),
    };
    Outgoing::new(TO_ITSELF, &notification.order_id, &notification.order_id, &payload)
}

/// A mail server has taken a message.
pub(crate) fn customer_mailed(letter: &Letter) -> Outgoing {
    let payload = CustomerMailed {
        notification_id: letter.notification_id.clone(),
        customer_id: letter.customer_id.clone(),
        order_id: letter.order_id.clone(),
    };
    Outgoing::new(EVENTS, &letter.customer_id, &letter.order_id, &payload)
}

/// A preference as its contract has it.
pub(crate) fn preference(customer_id: &str, mail: MailPreference) -> Preference {
    let mail = match mail {
        MailPreference::All => Wire::All,
        MailPreference::Essential => Wire::Essential,
        MailPreference::None => Wire::None,
    };
    Preference { customer_id: customer_id.to_owned(), mail: mail.into() }
}
