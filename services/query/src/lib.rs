//! The query service: the read side of **CQRS**.
//!
//! It hears every event of the shop, appends each once to a durable **event log**
//! and folds it, in the same transaction, into **read models**: orders, products,
//! notifications. It decides nothing and says nothing; after a commit it announces
//! which orders have changed ([`NOTICES`]) to whoever watches.
//!
//! A read model lags behind the services that own the truth, by milliseconds or,
//! after an outage, more. Who has just written and wants to read it asks for the
//! version that the write answered with; see [`grpc`].
//!
//! Chapter: `docs/cqrs.md`.

pub mod audit;
pub mod cursor;
pub mod grpc;
pub mod kind;
pub mod notices;
pub mod projections;
pub mod timeline;

mod consumer;
mod overlay;
mod store;
mod view;

#[cfg(test)]
mod specimens;

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use platform::bus::Timer;
use platform::error::{Rejection, Unavailable};
use platform::message::{Envelope, Malformed};
use platform::service::{Announcement, Effects, Heard, Moment, Outcome, Service, Spec};
use platform::store::{Migration, StoreError, Tx};

pub use crate::notices::NOTICES;
pub use crate::overlay::Batch;
use crate::projections::Event;
use crate::store::LogEntry;

/// The query service's declaration. It has no way out: reading changes nothing.
pub static SPEC: Spec = Spec {
    name: "query",
    hears: &["orderly.order", "orderly.inventory", "orderly.payment", "orderly.notification"],
    timers: "orderly.query.timers",
    outlets: &[],
    migrations: &[Migration { version: 1, name: "query", sql: include_str!("../migrations/0001_query.sql") }],
};

/// An event that was heard: what the log keeps of it, and what it changes. Shared,
/// since a batch that meets a conflict is folded again.
#[derive(Debug)]
pub struct Input {
    entry: Arc<LogEntry>,
    event: Event,
}

/// The query service.
#[derive(Debug, Default)]
pub struct Query;

#[async_trait]
impl Service for Query {
    type Input = Input;
    type Reply = ();
    type Batch = Batch;
    type Call = Infallible;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn hear(&self, message: &Envelope) -> Result<Heard<Input>, Malformed> {
        consumer::hear(message).map(Heard::Input)
    }

    /// Nothing here waits.
    fn wake(&self, _timer: &Timer) -> Option<Input> {
        None
    }

    async fn load(&self, tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
        store::load(tx, inputs).await
    }

    /// An event is a fact: it is never rejected.
    fn decide(&self, batch: &mut Batch, input: &Input, _moment: Moment) -> Result<Outcome<(), Infallible>, Rejection> {
        batch.fold(input);
        Ok(Outcome::Done(Effects::default()))
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, _moment: Moment) -> Result<(), StoreError> {
        store::save(tx, batch).await
    }

    async fn call(&self, call: Infallible) -> Result<Input, Unavailable> {
        match call {}
    }

    fn announcements(&self, batch: &Batch) -> Vec<Announcement> {
        batch.changed_orders().map(|(id, order)| notices::announcement(id, order)).collect()
    }
}
