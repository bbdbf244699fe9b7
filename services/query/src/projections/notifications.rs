//! The projection **notifications**: what customers were told. Each event adds one
//! row and no row ever changes.

use std::sync::Arc;

/// A message that a customer was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its own id.
    pub id: String,
    /// Who was told.
    pub customer_id: String,
    /// About which order.
    pub order_id: String,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// Unix milliseconds.
    pub at: i64,
}

/// Folds an event into the list: it adds its message.
pub fn fold(mut told: Vec<Arc<Notification>>, event: &Arc<Notification>) -> Vec<Arc<Notification>> {
    told.push(event.clone());
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_added_once_and_in_order() {
        let message = |id: &str| {
            Arc::new(Notification {
                id: id.into(),
                customer_id: "ada".into(),
                order_id: "o-1".into(),
                title: "Order confirmed".into(),
                body: "Thank you.".into(),
                at: 1,
            })
        };
        let events = [message("n-1"), message("n-2")];
        assert_eq!(events.iter().fold(Vec::new(), fold), events);
    }
}
