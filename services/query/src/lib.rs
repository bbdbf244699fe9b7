//! The query service: the read side of **CQRS**.
//!
//! It hears every event of the shop, appends each once to a durable **event log**
//! and folds it, in the same transaction, into **read models**: orders, products,
//! notifications, sales by minute. It decides nothing and says nothing; after a
//! commit it announces which orders have changed ([`NOTICES`]) to whoever watches.
//!
//! A read model lags behind the services that own the truth, by milliseconds or,
//! after an outage, more. Who has just written and wants to read it asks for the
//! version that the write answered with; see [`grpc`]. A read model that is wrong, or
//! that a new program would fold otherwise, is made anew from the log while the shop
//! goes on; see [`rebuild`].
//!
//! Chapter: `docs/cqrs.md`.

pub mod audit;
pub mod cursor;
pub mod grpc;
pub mod kind;
pub mod notices;
pub mod projections;
pub mod read_model;
pub mod rebuild;
pub mod timeline;

mod consumer;
mod history;
mod overlay;
mod store;
mod view;

#[cfg(test)]
mod engines;
#[cfg(test)]
#[path = "../../../tests/it/servers.rs"]
mod servers;
#[cfg(test)]
mod specimens;

use std::convert::Infallible;

use async_trait::async_trait;
use platform::bus::Timer;
use platform::error::{Rejection, Unavailable};
use platform::message::{Envelope, Malformed, Outgoing};
use platform::service::{self, Announcement, Effects, Moment, Outcome, Service, Spec};
use platform::store::{Migration, StoreError, Tx};

pub use crate::notices::NOTICES;
pub use crate::overlay::{Batch, Heard};
use crate::rebuild::{Progress, Step};

/// The query service's declaration. It has no way out: reading changes nothing.
pub static SPEC: Spec = Spec {
    name: "query",
    hears: &["orderly.order", "orderly.inventory", "orderly.payment", "orderly.notification"],
    timers: "orderly.query.timers",
    outlets: &[],
    migrations: &[
        Migration { version: 1, name: "query", sql: include_str!("../migrations/0001_query.sql") },
        Migration { version: 2, name: "generations", sql: include_str!("../migrations/0002_generations.sql") },
        Migration { version: 3, name: "lean log", sql: include_str!("../migrations/0003_lean_log.sql") },
    ],
};

/// What can reach the read side.
#[derive(Debug)]
pub enum Input {
    /// An event was heard.
    Heard(Heard),
    /// An operator has a read model rebuilt.
    Rebuild(Step),
}

impl Input {
    const fn heard(&self) -> Option<&Heard> {
        match self {
            Self::Heard(heard) => Some(heard),
            Self::Rebuild(_) => None,
        }
    }

    const fn step(&self) -> Option<&Step> {
        match self {
            Self::Heard(_) => None,
            Self::Rebuild(step) => Some(step),
        }
    }
}

/// The query service.
#[derive(Debug, Default)]
pub struct Query;

#[async_trait]
impl Service for Query {
    type Input = Input;
    /// What a step of a rebuild came to.
    type Reply = Progress;
    type Batch = Batch;
    type Call = Infallible;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn hear(&self, message: &Envelope) -> Result<service::Heard<Input>, Malformed> {
        consumer::hear(message).map(|heard| service::Heard::Input(Input::Heard(heard)))
    }

    /// Nothing here waits.
    fn wake(&self, _timer: &Timer) -> Option<Input> {
        None
    }

    async fn load(&self, tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
        store::load(tx, inputs).await
    }

    /// An event is a fact: it is never rejected.
    fn decide(
        &self,
        batch: &mut Batch,
        input: &Input,
        moment: Moment,
    ) -> Result<Outcome<Progress, Infallible>, Rejection> {
        let reply = match input {
            Input::Heard(heard) => {
                batch.hear(heard);
                None
            }
            Input::Rebuild(step) => Some(batch.take(step, moment.now)?),
        };
        Ok(Outcome::Done(Effects { reply, ..Effects::default() }))
    }

    fn closing(&self, batch: &mut Batch) -> Vec<Outgoing> {
        batch.close();
        Vec::new()
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, moment: Moment) -> Result<(), StoreError> {
        store::save(tx, batch, moment.now).await
    }

    async fn call(&self, call: Infallible) -> Result<Input, Unavailable> {
        match call {}
    }

    fn announcements(&self, batch: &Batch) -> Vec<Announcement> {
        batch.live.changed_orders().map(|(id, order)| notices::announcement(id, order)).collect()
    }
}
