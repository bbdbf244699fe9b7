//! A visitor of the pages: keeps cookies, sends forms with the token of the last page it saw, and
//! follows no redirect, so that a test sees where it would lead.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder};

use super::PASSWORD;
use super::hostile::runnable_in;

/// What came back.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Page {
    /// Where it leads; "" if nowhere.
    pub(super) fn location(&self) -> &str {
        self.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What no answer may have, if this one has it: a failure of ours, something that a browser
    /// would run, or no fence around it.
    pub(super) fn fault(&self) -> Option<String> {
        let header = |name| self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if self.status >= 500 {
            return Some(format!("HTTP {}", self.status));
        }
        if let Some(runnable) = runnable_in(&self.text) {
            return Some(format!("a browser would run {runnable}"));
        }
        if !header("content-security-policy").contains("default-src 'self'") {
            return Some("no content security policy".into());
        }
        (header("x-content-type-options") != "nosniff").then(|| "a browser may guess what it is".into())
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    http: Client,
    base: String,
    cookies: BTreeMap<String, String>,
    /// Of the last page that had a form.
    pub(super) csrf: String,
}

impl Visitor {
    /// Somebody who has not been here before.
    pub(super) fn new(base_url: &str) -> Self {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client without TLS needs nothing of the machine");
        Self { http, base: base_url.to_owned(), cookies: BTreeMap::new(), csrf: String::new() }
    }

    /// Somebody who has logged in by the form, and looks at the cart.
    pub(super) async fn logged_in(base_url: &str, email: &str) -> Self {
        let mut visitor = Self::new(base_url);
        visitor.get("/login").await;
        let page = visitor.post("/login", &[("email", email), ("password", PASSWORD)]).await;
        assert_eq!(page.status, 303, "{}", page.text);
        visitor.get("/cart").await;
        visitor
    }

    pub(super) fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// A request with the cookies, for what the other functions do not send.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.request(method, format!("{}{path}", self.base));
        if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) }
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a form with the token.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf.clone();
        let all = fields.iter().copied().chain([("csrf", csrf.as_str())]);
        let body: Vec<String> = all.map(|(name, value)| format!("{name}={}", encode(value))).collect();
        self.post_raw(path, body.join("&").into_bytes()).await
    }

    /// Sends a form's body as it is.
    pub(super) async fn post_raw(&mut self, path: &str, body: Vec<u8>) -> Page {
        let request = self.request(Method::POST, path).header("origin", &self.base);
        self.send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)).await
    }

    pub(super) async fn send(&mut self, request: RequestBuilder) -> Page {
        let response = request.send().await.expect("every request is answered");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for value in headers.get_all(SET_COOKIE) {
            let pair = value.to_str().expect("plain").split(';').next().unwrap_or_default();
            let (name, kept) = pair.split_once('=').expect("a pair");
            if kept.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), kept.to_owned());
            }
        }
        let page = Page { status, headers, text: response.text().await.expect("a text") };
        if let Some(csrf) = field(&page.text, "csrf") {
            self.csrf = csrf;
        }
        page
    }

    /// The first piece of news of a live page, as it is sent.
    pub(super) async fn first_news(&self, path: &str) -> String {
        let mut response = self.request(Method::GET, path).send().await.expect("is answered");
        assert_eq!(response.status().as_u16(), 200);
        let mut seen = Vec::new();
        while !seen.windows(2).any(|two| two == b"\n\n") {
            let chunk = response.chunk().await.expect("goes on");
            seen.extend_from_slice(&chunk.expect("says something before it ends"));
        }
        String::from_utf8(seen).expect("text")
    }
}

/// The value of the first hidden field with this name.
pub(super) fn field(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next().map(str::to_owned)
}

/// Percent-encodes all but letters and digits.
pub(super) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
