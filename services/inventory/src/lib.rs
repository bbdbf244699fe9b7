//! The inventory service: the catalogue, the stock, the reservations.
//!
//! It hears the saga's commands (`orderly.inventory.commands`: reserve, release,
//! commit, return) and says what came of them and how the levels stand
//! (`orderly.inventory`). Operators change products and stock by gRPC.
//!
//! The lesson here: a *reservation* is all lines or none and never oversells,
//! because a batch decides over locked levels, one request after the other.

pub mod audit;
mod consumer;
pub mod domain;
pub mod grpc;
mod producer;
mod store;

use std::collections::BTreeSet;

use async_trait::async_trait;
use contracts::inventory::Product;
use platform::bus::Timer;
use platform::error::{Code, Rejection, Unavailable};
use platform::message::{Envelope, Malformed, Outgoing};
use platform::service::{Effects, Heard, Moment, Outcome, Service, Spec};
use platform::store::outbox::Outlet;
use platform::store::{Migration, StoreError, Tx};

use crate::domain::Request;
use crate::store::{Batch, ProductRow};

/// The inventory service's declaration.
pub static SPEC: Spec = Spec {
    name: "inventory",
    hears: &["orderly.inventory.commands"],
    timers: "orderly.inventory.timers",
    outlets: &[Outlet { source: "/inventory", stream: "orderly.inventory", table: "outbox", keeps: false }],
    migrations: &[
        Migration { version: 1, name: "inventory", sql: include_str!("../migrations/0001_inventory.sql") },
        Migration { version: 2, name: "returns", sql: include_str!("../migrations/0002_returns.sql") },
        Migration {
            version: 3,
            name: "movements without an index",
            sql: include_str!("../migrations/0003_movements_without_an_index.sql"),
        },
    ],
};

/// Everything the inventory service decides.
#[derive(Debug)]
pub enum Input {
    /// The saga asks something of an order's lines.
    Request {
        /// Whose lines.
        order_id: String,
        /// What is asked.
        request: Request,
    },
    /// An operator makes or changes a product.
    Upsert {
        /// Stock keeping unit.
        sku: String,
        /// For people.
        name: String,
        /// Minor units.
        price: i64,
        /// ISO 4217.
        currency: String,
    },
    /// An operator counted.
    Adjust {
        /// Stock keeping unit.
        sku: String,
        /// More, or fewer.
        delta: i64,
    },
}

/// The inventory service.
#[derive(Debug, Default)]
pub struct Inventory;

#[async_trait]
impl Service for Inventory {
    type Input = Input;
    type Reply = Product;
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
        let (mut orders, mut skus, mut products) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for input in inputs {
            match input {
                Input::Request { order_id, request } => {
                    orders.insert(order_id.as_str());
                    match request {
                        Request::Reserve(lines) | Request::Return { lines, .. } => {
                            skus.extend(lines.iter().map(|line| line.sku.as_str()));
                        }
                        // Their lines are the reservation's.
                        Request::Release | Request::Commit => {}
                    }
                }
                Input::Upsert { sku, .. } | Input::Adjust { sku, .. } => {
                    skus.insert(sku.as_str());
                    products.insert(sku.as_str());
                }
            }
        }
        store::load(tx, &orders, skus, &products).await
    }

    fn decide(
        &self,
        batch: &mut Batch,
        input: &Input,
        _moment: Moment,
    ) -> Result<Outcome<Product, Self::Call>, Rejection> {
        Ok(Outcome::Done(match input {
            Input::Request { order_id, request } => decide_request(batch, order_id, request)?,
            Input::Upsert { sku, name, price, currency } => decide_upsert(batch, sku, name, *price, currency),
            Input::Adjust { sku, delta } => decide_adjust(batch, sku, *delta)?,
        }))
    }

    /// A level that many orders changed is told once.
    fn closing(&self, batch: &mut Batch) -> Vec<Outgoing> {
        batch.changed_levels().map(|(sku, level)| producer::stock_level_changed(sku, level)).collect()
    }

    async fn save(&self, tx: &mut Tx, batch: &Batch, moment: Moment) -> Result<(), StoreError> {
        store::save(tx, batch, moment.now).await
    }

    async fn call(&self, call: Self::Call) -> Result<Input, Unavailable> {
        match call {}
    }
}

fn decide_request(batch: &mut Batch, order_id: &str, request: &Request) -> Result<Effects<Product>, Rejection> {
    let reservation = batch.reservations.get(order_id).map(|slot| &slot.value);
    let decision = domain::decide(reservation, request, |sku| batch.level(sku))
        .map_err(|illegal| Rejection::conflict(format!("order {order_id}: {illegal}")))?;
    batch.apply(decision.movements, order_id);
    if let Some(next) = decision.next {
        batch.set_reservation(order_id, next);
    }
    Ok(Effects { messages: vec![producer::answer(order_id, &decision.event)], ..Effects::default() })
}

fn decide_upsert(batch: &mut Batch, sku: &str, name: &str, price: i64, currency: &str) -> Effects<Product> {
    let known = batch.products.get(sku).map(|slot| &slot.value);
    let product = ProductRow {
        sku: sku.to_owned(),
        name: name.to_owned(),
        price,
        currency: currency.to_owned(),
        version: known.map_or(0, |known| known.version),
    };
    let mut effects = Effects::default();
    // One that changes nothing says nothing.
    if known != Some(&product) {
        effects.messages.push(producer::product_upserted(&product));
        batch.set_product(product.clone());
    }
    effects.reply = Some(producer::product(&product, batch.level(sku).unwrap_or_default()));
    effects
}

fn decide_adjust(batch: &mut Batch, sku: &str, delta: i64) -> Result<Effects<Product>, Rejection> {
    let not_found = || Rejection::not_found(format!("there is no product {sku}"));
    let product = batch.products.get(sku).ok_or_else(not_found)?.value.clone();
    let level = batch.level(sku).ok_or_else(not_found)?;
    let movement = domain::adjust(sku, level, delta).map_err(|cannot| {
        let code = match cannot {
            domain::CannotAdjust::BelowReserved { .. } => Code::Shortage,
            domain::CannotAdjust::TooMuch => Code::BadInput,
        };
        Rejection::new(code, format!("{sku}: {cannot}"))
    })?;
    if delta != 0 {
        batch.apply(vec![movement], "");
    }
    let level = batch.level(sku).unwrap_or_default();
    Ok(Effects { reply: Some(producer::product(&product, level)), ..Effects::default() })
}
