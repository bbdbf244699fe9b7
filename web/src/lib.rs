//! The web UI: the shop's pages, drawn on the server.
//!
//! Pages are askama templates over the gateway's typed [`Api`], the same one that GraphQL stands
//! on. Everything works by links and forms alone (*post, redirect, get*); a small script adds
//! live news and clocks that run. Nothing here decides about orders, money or stock.
//!
//! Every form that changes something carries two hidden fields: the visitor's CSRF token, and an
//! idempotency key, so that sent twice it counts once. A form that is refused comes back with what
//! was typed and with each mistake beside its field (`mistakes.rs`).
//!
//! A request passes, from the outside in: the headers that fence a page in (`layout.rs`), the
//! visitor's cookies (`session.rs`), its deadline (`patience.rs`), for forms the token and the limits
//! (`form.rs`), and then one of the pages (`pages.rs`). Errors come back the same way and become pages, too (`error.rs`).

mod assets;
mod cards;
mod cart;
mod cookies;
mod csrf;
mod error;
mod fields;
mod form;
mod layout;
mod live;
mod mistakes;
mod order_view;
mod pages;
mod patience;
mod session;
#[cfg(test)]
mod tests;
mod tile;
mod topic;
mod url;
mod when;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use gateway::Api;
use platform::audit::Report;
use platform::clock::Clock;
use tokio::sync::watch;

use cookies::Jar;
use csrf::Csrf;
use error::PageError;

/// How the pages are served.
#[derive(Clone)]
pub struct WebOptions {
    /// The time that countdowns run by.
    pub clock: Clock,
    /// The last audit of the shop, for its operators; `None` until the first is done.
    pub audit: watch::Receiver<Option<Report>>,
    /// Whether browsers may send the cookies over TLS only.
    pub secure_cookies: bool,
    /// A log-in to try, shown on the log-in page: email and password.
    pub demo_account: Option<(String, String)>,
}

/// What every page has at hand. Cheap to clone.
#[derive(Clone)]
struct Shop {
    api: Api,
    csrf: Csrf,
    jar: Jar,
    options: Arc<WebOptions>,
}

/// The pages, with a page for everything that is none. The fallback makes it the last word on
/// every path that the caller does not route elsewhere.
pub fn router(api: Api, options: WebOptions) -> Router {
    let shop = Shop {
        csrf: Csrf::new(&api.server_secret()),
        jar: Jar { secure: options.secure_cookies },
        api,
        options: Arc::new(options),
    };
    let pages = Router::new()
        .route("/", get(pages::catalogue::shelf))
        .route("/products/{sku}", get(pages::catalogue::product))
        .route("/cart", get(pages::cart::show))
        .route("/cart/add", post(pages::cart::add))
        .route("/cart/update", post(pages::cart::update))
        .route("/signup", get(pages::account::sign_up_page).post(pages::account::sign_up))
        .route("/login", get(pages::account::log_in_page).post(pages::account::log_in))
        .route("/logout", post(pages::account::log_out))
        .route("/checkout", get(pages::checkout::show).post(pages::checkout::place))
        .route("/orders", get(pages::orders::list))
        .route("/orders/{id}", get(pages::order::show))
        .route("/orders/{id}/pay", post(pages::pay::pay))
        .route("/orders/{id}/cancel", get(pages::cancel::show).post(pages::cancel::cancel))
        .route("/orders/{id}/return", get(pages::give_back::show).post(pages::give_back::give_back))
        .route("/orders/{id}/events", get(live::events))
        .route("/messages", get(pages::messages::list))
        .route("/messages/mail", post(pages::messages::set_mail))
        .route("/sales", get(pages::sales::show))
        .route("/read-models", get(pages::read_models::show))
        .route("/audit", get(pages::audit::show))
        .fallback(|| async { PageError::not_found("The page you asked for is not one of the shop\u{2019}s.") })
        .method_not_allowed_fallback(|| async { PageError::wrong_method() })
        .layer(middleware::from_fn(error::catch_panic))
        .layer(middleware::from_fn(patience::bounded))
        .layer(middleware::from_fn_with_state(shop.clone(), session::identify));
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        // Outside: what anybody's cache may keep must not carry a visitor's cookie.
        .route("/assets/{file}", get(assets::serve))
        .merge(pages)
        .layer(middleware::from_fn(layout::fence))
        .with_state(shop)
}
