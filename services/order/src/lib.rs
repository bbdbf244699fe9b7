//! The order service: the order aggregate, the checkout saga, the deadlines.
//!
//! It hears inventory and payment, says what happens to orders (`orderly.order`),
//! and sends the saga's commands to the other two. Customers place, pay, cancel and
//! return orders by gRPC; the delay queue tells it what is due: the payment, the
//! next stage of a confirmed order, a step that takes too long.
//!
//! Reading order: [`domain`] (what an order is), [`saga`] (what follows from its
//! events), then how both meet the platform, here.

pub mod audit;
mod consumer;
pub mod domain;
mod event_store;
pub mod grpc;
pub mod pricing;
mod producer;
pub mod saga;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::inventory::QuoteRequest;
use contracts::inventory::inventory_client::InventoryClient;
use contracts::order::Order as Reply;
use platform::bus::{Timer, TimerKey};
use platform::clock::Millis;
use platform::error::{Code, Rejection, Unavailable};
use platform::grpc::{Connection, deadline};
use platform::message::{Envelope, Malformed};
use platform::service::{Effects, Heard, Moment, Outcome, Service, Spec};
use platform::store::outbox::Outlet;
use platform::store::{Db, Migration, StoreError, Tx};

pub use crate::domain::Terms;
use crate::domain::{Address, Card, Input as OrderInput, Order, Placed, Refusal};
use crate::pricing::{CannotPrice, Price};
use crate::store::Batch;

/// The order service's declaration.
pub static SPEC: Spec = Spec {
    name: "order",
    hears: &["orderly.inventory", "orderly.payment"],
    timers: "orderly.order.timers",
    outlets: &[
        // The event store is the outbox of its own events.
        Outlet { source: "/order", stream: "orderly.order", table: "order_events", keeps: true },
        Outlet {
            source: "/order/inventory.commands",
            stream: "orderly.inventory.commands",
            table: "outbox",
            keeps: false,
        },
        Outlet { source: "/order/payment.commands", stream: "orderly.payment.commands", table: "outbox", keeps: false },
    ],
    migrations: &[
        Migration { version: 1, name: "order", sql: include_str!("../migrations/0001_order.sql") },
        Migration {
            version: 2,
            name: "fulfilment and refunds",
            sql: include_str!("../migrations/0002_fulfilment_and_refunds.sql"),
        },
        Migration { version: 3, name: "settled events", sql: include_str!("../migrations/0003_settled_events.sql") },
        Migration { version: 4, name: "placed apart", sql: include_str!("../migrations/0004_placed_apart.sql") },
    ],
};

/// Kinds of this service's timers.
const DEADLINE: &str = "payment-deadline";
const STEP: &str = "step";
const FULFILMENT: &str = "fulfilment";

/// How long inventory may take for its prices. Long enough for a second attempt at
/// another replica; short enough that whoever places the order still waits.
const QUOTE: Duration = Duration::from_secs(5);

/// A customer's order, before it has prices.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// The id it will have.
    pub id: String,
    /// Account id, or a reference of the shop's own.
    pub customer_id: String,
    /// Where messages go; may be empty.
    pub customer_email: String,
    /// SKUs and quantities.
    pub lines: Vec<(String, i64)>,
    /// To pay with at once.
    pub card: Option<Card>,
    /// Where it goes.
    pub address: Option<Address>,
    /// Prices that inventory has just quoted; `None`: not asked yet.
    pub quoted: Option<Vec<(String, Price)>>,
}

/// Everything the order service decides.
#[derive(Debug)]
pub enum Input {
    /// A customer orders.
    Place(PlaceOrder),
    /// A customer wants something done about an order of his: pay, cancel, return.
    Ask {
        /// Which order.
        id: String,
        /// Whose it must be; `None`: an operator asks.
        customer_id: Option<String>,
        /// What.
        input: OrderInput,
    },
    /// Another service or the delay queue says something about an order.
    Order {
        /// Which order.
        id: String,
        /// What.
        input: OrderInput,
    },
    /// Inventory says what a product costs.
    PriceLearnt {
        /// Which product.
        sku: String,
        /// Its name and price.
        price: Price,
    },
}

