//! Between the values of the API and the contracts' types. Nothing is decided here.

use chrono::{DateTime, Utc};
use contracts::{common, inventory, notification, order, query};

use super::{
    Address, ApiError, Edge, LineRequest, MailPreference, Money, Notification, Order, OrderLine, OrderStatus,
    OrderWithTimeline, Page, Product, ReadModel, ReadModels, SalesMinute, TimelineEntry,
};

/// Unix milliseconds as a time. What is outside the calendar shows as 1970.
fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// proto3 knows no absent text; an empty one is none.
fn some_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A message lacks a part that its sender always sets.
fn incomplete(what: &str) -> ApiError {
    ApiError::internal("an answer does not read", format!("without {what}"))
}

fn money(money: Option<common::Money>) -> Result<Money, ApiError> {
    let common::Money { amount, currency } = money.ok_or_else(|| incomplete("money"))?;
    Ok(Money { amount, currency })
}

impl From<Money> for common::Money {
    fn from(Money { amount, currency }: Money) -> Self {
        Self { amount, currency }
    }
}

impl From<LineRequest> for common::LineRequest {
    fn from(LineRequest { sku, quantity }: LineRequest) -> Self {
        Self { sku, quantity }
    }
}

impl From<Address> for common::Address {
    fn from(Address { recipient, street, city, postal_code, country }: Address) -> Self {
        Self { recipient, street, city, postal_code, country }
    }
}

impl From<common::Address> for Address {
    fn from(common::Address { recipient, street, city, postal_code, country }: common::Address) -> Self {
        Self { recipient, street, city, postal_code, country }
    }
}

/// Inventory tells what is on hand and reserved; a buyer wants the difference.
impl TryFrom<inventory::Product> for Product {
    type Error = ApiError;

    fn try_from(product: inventory::Product) -> Result<Self, ApiError> {
        Ok(Self {
            sku: product.sku,
            name: product.name,
            price: money(product.price)?,
            available: product.on_hand - product.reserved,
        })
    }
}

impl TryFrom<query::Product> for Product {
    type Error = ApiError;

    fn try_from(product: query::Product) -> Result<Self, ApiError> {
        Ok(Self { sku: product.sku, name: product.name, price: money(product.price)?, available: product.available })
    }
}

impl TryFrom<order::OrderStatus> for OrderStatus {
    type Error = ApiError;

    fn try_from(status: order::OrderStatus) -> Result<Self, ApiError> {
        Ok(match status {
            order::OrderStatus::Unspecified => return Err(incomplete("a status")),
            order::OrderStatus::Placed => Self::Placed,
            order::OrderStatus::AwaitingPayment => Self::AwaitingPayment,
            order::OrderStatus::Paid => Self::Paid,
            order::OrderStatus::Confirmed => Self::Confirmed,
            order::OrderStatus::Shipped => Self::Shipped,
            order::OrderStatus::Delivered => Self::Delivered,
            order::OrderStatus::Rejected => Self::Rejected,
            order::OrderStatus::Expired => Self::Expired,
            order::OrderStatus::Cancelled => Self::Cancelled,
            order::OrderStatus::Refunded => Self::Refunded,
        })
    }
}

impl From<OrderStatus> for order::OrderStatus {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Placed => Self::Placed,
            OrderStatus::AwaitingPayment => Self::AwaitingPayment,
            OrderStatus::Paid => Self::Paid,
            OrderStatus::Confirmed => Self::Confirmed,
            OrderStatus::Shipped => Self::Shipped,
            OrderStatus::Delivered => Self::Delivered,
            OrderStatus::Rejected => Self::Rejected,
            OrderStatus::Expired => Self::Expired,
            OrderStatus::Cancelled => Self::Cancelled,
            OrderStatus::Refunded => Self::Refunded,
        }
    }
}

impl TryFrom<order::Order> for Order {
    type Error = ApiError;

