//! The **checkout saga**, orchestrated: which event makes which service do what.
//!
//! ```text
//!  event                     │ asks          │ to                    │ kind of step
//!  ──────────────────────────┼───────────────┼───────────────────────┼─────────────────────────────────
//!  OrderPlaced               │ inventory     │ ReserveStock          │ compensatable
//!  OrderPaymentRequested     │ payment       │ AuthorisePayment      │ compensatable
//!  OrderPaid                 │ payment       │ CapturePayment        │ pivot: no way back, only a way round
//!  OrderPaymentCaptured      │ inventory     │ CommitStock (1)       │ retriable
//!  OrderStepRetried          │ either        │ the step again        │ retriable
//!  OrderExpired              │ inventory     │ ReleaseStock          │ compensation of reserve
//!  OrderCancelled            │ inventory     │ ReleaseStock          │ compensation of reserve
//!  OrderLatePaymentRefused   │ payment       │ VoidPayment           │ compensation of authorise
//!  OrderCaptureRefused       │ payment       │ VoidPayment           │ compensation of authorise
//!  OrderRefundRequested      │ payment       │ RefundPayment         │ the way round: retriable
//!  OrderPaymentRefunded      │ inventory     │ ReturnStock           │ the way round: retriable
//!                            │               │ or ReleaseStock (2)   │
//!
//!  (1) unless a cancellation is remembered: then the refund comes next
//!  (2) of goods that were never committed; nothing if none have to come back
//! ```
//!
//! Every other event asks nobody: it ends a road, or waits for a customer or for
//! the time. An event asks one service at most.
//!
//! The saga has no state of its own: where it stands is where the order stands.
//! Its commands are written to the outbox in the transaction that stores the
//! event, so an order that knows a step was asked for has asked for it.
//!
//! Chapter: `docs/saga.md`.

use crate::domain::{Card, Event, Goods, Order, Step};

/// What the saga asks of another service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Inventory: set all lines aside.
    ReserveStock,
    /// Inventory: give them back.
    ReleaseStock,
    /// Inventory: sell them.
    CommitStock,
    /// Inventory: put sold goods back on the shelf.
    ReturnStock {
        /// By which refund.
        refund: i32,
        /// Which goods.
        lines: Vec<Goods>,
    },
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
    /// Payment: give back what was taken, or a part of it.
    RefundPayment {
        /// From which attempt.
        attempt: i32,
        /// Which refund.
        refund: i32,
        /// Minor units.
        amount: i64,
    },
}

/// What follows from an event; `order` is the order after it.
pub fn react(order: &Order, event: &Event) -> Option<Command> {
    match event {
        Event::Placed(_) => Some(Command::ReserveStock),
        Event::PaymentRequested { attempt, card } => {
            Some(Command::AuthorisePayment { attempt: *attempt, card: card.clone() })
        }
        Event::Paid { .. } => ask_for(order, Step::Capture),
        Event::PaymentCaptured { .. } if order.goes_on() => ask_for(order, Step::CommitStock),
        Event::Expired { .. } | Event::Cancelled { .. } => Some(Command::ReleaseStock),
        Event::LatePaymentRefused { attempt, .. } | Event::CaptureRefused { attempt, .. } => {
            Some(Command::VoidPayment { attempt: *attempt })
        }
        Event::RefundRequested(_) => ask_for(order, Step::Refund),
        Event::PaymentRefunded { .. } => ask_for(order, Step::ReturnStock),
        Event::StepRetried { step, .. } => ask_for(order, *step),
        Event::PaymentCaptured { .. }
        | Event::AwaitingPayment
        | Event::Rejected { .. }
        | Event::CardOffered { .. }
        | Event::PaymentDeclined { .. }
        | Event::PaymentAbandoned { .. }
        | Event::Confirmed { .. }
        | Event::Shipped { .. }
        | Event::Delivered
        | Event::CancelRequested { .. }
        | Event::PaymentVoided { .. }
        | Event::StockReturned { .. }
        | Event::Refunded => None,
    }
}

/// A step that is asked for until it is done: the first time and every time after
/// it with the same words, so that the one who is asked knows it again.
fn ask_for(order: &Order, step: Step) -> Option<Command> {
    match step {
        Step::Capture => Some(Command::CapturePayment { attempt: order.paid_by? }),
        Step::CommitStock => Some(Command::CommitStock),
        Step::Refund => {
            let refund = order.refund.as_ref()?;
            Some(Command::RefundPayment { attempt: order.paid_by?, refund: refund.number, amount: refund.amount })
        }
        Step::ReturnStock => {
            let refund = order.refund.as_ref().filter(|refund| !refund.lines.is_empty())?;
            Some(if order.stock_committed {
                Command::ReturnStock { refund: refund.number, lines: refund.lines.clone() }
            } else {
                Command::ReleaseStock
            })
        }
    }
}
