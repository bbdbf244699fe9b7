//! The **checkout saga**, orchestrated: which event makes which service do what.
//!
//! ```text
//!  event                     │ asks          │ to                    │ kind of step
//!  ──────────────────────────┼───────────────┼───────────────────────┼─────────────────────────
//!  OrderPlaced               │ inventory     │ ReserveStock          │ compensatable
//!  OrderPaymentRequested     │ payment       │ AuthorisePayment      │ compensatable
//!  OrderPaid                 │ payment       │ CapturePayment        │ pivot: no way back after
//!  OrderPaymentCaptured      │ inventory     │ CommitStock           │ retriable
//!  OrderStepRetried          │ either        │ the step again        │ retriable
//!  OrderExpired              │ inventory     │ ReleaseStock          │ compensation of reserve
//!  OrderLatePaymentRefused   │ payment       │ VoidPayment           │ compensation of authorise
//! ```
//!
//! The saga has no state of its own: where it stands is where the order stands.
//! Its commands are written to the outbox in the transaction that stores the
//! event, so an order that knows a step was asked for has asked for it.
//!
//! Chapter: `docs/saga.md`.

use crate::domain::{Card, Event, Order, Step};

/// What the saga asks of another service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Inventory: set all lines aside.
    ReserveStock,
    /// Inventory: give them back.
    ReleaseStock,
    /// Inventory: sell them.
    CommitStock,
    /// Payment: hold the total.
    AuthorisePayment {
        /// Which attempt.
        attempt: i32,
        /// With which card.
        card: Card,
    },
    /// Payment: take what is held.
    CapturePayment {
        /// Of which attempt.
        attempt: i32,
    },
    /// Payment: let go of what is held.
    VoidPayment {
        /// Of which attempt.
        attempt: i32,
    },
}

/// What follows from an event; `order` is the order after it.
pub fn react(order: &Order, event: &Event) -> Option<Command> {
    match event {
        Event::Placed(_) => Some(Command::ReserveStock),
        Event::PaymentRequested { attempt, card } => {
            Some(Command::AuthorisePayment { attempt: *attempt, card: card.clone() })
        }
        Event::Paid { attempt, .. } => Some(Command::CapturePayment { attempt: *attempt }),
        Event::PaymentCaptured { .. } => Some(Command::CommitStock),
        Event::Expired { .. } => Some(Command::ReleaseStock),
        Event::LatePaymentRefused { attempt, .. } => Some(Command::VoidPayment { attempt: *attempt }),
        Event::StepRetried { step: Step::CommitStock, .. } => Some(Command::CommitStock),
        Event::StepRetried { step: Step::Capture, .. } => {
            order.paid_by.map(|attempt| Command::CapturePayment { attempt })
        }
        Event::AwaitingPayment
        | Event::Rejected { .. }
        | Event::CardOffered { .. }
        | Event::PaymentDeclined { .. }
        | Event::PaymentAbandoned { .. }
        | Event::Confirmed
        | Event::PaymentVoided { .. }
        | Event::StockReturned => None,
    }
}
