//! What the inventory service says.

use contracts::common::Money;
use contracts::inventory::{
    Product, ProductUpserted, Shortage, StockCommitted, StockLevelChanged, StockReleased, StockReserved, StockReturned,
    StockShort,
};
use platform::message::Outgoing;

use crate::domain::{Event, Level};
use crate::store::ProductRow;

/// Index of the one outlet, `/inventory`.
const EVENTS: usize = 0;

/// The answer to the saga.
pub(crate) fn answer(order_id: &str, event: &Event) -> Outgoing {
    match event {
        Event::Reserved => Outgoing::new(EVENTS, order_id, order_id, &StockReserved {}),
        Event::Released => Outgoing::new(EVENTS, order_id, order_id, &StockReleased {}),
        Event::Committed => Outgoing::new(EVENTS, order_id, order_id, &StockCommitted {}),
        Event::Returned { refund } => Outgoing::new(EVENTS, order_id, order_id, &StockReturned { refund: *refund }),
        Event::Short(shortages) => {
            let shortages = shortages
                .iter()
                .map(|short| Shortage {
                    sku: short.sku.clone(),
                    requested: short.requested,
                    available: short.available,
                })
                .collect();
            Outgoing::new(EVENTS, order_id, order_id, &StockShort { shortages })
        }
    }
}

/// A product's name and price have changed, or it is new.
pub(crate) fn product_upserted(product: &ProductRow) -> Outgoing {
    Outgoing::new(EVENTS, &product.sku, &product.sku, &quote(product))
}

/// A level has changed.
pub(crate) fn stock_level_changed(sku: &str, level: Level) -> Outgoing {
    let payload = StockLevelChanged { sku: sku.to_owned(), on_hand: level.on_hand, reserved: level.reserved };
    Outgoing::new(EVENTS, sku, sku, &payload)
}

/// A product's name and price, as an event or in a quote.
pub(crate) fn quote(product: &ProductRow) -> ProductUpserted {
    ProductUpserted {
        sku: product.sku.clone(),
        name: product.name.clone(),
        price: Some(Money { amount: product.price, currency: product.currency.clone() }),
    }
}

/// A product as a command's answer shows it.
pub(crate) fn product(row: &ProductRow, level: Level) -> Product {
    Product {
        sku: row.sku.clone(),
        name: row.name.clone(),
        price: Some(Money { amount: row.price, currency: row.currency.clone() }),
        on_hand: level.on_hand,
        reserved: level.reserved,
    }
}
