//! Signing up, logging in and out.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use gateway::ApiError;
use gateway::api::Session;
use platform::error::Code;

use super::fresh_key;
use crate::Shop;
use crate::error::{PageError, retry_after, sentence, status};
use crate::fields::Fields;
use crate::form::{Form, Peer, Query};
use crate::layout::{Shell, page};
use crate::mistakes::Mistakes;
use crate::session::{self, Visitor};
use crate::url::local_path;

/// Longest email address, in characters.
const LONGEST_EMAIL: usize = 254;
/// Lengths of a password, in characters.
const PASSWORD: std::ops::RangeInclusive<usize> = 7..=200;

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
    mistakes: Mistakes,
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
            mistakes: Mistakes::default(),
            demo: shop.options.demo_account.clone().filter(|_| !signing_up),
        }
    }

    /// The form again, with what was wrong and what was typed (but never the password).
    fn refused(mut self, code: StatusCode, mistakes: Mistakes) -> Response {
        self.mistakes = mistakes;
        page(code, &self)
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
pub(crate) async fn log_in(State(shop): State<Shop>, visitor: Visitor, peer: Peer, Form(form): Form) -> Response {
    let again = |code, mistakes| AccountPage::new(&shop, &visitor, false, &form).refused(code, mistakes);
    let (email, password) = (form.optional("email").unwrap_or_default(), form.verbatim("password"));
    if let Some(mistakes) = too_long(email) {
        return again(StatusCode::BAD_REQUEST, mistakes);
    }
    match shop.api.log_in(email, password, peer.0).await {
        Ok(session) => enter(&shop, &visitor, &session, &form).await,
        Err(error) => {
            let mut mistakes = Mistakes::from(&error);
            if email.is_empty() {
                mistakes.add("email", "Type the email address of your account.");
            }
            if password.is_empty() {
                mistakes.add("password", "Type your password.");
            }
            (AppendHeaders(retry_after(error.retry_after)), again(status(error.code), mistakes)).into_response()
        }
    }
}

/// `POST /signup`.
pub(crate) async fn sign_up(
    State(shop): State<Shop>,
    visitor: Visitor,
    peer: Peer,
    Form(form): Form,
) -> Result<Response, PageError> {
    let again = |code, mistakes| AccountPage::new(&shop, &visitor, true, &form).refused(code, mistakes);
    let (email, password) = (form.optional("email").unwrap_or_default(), form.verbatim("password"));
    let key = form.bounded("key", 128)?;
    let mistakes = sign_up_mistakes(email, password);
    if !mistakes.is_empty() {
        return Ok(again(StatusCode::BAD_REQUEST, mistakes));
    }
    match shop.api.sign_up(email, password, key, peer.0).await {
        Ok(session) => Ok(enter(&shop, &visitor, &session, &form).await),
        Err(error) => {
            let answer = again(status(error.code), refused_sign_up(&error));
            Ok((AppendHeaders(retry_after(error.retry_after)), answer).into_response())
        }
    }
}

fn too_long(email: &str) -> Option<Mistakes> {
    let long = email.chars().count() > LONGEST_EMAIL;
    long.then(|| Mistakes::at_field("email", format!("An email address has at most {LONGEST_EMAIL} characters.")))
}

/// What can be told without asking.
fn sign_up_mistakes(email: &str, password: &str) -> Mistakes {
    let mut mistakes = too_long(email).unwrap_or_default();
    if !email.contains('@') {
        mistakes.add("email", "Type your email address, such as ada@example.com.");
    }
    if !PASSWORD.contains(&password.chars().count()) {
        let (least, most) = (PASSWORD.start(), PASSWORD.end());
        mistakes.add("password", format!("Choose a password of {least} to {most} characters."));
    }
    mistakes
}

/// The key and both lengths have been looked at by then. What is still wrong is nearly always the
/// address; characters that no password has are told as such.
fn refused_sign_up(error: &ApiError) -> Mistakes {
    match error.code {
        Code::BadInput if error.message.contains("password") => {
            Mistakes::at_field("password", sentence(&error.message))
        }
        Code::BadInput => Mistakes::at_field("email", "That is no email address. One looks like ada@example.com."),
        Code::Conflict => Mistakes::at_field("email", "There is already an account with that email. Log in instead?"),
        Code::Unauthenticated
        | Code::Forbidden
        | Code::NotFound
        | Code::Shortage
        | Code::Stale
        | Code::Overloaded
        | Code::RateLimited
        | Code::Unavailable => Mistakes::from(error),
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
