//! What callers ask to be done.

use super::{Address, CardNumber, Money};

/// So many of a product, as a buyer asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRequest {
    /// In any case; the shop's SKUs are upper-case.
    pub sku: String,
    /// 1 to 1,000,000.
    pub quantity: i64,
}

/// What a buyer wants.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// 1 to 500 lines; lines of one SKU are added up.
    pub lines: Vec<LineRequest>,
    /// To pay at once.
    pub card: Option<CardNumber>,
    /// Where it goes.
    pub address: Option<Address>,
    /// Operators only: for whom it is placed, an account's email or id, or a free
    /// reference such as a till's customer number (1 to 64 characters, no `@`).
    pub customer: Option<String>,
    /// See [`Api`](crate::Api).
    pub idempotency_key: Option<String>,
}

/// A card for an order that awaits its payment.
#[derive(Debug, Clone)]
pub struct PayOrder {
    /// Which.
    pub order_id: String,
    /// With what.
    pub card: CardNumber,
    /// See [`Api`](crate::Api).
    pub idempotency_key: Option<String>,
}

/// An order to call off.
#[derive(Debug, Clone)]
pub struct CancelOrder {
    /// Which.
    pub order_id: String,
    /// In the customer's words, up to 200 characters.
    pub reason: Option<String>,
    /// See [`Api`](crate::Api).
    pub idempotency_key: Option<String>,
}

/// Goods of a delivered order to take back.
#[derive(Debug, Clone)]
pub struct ReturnOrder {
    /// Which.
    pub order_id: String,
    /// 1 to 500 lines, those of one SKU added up; `None`: everything that has not
    /// come back yet.
    pub lines: Option<Vec<LineRequest>>,
    /// In the customer's words, up to 200 characters.
    pub reason: Option<String>,
    /// See [`Api`](crate::Api).
    pub idempotency_key: Option<String>,
}

/// A product to create, or to give another name and price.
#[derive(Debug, Clone)]
pub struct UpsertProduct {
    /// ASCII letters, digits and `-_./`, up to 64.
    pub sku: String,
    /// 1 to 200 characters.
    pub name: String,
    /// Above zero.
    pub price: Money,
    /// See [`Api`](crate::Api).
    pub idempotency_key: Option<String>,
}

/// Goods that came in (above zero) or went missing (below zero).
#[derive(Debug, Clone)]
pub struct AdjustStock {
    /// Of which product.
    pub sku: String,
    /// How many more (or fewer).
    pub delta: i64,
    /// See [`Api`](crate::Api).
    pub idempotency_key: Option<String>,
}
