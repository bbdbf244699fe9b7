//! The typed API: the one thing that GraphQL resolvers and web pages stand on.
//!
//! A *façade* over the services' generated gRPC clients and the gateway's own
//! accounts. Every method takes the [`Caller`], checks what it may do, checks the
//! input at this boundary, and translates; it decides nothing about orders, money
//! or stock. In `orderly up` the clients call the generated servers in process,
//! otherwise over sockets: nothing here knows which.
//!
//! Commands are idempotent: one that carries the client's idempotency key (1 to
//! 128 printable characters) may be sent again and gets its first answer. The
//! service knows it by `<account>/<operation>/<key>`; without a key the gateway
//! makes a fresh id, and each call is a command of its own.
//!
//! Here: what all of it stands on, and accounts. Then what is done
//! (`commands.rs`), what is asked (`queries.rs`, for operators `reports.rs`; pages of
//! the catalogue are remembered for a moment, `catalogue.rs`) and
//! what is watched (`watch.rs`).
//!
//! Chapter: `docs/gateway.md`.

mod catalogue;
mod commands;
mod error;
mod notices;
mod queries;
mod reports;
pub(crate) mod validate;
mod values;
mod watch;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use contracts::inventory::inventory_client::InventoryClient;
use contracts::notification::notifications_client::NotificationsClient;
use contracts::order::orders_client::OrdersClient;
use contracts::payment::payments_client::PaymentsClient;
use contracts::query::query_client::QueryClient;
use futures_util::stream::BoxStream;
use platform::bus::Bus;
use platform::grpc::{Connection, Identity};

use crate::accounts::Accounts;
use catalogue::Catalogue;
use notices::Notices;

pub use error::ApiError;
pub use notices::changes::OrderChange;
pub(crate) use queries::LARGEST_BATCH;
pub use values::{
    Account, Address, AdjustStock, Caller, CancelOrder, CardNumber, Edge, LineRequest, MailPreference, Money,
    Notification, Order, OrderLine, OrderStatus, OrderWithTimeline, Page, PayOrder, PlaceOrder, Product, ReadModel,
    ReadModels, ReturnOrder, Role, SalesMinute, Session, TimelineEntry, UpsertProduct,
};

/// Orders as they become: see [`Api::watch`] and [`Api::watch_orders`]. Drop it to
/// stop; [`Api::end_watches`] ends it.
pub type OrderStream = BoxStream<'static, OrderWithTimeline>;

/// Changes of orders, those that came together in one: see [`Api::watch_changes`].
pub type ChangeStream = BoxStream<'static, Vec<OrderChange>>;

/// No service may keep a caller waiting longer than this, nor all of them together who
/// are asked for one GraphQL request. The outcome of a command is unknown then; sent
/// again with its key it is found out.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Room for a page of a hundred orders of 500 lines each.
const LARGEST_ANSWER: usize = 64 << 20;

/// Where the services are.
#[derive(Clone)]
pub struct Connections {
    /// The order service.
    pub orders: Connection,
    /// The inventory service.
    pub inventory: Connection,
    /// The payment service.
    pub payments: Connection,
    /// The query service.
    pub query: Connection,
    /// The notification service.
    pub notifications: Connection,
}

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Api {
    orders: OrdersClient<Connection>,
    inventory: InventoryClient<Connection>,
    payments: PaymentsClient<Connection>,
    query: QueryClient<Connection>,
    notifications: NotificationsClient<Connection>,
    accounts: Accounts,
    /// The catalogue's pages of this moment.
    catalogue: Catalogue,
    /// One tail of the after-commit notices for all watchers of this process.
    notices: Arc<Notices>,
}

