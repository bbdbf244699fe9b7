//! The projection **notifications**: what customers were told, and what of it a
//! mail server took.

use std::sync::Arc;

/// A message that a customer was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Who was told.
    pub customer_id: String,
    /// About which order.
    pub order_id: String,
    /// What it is about, for programs.
    pub topic: String,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// Unix milliseconds.
    pub at: i64,
}

/// Something that happened to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotificationEvent {
    /// It was stored for its customer.
    Told {
        /// Its own id.
        id: String,
        /// The message.
        notification: Arc<Notification>,
    },
    /// A mail server took it.
    Mailed {
        /// Which one.
        id: String,
        /// Unix milliseconds.
        at: i64,
    },
}

impl NotificationEvent {
    /// Which message it is about.
    pub fn id(&self) -> &str {
        match self {
            Self::Told { id, .. } | Self::Mailed { id, .. } => id,
        }
    }
}

/// What a batch of events makes of a message: a row that is added, a row that
/// changes, or both in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telling {
    /// Set if the message is new.
    pub told: Option<Arc<Notification>>,
    /// When a mail server took it, if it has, Unix milliseconds.
    pub mailed_at: Option<i64>,
}

/// Folds a message's event into what is to be done about it. No message is read for
/// that: it is added once, and being mailed sets what nothing else sets.
pub fn fold(mut telling: Telling, event: &NotificationEvent) -> Telling {
    match event {
        NotificationEvent::Told { notification, .. } => telling.told = Some(notification.clone()),
        NotificationEvent::Mailed { at, .. } => telling.mailed_at = Some(*at),
    }
    telling
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> NotificationEvent {
        let notification = Notification {
            customer_id: "ada".into(),
            order_id: "o-1".into(),
            topic: "order-confirmed".into(),
            title: "Order confirmed".into(),
            body: "Thank you.".into(),
            at: 1,
        };
        NotificationEvent::Told { id: "n-1".into(), notification: Arc::new(notification) }
    }

    fn mailed() -> NotificationEvent {
        NotificationEvent::Mailed { id: "n-1".into(), at: 5 }
    }

    #[test]
    fn a_message_is_added_with_or_without_having_been_mailed() {
        let telling = fold(Telling::default(), &told());
        assert_eq!((telling.told.is_some(), telling.mailed_at), (true, None));
        let telling = fold(telling, &mailed());
        assert_eq!((telling.told.is_some(), telling.mailed_at), (true, Some(5)));
    }

    #[test]
    fn being_mailed_changes_a_message_that_is_there() {
        let telling = fold(Telling::default(), &mailed());
        assert_eq!(telling, Telling { told: None, mailed_at: Some(5) });
    }
}
