//! What operators look at, as GraphQL shows it.

use async_graphql::{ID, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{MoneyObject, int, time};
use crate::api::{ReadModel, ReadModels, SalesMinute};

/// A window of one minute.
pub(crate) struct SalesMinuteObject(SalesMinute);

impl From<SalesMinute> for SalesMinuteObject {
    fn from(window: SalesMinute) -> Self {
        Self(window)
    }
}

/// What was sold and given back within one minute, by the time of the events.
#[Object(name = "SalesMinute")]
impl SalesMinuteObject {
    /// When the minute begins.
    async fn minute(&self) -> DateTime<Utc> {
        time(self.0.minute)
    }

    /// Orders confirmed in it.
    async fn orders(&self) -> i32 {
        int(self.0.orders)
    }

    /// Pieces in these.
    async fn pieces(&self) -> i32 {
        int(self.0.pieces)
    }

    /// What these cost.
    async fn revenue(&self) -> MoneyObject<'_> {
        MoneyObject(&self.0.revenue)
    }

    /// What was given back in it, for orders of whatever minute.
    async fn refunded(&self) -> MoneyObject<'_> {
        MoneyObject(&self.0.refunded)
    }
}

/// The read models, and the event log that they are folded from.
#[derive(SimpleObject)]
#[graphql(name = "ReadModels")]
pub(crate) struct ReadModelsObject {
    /// All of them.
    models: Vec<ReadModelObject>,
    /// The newest event's place in the log.
    head: i32,
    /// Events that the shop has published and the log does not have yet.
    unheard: i32,
}

/// How far a read model is.
#[derive(SimpleObject)]
#[graphql(name = "ReadModel")]
pub(crate) struct ReadModelObject {
    /// `orders`, `products`, `notifications`, `sales`.
    name: ID,
    /// Counts its rebuilds.
    generation: i32,
    /// The place in the event log up to which it is folded.
    position: i32,
    /// Events behind what the shop has published.
    lag: i32,
    /// When it last folded something; null: never.
    folded_at: Option<DateTime<Utc>>,
    /// Since when it is being rebuilt; null: it is not.
    rebuilding_at: Option<DateTime<Utc>>,
}

impl From<ReadModels> for ReadModelsObject {
    fn from(ReadModels { models, head, unheard }: ReadModels) -> Self {
        let models = models.into_iter().map(ReadModelObject::from).collect();
        Self { models, head: int(head), unheard: int(unheard) }
    }
}

impl From<ReadModel> for ReadModelObject {
    fn from(model: ReadModel) -> Self {
        let ReadModel { name, generation, position, lag, folded_at, rebuilding_at } = model;
        Self {
            name: name.into(),
            generation: int(generation),
            position: int(position),
            lag: int(lag),
            folded_at: folded_at.map(time),
            rebuilding_at: rebuilding_at.map(time),
        }
    }
}