impl Api {
    /// The API over these services. Begins to hear the notices, so it must be
    /// called within a Tokio runtime; dropping the last clone ends that.
    pub fn new(connections: Connections, accounts: Accounts, bus: Arc<dyn Bus>) -> Self {
        let Connections { orders, inventory, payments, query, notifications } = connections;
        Self {
            orders: OrdersClient::new(orders).max_decoding_message_size(LARGEST_ANSWER),
            inventory: InventoryClient::new(inventory),
            payments: PaymentsClient::new(payments),
            query: QueryClient::new(query).max_decoding_message_size(LARGEST_ANSWER),
            notifications: NotificationsClient::new(notifications),
            accounts,
            catalogue: Catalogue::default(),
            notices: Arc::new(Notices::start(bus)),
        }
    }

    /// A key that all gateways over one store share and nobody else knows, for
    /// signing what is handed out, such as CSRF tokens.
    pub fn server_secret(&self) -> [u8; 32] {
        self.accounts.server_secret()
    }

    /// The same with another query service.
    #[cfg(test)]
    pub(crate) fn asking(mut self, query: Connection) -> Self {
        self.query = QueryClient::new(query);
        self
    }

    // ---- Accounts ----------------------------------------------------------

    /// Makes a customer's account and logs it in. Sent again with its key and the
    /// right password it logs in to the account that it made. `from` is the address
    /// that asks, if it is known.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; `CONFLICT` if the email is taken; `RATE_LIMITED` with
    /// [`retry_after`](ApiError::retry_after); `OVERLOADED`.
    pub async fn sign_up(
        &self,
        email: &str,
        password: &str,
        key: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Session, ApiError> {
        in_time(self.accounts.sign_up(email, password, key, from)).await
    }

    /// Opens a session of 30 days. `from` is the address that asks, if it is known.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for an unknown email and for a wrong password alike;
    /// `RATE_LIMITED` with [`retry_after`](ApiError::retry_after) after too many of
    /// these; `OVERLOADED`.
    pub async fn log_in(&self, email: &str, password: &str, from: Option<IpAddr>) -> Result<Session, ApiError> {
        in_time(self.accounts.log_in(email, password, from)).await
    }

    /// Ends a session. One that does not exist has ended.
    ///
    /// # Errors
    /// `UNAVAILABLE`.
    pub async fn log_out(&self, token: &str) -> Result<(), ApiError> {
        in_time(self.accounts.log_out(token)).await
    }

    /// Whose token it is; `None` for one that is unknown or has expired.
    ///
    /// # Errors
    /// `UNAVAILABLE`.
    pub async fn session(&self, token: &str) -> Result<Option<Caller>, ApiError> {
        Ok(in_time(self.accounts.session(token)).await?.map(Caller::Account))
    }
}

/// The account behind a caller who must be logged in.
fn logged_in(caller: &Caller) -> Result<&Account, ApiError> {
    caller.account().ok_or_else(ApiError::unauthenticated)
}

/// The account behind a caller who must be an operator.
fn operator(caller: &Caller) -> Result<&Account, ApiError> {
    let account = logged_in(caller)?;
    if account.role == Role::Operator { Ok(account) } else { Err(ApiError::for_operators()) }
}

/// A gRPC request that says who asks; nobody's says nothing.
fn request<T>(caller: &Caller, message: T) -> Result<tonic::Request<T>, ApiError> {
    let mut request = match caller.account() {
        Some(account) => Identity { account: account.id.clone(), operator: caller.is_operator() }.request(message)?,
        None => tonic::Request::new(message),
    };
    request.set_timeout(PATIENCE);
    Ok(request)
}

/// Waits for the gateway's own accounts, but not for ever: a database that takes
/// connections and says nothing holds whoever asks, one after the other.
async fn in_time<T>(asked: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let silent = |_| Err(ApiError::internal("the gateway's store gave no answer", format!("within {PATIENCE:?}")));
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(silent)
}

/// Waits for a service's answer, but not for ever.
async fn answer<T>(call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>) -> Result<T, ApiError> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(ApiError::from(status)),
        Err(_) => Err(ApiError::internal("a service gave no answer", format!("within {PATIENCE:?}"))),
    }
}

#[cfg(test)]
mod tests;
