//! What a customer asks for, at the price of the day: from SKUs and quantities to
//! lines and a total.

use std::collections::BTreeMap;

use crate::domain::Line;

/// Most lines of an order.
pub const MOST_LINES: usize = 500;
/// Most pieces in a line.
pub const MOST_PIECES: i64 = 1_000_000;
/// Most an order may cost, minor units: what a GraphQL `Int` can show.
pub const MOST_TOTAL: i64 = i32::MAX as i64;

/// A product's name and price, as the order service knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// For people.
    pub name: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// Why lines cannot be priced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotPrice {
    /// Nothing, or too much of it.
    #[error("an order has 1 to {MOST_LINES} lines")]
    Lines,
    /// A quantity out of bounds.
    #[error("the quantity of {sku} must be 1 to {MOST_PIECES}")]
    Quantity {
        /// Whose quantity.
        sku: String,
    },
    /// No price is known.
    #[error("there is no product {}", skus.join(", "))]
    Unknown {
        /// Of which SKUs.
        skus: Vec<String>,
    },
    /// Two currencies in one order.
    #[error("the products are priced in different currencies; order them separately")]
    Currencies,
    /// More than can be counted.
    #[error("the total is more than {MOST_TOTAL} minor units")]
    Total,
}

/// Lines with prices, their total and its currency. Two requests for one SKU
/// become one line.
///
/// # Errors
/// [`CannotPrice`].
pub fn price<'a>(
    requested: &[(String, i64)],
    known: impl Fn(&str) -> Option<&'a Price>,
) -> Result<(Vec<Line>, i64, String), CannotPrice> {
    if requested.is_empty() || requested.len() > MOST_LINES {
        return Err(CannotPrice::Lines);
    }
    let mut quantities: BTreeMap<&str, i64> = BTreeMap::new();
    for (sku, quantity) in requested {
        let sum = quantities.entry(sku).or_default();
        *sum = sum.saturating_add(*quantity);
        if *quantity < 1 || *sum > MOST_PIECES {
            return Err(CannotPrice::Quantity { sku: sku.clone() });
        }
    }
    let unknown: Vec<String> =
        quantities.keys().filter(|sku| known(sku).is_none()).map(|sku| (*sku).to_owned()).collect();
    if !unknown.is_empty() {
        return Err(CannotPrice::Unknown { skus: unknown });
    }
    let (mut lines, mut total, mut currency) = (Vec::with_capacity(quantities.len()), 0_i64, String::new());
    for (sku, quantity) in quantities {
        let Some(price) = known(sku) else { continue };
        if currency.is_empty() {
            currency.clone_from(&price.currency);
        } else if currency != price.currency {
            return Err(CannotPrice::Currencies);
        }
        total = price
            .amount
            .checked_mul(quantity)
            .and_then(|sum| total.checked_add(sum))
            .filter(|sum| *sum <= MOST_TOTAL)
            .ok_or(CannotPrice::Total)?;
        lines.push(Line { sku: sku.to_owned(), name: price.name.clone(), quantity, unit_price: price.amount });
    }
    Ok((lines, total, currency))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn priced(requested: &[(&str, i64)]) -> Result<(Vec<Line>, i64, String), CannotPrice> {
        let cup = Price { name: "Cup".into(), amount: 450, currency: "GBP".into() };
        let tasse = Price { name: "Tasse".into(), amount: 500, currency: "EUR".into() };
        let requested: Vec<_> = requested.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect();
        price(&requested, |sku| match sku {
            "CUP" => Some(&cup),
            "TASSE" => Some(&tasse),
            _ => None,
        })
    }

    #[test]
    fn lines_of_one_product_become_one() {
        let (lines, total, currency) = priced(&[("CUP", 2), ("CUP", 1)]).unwrap();
        assert_eq!((lines.len(), lines[0].quantity, total, currency.as_str()), (1, 3, 1_350, "GBP"));
    }

    #[test]
    fn what_cannot_be_priced_says_why() {
        assert_eq!(priced(&[]), Err(CannotPrice::Lines));
        assert_eq!(priced(&vec![("CUP", 1); 501]), Err(CannotPrice::Lines));
        for quantity in [0, -1, i64::MIN, 1_000_001, i64::MAX] {
            assert_eq!(priced(&[("CUP", quantity)]), Err(CannotPrice::Quantity { sku: "CUP".into() }));
        }
        assert_eq!(priced(&[("CUP", 999_999), ("CUP", 2)]), Err(CannotPrice::Quantity { sku: "CUP".into() }));
        assert_eq!(priced(&[("CUP", 1), ("NO", 1)]), Err(CannotPrice::Unknown { skus: vec!["NO".into()] }));
        assert_eq!(priced(&[("CUP", 1), ("TASSE", 1)]), Err(CannotPrice::Currencies));
        assert!(priced(&[("CUP", 1_000_000)]).is_ok());
    }
}
