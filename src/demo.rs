//! The demo catalogue: what a new data folder has on its shelves.
//!
//! A few products are nearly sold out, so that a shortage can be seen without buying
//! for an hour.

mod catalogue;

use std::time::Duration;

use contracts::common::Money;
use contracts::inventory::inventory_client::InventoryClient;
use contracts::inventory::{AdjustStockRequest, UpsertProductRequest};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gateway::api::{Api, Caller};
use platform::grpc::{Connection, Identity};
use tokio::time::{Instant, sleep};

/// How long a start waits for the products to be seen.
const PATIENCE: Duration = Duration::from_secs(3);

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

/// Makes the demo products, once. However many processes do it at the same time: the
/// commands' ids are always the same, so that whoever comes second gets the stored
/// answers.
///
/// # Errors
/// The inventory service cannot be reached.
pub(crate) async fn stock_the_shelves(inventory: &Connection) -> anyhow::Result<()> {
    let operator = Identity { account: "demo".to_owned(), operator: true };
    stream::iter(catalogue().iter().copied())
        .map(|product| {
            let (operator, mut inventory) = (operator.clone(), InventoryClient::new(inventory.clone()));
            async move {
                inventory
                    .upsert_product(operator.request(UpsertProductRequest {
                        command_id: format!("demo/product/{}", product.sku),
                        sku: product.sku.to_owned(),
                        name: product.name.to_owned(),
                        price: Some(Money { amount: product.price, currency: "GBP".to_owned() }),
                    })?)
                    .await?;
                inventory
                    .adjust_stock(operator.request(AdjustStockRequest {
                        command_id: format!("demo/stock/{}", product.sku),
                        sku: product.sku.to_owned(),
                        delta: product.stock,
                    })?)
                    .await?;
                Ok::<(), anyhow::Error>(())
            }
        })
        .buffer_unordered(16)
        .try_collect::<()>()
        .await
}

/// Waits a moment for the read model to have them: the first page should not be empty.
///
/// # Errors
/// The query service cannot be reached.
pub(crate) async fn until_seen(api: &Api) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let seen = api.products(&Caller::Anonymous, None, 1, None).await?;
        if seen.total >= i64::try_from(catalogue().len())? {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
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
