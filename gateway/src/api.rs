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
//! Chapter: `docs/gateway.md`.

mod commands;
mod error;
mod notices;
mod queries;
pub(crate) mod validate;
mod values;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use contracts::inventory::inventory_client::InventoryClient;
use contracts::order::orders_client::OrdersClient;
use contracts::payment::payments_client::PaymentsClient;
use contracts::query::query_client::QueryClient;
use futures_util::stream::BoxStream;
use platform::bus::Bus;
use platform::grpc::{Connection, Identity};

use crate::accounts::Accounts;
use notices::Notices;

pub use error::ApiError;
pub use values::{
    Account, Address, AdjustStock, Caller, CardNumber, Edge, LineRequest, Money, Notification, Order, OrderLine,
    OrderStatus, OrderWithTimeline, Page, PayOrder, PlaceOrder, Product, Role, Session, TimelineEntry, UpsertProduct,
};

/// An order as it is now, then each newer version as it comes. Ends only with
/// [`Api::end_watches`]; drop it to stop.
pub type OrderStream = BoxStream<'static, OrderWithTimeline>;

/// No service may keep a caller waiting longer than this. The outcome of a
/// command is unknown then; sent again with its key it is found out.
const PATIENCE: Duration = Duration::from_secs(10);

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
}

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Api {
    orders: OrdersClient<Connection>,
    inventory: InventoryClient<Connection>,
    payments: PaymentsClient<Connection>,
    query: QueryClient<Connection>,
    accounts: Accounts,
    /// One tail of the after-commit notices for all watchers of this process.
    notices: Arc<Notices>,
}

impl Api {
    /// The API over these services. Begins to hear the notices, so it must be
    /// called within a Tokio runtime; dropping the last clone ends that.
    pub fn new(connections: Connections, accounts: Accounts, bus: Arc<dyn Bus>) -> Self {
        let Connections { orders, inventory, payments, query } = connections;
        Self {
            orders: OrdersClient::new(orders).max_decoding_message_size(LARGEST_ANSWER),
            inventory: InventoryClient::new(inventory),
            payments: PaymentsClient::new(payments),
            query: QueryClient::new(query).max_decoding_message_size(LARGEST_ANSWER),
            accounts,
            notices: Arc::new(Notices::start(bus)),
        }
    }

    /// A key that all gateways over one store share and nobody else knows, for
    /// signing what is handed out, such as CSRF tokens.
    pub fn server_secret(&self) -> [u8; 32] {
        self.accounts.server_secret()
    }

    // ---- Accounts ----------------------------------------------------------

    /// Makes a customer's account and logs it in. Sent again with its key and the
    /// right password it logs in to the account that it made.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; `CONFLICT` if the email is taken; `OVERLOADED`.
    pub async fn sign_up(&self, email: &str, password: &str, key: Option<&str>) -> Result<Session, ApiError> {
        self.accounts.sign_up(email, password, key).await
    }

    /// Opens a session of 30 days.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for an unknown email and for a wrong password alike;
    /// `OVERLOADED`.
    pub async fn log_in(&self, email: &str, password: &str) -> Result<Session, ApiError> {
        self.accounts.log_in(email, password).await
    }

    /// Ends a session. One that does not exist has ended.
    ///
    /// # Errors
    /// `UNAVAILABLE`.
    pub async fn log_out(&self, token: &str) -> Result<(), ApiError> {
        self.accounts.log_out(token).await
    }

    /// Whose token it is; `None` for one that is unknown or has expired.
    ///
    /// # Errors
    /// `UNAVAILABLE`.
    pub async fn session(&self, token: &str) -> Result<Option<Caller>, ApiError> {
        Ok(self.accounts.session(token).await?.map(Caller::Account))
    }

    // ---- Queries -----------------------------------------------------------

