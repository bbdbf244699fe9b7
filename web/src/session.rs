//! Who is asking: the visitor behind a request, by cookies.
//!
//! The middleware [`identify`] reads the cookies once, asks the gateway whose session it is, and
//! leaves a [`Visitor`] for the handlers. On the way back it gives new visitors their id, takes
//! away a session that has ended, and draws errors as pages, since it knows for whom.
//!
//! Logging in, signing up and logging out *rotate*: the session and the visitor's id are both
//! new afterwards, so that an id planted before is worth nothing (session fixation).

use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{AppendHeaders, IntoResponse, Response};
use gateway::Caller;
use uuid::Uuid;

use crate::Shop;
use crate::cart::Cart;
use crate::cookies::{self, CART, Jar, SESSION, VISITOR};
use crate::csrf::Identity;
use crate::error::{PageError, retry_after};
use crate::layout::{Shell, page};

/// The cart is remembered for this long, in seconds: 30 days.
const CART_LIVES: i64 = 30 * 24 * 60 * 60;

/// The one who asks.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) caller: Caller,
    pub(crate) cart: Cart,
    /// The token of a living session.
    session: Option<String>,
    /// Random; see [`VISITOR`].
    id: String,
    /// What this visitor's forms carry.
    csrf: String,
}

impl Visitor {
    /// What the frame shows of them.
    pub(crate) fn shell(&self) -> Shell {
        let email = self.caller.account().map(|account| account.email.clone());
        Shell::new(email, self.caller.is_operator(), self.cart.pieces(), self.csrf.clone())
    }

    /// Whom their forms must be for.
    pub(crate) fn identity(&self) -> Identity<'_> {
        identity(self.session.as_deref(), &self.id)
    }

    /// The session's token, if one is alive.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    pub(crate) fn is_logged_in(&self) -> bool {
        self.caller.account().is_some()
    }
}

fn identity<'a>(session: Option<&'a str>, id: &'a str) -> Identity<'a> {
    session.map_or(Identity::Visitor(id), Identity::Session)
}

impl FromRequestParts<Shop> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &Shop) -> Result<Self, PageError> {
        let visitor = parts.extensions.get::<Self>().cloned();
        Ok(visitor.expect("every page is behind the middleware that identifies"))
    }
}

/// Middleware: see the [module](self).
pub(crate) async fn identify(State(shop): State<Shop>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let known_id = cookies::read(headers, VISITOR).filter(|id| is_id(id));
    let id = known_id.map_or_else(fresh_id, str::to_owned);
    let is_new = known_id.is_none();
    let cart = cookies::read(headers, CART).map_or_else(Cart::default, Cart::parse);
    let token = cookies::read(headers, SESSION).filter(|token| is_token(token)).map(str::to_owned);
    let sent_session = cookies::read(headers, SESSION).is_some();

    let (caller, unreachable) = match &token {
        None => (Caller::Anonymous, None),
        Some(token) => match shop.api.session(token).await {
            Ok(caller) => (caller.unwrap_or(Caller::Anonymous), None),
            Err(error) => (Caller::Anonymous, Some(PageError::from(error))),
        },
    };
    let session = token.filter(|_| caller.account().is_some());
    let has_ended = sent_session && session.is_none() && unreachable.is_none();
    let csrf = shop.csrf.token(identity(session.as_deref(), &id));
    let visitor = Visitor { caller, cart, session, id: id.clone(), csrf };

    let mut response = match unreachable {
        // Not "logged out": the shop does not know, and must not act as if it did.
        Some(error) => draw(error, &visitor),
        None => {
            request.extensions_mut().insert(visitor.clone());
            let mut response = next.run(request).await;
            match response.extensions_mut().remove::<PageError>() {
                Some(error) => draw(error, &visitor),
                None => response,
            }
        }
    };
    if is_new && !sets(response.headers(), VISITOR) {
        let cookie = shop.jar.set(VISITOR, &id, None);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    if has_ended && !sets(response.headers(), SESSION) {
        let cookie = shop.jar.clear(SESSION);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The cookies of somebody who has just logged in; the session lives for `seconds`.
pub(crate) fn logged_in(jar: Jar, token: &str, seconds: i64) -> [(header::HeaderName, HeaderValue); 2] {
    [
        (header::SET_COOKIE, jar.set(SESSION, token, Some(seconds))),
        (header::SET_COOKIE, jar.set(VISITOR, &fresh_id(), None)),
    ]
}

/// The cookies of somebody who has just logged out.
pub(crate) fn logged_out(jar: Jar) -> [(header::HeaderName, HeaderValue); 2] {
    [(header::SET_COOKIE, jar.clear(SESSION)), (header::SET_COOKIE, jar.set(VISITOR, &fresh_id(), None))]
}

/// The cookie of a changed cart.
pub(crate) fn with_cart(jar: Jar, cart: &Cart) -> (header::HeaderName, HeaderValue) {
    let cookie = if cart.is_empty() { jar.clear(CART) } else { jar.set(CART, &cart.to_string(), Some(CART_LIVES)) };
    (header::SET_COOKIE, cookie)
}

/// 122 random bits as 32 hex digits.
fn fresh_id() -> String {
    Uuid::new_v4().simple().to_string()
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_token(text: &str) -> bool {
    (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn sets(headers: &HeaderMap, name: &str) -> bool {
    headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split_once('=').is_some_and(|(found, _)| found == name))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    error: PageError,
}

fn draw(error: PageError, visitor: &Visitor) -> Response {
    let (status, retry_after) = (error.status, retry_after(error.retry_after));
    let shell = visitor.shell();
    (AppendHeaders(retry_after), page(status, &ErrorPage { shell, error })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_page(message: &'static str, catching_up: bool) -> String {
        let error = PageError { catching_up, ..PageError::bad_request(message) };
        let shell = Shell::new(Some("<b>@example.com".into()), false, 3, "token".into());
        ErrorPage { shell, error }.render().expect("draws")
    }

    #[test]
    fn an_error_page_escapes_what_it_shows() {
        let html = error_page("<script>alert(1)</script>", false);
        assert!(!html.contains("<script>alert") && html.contains("alert(1)"));
        assert!(!html.contains("<b>@"));
    }

    #[test]
    fn only_a_page_that_catches_up_refreshes_itself() {
        assert!(error_page("soon", true).contains("http-equiv=\"refresh\""));
        assert!(!error_page("no", false).contains("http-equiv=\"refresh\""));
    }

    #[test]
    fn ids_and_tokens_of_cookies_are_plain() {
        assert!(is_id(&fresh_id()));
        assert!(!is_id("short") && !is_id(&"g".repeat(32)));
        assert!(is_token(&"a1".repeat(32)));
        assert!(!is_token("a") && !is_token(&"a;".repeat(32)) && !is_token(&"a".repeat(257)));
    }
}
