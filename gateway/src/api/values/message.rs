//! What customers are told, and how they want to be told.

use chrono::{DateTime, Utc};

/// A message to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its id.
    pub id: String,
    /// To whom.
    pub customer_id: String,
    /// About which order.
    pub order_id: String,
    /// One line.
    pub title: String,
    /// The text, plain.
    pub body: String,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What it is about, for programs: `order-placed`, `payment-reminder` …
    pub topic: String,
    /// When a mail server took it, Unix milliseconds; `None` if none has.
    pub mailed_at: Option<i64>,
}

/// Which messages also go out by mail. All are kept and shown, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailPreference {
    /// Every turn of an order; how it is until the customer says otherwise.
    All,
    /// Only what asks for something or is about money.
    Essential,
    /// Nothing.
    None,
}
