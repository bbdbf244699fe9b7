//! Batched loading: the answer to *N+1*.
//!
//! A list of twenty orders whose timelines are asked for would be twenty-one
//! questions to the query service. A *data loader* holds each single question back
//! for a millisecond, until the resolvers beside it have asked theirs, and sends
//! one for all. It is made anew for each request, so that nobody is answered with
//! what somebody else may see, and keeps nothing.

use std::collections::HashMap;
use std::hash::Hash;

use async_graphql::dataloader::{DataLoader, Loader};
use futures_util::future::BoxFuture;
use platform::grpc::deadline;

use crate::api::{Api, ApiError, Caller, LARGEST_BATCH, Product, TimelineEntry};

/// A product by its SKU.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sku(pub(super) String);

/// An order's timeline, by the order's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TimelineOf(pub(super) String);

/// What one caller asks for.
pub(super) struct Batches {
    api: Api,
    caller: Caller,
}

impl Batches {
    /// The loader of one request.
    pub(super) fn loader(api: Api, caller: Caller) -> DataLoader<Self> {
        // A batch is loaded in a task of its own; the request's deadline holds there, too.
        let spawn = |load: BoxFuture<'static, ()>| tokio::spawn(deadline::carried(load));
        DataLoader::new(Self { api, caller }, spawn).max_batch_size(LARGEST_BATCH)
    }
}

impl Loader<Sku> for Batches {
    type Value = Product;
    type Error = ApiError;

    async fn load(&self, keys: &[Sku]) -> Result<HashMap<Sku, Product>, ApiError> {
        let skus: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
        let found = self.api.products_by_sku(&self.caller, &skus).await?;
        Ok(keys.iter().cloned().zip(found).filter_map(|(key, product)| Some((key, product?))).collect())
    }
}

impl Loader<TimelineOf> for Batches {
    type Value = Vec<TimelineEntry>;
    type Error = ApiError;

    async fn load(&self, keys: &[TimelineOf]) -> Result<HashMap<TimelineOf, Vec<TimelineEntry>>, ApiError> {
        let ids: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
        let found = self.api.timelines(&self.caller, &ids).await?;
        Ok(keys.iter().cloned().zip(found).collect())
    }
}