    /// The catalogue in order of SKU: products in whose SKU or name every word of
    /// `search` occurs, `first` (1 to 100) of them after the cursor.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn products(
        &self,
        caller: &Caller,
        search: Option<&str>,
        first: i32,
        after: Option<&str>,
    ) -> Result<Page<Product>, ApiError> {
        self.list_products(caller, search, first, after).await
    }

    /// One product, if there is such a SKU.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn product(&self, caller: &Caller, sku: &str) -> Result<Option<Product>, ApiError> {
        self.get_product(caller, sku).await
    }

    /// One order, if there is such a one that the caller may see. With
    /// `min_version`, waits up to two seconds until the read model has seen it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `STALE`, `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn order(&self, caller: &Caller, id: &str, min_version: Option<i64>) -> Result<Option<Order>, ApiError> {
        Ok(self.get_order(caller, id, min_version, false).await?.map(|found| found.order))
    }

    /// As [`order`](Self::order), with its timeline.
    ///
    /// # Errors
    /// As [`order`](Self::order).
    pub async fn order_with_timeline(
        &self,
        caller: &Caller,
        id: &str,
        min_version: Option<i64>,
    ) -> Result<Option<OrderWithTimeline>, ApiError> {
        self.get_order(caller, id, min_version, true).await
    }

    /// The caller's orders, newest first; an operator sees everybody's.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn orders(
        &self,
        caller: &Caller,
        first: i32,
        after: Option<&str>,
        status: Option<OrderStatus>,
    ) -> Result<Page<Order>, ApiError> {
        self.list_orders(caller, first, after, status).await
    }

    /// What the caller was told, newest first; an operator sees everybody's.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn notifications(
        &self,
        caller: &Caller,
        first: i32,
        after: Option<&str>,
    ) -> Result<Page<Notification>, ApiError> {
        self.list_notifications(caller, first, after).await
    }

    /// The order as it is now, then each higher version as it comes. The watcher
    /// is registered for the notices before the order is read, so none is missed.
    ///
    /// # Errors
    /// `NOT_FOUND`, and as [`order`](Self::order). Later failures are waited out.
    pub async fn watch(&self, caller: &Caller, id: &str, min_version: Option<i64>) -> Result<OrderStream, ApiError> {
        self.watch_order(caller, id, min_version).await
    }

    /// Ends every watch, now and from now on: called when the gateway stops, since
    /// a live page's connection would never end by itself.
    pub fn end_watches(&self) {
        self.notices.end();
    }

    // ---- Commands ----------------------------------------------------------

    /// Places an order; answers when the order service has committed it. A
    /// shortage or a decline shows in the order's status later.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT`, `FORBIDDEN` (a `customer` by a
    /// customer), `NOT_FOUND` (a SKU), `CONFLICT` (a key used for something
    /// else), `OVERLOADED`, `UNAVAILABLE`.
    pub async fn place_order(&self, caller: &Caller, command: PlaceOrder) -> Result<Order, ApiError> {
        self.send_place_order(caller, command).await
    }

    /// Offers a card for an order that awaits its payment.
    ///
    /// # Errors
    /// As [`place_order`](Self::place_order); `NOT_FOUND` for somebody else's
    /// order; `CONFLICT` if the order does not wait for a card now.
    pub async fn pay_order(&self, caller: &Caller, command: PayOrder) -> Result<Order, ApiError> {
        self.send_pay_order(caller, command).await
    }

    /// Creates a product, or changes its name and price. For operators.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `FORBIDDEN`, `BAD_USER_INPUT`, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn upsert_product(&self, caller: &Caller, command: UpsertProduct) -> Result<Product, ApiError> {
        self.send_upsert_product(caller, command).await
    }

    /// Adds to the stock on hand or takes from it. For operators.
    ///
    /// # Errors
    /// As [`upsert_product`](Self::upsert_product); `NOT_FOUND`; `OUT_OF_STOCK`
    /// below what is reserved.
    pub async fn adjust_stock(&self, caller: &Caller, command: AdjustStock) -> Result<Product, ApiError> {
        self.send_adjust_stock(caller, command).await
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
