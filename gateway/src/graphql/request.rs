//! What a resolver knows beside its arguments: the API, and who asks from where.

use std::net::IpAddr;

use async_graphql::Context;
use async_graphql::dataloader::DataLoader;

use super::batches::Batches;
use crate::api::{Api, ApiError, Caller};

/// Who asks, and from where, if that is known.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// Who.
    pub(crate) caller: Caller,
    /// The address at the other end of the connection.
    pub(crate) from: Option<IpAddr>,
}

/// The API under the schema.
pub(super) fn api<'a>(ctx: &Context<'a>) -> Result<&'a Api, ApiError> {
    ctx.data_opt().ok_or_else(|| ApiError::internal("the schema", "was built without an API"))
}

/// Who sent the request.
pub(super) fn caller<'a>(ctx: &Context<'a>) -> Result<&'a Caller, ApiError> {
    Ok(&asker(ctx)?.caller)
}

/// From where the request came.
pub(super) fn from(ctx: &Context<'_>) -> Result<Option<IpAddr>, ApiError> {
    Ok(asker(ctx)?.from)
}

/// What loads many things in one question.
pub(super) fn batches<'a>(ctx: &Context<'a>) -> Result<&'a DataLoader<Batches>, ApiError> {
    ctx.data_opt().ok_or_else(|| ApiError::internal("the schema", "was asked without a loader"))
}

fn asker<'a>(ctx: &Context<'a>) -> Result<&'a Asker, ApiError> {
    ctx.data_opt().ok_or_else(|| ApiError::internal("the schema", "was asked by nobody"))
}
