//! Signing up, logging in and out.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use gateway::ApiError;
use gateway::api::Session;

use super::fresh_key;
use crate::Shop;
use crate::error::{PageError, sentence, status};
use crate::fields::Fields;
use crate::form::{Form, Query};
use crate::layout::{Shell, page};
use crate::session::{self, Visitor};
use crate::url::local_path;

/// Longest email address, in characters.
const LONGEST_EMAIL: usize = 254;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    /// Make an account, or use one.
    signing_up: bool,
    email: String,
    /// Where to go afterwards; empty for the shelf.
    next: String,
    /// The same, for the link to the other page.
    next_encoded: String,
    key: String,
    error: Option<String>,
    demo: Option<(String, String)>,
}

impl AccountPage {
    fn new(shop: &Shop, visitor: &Visitor, signing_up: bool, fields: &Fields) -> Self {
        let next = next(fields).unwrap_or_default().to_owned();
        Self {
            shell: visitor.shell(),
            signing_up,
            email: fields.optional("email").unwrap_or_default().to_owned(),
            next_encoded: crate::url::encode(&next),
            next,
            key: fresh_key(),
            error: None,
            demo: shop.options.demo_account.clone().filter(|_| !signing_up),
        }
    }

    /// The form again, with what was wrong and what was typed (but never the password).
    fn refused(mut self, error: &ApiError) -> Response {
        self.error = Some(sentence(&error.message));
        page(status(error.code), &self)
    }
}

fn next(fields: &Fields) -> Option<&str> {
    fields.optional("next").and_then(local_path)
}

/// `GET /login`.
pub(crate) async fn log_in_page(State(shop): State<Shop>, visitor: Visitor, Query(query): Query) -> Response {
    form_page(&shop, &visitor, false, &query)
}

/// `GET /signup`.
pub(crate) async fn sign_up_page(State(shop): State<Shop>, visitor: Visitor, Query(query): Query) -> Response {
    form_page(&shop, &visitor, true, &query)
}

fn form_page(shop: &Shop, visitor: &Visitor, signing_up: bool, query: &Fields) -> Response {
    if visitor.is_logged_in() {
        return Redirect::to(next(query).unwrap_or("/")).into_response();
    }
    page(StatusCode::OK, &AccountPage::new(shop, visitor, signing_up, query))
}

/// `POST /login`.
pub(crate) async fn log_in(
    State(shop): State<Shop>,
    visitor: Visitor,
    Form(form): Form,
) -> Result<Response, PageError> {
    let email = form.bounded("email", LONGEST_EMAIL)?.unwrap_or_default();
    match shop.api.log_in(email, form.verbatim("password")).await {
        Ok(session) => Ok(enter(&shop, &visitor, &session, &form).await),
        Err(error) => Ok(AccountPage::new(&shop, &visitor, false, &form).refused(&error)),
    }
}

/// `POST /signup`.
pub(crate) async fn sign_up(
    State(shop): State<Shop>,
    visitor: Visitor,
    Form(form): Form,
) -> Result<Response, PageError> {
    let email = form.bounded("email", LONGEST_EMAIL)?.unwrap_or_default();
    let key = form.bounded("key", 128)?;
    match shop.api.sign_up(email, form.verbatim("password"), key).await {
        Ok(session) => Ok(enter(&shop, &visitor, &session, &form).await),
        Err(error) => Ok(AccountPage::new(&shop, &visitor, true, &form).refused(&error)),
    }
}

/// Gives out the new session and ends the one that was there before.
///
/// # On crash
/// The earlier session lives until it expires; nobody is given its token any more.
async fn enter(shop: &Shop, visitor: &Visitor, session: &Session, form: &Fields) -> Response {
    end_session(shop, visitor).await;
    let now = shop.options.clock.now();
    let seconds = (session.expires_at.timestamp_millis() - now).max(0) / 1_000;
    let cookies = session::logged_in(shop.jar, &session.token, seconds);
    (AppendHeaders(cookies), Redirect::to(next(form).unwrap_or("/"))).into_response()
}

/// `POST /logout`.
pub(crate) async fn log_out(State(shop): State<Shop>, visitor: Visitor, Form(_): Form) -> Response {
    end_session(&shop, &visitor).await;
    (AppendHeaders(session::logged_out(shop.jar)), Redirect::to("/")).into_response()
}

/// The browser forgets the token either way; that the store could not is only logged.
async fn end_session(shop: &Shop, visitor: &Visitor) {
    if let Some(token) = visitor.session()
        && let Err(error) = shop.api.log_out(token).await
    {
        tracing::warn!(%error, "a session could not be ended");
    }
}
