//! What the clients do, and how often.

use clap::ValueEnum;
use hyper::body::Bytes;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::api;

/// What the load is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mix {
    /// An order with a card, until it is seen to be CONFIRMED
    Checkout,
    /// The catalogue: pages, searches, products
    Browse,
    /// An order without a card, until its deadline has ended it
    PlaceThenExpire,
    /// Eight looks at the catalogue to two orders with a card
    Mixed,
}

/// What an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Checkout,
    Browse,
    Expire,
}

impl Mix {
    /// The name on the command line.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Browse => "browse",
            Self::PlaceThenExpire => "place-then-expire",
            Self::Mixed => "mixed",
        }
    }

    /// Whether it places orders.
    pub(super) const fn orders(self) -> bool {
        !matches!(self, Self::Browse)
    }

    /// The next operation.
    pub(super) fn draw(self, dice: &mut StdRng) -> Kind {
        match self {
            Self::Checkout => Kind::Checkout,
            Self::Browse => Kind::Browse,
            Self::PlaceThenExpire => Kind::Expire,
            Self::Mixed if dice.random_ratio(2, 10) => Kind::Checkout,
            Self::Mixed => Kind::Browse,
        }
    }

    /// A question to the catalogue: six pages to two searches and two products.
    pub(super) fn browse(self, dice: &mut StdRng, skus: &[String]) -> Bytes {
        match dice.random_range(0..10) {
            0..6 => api::body(
                "{ products(first: 20) { edges { cursor node { sku name available price { amount currency } } } } }",
                &json!({}),
            ),
            6..8 => api::body(
                "query($words: String) { products(search: $words, first: 20) { totalCount nodes { sku name } } }",
                &json!({ "words": format!("product {}", dice.random_range(0..10)) }),
            ),
            _ => api::body(
                "query($sku: ID!) { product(sku: $sku) { sku name available price { amount currency } } }",
                &json!({ "sku": skus[dice.random_range(0..skus.len())] }),
            ),
        }
    }
}
