//! The web UI: the shop's pages, drawn on the server.
//!
//! Pages are askama templates over the gateway's typed [`Api`], the same one that GraphQL stands
//! on. Everything works by links and forms alone (*post, redirect, get*); a small script adds
//! live news to an order's page. Nothing here decides about orders, money or stock.
//!
//! A request passes, from the outside in: the headers that fence a page in (`layout.rs`), the
//! visitor's cookies (`session.rs`), for forms the token and the limits (`form.rs`), and then one of
//! the pages (`pages.rs`). Errors come back the same way and become pages, too (`error.rs`).

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
mod money;
mod order_view;
mod pages;
mod session;
#[cfg(test)]
mod tests;
mod tile;
mod url;
mod when;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use gateway::Api;
use platform::clock::Clock;

use cookies::Jar;
use csrf::Csrf;
use error::PageError;

/// How the pages are served.
#[derive(Clone)]
pub struct WebOptions {
    /// The time that countdowns run by.
    pub clock: Clock,
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
        .route("/orders/{id}", get(pages::orders::show))
        .route("/orders/{id}/pay", post(pages::orders::pay))
        .route("/orders/{id}/events", get(live::events))
        .route("/messages", get(pages::messages::list))
        .fallback(|| async { PageError::not_found("The page you asked for is not one of the shop\u{2019}s.") })
        .method_not_allowed_fallback(|| async { PageError::wrong_method() })
        .layer(middleware::from_fn_with_state(shop.clone(), session::identify));
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        // Outside: what anybody's cache may keep must not carry a visitor's cookie.
        .route("/assets/{file}", get(assets::serve))
        .merge(pages)
        .layer(middleware::from_fn(layout::fence))
        .with_state(shop)
}
