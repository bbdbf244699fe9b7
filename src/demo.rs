//! The demo catalogue: what a new data folder has on its shelves.
//!
//! Plain data. A few products are nearly sold out, so that a shortage can be seen
//! without buying for an hour.

mod catalogue;

/// A product as the demo shop starts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DemoProduct {
    pub(crate) sku: &'static str,
    pub(crate) name: &'static str,
    /// Minor units of GBP.
    pub(crate) price: i64,
    /// How many are on hand.
    pub(crate) stock: i64,
}

/// The whole catalogue, grouped by kind.
pub(crate) fn catalogue() -> &'static [DemoProduct] {
    catalogue::PRODUCTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn skus_and_names_are_unique() {
        let skus: BTreeSet<_> = catalogue().iter().map(|product| product.sku).collect();
        let names: BTreeSet<_> = catalogue().iter().map(|product| product.name).collect();
        assert_eq!(skus.len(), catalogue().len());
        assert_eq!(names.len(), catalogue().len());
    }

    #[test]
    fn the_shop_is_well_stocked_and_plausible() {
        assert!(catalogue().len() >= 72);
        for DemoProduct { sku, name, price, stock } in catalogue() {
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
            assert!((5..=32).contains(&sku.len()) && sku.chars().all(plain), "{sku}");
            assert!((8..=70).contains(&name.chars().count()) && name.trim() == *name, "{sku}");
            assert!((150..=20_000).contains(price), "{sku}");
            assert!((1..=400).contains(stock), "{sku}");
        }
    }

    #[test]
    fn some_products_are_nearly_sold_out_to_show_a_shortage() {
        let scarce = catalogue().iter().filter(|product| product.stock <= 3).count();
        assert!((3..=8).contains(&scarce), "{scarce}");
    }
}
