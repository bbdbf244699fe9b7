//! An order as its customer sees it: what happens to it, and what is told of that.
//!
//! The whole choreography is the one table in [`follow`]: each thing that happens
//! moves the order on, and is told or not. Nothing here can be refused, since it has
//! already happened; and two events that are one thing to the customer make one
//! message. Pure: time comes in as an argument.

use platform::clock::Millis;

use crate::texts::{self, Message};

/// What is known of an order, and of whom to tell about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The customer's account.
    pub customer_id: String,
    /// Where mail goes; may be empty.
    pub email: String,
    /// In a few words.
    pub goods: String,
    /// Minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// The payment's deadline, Unix milliseconds.
    pub pay_before: Millis,
    /// How far it has come.
    pub standing: Standing,
    /// A card was offered and the bank has not answered yet.
    pub paying: bool,
    /// When the customer is reminded to pay, Unix milliseconds. The truth that the
    /// delay queue is an index over.
    pub remind_at: Option<Millis>,
    /// Given back so far, minor units.
    pub refunded: i64,
}

/// How far an order has come, as far as it matters for what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can still be paid.
    Waiting,
    /// The bank has said yes; from here to the customer's door.
    Paid,
    /// It is called off, the customer knows it, and its money is to come back.
    CallingOff,
    /// It came to nothing, or everything of it came back.
    Ended,
}

/// An order as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The customer's account.
    pub customer_id: String,
    /// Where mail goes; may be empty.
    pub email: String,
    /// In a few words.
    pub goods: String,
    /// Minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// The payment's deadline, Unix milliseconds.
    pub pay_before: Millis,
    /// Whether a card was offered with it.
    pub card_offered: bool,
}

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It was taken.
    Placed(Box<Placed>),
    /// A card was offered before the goods were set aside.
    CardOffered,
    /// It is set aside and may be paid.
    AwaitingPayment,
    /// The delay queue: it is time to remind.
    ReminderDue {
        /// As it was when the timer was set.
        due: Millis,
    },
    /// The bank is being asked.
    PaymentRequested,
    /// The bank said no.
    PaymentDeclined {
        /// In the bank's words.
        reason: String,
        /// How many cards may still be offered.
        tries_left: i32,
    },
    /// The bank did not answer in time.
    PaymentAbandoned,
    /// The bank said yes.
    Paid,
    /// The bank will never hand over what it holds.
    CaptureRefused {
        /// In the bank's words.
        reason: String,
    },
    /// Goods and money are settled.
    Confirmed {
        /// When it will be shipped; `None`: it was called off meanwhile.
        ship_at: Option<Millis>,
    },
    /// It is on its way.
    Shipped {
        /// When it will be delivered, if that is known.
        deliver_at: Option<Millis>,
    },
    /// It has arrived.
    Delivered,
    /// It cannot be served.
    Rejected {
        /// Which product is short.
        reason: String,
    },
    /// Nobody paid in time.
    Expired,
    /// It was called off before any money was taken.
    Cancelled {
        /// For people; may be empty.
        reason: String,
    },
    /// It was called off while its money was being taken.
    CancelRequested,
    /// Money is to go back.
    RefundRequested {
        /// Why.
        cause: Cause,
        /// Minor units.
        amount: i64,
        /// Pieces that come back.
        pieces: i64,
    },
    /// Money has gone back.
    PaymentRefunded {
        /// Minor units.
        amount: i64,
    },
    /// The bank said yes when it was too late; the money goes back.
    LatePaymentRefused {
        /// Why it could not be used.
        reason: String,
    },
    /// What the bank held is let go.
    PaymentVoided,
}

/// Why money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The whole order was called off.
    CalledOff,
    /// Goods of a delivered order came back.
    Returned,
}

impl Order {
    /// Whether the customer has something to pay and the time to do it.
    pub fn waits_for_payment(&self, now: Millis) -> bool {
        self.standing == Standing::Waiting && !self.paying && now < self.pay_before
    }

    fn end(&mut self) {
        self.standing = Standing::Ended;
        self.paying = false;
        self.remind_at = None;
    }
}

