//! The bank: a simulated *payment service provider*, on the other side of a bad
//! line.
//!
//! It is somebody else's system, so it has a database of its own and knows nothing
//! of the shop's. What makes asking it again safe is its *idempotency key*,
//! `<order>/<attempt>/<operation>` (a refund's with its number): one row per key
//! holds the answer, and whoever
//! asks with the key of something done gets that answer and no second effect. The
//! payment service derives the key from the command that it obeys, so a crash, a
//! lost answer and a redelivery all lead back to the same row.
//!
//! It runs on the [service loop](platform::service_loop) as the shop's services
//! do: batches, one transaction each, durable before they are answered. The loop
//! has idempotent commands of its own, and they are of no use here: they repeat
//! the first answer for ever, and the first answer of a bad line is that there is
//! none. So a *call* is a command without an id, of which the loop keeps nothing,
//! and the key is the bank's.
//!
//! How the line and the bank behave depends on the card; see `bank/operations.rs`.

mod client;
mod operations;
mod store;

use async_trait::async_trait;
use platform::bus::Timer;
use platform::error::{Rejection, Unavailable};
use platform::message::{Envelope, Malformed};
use platform::service::{Effects, Heard, Moment, Outcome, Service, Spec};
use platform::store::{Migration, StoreError, Tx};
use serde::{Deserialize, Serialize};

use crate::domain::Money;

pub use client::BankClient;
pub use operations::{HoldState, Line, Reply};
pub use store::{BankHold, BankRefund, Batch, holds, refunds};

/// The bank's declaration: it hears nothing and says nothing, it is called.
pub static SPEC: Spec = Spec {
    name: "bank",
    hears: &[],
    timers: "orderly.bank.timers",
    outlets: &[],
    migrations: &[
        Migration { version: 1, name: "bank", sql: include_str!("../migrations/0001_bank.sql") },
        Migration { version: 2, name: "refunds", sql: include_str!("../migrations/0002_bank_refunds.sql") },
    ],
};

/// A call to the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose order is paid.
    pub order_id: String,
    /// In which attempt.
    pub attempt: i32,
    /// What is asked.
    pub operation: Operation,
}

/// What can be asked of the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Hold money of a card.
    Authorise {
        /// How much.
        amount: Money,
        /// The card's token.
        token: String,
    },
    /// Take what is held.
    Capture,
    /// Let go of it.
    Void,
    /// Give back what was taken, all or part of it.
    Refund {
        /// Which refund of the order, from 1.
        refund: i32,
        /// How much.
        amount: Money,
    },
}

/// What the bank answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The money is held.
    Approved {
        /// The bank's reference.
        authorisation_id: String,
    },
    /// It is not.
    Declined {
        /// For people.
        reason: String,
    },
    /// The money is taken.
    Captured,
    /// The money is held and will never be handed over.
    CaptureRefused {
        /// For people.
        reason: String,
    },
    /// The money is let go.
    Voided,
    /// The money is given back.
    Refunded,
}

impl Request {
    /// The idempotency key.
    pub fn key(&self) -> String {
        let Self { order_id, attempt, operation } = self;
        match operation {
            // An order may be given money back more than once.
            Operation::Refund { refund, .. } => format!("{order_id}/{attempt}/refund-{refund}"),
            Operation::Authorise { .. } | Operation::Capture | Operation::Void => {
                format!("{order_id}/{attempt}/{}", operation.name())
            }
        }
    }
}

impl Operation {
    const fn name(&self) -> &'static str {
        match self {
            Self::Authorise { .. } => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund { .. } => "refund",
        }
    }
}

/// The bank.
#[derive(Debug, Default)]
pub struct Bank;

#[async_trait]
impl Service for Bank {
    type Input = Request;
    type Reply = Reply;
    type Batch = Batch;
    type Call = std::convert::Infallible;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn hear(&self, _message: &Envelope) -> Result<Heard<Request>, Malformed> {
        Ok(Heard::Ignored)
    }

    fn wake(&self, _timer: &Timer) -> Option<Request> {
        None
    }

    async fn load(&self, tx: &mut Tx, inputs: &[&Request]) -> Result<Batch, StoreError> {
        store::load(tx, inputs).await
    }

    fn decide(
        &self,
        batch: &mut Batch,
        request: &Request,
        moment: Moment,
    ) -> Result<Outcome<Reply, Self::Call>, Rejection> {
        let key = request.key();
        let decision = operations::decide(batch.record(&key), batch.hold(request), request, moment.fresh_id())
            .map_err(|refusal| Rejection::conflict(format!("{key}: {refusal}")))?;
        batch.set_record(key, request.operation.name(), decision.record);
        if let Some(hold) = decision.hold {
            batch.set_hold(request, hold);
        }
        Ok(Outcome::Done(Effects { reply: Some(decision.reply), ..Effects::default() }))
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, moment: Moment) -> Result<(), StoreError> {
        store::save(tx, batch, moment.now).await
    }

    async fn call(&self, call: Self::Call) -> Result<Request, Unavailable> {
        match call {}
    }
}
