//! From rows to the contract's messages.

use contracts::common::{Address, Money};
use contracts::order::{Order, OrderLine, OrderStatus};
use contracts::query::{Notification, Product};
use platform::store::StoreError;

use crate::projections::orders;
use crate::store::reads::{NotificationRow, OrderRow, ShownProduct};

/// What the contract's name of a status has in front of the stored one.
const PREFIX: &str = "ORDER_STATUS_";

/// An order of the contract.
///
/// # Errors
/// The row is broken.
pub(crate) fn order(row: OrderRow) -> Result<Order, StoreError> {
    let broken = |what: &str| StoreError::Refused(format!("order {}: {what}", row.id));
    let status = OrderStatus::from_str_name(&format!("{PREFIX}{}", row.status)).ok_or_else(|| broken("status"))?;
    let lines: Vec<orders::Line> = serde_json::from_str(&row.lines).map_err(|_| broken("lines"))?;
    let address: Option<orders::Address> = match &row.address {
        Some(text) => serde_json::from_str(text).map_err(|_| broken("address"))?,
        None => None,
    };
    Ok(Order {
        version: row.version,
        status: status.into(),
        lines: lines
            .into_iter()
            .map(|orders::Line { sku, name, quantity, unit_price }| OrderLine { sku, name, quantity, unit_price })
            .collect(),
        total: Some(Money { amount: row.total, currency: row.currency }),
        placed_at: row.placed_at,
        pay_before: row.pay_before,
        address: address.map(|orders::Address { recipient, street, city, postal_code, country }| Address {
            recipient,
            street,
            city,
            postal_code,
            country,
        }),
        id: row.id,
        status_reason: row.status_reason,
        customer_id: row.customer_id,
    })
}

/// The stored name of a status; `None` for "any".
pub(crate) fn stored_status(status: OrderStatus) -> Option<String> {
    match status {
        OrderStatus::Unspecified => None,
        OrderStatus::Placed
        | OrderStatus::AwaitingPayment
        | OrderStatus::Paid
        | OrderStatus::Confirmed
        | OrderStatus::Shipped
        | OrderStatus::Delivered
        | OrderStatus::Rejected
        | OrderStatus::Expired
        | OrderStatus::Cancelled
        | OrderStatus::Refunded => Some(status.as_str_name().trim_start_matches(PREFIX).to_owned()),
    }
}

/// A product of the contract.
pub(crate) fn product(row: ShownProduct) -> Product {
    Product {
        sku: row.sku,
        name: row.name,
        price: Some(Money { amount: row.price, currency: row.currency }),
        available: row.available.max(0),
    }
}

/// A notification of the contract.
pub(crate) fn notification(row: NotificationRow) -> Notification {
    Notification {
        id: row.id,
        customer_id: row.customer_id,
        order_id: row.order_id,
        title: row.title,
        body: row.body,
        at: row.at,
    }
}