/// The order after the news, and what its customer is told; `None` for an order that
/// was never heard to be placed. `at` is when it happened; `remind_before` how long
/// before the deadline to remind, ms, 0 or less for never.
pub fn follow(
    order: Option<&Order>,
    news: &News,
    at: Millis,
    remind_before: Millis,
) -> Option<(Order, Option<Message>)> {
    let Some(order) = order else {
        let News::Placed(placed) = news else { return None };
        let order = begin(placed);
        let told = texts::order_placed(&order);
        return Some((order, Some(told)));
    };
    let mut order = order.clone();
    let told = match news {
        // What an order is about never changes, so the first word stands.
        News::Placed(_) => None,
        News::CardOffered | News::PaymentRequested => {
            order.paying = order.standing == Standing::Waiting;
            None
        }
        News::AwaitingPayment => match order.standing {
            Standing::Waiting => {
                order.remind_at = reminder_due(order.pay_before, at, remind_before);
                // Whoever has offered a card has nothing to do now.
                (!order.paying).then(|| texts::order_awaiting_payment(&order))
            }
            Standing::Paid | Standing::CallingOff | Standing::Ended => None,
        },
        // Obeyed if and only if its due time equals the row's.
        News::ReminderDue { due } if order.remind_at != Some(*due) => None,
        News::ReminderDue { .. } => {
            order.remind_at = None;
            // While the bank thinks there is nothing to ask for. Should it say no, that
            // message names the deadline.
            order.waits_for_payment(at).then(|| texts::payment_reminder(&order))
        }
        News::PaymentDeclined { reason, tries_left } => {
            order.paying = false;
            if *tries_left <= 0 {
                order.remind_at = None;
            }
            Some(texts::payment_declined(&order, reason, *tries_left))
        }
        News::PaymentAbandoned => {
            order.paying = false;
            Some(texts::payment_abandoned(&order))
        }
        News::Paid => {
            order.paying = false;
            order.remind_at = None;
            order.standing = match order.standing {
                Standing::Waiting | Standing::Paid => Standing::Paid,
                Standing::CallingOff => Standing::CallingOff,
                Standing::Ended => Standing::Ended,
            };
            None
        }
        // It comes with OrderCancelled, and both are one thing to the customer.
        News::CaptureRefused { reason } => match order.standing {
            Standing::Waiting | Standing::Paid | Standing::CallingOff => {
                order.end();
                Some(texts::capture_refused(&order, reason))
            }
            Standing::Ended => None,
        },
        News::Cancelled { reason } => match order.standing {
            Standing::Waiting | Standing::Paid | Standing::CallingOff => {
                order.end();
                Some(texts::order_cancelled(&order, reason))
            }
            Standing::Ended => None,
        },
        News::Confirmed { ship_at } => ship_at.map(|_| texts::order_confirmed(&order)),
        News::Shipped { deliver_at } => Some(texts::order_shipped(&order, *deliver_at)),
        News::Delivered => Some(texts::order_delivered(&order)),
        News::Rejected { reason } => {
            order.end();
            Some(texts::order_rejected(reason))
        }
        News::Expired => {
            order.end();
            Some(texts::order_expired(&order))
        }
        News::CancelRequested => match order.standing {
            Standing::Waiting | Standing::Paid => {
                order.standing = Standing::CallingOff;
                order.remind_at = None;
                Some(texts::cancel_requested(&order))
            }
            Standing::CallingOff | Standing::Ended => None,
        },
        News::RefundRequested { cause: Cause::Returned, amount, pieces } => {
            Some(texts::return_accepted(&order, *pieces, *amount))
        }
        News::RefundRequested { cause: Cause::CalledOff, amount, pieces: _ } => match order.standing {
            Standing::Waiting | Standing::Paid => {
                order.standing = Standing::CallingOff;
                Some(texts::refund_requested(&order, *amount))
            }
            // Promised when the cancellation was remembered.
            Standing::CallingOff => None,
            Standing::Ended => Some(texts::refund_requested(&order, *amount)),
        },
        // OrderRefunded follows on the last one and is the same thing to the customer.
        News::PaymentRefunded { amount } => {
            order.refunded = order.refunded.saturating_add(*amount);
            if order.refunded >= order.total {
                order.end();
                Some(texts::order_refunded(&order, *amount))
            } else {
                Some(texts::payment_refunded(&order, *amount))
            }
        }
        News::LatePaymentRefused { reason } => Some(texts::late_payment_refused(&order, reason)),
        News::PaymentVoided => Some(texts::payment_voided()),
    };
    Some((order, told))
}

fn begin(placed: &Placed) -> Order {
    Order {
        customer_id: placed.customer_id.clone(),
        email: placed.email.clone(),
        goods: placed.goods.clone(),
        total: placed.total,
        currency: placed.currency.clone(),
        pay_before: placed.pay_before,
        standing: Standing::Waiting,
        paying: placed.card_offered,
        remind_at: None,
        refunded: 0,
    }
}

/// `before` ahead of the deadline, or half-way there if that is later.
fn reminder_due(pay_before: Millis, at: Millis, before: Millis) -> Option<Millis> {
    let left = pay_before.saturating_sub(at);
    (left > 0 && before > 0).then(|| pay_before - before.min(left / 2))
}

#[cfg(test)]
mod tests;
