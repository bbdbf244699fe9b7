//! From rows and folds to the contract's messages.

use contracts::common::{Address, Money};
use contracts::order::{Order, OrderLine, OrderStatus};
use contracts::query::{Notification, Product, ReadModel, SalesMinute};
use platform::clock::Millis;
use platform::store::StoreError;

use crate::projections::orders::{self, Course, Line, Placement, Status};
use crate::rebuild::LAPSE;
use crate::store::reads::NotificationRow;
use crate::store::reads::orders::OrderRow;
use crate::store::reads::products::ShownProduct;
use crate::store::reads::standings::{ReadModelRow, SalesRow};

/// An order of the contract, from its row.
///
/// # Errors
/// The row is broken.
pub(crate) fn order(row: OrderRow) -> Result<Order, StoreError> {
    let id = row.id.clone();
    let (placement, course) = row.read()?;
    Ok(folded(id, &placement, course))
}

/// An order of the contract, from a fold.
pub(crate) fn folded(id: String, placement: &Placement, course: Course) -> Order {
    let Placement { customer_id, placed_at, total, currency, lines, address } = placement;
    let line = |Line { sku, name, quantity, unit_price }: &Line| OrderLine {
        sku: sku.clone(),
        name: name.clone(),
        quantity: *quantity,
        unit_price: *unit_price,
        returned: course.returned.get(sku).copied().unwrap_or_default(),
    };
    let destination = |orders::Address { recipient, street, city, postal_code, country }: &orders::Address| Address {
        recipient: recipient.clone(),
        street: street.clone(),
        city: city.clone(),
        postal_code: postal_code.clone(),
        country: country.clone(),
    };
    Order {
        id,
        version: course.version,
        status: status(course.status).into(),
        lines: lines.iter().map(line).collect(),
        total: Some(Money { amount: *total, currency: currency.clone() }),
        placed_at: *placed_at,
        pay_before: course.pay_before,
        address: address.as_ref().map(destination),
        refunded: Some(Money { amount: course.refunded, currency: currency.clone() }),
        unwinding: course.unwinding(),
        fulfil_at: course.fulfil_at,
        status_reason: course.status_reason,
        customer_id: customer_id.clone(),
    }
}

pub(crate) const fn status(status: Status) -> OrderStatus {
    match status {
        Status::Placed => OrderStatus::Placed,
        Status::AwaitingPayment => OrderStatus::AwaitingPayment,
        Status::Paid => OrderStatus::Paid,
        Status::Confirmed => OrderStatus::Confirmed,
        Status::Shipped => OrderStatus::Shipped,
        Status::Delivered => OrderStatus::Delivered,
        Status::Rejected => OrderStatus::Rejected,
        Status::Expired => OrderStatus::Expired,
        Status::Cancelled => OrderStatus::Cancelled,
        Status::Refunded => OrderStatus::Refunded,
    }
}

/// The stored name of a status; `None` for "any".
pub(crate) fn stored_status(asked: OrderStatus) -> Option<String> {
    Status::ALL.into_iter().find(|known| status(*known) == asked).map(|known| known.as_str().to_owned())
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
        topic: row.topic,
        title: row.title,
        body: row.body,
        at: row.at,
        mailed_at: row.mailed_at,
    }
}

/// A window of the contract.
pub(crate) fn sales_minute(row: SalesRow) -> SalesMinute {
    let SalesRow { minute, currency, orders, pieces, revenue, refunded } = row;
    SalesMinute { minute, currency, orders, pieces, revenue, refunded }
}

/// A read model of the contract. `unheard`: events that the log does not have yet.
/// A rebuild that was left half way is none any more.
pub(crate) fn read_model(row: ReadModelRow, unheard: i64, now: Millis) -> ReadModel {
    let goes_on = row.building_generation.is_some() && row.rebuild_at.is_some_and(|at| now.saturating_sub(at) < LAPSE);
    ReadModel {
        name: row.name,
        generation: row.generation,
        position: row.position,
        lag: unheard.saturating_add((row.head - row.position).max(0)),
        folded_at: row.folded_at,
        rebuilding_at: row.rebuild_begun_at.filter(|_| goes_on),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_contract_but_none_is_stored_under_a_name() {
        for known in Status::ALL {
            let contract = OrderStatus::from_str_name(&format!("ORDER_STATUS_{}", known.as_str()));
            assert_eq!(contract, Some(status(known)));
            assert_eq!(stored_status(status(known)), Some(known.as_str().to_owned()));
        }
        assert_eq!(stored_status(OrderStatus::Unspecified), None);
    }
    #[test]
    fn a_lag_that_nobody_can_count_is_a_large_one() {
        let row = ReadModelRow {
            name: "orders".into(),
            generation: 1,
            position: 3,
            folded_at: 0,
            building_generation: None,
            rebuild_begun_at: None,
            rebuild_at: None,
            head: 5,
            parked: 0,
        };
        assert_eq!(read_model(row.clone(), 7, 0).lag, 9);
        assert_eq!(read_model(row, i64::MAX, 0).lag, i64::MAX);
    }
}
