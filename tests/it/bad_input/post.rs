//! GraphQL over HTTP as a stranger may send it: any bytes, any headers.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{PASSWORD, shop};

/// Every code that an error may have.
pub(super) const CODES: [&str; 10] = [
    "BAD_USER_INPUT",
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "NOT_FOUND",
    "OUT_OF_STOCK",
    "CONFLICT",
    "STALE",
    "OVERLOADED",
    "RATE_LIMITED",
    "UNAVAILABLE",
];

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Null if it is no JSON.
    pub(super) json: Value,
    /// What no answer may have, if this one has it.
    pub(super) fault: Option<String>,
}

impl Answer {
    /// The code of the first error; "" without one.
    pub(super) fn code(&self) -> &str {
        self.json["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }
}

/// A sender, with or without a token.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    http: Client,
    url: String,
    pub(super) token: Option<String>,
}

impl Sender {
    pub(super) async fn anonymous() -> Self {
        let url = format!("{}/graphql", shop().await.base_url());
        Self { http: Client::new(), url, token: None }
    }

    /// With the token of an account.
    pub(super) async fn of(email: &str) -> Self {
        let anonymous = Self::anonymous().await;
        let document = "mutation($e: String!, $p: String!) { logIn(email: $e, password: $p) { token } }";
        let answer = anonymous.ask(document, &json!({ "e": email, "p": PASSWORD }).to_string()).await;
        let token = answer.json["data"]["logIn"]["token"].as_str().expect("a token").to_owned();
        Self { token: Some(token), ..anonymous }
    }

    /// With the token of a new account, whose idempotency keys nobody has used.
    pub(super) async fn of_somebody_new() -> Self {
        let email = format!("{}@example.com", uuid::Uuid::new_v4());
        shop().await.client().sign_up(&email, PASSWORD).await.expect("signs up");
        Self::of(&email).await
    }

    /// Sends a document with variables that are JSON, or something like it.
    pub(super) async fn ask(&self, document: &str, variables: &str) -> Answer {
        let body = format!("{{\"query\":{},\"variables\":{variables}}}", json!(document));
        self.post(body).await
    }

    /// Sends a body as it is.
    pub(super) async fn post(&self, body: impl Into<Vec<u8>>) -> Answer {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().expect("a plain token"));
        }
        self.send(Method::POST, headers, body.into()).await
    }

    /// As [`Self::post`], with one header in the place of its own.
    pub(super) async fn post_with(&self, name: HeaderName, value: &[u8], body: &str) -> Answer {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        headers.insert(name, HeaderValue::from_bytes(value).expect("can be sent"));
        self.send(Method::POST, headers, body.as_bytes().to_vec()).await
    }

    pub(super) async fn send(&self, method: Method, headers: HeaderMap, body: Vec<u8>) -> Answer {
        let sent = self.http.request(method, &self.url).headers(headers).body(body).send().await;
        let response = sent.expect("every request is answered");
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let guarded = header("content-type") == "application/json" && header("x-content-type-options") == "nosniff";
        let json: Value = serde_json::from_str(&response.text().await.expect("a text")).unwrap_or_default();
        let mut fault = fault_of(status, &json);
        if !guarded {
            fault = Some("a browser may take it for a page".into());
        }
        Answer { status, json, fault }
    }
}

fn fault_of(status: u16, json: &Value) -> Option<String> {
    if status >= 500 {
        return Some(format!("HTTP {status}"));
    }
    let Some(errors) = json.get("errors").and_then(Value::as_array) else {
        return json.get("data").is_none().then(|| "neither data nor errors".into());
    };
    let codes = errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or("no code"));
    codes.into_iter().find(|code| !CODES.contains(code)).map(|code| format!("an error with {code}"))
}