/// A question to inventory: names and prices not heard of yet.
#[derive(Debug)]
pub struct Quote {
    place: PlaceOrder,
    skus: Vec<String>,
}

/// The order service.
pub struct Orders {
    inventory: InventoryClient<Connection>,
    terms: Terms,
}

impl Orders {
    /// An order service that asks `inventory` for prices it does not know.
    pub fn new(inventory: Connection, terms: Terms) -> Self {
        Self { inventory: InventoryClient::new(inventory), terms }
    }
}

#[async_trait]
impl Service for Orders {
    type Input = Input;
    type Reply = Reply;
    type Batch = Batch;
    type Call = Quote;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn hear(&self, message: &Envelope) -> Result<Heard<Input>, Malformed> {
        consumer::hear(message)
    }

    fn wake(&self, timer: &Timer) -> Option<Input> {
        consumer::wake(timer)
    }

    async fn load(&self, tx: &mut Tx, inputs: &[&Input]) -> Result<Batch, StoreError> {
        let (mut orders, mut skus) = (BTreeSet::new(), BTreeSet::new());
        for input in inputs {
            match input {
                Input::Place(place) => skus.extend(place.lines.iter().map(|(sku, _)| sku.as_str())),
                Input::Ask { id, .. } | Input::Order { id, .. } => {
                    orders.insert(id.as_str());
                }
                Input::PriceLearnt { sku, .. } => {
                    skus.insert(sku.as_str());
                }
            }
        }
        store::load(tx, &orders, &skus).await
    }

    fn decide(&self, batch: &mut Batch, input: &Input, moment: Moment) -> Result<Outcome<Reply, Quote>, Rejection> {
        match input {
            Input::Place(place) => self.place(batch, place, moment),
            Input::Ask { id, customer_id, input } => {
                // Another customer's order does not exist.
                let theirs = batch
                    .order(id)
                    .is_some_and(|order| customer_id.as_ref().is_none_or(|caller| *caller == order.placed.customer_id));
                if !theirs {
                    return Err(refused(&Refusal::Unknown));
                }
                self.advance_and_reply(batch, id, input, moment.now).map(Outcome::Done)
            }
            Input::Order { id, input } => self.advance(batch, id, input, moment.now).map(Outcome::Done),
            Input::PriceLearnt { sku, price } => {
                batch.learn(sku, price.clone());
                Ok(Outcome::Done(Effects::default()))
            }
        }
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, _moment: Moment) -> Result<(), StoreError> {
        store::save(tx, batch).await
    }

    /// Asks inventory for prices. Harmless to repeat: it changes nothing there.
    async fn call(&self, call: Quote) -> Result<Input, Unavailable> {
        let Quote { mut place, skus } = call;
        // Beside the loop nothing is known of the customer's own deadline.
        let mut inventory = self.inventory.clone();
        let reply = deadline::within(QUOTE, inventory.quote(QuoteRequest { skus }))
            .await
            .map_err(|status| Unavailable::new(format!("inventory's quote: {status}")))?
            .into_inner();
        let quoted = reply.products.into_iter().map(|product| {
            let price = product.price.unwrap_or_default();
            (product.sku, Price { name: product.name, amount: price.amount, currency: price.currency })
        });
        place.quoted = Some(quoted.collect());
        Ok(Input::Place(place))
    }

    async fn timers(&self, db: &Db, before: Millis) -> Result<Vec<Timer>, StoreError> {
        store::timers(db, before).await
    }
}

