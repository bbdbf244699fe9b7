//! The projection **products**: the catalogue with what is available.

/// A product as its last events left it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// Absent until the product itself was heard of; then it is not shown.
    pub offer: Option<Offer>,
    /// Units on the shelf.
    pub on_hand: i64,
    /// Units of these that are promised to orders.
    pub reserved: i64,
}

/// What a product is called and costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// For people.
    pub name: String,
    /// Minor units.
    pub price: i64,
    /// ISO 4217.
    pub currency: String,
}

/// Something that happened to a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductEvent {
    /// It was made or changed.
    Upserted(Offer),
    /// Its level is now so.
    LevelChanged {
        /// Units on the shelf.
        on_hand: i64,
        /// Units of these that are promised to orders.
        reserved: i64,
    },
}

/// Folds a product's event into it.
pub fn fold(mut product: Product, event: &ProductEvent) -> Product {
    match event {
        ProductEvent::Upserted(offer) => product.offer = Some(offer.clone()),
        ProductEvent::LevelChanged { on_hand, reserved } => {
            product.on_hand = *on_hand;
            product.reserved = *reserved;
        }
    }
    product
}

/// What a search looks through: SKU and name in lower case.
pub fn search_text(sku: &str, product: &Product) -> String {
    let name = product.offer.as_ref().map_or("", |offer| offer.name.as_str());
    format!("{} {}", sku.to_lowercase(), name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mug(price: i64) -> Offer {
        Offer { name: "Blue MUG Ä".into(), price, currency: "GBP".into() }
    }

    fn given(events: &[ProductEvent]) -> Product {
        events.iter().fold(Product::default(), fold)
    }

    #[test]
    fn an_upsert_sets_name_and_price_and_leaves_the_level() {
        let level = ProductEvent::LevelChanged { on_hand: 5, reserved: 2 };
        let product = given(&[ProductEvent::Upserted(mug(100)), level, ProductEvent::Upserted(mug(120))]);
        assert_eq!(product, Product { offer: Some(mug(120)), on_hand: 5, reserved: 2 });
    }

    #[test]
    fn a_level_without_its_product_is_kept_but_offers_nothing() {
        let product = given(&[ProductEvent::LevelChanged { on_hand: 5, reserved: 0 }]);
        assert_eq!(product, Product { offer: None, on_hand: 5, reserved: 0 });
    }

    #[test]
    fn the_search_text_is_sku_and_name_in_lower_case() {
        assert_eq!(search_text("MUG-1", &given(&[ProductEvent::Upserted(mug(1))])), "mug-1 blue mug ä");
    }
}
