//! The output types: the API's values under the contract's names. An order's are
//! in `order.rs`, what operators look at in `report.rs`.

pub(super) mod order;
pub(super) mod report;

use async_graphql::{ComplexObject, Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::request::{api, caller};
use crate::api::{Account, ApiError, Money, Notification, Product, Session};

/// GraphQL's `Int` has 32 bits. A count beyond shows as the largest there is.
pub(super) fn int(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number > 0 { i32::MAX } else { i32::MIN })
}

/// Unix milliseconds as a time. What is outside the calendar shows as 1970.
pub(super) fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// An amount of money.
pub(super) struct MoneyObject<'a>(pub(super) &'a Money);

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
    /// What it is about, for programs: `order-placed`, `payment-reminder` and so on.
    topic: String,
    /// When a mail server took it; null if none has.
    mailed_at: Option<DateTime<Utc>>,
}

impl From<Notification> for NotificationObject {
    fn from(notification: Notification) -> Self {
        let Notification { id, order_id, title, body, at, topic, mailed_at, .. } = notification;
        Self { id: id.into(), order_id: order_id.into(), title, body, at, topic, mailed_at: mailed_at.map(time) }
    }
}

/// Which messages also go out by mail. All are kept and shown, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::api::MailPreference")]
pub(super) enum MailPreference {
    /// Every turn of an order; how it is until the customer says otherwise.
    All,
    /// Only what asks for something or is about money: reminder, expiry, a payment that failed, a
    /// cancellation, a refund.
    Essential,
    /// Nothing.
    None,
}

/// Someone who can log in.
#[derive(SimpleObject)]
#[graphql(name = "Account", complex)]
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

#[ComplexObject]
impl AccountObject {
    /// Which messages the account also wants by mail. Null for an account that is not the caller's
    /// own, as in the answer to `logIn`.
    #[graphql(complexity = "10")]
    async fn mail_preference(&self, ctx: &Context<'_>) -> Result<Option<MailPreference>, ApiError> {
        let caller = caller(ctx)?;
        if caller.account().is_some_and(|account| account.id == *self.id) {
            Ok(Some(api(ctx)?.mail_preference(caller).await?.into()))
        } else {
            Ok(None)
        }
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
