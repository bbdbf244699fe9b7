//! A small GraphQL client, independent of the shop's own code: what any customer could write.
//!
//! It knows a base URL and a bearer token, nothing of the process behind them, so it works as well
//! against a shop in containers.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::servers::until;

/// The fields of an order that the tests look at.
const ORDER: &str = "id version status statusReason placedAt payBefore fulfilAt unwinding
    total { amount currency } refunded { amount currency }
    lines { sku name quantity returned unitPrice { amount currency } }
    timeline { at service type summary eventId }";

/// Statuses that nothing follows: waiting for another one is in vain.
const FINAL: [&str; 4] = ["REJECTED", "EXPIRED", "CANCELLED", "REFUNDED"];

/// Why a query has no data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GraphqlError {
    /// The shop refused: each error's `extensions.code` (empty if it had none) and its message.
    #[error("refused with {codes:?}: {messages:?}")]
    Refused { codes: Vec<String>, messages: Vec<String> },
    /// An answer that is not GraphQL, such as a limit of the HTTP server.
    #[error("HTTP {status}: {body}")]
    NotGraphql { status: u16, body: String },
    /// No answer came. Whether the shop did it is unknown: ask again with the same key.
    #[error("no answer: {0}")]
    NoAnswer(#[from] reqwest::Error),
}

impl GraphqlError {
    /// The `extensions.code` of each error; none if the shop did not refuse.
    pub(crate) fn codes(&self) -> &[String] {
        match self {
            Self::Refused { codes, .. } => codes,
            Self::NotGraphql { .. } | Self::NoAnswer(_) => &[],
        }
    }

    /// Whether the shop has decided: asked again with the same key it says the same.
    pub(crate) fn is_definite(&self) -> bool {
        const LATER: [&str; 4] = ["UNAVAILABLE", "OVERLOADED", "STALE", "RATE_LIMITED"];
        !self.codes().is_empty() && !LATER.iter().any(|code| self.has_code(code))
    }

    /// Whether one of the errors carries this code.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.codes().iter().any(|said| said == code)
    }
}

/// A caller of the public API: a visitor, or after [`Client::log_in`] an account.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    base_url: String,
    token: Option<String>,
    http: reqwest::Client,
}

