//! What can be done. Every mutation takes an idempotency key, so that a client
//! that lost the answer may send it again.

use async_graphql::{Context, ID, Object};

use super::inputs::{OrderLineInput, PlaceOrderInput, ProductInput};
use super::limits;
use super::objects::order::OrderObject;
use super::objects::{MailPreference, ProductObject, SessionObject};
use super::request::{api, caller, from};
use crate::api::{AdjustStock, ApiError, CancelOrder, PayOrder, ReturnOrder, validate};

/// A password's hash costs what a thousand fields cost.
const HASH: usize = 1_000;

pub(super) struct Mutation;

/// What can be done.
#[Object]
impl Mutation {
    /// Makes a customer's account and logs it in.
    #[graphql(complexity = "HASH + child_complexity")]
    async fn sign_up(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Kept in lower case.")] email: String,
        #[graphql(desc = "7 to 200 characters.")] password: String,
        #[graphql(desc = "Sent again with its key and password, it logs in to the account that it made.")]
        idempotency_key: Option<String>,
    ) -> Result<SessionObject, ApiError> {
        Ok(api(ctx)?.sign_up(&email, &password, idempotency_key.as_deref(), from(ctx)?).await?.into())
    }

    /// Opens a session of 30 days.
    #[graphql(complexity = "HASH + child_complexity")]
    async fn log_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In any case.")] email: String,
        #[graphql(desc = "The password.")] password: String,
        #[graphql(desc = "Of no effect: to log in twice harms nothing.")] idempotency_key: Option<String>,
    ) -> Result<SessionObject, ApiError> {
        idempotency_key.as_deref().map(validate::idempotency_key).transpose()?;
        Ok(api(ctx)?.log_in(&email, &password, from(ctx)?).await?.into())
    }

    /// Places an order. Answers when the order is taken, and never waits for stock or money: a
    /// shortage shows as REJECTED, a decline as `statusReason`.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn place_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is wanted.")] input: PlaceOrderInput,
    ) -> Result<OrderObject, ApiError> {
        Ok(OrderObject::committed(api(ctx)?.place_order(caller(ctx)?, input.into()).await?))
    }

    /// Offers a card for an order that awaits its payment.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn pay_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] order_id: ID,
        #[graphql(desc = "A test card's number. Only a token of it travels on.")] card: String,
        #[graphql(desc = "Sent again with the same key, the card is offered once.")] idempotency_key: Option<String>,
    ) -> Result<OrderObject, ApiError> {
        let command = PayOrder { order_id: order_id.0, card: card.into(), idempotency_key };
        Ok(OrderObject::committed(api(ctx)?.pay_order(caller(ctx)?, command).await?))
    }

    /// Calls an order off. Before its money is taken it ends at once; later its money and its goods
    /// go back, and it is REFUNDED when they have. CONFLICT once it is on its way.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn cancel_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] order_id: ID,
        #[graphql(desc = "Why, in the customer's words, up to 200 characters.")] reason: Option<String>,
        #[graphql(desc = "Sent again with the same key, it is called off once.")] idempotency_key: Option<String>,
    ) -> Result<OrderObject, ApiError> {
        let command = CancelOrder { order_id: order_id.0, reason, idempotency_key };
        Ok(OrderObject::committed(api(ctx)?.cancel_order(caller(ctx)?, command).await?))
    }

    /// Takes goods of a delivered order back, and refunds them. One return at a time: CONFLICT while
    /// `unwinding`.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn return_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] order_id: ID,
        #[graphql(desc = "What comes back; left out: all that has not yet.")] lines: Option<Vec<OrderLineInput>>,
        #[graphql(desc = "Why, in the customer's words, up to 200 characters.")] reason: Option<String>,
        #[graphql(desc = "Sent again with the same key, it is returned once.")] idempotency_key: Option<String>,
    ) -> Result<OrderObject, ApiError> {
        let lines = lines.map(|lines| lines.into_iter().map(Into::into).collect());
        let command = ReturnOrder { order_id: order_id.0, lines, reason, idempotency_key };
        Ok(OrderObject::committed(api(ctx)?.return_order(caller(ctx)?, command).await?))
    }

    /// Chooses which messages the caller also wants by mail.
    #[graphql(complexity = "limits::CALL")]
    async fn set_mail_preference(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] preference: MailPreference,
        #[graphql(desc = "Sent again with the same key, it is done once.")] idempotency_key: Option<String>,
    ) -> Result<MailPreference, ApiError> {
        let key = idempotency_key.as_deref();
        Ok(api(ctx)?.set_mail_preference(caller(ctx)?, preference.into(), key).await?.into())
    }

    /// Creates a product, or changes its name and price. For operators.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn upsert_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product as it shall be.")] input: ProductInput,
        #[graphql(desc = "Sent again with the same key, it is done once.")] idempotency_key: Option<String>,
    ) -> Result<ProductObject, ApiError> {
        Ok(api(ctx)?.upsert_product(caller(ctx)?, input.with_key(idempotency_key)).await?.into())
    }

    /// Adds to the stock on hand, or takes from it. OUT_OF_STOCK below what is reserved. For
    /// operators.
    #[graphql(complexity = "limits::CALL + child_complexity")]
    async fn adjust_stock(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which product.")] sku: ID,
        #[graphql(desc = "How many came in (above zero) or went missing (below zero).")] delta: i32,
        #[graphql(desc = "Sent again with the same key, it is done once.")] idempotency_key: Option<String>,
    ) -> Result<ProductObject, ApiError> {
        let command = AdjustStock { sku: sku.0, delta: delta.into(), idempotency_key };
        Ok(api(ctx)?.adjust_stock(caller(ctx)?, command).await?.into())
    }
}
