//! A browser of few words: it keeps cookies, fills in forms, and sees pages as text.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use gateway::accounts::{DEMO_OPERATOR, DEMO_PASSWORD};
use gateway::{Accounts, Api};
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::store::Db;
use tower::ServiceExt;

use platform::audit::Report;
use tokio::sync::watch;

use super::stand_ins::{StandIns, product};
use crate::url::encode;
use crate::{WebOptions, router};

/// A shop over stand-ins, with accounts of its own.
pub(super) struct TestShop {
    pub(super) router: Router,
    pub(super) services: StandIns,
    /// Where the background auditor puts its reports.
    pub(super) auditor: watch::Sender<Option<Report>>,
    accounts: Accounts,
    /// Removed at the end.
    _folder: tempfile::TempDir,
}

impl TestShop {
    pub(super) async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::open_sqlite(&folder.path().join("gateway.db")).await.expect("opens");
        let clock = Clock::system();
        let accounts = Accounts::open(db, clock.clone()).await.expect("migrates");
        let bus = EmbeddedBus::open(None).await.expect("in memory");
        let products = vec![
            product("MUG-1", "Enamel mug <script>alert(1)</script>", 950, 24),
            product("PEN-1", "Fountain pen", 3_800, 0),
        ];
        let services = StandIns::selling(products);
        let api = Api::new(services.connections(), accounts.clone(), bus);
        let (auditor, audit) = watch::channel(None);
        let options = WebOptions { clock, audit, secure_cookies: false, demo_account: None };
        Self { router: router(api, options), services, auditor, accounts, _folder: folder }
    }

    /// An operator, logged in.
    pub(super) async fn operator(&self) -> Browser {
        self.accounts.ensure_demo().await.expect("demo accounts");
        let mut browser = self.browser();
        browser.get("/login").await;
        let seen = browser.post("/login", &[("email", DEMO_OPERATOR), ("password", DEMO_PASSWORD)]).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.text);
        browser.get("/cart").await;
        browser
    }

    /// A visitor who has no cookies yet.
    pub(super) fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookies: BTreeMap::new(), csrf: String::new(), from: None }
    }
}

pub(super) struct Browser {
    router: Router,
    pub(super) cookies: BTreeMap<String, String>,
    /// Of the last page that had one.
    pub(super) csrf: String,
    /// Where the connection comes from, as the server says; nothing if it does not.
    pub(super) from: Option<SocketAddr>,
}

/// An answer.
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Seen {
    /// Where it leads.
    pub(super) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The value of the first field with this name.
    pub(super) fn field(&self, name: &str) -> String {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\"")).expect("the field is there");
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

impl Browser {
    pub(super) async fn get(&mut self, path: &str) -> Seen {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    /// Sends a form with the CSRF token of the last page.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let csrf = self.csrf.clone();
        let all = fields.iter().copied().chain([("csrf", csrf.as_str())]);
        let body: Vec<String> = all.map(|(name, value)| format!("{name}={}", encode(value))).collect();
        self.post_raw(path, body.join("&").into_bytes()).await
    }

    pub(super) async fn post_raw(&mut self, path: &str, body: Vec<u8>) -> Seen {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::HOST, "shop.example")
            .header(header::ORIGIN, "http://shop.example")
            .body(body.into())
            .expect("a request");
        self.send(request).await
    }

    pub(super) async fn send(&mut self, mut request: Request<Body>) -> Seen {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            let value = cookies.join("; ").parse().expect("plain cookies");
            request.headers_mut().insert(header::COOKIE, value);
        }
        if let Some(from) = self.from {
            request.extensions_mut().insert(ConnectInfo(from));
        }
        let response = self.router.clone().oneshot(request).await.expect("never fails");
        let (parts, body) = response.into_parts();
        for value in parts.headers.get_all(header::SET_COOKIE) {
            let value = value.to_str().expect("plain");
            let (pair, _) = value.split_once(';').expect("with attributes");
            let (name, kept) = pair.split_once('=').expect("a pair");
            if kept.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), kept.to_owned());
            }
        }
        let bytes = to_bytes(body, 4 << 20).await.expect("a body");
        let seen = Seen {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).expect("text"),
        };
        if seen.text.contains("name=\"csrf\" value=\"") {
            self.csrf = seen.field("csrf");
        }
        seen
    }

    /// Makes an account and is logged in to it.
    pub(super) async fn sign_up(&mut self, email: &str) {
        self.get("/signup").await;
        let seen = self.post("/signup", &[("email", email), ("password", "long enough")]).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.text);
        self.get("/cart").await;
        self.get("/orders").await;
    }
}