impl Client {
    /// A visitor of the shop at `base_url`, such as `http://127.0.0.1:8080`.
    pub(crate) fn new(base_url: &str) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client without TLS needs nothing of the machine");
        Self { base_url: base_url.trim_end_matches('/').to_owned(), token: None, http }
    }

    /// The same account at another gateway.
    pub(crate) fn at(&self, other: &Self) -> Self {
        Self { base_url: other.base_url.clone(), ..self.clone() }
    }

    /// The bearer token, once logged in.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A client that is logged in; this one is left as it is.
    ///
    /// # Errors
    /// The log-in was refused, or there was no answer.
    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Result<Self, GraphqlError> {
        self.session("logIn", email, password).await
    }

    /// As [`Self::log_in`], with a new account.
    ///
    /// # Errors
    /// The address has an account, or another refusal, or no answer.
    pub(crate) async fn sign_up(&self, email: &str, password: &str) -> Result<Self, GraphqlError> {
        self.session("signUp", email, password).await
    }

    async fn session(&self, mutation: &str, email: &str, password: &str) -> Result<Self, GraphqlError> {
        let document = format!(
            "mutation($email: String!, $password: String!) {{
                session: {mutation}(email: $email, password: $password) {{ token }} }}"
        );
        let data = self.query(&document, json!({ "email": email, "password": password })).await?;
        let token = data["session"]["token"].as_str().map(str::to_owned);
        Ok(Self { token, ..self.clone() })
    }

    /// Sends a query or a mutation and returns its `data`.
    ///
    /// # Errors
    /// Any error in the answer, even beside data; an answer that is not GraphQL; no answer.
    pub(crate) async fn query(&self, document: &str, variables: Value) -> Result<Value, GraphqlError> {
        let mut request = self.http.post(format!("{}/graphql", self.base_url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.json(&json!({ "query": document, "variables": variables })).send().await?;
        let status = response.status().as_u16();
        let body = response.text().await?;
        read_answer(status, body)
    }

    /// `placeOrder` of `(sku, quantity)` lines: with a card it is paid at once, with a key it is
    /// placed once however often it is asked for. Answers the order.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(crate) async fn place_order(
        &self,
        lines: &[(&str, i64)],
        card: Option<&str>,
        key: Option<&str>,
    ) -> Result<Value, GraphqlError> {
        let input = place_order_input(lines, card, key);
        let document =
            format!("mutation($input: PlaceOrderInput!) {{ order: placeOrder(input: $input) {{ {ORDER} }} }}");
        Ok(self.query(&document, json!({ "input": input })).await?["order"].take())
    }

    /// As [`Self::place_order`], asking for nothing that another service knows: answers the id.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(crate) async fn take_order(
        &self,
        lines: &[(&str, i64)],
        card: Option<&str>,
        key: Option<&str>,
    ) -> Result<String, GraphqlError> {
        let document = "mutation($input: PlaceOrderInput!) { order: placeOrder(input: $input) { id } }";
        let data = self.query(document, json!({ "input": place_order_input(lines, card, key) })).await?;
        Ok(data["order"]["id"].as_str().unwrap_or_default().to_owned())
    }

    /// `cancelOrder`, asking for nothing that another service knows.
    ///
    /// # Errors
    /// As [`Self::cancel_order`].
    pub(crate) async fn call_off(&self, id: &str, key: &str) -> Result<(), GraphqlError> {
        let document = "mutation($id: ID!, $key: String) { cancelOrder(orderId: $id, idempotencyKey: $key) { id } }";
        self.query(document, json!({ "id": id, "key": key })).await.map(drop)
    }

    /// `cancelOrder`, answering the order.
    ///
    /// # Errors
    /// As [`Self::query`]; CONFLICT where it is too late for that.
    pub(crate) async fn cancel_order(&self, id: &str, key: Option<&str>) -> Result<Value, GraphqlError> {
        let document = format!(
            "mutation($id: ID!, $key: String) {{ order: cancelOrder(orderId: $id, idempotencyKey: $key) {{ {ORDER} }} }}"
        );
        Ok(self.query(&document, json!({ "id": id, "key": key })).await?["order"].take())
    }

    /// `returnOrder` of `(sku, quantity)` lines, answering the order.
    ///
    /// # Errors
    /// As [`Self::query`]; CONFLICT if it is not delivered, or something else is on its way back.
    pub(crate) async fn return_order(
        &self,
        id: &str,
        lines: &[(&str, i64)],
        key: Option<&str>,
    ) -> Result<Value, GraphqlError> {
        let lines: Vec<Value> =
            lines.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
        let document = format!(
            "mutation($id: ID!, $lines: [OrderLineInput!], $key: String) {{
                order: returnOrder(orderId: $id, lines: $lines, idempotencyKey: $key) {{ {ORDER} }} }}"
        );
        Ok(self.query(&document, json!({ "id": id, "lines": lines, "key": key })).await?["order"].take())
    }

    /// The order as the read model has it; null if it has none of that id, or not yet.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(crate) async fn order(&self, id: &str) -> Result<Value, GraphqlError> {
        let document = format!("query($id: ID!) {{ order(id: $id) {{ {ORDER} }} }}");
        Ok(self.query(&document, json!({ "id": id })).await?["order"].take())
    }

    /// Waits until the order has the status `wanted` and answers it.
    ///
    /// # Errors
    /// As [`Self::await_any_status`].
    pub(crate) async fn await_status(&self, id: &str, wanted: &str, deadline: Duration) -> Result<Value> {
        self.await_any_status(id, &[wanted], deadline).await
    }

    /// Waits until the order has one of the statuses and answers it. A shop that does not answer,
    /// or an order that is not in the read model yet, is asked again.
    ///
    /// # Errors
    /// The order came to an end that is not wanted, or the deadline passed; with what was seen last.
    pub(crate) async fn await_any_status(&self, id: &str, wanted: &[&str], deadline: Duration) -> Result<Value> {
        let mut last = String::from("nothing");
        let found = until("the wanted status", deadline, async || {
            let order = match self.order(id).await {
                Ok(order) => order,
                Err(error) => {
                    last = error.to_string();
                    return Ok(None);
                }
            };
            let status = order["status"].as_str().unwrap_or_default().to_owned();
            last = order.to_string();
            if wanted.contains(&status.as_str()) {
                return Ok(Some(order));
            }
            if FINAL.contains(&status.as_str()) {
                bail!("the order came to an end");
            }
            Ok(None)
        })
        .await;
        found.map_err(|error| error.context(format!("order {id} should be {wanted:?}, last seen: {last}")))
    }
}

/// What is not given is left out: null would be a value.
fn place_order_input(lines: &[(&str, i64)], card: Option<&str>, key: Option<&str>) -> Value {
    let lines: Vec<Value> = lines.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
    let mut input = json!({ "lines": lines });
    for (name, value) in [("card", card), ("idempotencyKey", key)] {
        if let Some(value) = value {
            input[name] = value.into();
        }
    }
    input
}

fn read_answer(status: u16, body: String) -> Result<Value, GraphqlError> {
    let Ok(mut answer) = serde_json::from_str::<Value>(&body) else {
        return Err(GraphqlError::NotGraphql { status, body });
    };
    if let Some(errors) = answer["errors"].as_array().filter(|errors| !errors.is_empty()) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        return Err(GraphqlError::Refused {
            codes: errors.iter().map(|error| text(&error["extensions"]["code"])).collect(),
            messages: errors.iter().map(|error| text(&error["message"])).collect(),
        });
    }
    match answer.get_mut("data") {
        Some(data) => Ok(data.take()),
        None => Err(GraphqlError::NotGraphql { status, body }),
    }
}

#[test]
fn an_answer_with_errors_is_refused_with_their_codes() {
    let body = r#"{"data": null, "errors": [{"message": "no", "extensions": {"code": "CONFLICT"}}]}"#;
    let error = read_answer(200, body.into()).expect_err("it has errors");
    assert!(error.has_code("CONFLICT"), "{error}");
    assert!(matches!(read_answer(413, "too large".into()), Err(GraphqlError::NotGraphql { status: 413, .. })));
}