impl Orders {
    fn place(&self, batch: &mut Batch, place: &PlaceOrder, moment: Moment) -> Result<Outcome<Reply, Quote>, Rejection> {
        let quoted = place.quoted.as_deref().unwrap_or_default();
        let priced = pricing::price(&place.lines, |sku| {
            batch.price(sku).or_else(|| quoted.iter().find(|(quoted, _)| quoted == sku).map(|(_, price)| price))
        });
        let (lines, total, currency) = match priced {
            Ok(priced) => priced,
            // Ask once; a SKU that inventory does not know either does not exist.
            Err(CannotPrice::Unknown { skus }) if place.quoted.is_none() => {
                return Ok(Outcome::Call(Quote { place: place.clone(), skus }));
            }
            Err(cannot @ CannotPrice::Unknown { .. }) => return Err(Rejection::not_found(cannot.to_string())),
            Err(cannot) => return Err(Rejection::bad_input(cannot.to_string())),
        };
        for (sku, price) in quoted {
            if batch.price(sku).is_none() {
                batch.learn(sku, price.clone());
            }
        }
        let placed = Placed {
            customer_id: place.customer_id.clone(),
            customer_email: place.customer_email.clone(),
            lines,
            total,
            currency,
            pay_before: moment.now + self.terms.payment_window,
            card: place.card.clone(),
            address: place.address.clone(),
        };
        let input = OrderInput::Place(Arc::new(placed));
        self.advance_and_reply(batch, &place.id, &input, moment.now).map(Outcome::Done)
    }

    /// Advances an order for somebody who waits for the answer.
    fn advance_and_reply(
        &self,
        batch: &mut Batch,
        id: &str,
        input: &OrderInput,
        now: Millis,
    ) -> Result<Effects<Reply>, Rejection> {
        let mut effects = self.advance(batch, id, input, now)?;
        effects.reply = batch.order(id).map(|order| producer::order(id, order));
        Ok(effects)
    }

    /// Decides an input over an order, folds the events in, and collects what follows:
    /// the events, the saga's commands, and the timers.
    fn advance(
        &self,
        batch: &mut Batch,
        id: &str,
        input: &OrderInput,
        now: Millis,
    ) -> Result<Effects<Reply>, Rejection> {
        let events = domain::decide(batch.order(id), input, now, self.terms).map_err(|refusal| refused(&refusal))?;
        let mut effects = Effects::default();
        if events.is_empty() {
            return Ok(effects);
        }
        let slot = batch.order_mut(id);
        let before = slot.as_ref().map(due_times);
        for event in &events {
            *slot = domain::evolve(slot.take(), event, now);
            if let Some(order) = slot {
                effects.messages.push(producer::event(id, order, event));
                let command = saga::react(order, event);
                effects.messages.extend(command.map(|command| producer::command(id, order, &command)));
            }
        }
        let after = slot.as_ref().map(due_times).into_iter().flatten();
        for (index, (kind, due)) in after.enumerate() {
            retime(&mut effects, id, kind, before.and_then(|before| before[index].1), due);
        }
        Ok(effects)
    }
}

/// What an order may wait for: the kind of timer, and its due time in the order.
const fn due_times(order: &Order) -> [(&'static str, Option<Millis>); 3] {
    [(DEADLINE, order.pay_before), (STEP, order.step_due), (FULFILMENT, order.fulfil_at)]
}

/// Sets or takes back a timer whose due time has changed.
fn retime(effects: &mut Effects<Reply>, id: &str, kind: &str, was: Option<Millis>, is: Option<Millis>) {
    if was == is {
        return;
    }
    match is {
        Some(due) => {
            effects.timers.push(Timer { subject: id.to_owned(), kind: kind.to_owned(), attempt: 0, due });
        }
        None => effects.cancelled.push(TimerKey { subject: id.to_owned(), kind: kind.to_owned(), attempt: 0 }),
    }
}

fn refused(refusal: &Refusal) -> Rejection {
    let code = match refusal {
        Refusal::Unknown => Code::NotFound,
        Refusal::NoLines | Refusal::NotInOrder { .. } | Refusal::Quantity { .. } => Code::BadInput,
        Refusal::PlacedAlready
        | Refusal::PaymentUnderWay
        | Refusal::NoTriesLeft
        | Refusal::TooLate
        | Refusal::NotPayable
        | Refusal::OnItsWay
        | Refusal::ReturnInstead
        | Refusal::NothingToCancel
        | Refusal::NotDelivered
        | Refusal::AllBack
        | Refusal::ReturnUnderWay
        | Refusal::MoreThanLeft { .. } => Code::Conflict,
    };
    Rejection::new(code, refusal.to_string())
}
