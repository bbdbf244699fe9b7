//! The output types: the API's values under the contract's names.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use platform::error::Code;

use super::query::{api, caller};
use crate::api::{
    Account, ApiError, Money, Notification, Order, OrderLine, OrderWithTimeline, Product, Session, TimelineEntry,
};

/// GraphQL's `Int` has 32 bits. A count beyond shows as the largest there is.
pub(super) fn int(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number > 0 { i32::MAX } else { i32::MIN })
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::api::OrderStatus")]
pub(super) enum OrderStatus {
    /// Taken; its stock is being reserved.
    Placed,
    /// Reserved; waits for money until `payBefore`.
    AwaitingPayment,
    /// The money is held.
    Paid,
    /// The money is taken and the goods are sold.
    Confirmed,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Could not be served; `statusReason` says why.
    Rejected,
    /// The money did not come in time.
    Expired,
    /// Called off before the money was taken.
    Cancelled,
    /// The money was given back.
    Refunded,
}

/// An amount of money.
pub(super) struct MoneyObject<'a>(&'a Money);

/// An amount in the minor units of a currency: 1250 GBP is twelve pounds fifty.
#[Object(name = "Money")]
impl MoneyObject<'_> {
    /// Minor units.
    async fn amount(&self) -> Result<i32, ApiError> {
        // Never clamped: a wrong amount is worse than none.
        i32::try_from(self.0.amount).map_err(|_| ApiError::bad_input("an amount above 2^31-1 minor units"))
    }

    /// ISO 4217.
    async fn currency(&self) -> &str {
        &self.0.currency
    }
}

/// A product.
pub(super) struct ProductObject(Product);

impl From<Product> for ProductObject {
    fn from(product: Product) -> Self {
        Self(product)
    }
}

/// Something that can be bought.
#[Object(name = "Product")]
impl ProductObject {
    /// The stock keeping unit, upper-case.
    async fn sku(&self) -> ID {
        ID::from(&self.0.sku)
    }

    /// For people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Of one.
    async fn price(&self) -> MoneyObject<'_> {
        MoneyObject(&self.0.price)
    }

    /// On hand and not reserved for somebody.
    async fn available(&self) -> i32 {
        int(self.0.available)
    }
}

/// An order's line.
pub(super) struct OrderLineObject<'a>(&'a OrderLine);

/// So many of a product, with its name and price as they were when the order was placed.
#[Object(name = "OrderLine")]
impl OrderLineObject<'_> {
    /// The stock keeping unit.
    async fn sku(&self) -> ID {
        ID::from(&self.0.sku)
    }

    /// The product's name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// How many.
    async fn quantity(&self) -> i32 {
        int(self.0.quantity)
    }

    /// Of one.
    async fn unit_price(&self) -> MoneyObject<'_> {
        MoneyObject(&self.0.unit_price)
    }
}

/// An order, and its timeline if that was read with it.
pub(super) struct OrderObject {
    order: Order,
    timeline: Option<Vec<TimelineEntry>>,
}

impl From<Order> for OrderObject {
    fn from(order: Order) -> Self {
        Self { order, timeline: None }
    }
}

impl From<OrderWithTimeline> for OrderObject {
    fn from(OrderWithTimeline { order, timeline }: OrderWithTimeline) -> Self {
        Self { order, timeline: Some(timeline) }
    }
}

/// An order.
#[Object(name = "Order")]
impl OrderObject {
    /// The order's id.
    async fn id(&self) -> ID {
        ID::from(&self.order.id)
    }

    /// How many events it has had. Give it to `order(minVersion:)` to read at least this state.
    async fn version(&self) -> i32 {
        int(self.order.version)
    }

    /// Where it stands.
    async fn status(&self) -> OrderStatus {
        self.order.status.into()
    }

    /// Why it stands there, for people: a shortage, a decline.
    async fn status_reason(&self) -> Option<&str> {
        self.order.status_reason.as_deref()
    }

    /// What was ordered.
    async fn lines(&self) -> Vec<OrderLineObject<'_>> {
        self.order.lines.iter().map(OrderLineObject).collect()
    }

    /// Of all lines.
    async fn total(&self) -> MoneyObject<'_> {
        MoneyObject(&self.order.total)
    }

    /// When it was taken.
    async fn placed_at(&self) -> DateTime<Utc> {
        self.order.placed_at
    }

    /// Until when it must be paid; null once it waits for no payment.
    async fn pay_before(&self) -> Option<DateTime<Utc>> {
        self.order.pay_before
    }

    /// Everything that happened to it in any service, oldest first. Read from the read model,
    /// at this version or later.
    #[graphql(complexity = "10 + 10 * child_complexity")]
    async fn timeline(&self, ctx: &Context<'_>) -> Result<Vec<TimelineEntryObject>, ApiError> {
        let timeline = match &self.timeline {
            Some(timeline) => timeline.clone(),
            None => {
                let version = Some(self.order.version);
                let found = api(ctx)?.order_with_timeline(caller(ctx)?, &self.order.id, version).await?;
                found.ok_or_else(|| ApiError::new(Code::Stale, "the read model has not caught up yet"))?.timeline
            }
        };
        Ok(timeline.into_iter().map(TimelineEntryObject::from).collect())
    }
}

/// One thing that happened to an order.
#[derive(SimpleObject)]
#[graphql(name = "TimelineEntry")]
pub(super) struct TimelineEntryObject {
    /// When it was decided.
    at: DateTime<Utc>,
    /// Which service said so.
    service: String,
    /// The event's type, such as `OrderPlaced`.
    #[graphql(name = "type")]
    kind: String,
    /// For people.
    summary: String,
    /// The event's id.
    event_id: ID,
}

impl From<TimelineEntry> for TimelineEntryObject {
    fn from(entry: TimelineEntry) -> Self {
        let TimelineEntry { at, service, kind, summary, event_id } = entry;
        Self { at, service, kind, summary, event_id: event_id.into() }
    }
}

/// A message to a customer.
#[derive(SimpleObject)]
#[graphql(name = "Notification")]
pub(super) struct NotificationObject {
    /// Its id.
    id: ID,
    /// The order it is about.
    order_id: ID,
    /// One line.
    title: String,
    /// The text, plain.
    body: String,
    /// When it was written.
    at: DateTime<Utc>,
}

impl From<Notification> for NotificationObject {
    fn from(notification: Notification) -> Self {
        let Notification { id, order_id, title, body, at, .. } = notification;
        Self { id: id.into(), order_id: order_id.into(), title, body, at }
    }
}

/// Someone who can log in.
#[derive(SimpleObject)]
#[graphql(name = "Account")]
pub(super) struct AccountObject {
    /// The account's id.
    id: ID,
    /// Lower-case.
    email: String,
    /// `customer` or `operator`.
    role: &'static str,
}

impl From<Account> for AccountObject {
    fn from(account: Account) -> Self {
        Self { id: account.id.into(), email: account.email, role: account.role.as_str() }
    }
}

/// A log-in.
#[derive(SimpleObject)]
#[graphql(name = "Session")]
pub(super) struct SessionObject {
    /// To be sent as `Authorization: Bearer <token>`. Shown this once; ends after 30 days.
    token: String,
    /// Whose it is.
    account: AccountObject,
}

impl From<Session> for SessionObject {
    fn from(session: Session) -> Self {
        Self { account: session.account.into(), token: session.token }
    }
}
