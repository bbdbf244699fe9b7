//! The input types. Their bounds are checked by the API, for pages alike.

use async_graphql::{ID, InputObject};

use crate::api::{Address, LineRequest, Money, PlaceOrder, UpsertProduct};

/// What a buyer wants.
#[derive(InputObject)]
pub(super) struct PlaceOrderInput {
    /// 1 to 500; lines of one SKU are added up.
    lines: Vec<OrderLineInput>,
    /// 1 to 128 printable characters. Sent again with the same key, the order is placed once.
    idempotency_key: Option<String>,
    /// A test card's number, to pay at once. Only a token of it travels on.
    card: Option<String>,
    /// Where it goes.
    address: Option<AddressInput>,
    /// For operators: for whom it is placed, an account's email or id, or a free reference of 1 to
    /// 64 characters, such as a till's customer number.
    customer: Option<String>,
}

/// So many of a product.
#[derive(InputObject)]
pub(super) struct OrderLineInput {
    /// The stock keeping unit, in any case.
    sku: ID,
    /// 1 to 1,000,000.
    quantity: i32,
}

/// Where an order goes.
#[derive(InputObject)]
pub(super) struct AddressInput {
    /// Who receives it.
    recipient: String,
    /// Street and number.
    street: String,
    /// Town.
    city: String,
    /// Not every country has them.
    postal_code: Option<String>,
    /// Country.
    country: String,
}

/// A product to create, or to give another name and price.
#[derive(InputObject)]
pub(super) struct ProductInput {
    /// ASCII letters, digits and `-_./`, up to 64; upper-cased.
    sku: ID,
    /// 1 to 200 characters.
    name: String,
    /// Above zero.
    price: MoneyInput,
}

/// An amount in the minor units of a currency.
#[derive(InputObject)]
pub(super) struct MoneyInput {
    /// Minor units.
    amount: i32,
    /// ISO 4217.
    currency: String,
}

impl From<PlaceOrderInput> for PlaceOrder {
    fn from(input: PlaceOrderInput) -> Self {
        Self {
            lines: input.lines.into_iter().map(Into::into).collect(),
            card: input.card.map(Into::into),
            address: input.address.map(Into::into),
            customer: input.customer,
            idempotency_key: input.idempotency_key,
        }
    }
}

impl From<OrderLineInput> for LineRequest {
    fn from(line: OrderLineInput) -> Self {
        Self { sku: line.sku.0, quantity: line.quantity.into() }
    }
}

impl From<AddressInput> for Address {
    fn from(input: AddressInput) -> Self {
        let AddressInput { recipient, street, city, postal_code, country } = input;
        Self { recipient, street, city, postal_code: postal_code.unwrap_or_default(), country }
    }
}

impl ProductInput {
    pub(super) fn with_key(self, idempotency_key: Option<String>) -> UpsertProduct {
        let price = Money { amount: self.price.amount.into(), currency: self.price.currency };
        UpsertProduct { sku: self.sku.0, name: self.name, price, idempotency_key }
    }
}
