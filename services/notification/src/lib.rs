//! The notification service: messages to customers.
//!
//! It hears what happens to orders (`orderly.order`), stores a message for what a
//! customer cares about, and says that it did (`orderly.notification`).
//!
//! The lesson here: *choreography*. Nobody commands this service and nobody waits
//! for it. It can be down for an hour and no order stands still; when it is back,
//! it hears what it missed and writes about it.

mod consumer;
mod producer;
mod store;
pub mod texts;

use async_trait::async_trait;
use platform::bus::Timer;
use platform::clock::Millis;
use platform::error::{Rejection, Unavailable};
use platform::message::{Envelope, Malformed};
use platform::service::{Effects, Heard, Moment, Outcome, Service, Spec};
use platform::store::outbox::Outlet;
use platform::store::{Migration, StoreError, Tx};

use crate::store::{Batch, Notification as Stored};
use crate::texts::{News, Subject};

/// The notification service's declaration.
pub static SPEC: Spec = Spec {
    name: "notification",
    hears: &["orderly.order"],
    timers: "orderly.notification.timers",
    outlets: &[Outlet { source: "/notification", stream: "orderly.notification", table: "outbox", keeps: false }],
    migrations: &[Migration {
        version: 1,
        name: "notification",
        sql: include_str!("../migrations/0001_notification.sql"),
    }],
};

/// Something happened to an order that its customer may want to know.
#[derive(Debug, Clone)]
pub struct Input {
    /// The event's id.
    pub event_id: String,
    /// Its type, such as `OrderPlaced`.
    pub kind: String,
    /// When it happened, Unix milliseconds.
    pub at: Millis,
    /// To which order.
    pub order_id: String,
    /// Only with the event that the order begins with.
    pub placed: Option<Subject>,
    /// What happened.
    pub news: News,
}

/// The notification service.
#[derive(Debug, Default)]
pub struct Notification;

#[async_trait]
impl Service for Notification {
    type Input = Input;
    type Reply = ();
    type Batch = Batch;
    type Call = std::convert::Infallible;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn hear(&self, message: &Envelope) -> Result<Heard<Input>, Malformed> {
        consumer::hear(message)
    }

    /// Nothing here waits.
    fn wake(&self, _timer: &Timer) -> Option<Input> {
        None
    }

    async fn load(&self, tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
        store::load(tx, inputs.iter().map(|input| input.order_id.as_str())).await
    }

    fn decide(&self, batch: &mut Batch, input: &Input, _moment: Moment) -> Result<Outcome<(), Self::Call>, Rejection> {
        if let Some(subject) = &input.placed {
            batch.learn(&input.order_id, subject);
        }
        let subject = batch
            .subject(&input.order_id)
            .ok_or_else(|| Rejection::conflict(format!("order {} was never heard to be placed", input.order_id)))?;
        let Some(text) = texts::write(&input.news, subject) else {
            return Ok(Outcome::Done(Effects::default()));
        };
        let notification = Stored {
            notification_id: input.event_id.clone(),
            customer_id: subject.customer_id.clone(),
            order_id: input.order_id.clone(),
            kind: input.kind.clone(),
            title: text.title,
            body: text.body,
            at: input.at,
        };
        let messages = vec![producer::customer_notified(&notification)];
        batch.keep(notification);
        Ok(Outcome::Done(Effects { messages, ..Effects::default() }))
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, _moment: Moment) -> Result<(), StoreError> {
        store::save(tx, batch).await
    }

    async fn call(&self, call: Self::Call) -> Result<Input, Unavailable> {
        match call {}
    }
}
