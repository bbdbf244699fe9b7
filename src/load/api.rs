//! What the generator says to the shop, and what it needs of the answers.
//!
//! Bodies are put together from parts; answers are read into the few fields that matter.

use anyhow::{Context as _, anyhow, bail};
use axum::http::StatusCode;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::line::{Address, Line};

/// The card that the simulated bank approves.
const CARD: &str = "4242424242424242";

/// How a shop answered.
#[derive(Debug)]
pub(super) enum Answer<T> {
    Done(T),
    Refused(Refusal),
}

/// The shop said no, or not now.
#[derive(Debug)]
pub(super) struct Refusal {
    /// `extensions.code`; the HTTP status as `HTTP_503` where it said nothing else.
    pub(super) code: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
struct Wire<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize, Default)]
struct Extensions {
    #[serde(default)]
    code: Option<String>,
}

/// Reads an answer.
pub(super) fn read<'a, T: Deserialize<'a>>(status: StatusCode, body: &'a [u8]) -> Answer<T> {
    let refused = |code: Option<String>, message: String| {
        let code = code.unwrap_or_else(|| format!("HTTP_{}", status.as_u16()));
        Answer::Refused(Refusal { code, message })
    };
    let Ok(answer) = serde_json::from_slice::<Wire<T>>(body) else {
        // An answer without what was asked for has null for it, and says why.
        return match serde_json::from_slice::<Wire<Value>>(body) {
            Ok(Wire { errors, .. }) if !errors.is_empty() => first(errors, refused),
            _ => refused(None, "this is no answer of GraphQL".to_owned()),
        };
    };
    match answer.data {
        Some(data) if answer.errors.is_empty() => Answer::Done(data),
        _ => first(answer.errors, refused),
    }
}

fn first<T>(errors: Vec<WireError>, refused: impl Fn(Option<String>, String) -> Answer<T>) -> Answer<T> {
    match errors.into_iter().next() {
        Some(error) => refused(error.extensions.code, error.message),
        None => refused(None, "an answer without data".to_owned()),
    }
}

/// `placeOrder`'s answer.
#[derive(Debug, Deserialize)]
pub(super) struct Placed {
    #[serde(rename = "placeOrder")]
    pub(super) order: PlacedOrder,
}

/// An order as it was taken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlacedOrder {
    pub(super) id: Box<str>,
    /// RFC 3339; asked for where no card is given.
    #[serde(default)]
    pub(super) pay_before: Option<String>,
    #[serde(default)]
    pub(super) placed_at: Option<String>,
}

/// The body of a `placeOrder`, with a card or without. Neither `key` nor `skus` contain
/// anything that JSON would escape.
pub(super) fn place_order(key: &str, skus: &[&str], card: bool) -> Bytes {
    let lines: String = skus.iter().map(|sku| format!("{{\"sku\":\"{sku}\",\"quantity\":1}},")).collect();
    let lines = lines.trim_end_matches(',');
    let body = if card {
        format!(
            "{{\"query\":\"mutation($k:String,$l:[OrderLineInput!]!,$c:String)\
             {{placeOrder(input:{{lines:$l,idempotencyKey:$k,card:$c}}){{id}}}}\",\
             \"variables\":{{\"k\":\"{key}\",\"l\":[{lines}],\"c\":\"{CARD}\"}}}}"
        )
    } else {
        format!(
            "{{\"query\":\"mutation($k:String,$l:[OrderLineInput!]!)\
             {{placeOrder(input:{{lines:$l,idempotencyKey:$k}}){{id placedAt payBefore}}}}\",\
             \"variables\":{{\"k\":\"{key}\",\"l\":[{lines}]}}}}"
        )
    };
    body.into()
}

/// The body of any operation.
pub(super) fn body(query: &str, variables: &Value) -> Bytes {
    json!({ "query": query, "variables": variables }).to_string().into()
}

/// Asks something that must succeed.
///
/// # Errors
/// In words: nobody answers, somebody else does, or the shop refuses.
pub(super) async fn ask(line: &mut Line, to: &Address, query: &str, variables: &Value) -> anyhow::Result<Value> {
    match try_ask(line, to, query, variables).await? {
        Answer::Done(data) => Ok(data),
        Answer::Refused(Refusal { code, .. }) if code == "FORBIDDEN" => bail!(
            "{to} does not let this account do that: the load is made by an operator; name one with --email and \
             ORDERLY_PASSWORD"
        ),
        Answer::Refused(Refusal { code, message }) => bail!("{to} refuses: {message} ({code})"),
    }
}

/// Asks something that may be refused.
///
/// # Errors
/// In words: nobody answers, or somebody else does.
pub(super) async fn try_ask(
    line: &mut Line,
    to: &Address,
    query: &str,
    variables: &Value,
) -> anyhow::Result<Answer<Value>> {
    let (status, answer) = line.post(body(query, variables)).await.map_err(|lost| {
        anyhow!("no shop answers at {to} ({lost}); is it running? start it with `orderly up`, or name it with --to")
    })?;
    let known: Result<Wire<Value>, _> = serde_json::from_slice(&answer);
    known.with_context(|| format!("{to} answers, but not as Orderly does (HTTP {status}); is --to right?"))?;
    Ok(read(status, &answer))
}
