//! The payment service: payments, the ledger, and the bank on the other side.
//!
//! It hears the saga's commands (`orderly.payment.commands`: authorise, capture,
//! void, refund) and says what came of them (`orderly.payment`). By gRPC it turns
//! card numbers into tokens.
//!
//! The lesson here: an *external call* whose outcome may stay unknown. The bank is
//! asked beside the loop while the command stays un-acked, with an idempotency key
//! made of the order, the attempt and the operation; the answer is an input like
//! any other. Whatever dies, the same question is asked again under the same key,
//! and the customer is charged once.

pub mod audit;
pub mod bank;
mod cards;
mod consumer;
pub mod domain;
pub mod grpc;
mod producer;
mod store;

use async_trait::async_trait;
use platform::bus::Timer;
use platform::error::{Failure, Rejection, Unavailable};
use platform::message::{Envelope, Malformed};
use platform::service::{Effects, Heard, Moment, Outcome, Service, Spec};
use platform::store::outbox::Outlet;
use platform::store::{Migration, StoreError, Tx};

use crate::bank::{Answer, BankClient, Operation, Request};
use crate::domain::{Command, Decision, Hold, Refusal};
use crate::store::Batch;

/// The payment service's declaration.
pub static SPEC: Spec = Spec {
    name: "payment",
    hears: &["orderly.payment.commands"],
    timers: "orderly.payment.timers",
    outlets: &[Outlet { source: "/payment", stream: "orderly.payment", table: "outbox", keeps: false }],
    migrations: &[
        Migration { version: 1, name: "payment", sql: include_str!("../migrations/0001_payment.sql") },
        Migration { version: 2, name: "refunds", sql: include_str!("../migrations/0002_refunds.sql") },
    ],
};

/// Something to decide about one attempt to pay for an order.
#[derive(Debug, Clone)]
pub struct Input {
    /// Which order.
    pub order_id: String,
    /// Which attempt, from 1.
    pub attempt: i32,
    /// A command or the bank's answer to one.
    pub input: domain::Input,
}

/// A question to the bank.
#[derive(Debug)]
pub struct Question {
    order_id: String,
    attempt: i32,
    command: Command,
}

/// The payment service.
pub struct Payment {
    bank: BankClient,
}

impl Payment {
    /// The service, with its line to the bank.
    pub const fn new(bank: BankClient) -> Self {
        Self { bank }
    }
}

#[async_trait]
impl Service for Payment {
    type Input = Input;
    /// Nobody waits for an answer here: the saga is answered by events.
    type Reply = ();
    type Batch = Batch;
    type Call = Question;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn hear(&self, message: &Envelope) -> Result<Heard<Input>, Malformed> {
        consumer::hear(message)
    }

    /// Nothing here waits; a bank that is away is waited for by parked messages.
    fn wake(&self, _timer: &Timer) -> Option<Input> {
        None
    }

    async fn load(&self, tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
        store::load(tx, inputs.iter().map(|input| input.order_id.as_str())).await
    }

    fn decide(&self, batch: &mut Batch, input: &Input, _moment: Moment) -> Result<Outcome<(), Question>, Rejection> {
        let Input { order_id, attempt, input } = input;
        let decision = domain::decide(batch.attempts(order_id), *attempt, input)
            .map_err(|illegal| Rejection::conflict(format!("order {order_id}, attempt {attempt}: {illegal}")))?;
        let event = match decision {
            Decision::Ask(command) => {
                return Ok(Outcome::Call(Question { order_id: order_id.clone(), attempt: *attempt, command }));
            }
            Decision::Record(event) => {
                batch.record(order_id, *attempt, &event);
                event
            }
            Decision::Answer(event) => event,
        };
        let messages = vec![producer::answer(order_id, *attempt, &event)];
        Ok(Outcome::Done(Effects { messages, ..Effects::default() }))
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, moment: Moment) -> Result<(), StoreError> {
        store::save(tx, batch, moment.now).await
    }

    /// # On crash
    /// The bank may have done as it was asked while nobody here knows. The command
    /// was not acked, so it is heard again and asked again, under the same key.
    async fn call(&self, question: Question) -> Result<Input, Unavailable> {
        let Question { order_id, attempt, command } = question;
        let operation = match &command {
            Command::Authorise(offer) => {
                Operation::Authorise { amount: offer.amount.clone(), token: offer.card.token.clone() }
            }
            Command::Capture => Operation::Capture,
            Command::Void => Operation::Void,
            Command::Refund(refund) => Operation::Refund { refund: refund.number, amount: refund.amount.clone() },
        };
        let input = match self.bank.ask(Request { order_id: order_id.clone(), attempt, operation }).await {
            Ok(answer) => answered(command, answer),
            Err(Failure::Rejected(rejection)) => domain::Input::BankRefused(rejection.message),
            Err(Failure::Unavailable(unavailable)) => return Err(unavailable),
        };
        Ok(Input { order_id, attempt, input })
    }
}

/// The bank's answer as the domain has it.
fn answered(command: Command, answer: Answer) -> domain::Input {
    match (answer, command) {
        (Answer::Approved { authorisation_id }, Command::Authorise(offer)) => {
            domain::Input::BankApproved(Hold { offer, authorisation_id })
        }
        (Answer::Declined { reason }, Command::Authorise(offer)) => {
            domain::Input::BankDeclined(Refusal { offer, reason })
        }
        (Answer::Captured, Command::Capture) => domain::Input::BankCaptured,
        (Answer::CaptureRefused { reason }, Command::Capture) => domain::Input::BankRefusedCapture(reason),
        (Answer::Voided, Command::Void) => domain::Input::BankVoided,
        (Answer::Refunded, Command::Refund(refund)) => domain::Input::BankRefunded(refund),
        (
            answer @ (Answer::Approved { .. }
            | Answer::Declined { .. }
            | Answer::Captured
            | Answer::CaptureRefused { .. }
            | Answer::Voided
            | Answer::Refunded),
            Command::Authorise(_) | Command::Capture | Command::Void | Command::Refund(_),
        ) => domain::Input::BankRefused(format!("it answered another question: {answer:?}")),
    }
}
