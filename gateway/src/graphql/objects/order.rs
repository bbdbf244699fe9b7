//! An order as GraphQL shows it.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use platform::error::Code;

use super::{MoneyObject, ProductObject, int, time};
use crate::api::{Address, ApiError, Order, OrderChange, OrderLine, OrderWithTimeline, TimelineEntry};
use crate::graphql::batches::{Sku, TimelineOf};
use crate::graphql::request::{api, batches, caller};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::api::OrderStatus")]
pub(crate) enum OrderStatus {
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

/// Where an order goes.
pub(crate) struct AddressObject<'a>(&'a Address);

/// Where an order goes.
#[Object(name = "Address")]
impl AddressObject<'_> {
    /// Who receives it.
    async fn recipient(&self) -> &str {
        &self.0.recipient
    }

    /// Street and number.
    async fn street(&self) -> &str {
        &self.0.street
    }

    /// Town.
    async fn city(&self) -> &str {
        &self.0.city
    }

    /// Empty where there are none.
    async fn postal_code(&self) -> &str {
        &self.0.postal_code
    }

    /// Country, as the customer wrote it.
    async fn country(&self) -> &str {
        &self.0.country
    }
}

/// An order's line.
pub(crate) struct OrderLineObject<'a>(&'a OrderLine);

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

    /// How many of them came back; what is still on its way (`unwinding`) is not counted.
    async fn returned(&self) -> i32 {
        int(self.0.returned)
    }

    /// The product as it is today; null if the catalogue does not have it.
    #[graphql(complexity = "2 + child_complexity")]
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<ProductObject>, ApiError> {
        Ok(batches(ctx)?.load_one(Sku(self.0.sku.clone())).await?.map(ProductObject::from))
    }
}

/// An order, and where its timeline comes from.
pub(crate) struct OrderObject {
    order: Order,
    timeline: Timeline,
}

/// Where an order's timeline comes from.
enum Timeline {
    /// It was read with the order.
    Read(Vec<TimelineEntry>),
    /// From the read model, as the order did, with those of its neighbours.
    Batched,
    /// From the read model, as soon as that has seen this version: the order comes
    /// from the service that owns it.
    Awaited,
}

impl From<Order> for OrderObject {
    fn from(order: Order) -> Self {
        Self { order, timeline: Timeline::Batched }
    }
}

impl From<OrderWithTimeline> for OrderObject {
    fn from(OrderWithTimeline { order, timeline }: OrderWithTimeline) -> Self {
        Self { order, timeline: Timeline::Read(timeline) }
    }
}

impl OrderObject {
    /// What a command answered: the read model has not seen it yet, perhaps.
    pub(crate) const fn committed(order: Order) -> Self {
        Self { order, timeline: Timeline::Awaited }
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
    #[graphql(complexity = "1 + 5 * child_complexity")]
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
        let id = &self.order.id;
        let timeline = match &self.timeline {
            Timeline::Read(timeline) => timeline.clone(),
            Timeline::Batched => batches(ctx)?.load_one(TimelineOf(id.clone())).await?.unwrap_or_default(),
            Timeline::Awaited => {
                let found = api(ctx)?.order_with_timeline(caller(ctx)?, id, Some(self.order.version)).await?;
                found.ok_or_else(|| ApiError::new(Code::Stale, "the read model has not caught up yet"))?.timeline
            }
        };
        Ok(timeline.into_iter().map(TimelineEntryObject::from).collect())
    }

    /// Given back so far.
    async fn refunded(&self) -> MoneyObject<'_> {
        MoneyObject(&self.order.refunded)
    }

    /// Whether a cancellation or a return is under way. No other may begin until it is done.
    async fn unwinding(&self) -> bool {
        self.order.unwinding
    }

    /// When its next stage is planned, shipping and then delivery; null if none is.
    async fn fulfil_at(&self) -> Option<DateTime<Utc>> {
        self.order.fulfil_at.map(time)
    }

    /// Where it goes; null if nobody said.
    async fn address(&self) -> Option<AddressObject<'_>> {
        self.order.address.as_ref().map(AddressObject)
    }
}

/// One thing that happened to an order.
#[derive(SimpleObject)]
#[graphql(name = "TimelineEntry")]
pub(crate) struct TimelineEntryObject {
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

/// That an order has changed.
#[derive(SimpleObject)]
#[graphql(name = "OrderChange")]
pub(crate) struct OrderChangeObject {
    /// The order's id.
    id: ID,
    /// How many events it has had.
    version: i32,
    /// Where it stands.
    status: OrderStatus,
    /// When that was decided.
    at: DateTime<Utc>,
}

impl From<OrderChange> for OrderChangeObject {
    fn from(OrderChange { id, version, status, at }: OrderChange) -> Self {
        Self { id: (*id).into(), version: int(version), status: status.into(), at: time(at) }
    }
}