    fn try_from(order: order::Order) -> Result<Self, ApiError> {
        let status = order.status().try_into()?;
        let total = money(order.total)?;
        // Nothing given back may be written as nothing at all.
        let none_yet = || Money { amount: 0, currency: total.currency.clone() };
        let refunded = order.refunded.map_or_else(none_yet, |given| Money { amount: given.amount, ..none_yet() });
        let lines = order.lines.into_iter().map(|line| OrderLine {
            sku: line.sku,
            name: line.name,
            quantity: line.quantity,
            // An order has one currency.
            unit_price: Money { amount: line.unit_price, currency: total.currency.clone() },
            returned: line.returned,
        });
        Ok(Self {
            status,
            lines: lines.collect(),
            total,
            id: order.id,
            version: order.version,
            status_reason: some_text(order.status_reason),
            customer_id: order.customer_id,
            placed_at: time(order.placed_at),
            pay_before: order.pay_before.map(time),
            address: order.address.map(Address::from),
            refunded,
            unwinding: order.unwinding,
            fulfil_at: order.fulfil_at,
        })
    }
}

impl From<query::TimelineEntry> for TimelineEntry {
    fn from(entry: query::TimelineEntry) -> Self {
        Self {
            at: time(entry.at),
            service: entry.service,
            kind: entry.r#type,
            summary: entry.summary,
            event_id: entry.event_id,
        }
    }
}

impl TryFrom<query::OrderView> for OrderWithTimeline {
    type Error = ApiError;

    fn try_from(view: query::OrderView) -> Result<Self, ApiError> {
        Ok(Self {
            order: view.order.ok_or_else(|| incomplete("an order"))?.try_into()?,
            timeline: view.timeline.into_iter().map(TimelineEntry::from).collect(),
        })
    }
}

impl From<query::Notification> for Notification {
    fn from(notification: query::Notification) -> Self {
        Self {
            id: notification.id,
            customer_id: notification.customer_id,
            order_id: notification.order_id,
            title: notification.title,
            body: notification.body,
            at: time(notification.at),
            topic: notification.topic,
            mailed_at: notification.mailed_at,
        }
    }
}

impl TryFrom<notification::MailPreference> for MailPreference {
    type Error = ApiError;

    fn try_from(preference: notification::MailPreference) -> Result<Self, ApiError> {
        Ok(match preference {
            notification::MailPreference::Unspecified => return Err(incomplete("a mail preference")),
            notification::MailPreference::All => Self::All,
            notification::MailPreference::Essential => Self::Essential,
            notification::MailPreference::None => Self::None,
        })
    }
}

impl From<MailPreference> for notification::MailPreference {
    fn from(preference: MailPreference) -> Self {
        match preference {
            MailPreference::All => Self::All,
            MailPreference::Essential => Self::Essential,
            MailPreference::None => Self::None,
        }
    }
}

impl From<query::SalesMinute> for SalesMinute {
    fn from(window: query::SalesMinute) -> Self {
        let query::SalesMinute { minute, currency, orders, pieces, revenue, refunded } = window;
        let refunded = Money { amount: refunded, currency: currency.clone() };
        Self { minute, orders, pieces, revenue: Money { amount: revenue, currency }, refunded }
    }
}

impl From<query::ListReadModelsReply> for ReadModels {
    fn from(reply: query::ListReadModelsReply) -> Self {
        let model = |model: query::ReadModel| ReadModel {
            name: model.name,
            generation: model.generation,
            position: model.position,
            lag: model.lag,
            folded_at: (model.folded_at != 0).then_some(model.folded_at),
            rebuilding_at: model.rebuilding_at,
        };
        Self { models: reply.models.into_iter().map(model).collect(), head: reply.head, unheard: reply.unheard }
    }
}

/// The rows of a page: their cursors, and their nodes in the API's terms.
pub(super) fn edges<W, T>(rows: impl IntoIterator<Item = (String, Option<W>)>) -> Result<Vec<Edge<T>>, ApiError>
where
    T: TryFrom<W>,
    ApiError: From<T::Error>,
{
    let edge = |(cursor, node): (String, Option<W>)| {
        let node = T::try_from(node.ok_or_else(|| incomplete("a node"))?)?;
        Ok(Edge { cursor, node })
    };
    rows.into_iter().map(edge).collect()
}

/// A page from its parts.
pub(super) const fn page<T>(edges: Vec<Edge<T>>, has_next_page: bool, total: i64, after: Option<&str>) -> Page<T> {
    Page { edges, has_next_page, has_previous_page: after.is_some(), total }
}

/// So that a translation that cannot fail may stand where one that can is asked for.
impl From<std::convert::Infallible> for ApiError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
