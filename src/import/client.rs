//! A client of the public GraphQL API that does not give up early.
//!
//! An answer is one of three things, and the difference is the whole retry policy: an
//! *effect*; a *refusal* (the shop said no, it will say no again, [`Refusal`]); or
//! *unavailability* (`OVERLOADED`, a lost connection, …), tried again with exponential
//! back-off and jitter. Trying again is safe because every mutation sent from here
//! carries an idempotency key. When nothing has succeeded for as long as
//! [`Pace::patience`], the import stops; it is resumed by running it again.
//!
//! Every answer also tells the shop's time ([`Client::shop_time`]), by which it plans.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

const LOG_IN: &str = "mutation LogIn($email: String!, $password: String!) {
  logIn(email: $email, password: $password) { token }
}";

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The first pause before trying again; doubled each time.
    pub(crate) pause: Duration,
    /// The longest pause.
    pub(crate) longest: Duration,
    /// How long without any success before giving up.
    pub(crate) patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { pause: Duration::from_millis(50), longest: Duration::from_secs(3), patience: Duration::from_secs(60) }
    }
}

impl Pace {
    /// The pause after so many attempts: between half and all of the doubled time, at
    /// random, so that those who failed together do not come back together.
    pub(crate) fn pause_after(&self, attempts: u32) -> Duration {
        let doubled = self.pause.saturating_mul(1 << attempts.min(16));
        let whole = doubled.min(self.longest);
        let random = uuid::Uuid::new_v4().as_u128() % 1_000;
        let share = 0.5 + 0.0005 * random as f64;
        whole.mul_f64(share)
    }
}

/// The shop said no: deterministic, not tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `extensions.code`, for example `BAD_USER_INPUT`.
    pub(crate) code: String,
    pub(crate) message: String,
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// This call is refused; others may well succeed.
    Refused(Refusal),
    /// No further call makes sense. For people: what, where and what to do.
    Stopped(anyhow::Error),
}

/// What one attempt brought.
enum Attempt {
    Done(Value),
    Refused(Refusal),
    /// Why, and how long the shop asks to be left alone.
    Unavailable(String, Duration),
    Stopped(anyhow::Error),
}

/// How far the `Date` of an answer may be off and still mean that the clocks agree, ms:
/// it has whole seconds, and was on its way.
const CLOCKS_AGREE: i64 = 3_000;

/// A connection pool, and once logged in a session.
pub(crate) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    /// The address for people: without a password that it may hold.
    shown: String,
    token: Option<String>,
    pace: Pace,
    /// When a call last succeeded: patience is counted from here.
    last_success: Mutex<Instant>,
    /// By how much the shop's clock is ahead of this machine's, ms.
    ahead: AtomicI64,
}

impl Client {
    /// Logs in at a shop, `http://host:port`.
    ///
    /// # Errors
    /// Nobody answers there, somebody else does, or the log-in is refused; the text says
    /// where and what to do, and never the password.
    pub(crate) async fn log_in(to: &Url, email: &str, password: &str, pace: Pace) -> anyhow::Result<Self> {
        let mut client = Client::try_new(to, pace)?;
        let shown = client.shown.clone();
        let variables = json!({ "email": email, "password": password });
        let data = match client.call(LOG_IN, &variables).await {
            Ok(data) => data,
            Err(CallError::Refused(refusal)) => {
                return Err(anyhow!(
                    "{shown} refused the log-in of {email} ({}); \
                     give an operator's with --email and ORDERLY_PASSWORD",
                    refusal.code
                ));
            }
            Err(CallError::Stopped(error)) => return Err(error),
        };
        let token = data["logIn"]["token"].as_str();
        let token = token.with_context(|| format!("{shown} answered a log-in without a token"))?;
        client.token = Some(token.to_owned());
        Ok(client)
    }

    fn try_new(to: &Url, pace: Pace) -> anyhow::Result<Self> {
        let mut endpoint = to.clone();
        if !endpoint.path().ends_with("/graphql") {
            endpoint.set_path(&format!("{}/graphql", to.path().trim_end_matches('/')));
        }
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none());
        if matches!(to.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            // A proxy for the outside world does not know this machine's own address.
            http = http.no_proxy();
        }
        Ok(Client {
            http: http.build().context("the HTTP client cannot be built")?,
            shown: shown(to),
            endpoint,
            token: None,
            pace,
            last_success: Mutex::new(Instant::now()),
            ahead: AtomicI64::new(0),
        })
    }

    /// The address, as it may be shown.
    pub(crate) fn address(&self) -> &str {
        &self.shown
    }

    /// The shop's time, unix milliseconds, as far as its answers tell.
    pub(crate) fn shop_time(&self) -> i64 {
        Utc::now().timestamp_millis() + self.ahead.load(Ordering::Relaxed)
    }

    /// How patient this client is.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Sends an operation until it is answered, and gives the answer's `data`.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # On crash
    /// Of either side, between the effect and its answer: the effect stands, and the same
    /// call with the same idempotency key finds it again.
    pub(crate) async fn call(&self, operation: &str, variables: &Value) -> Result<Value, CallError> {
        let mut attempts = 0;
        loop {
            match self.attempt(operation, variables).await {
                Attempt::Done(data) => {
                    *self.last_success() = Instant::now();
                    return Ok(data);
                }
                Attempt::Refused(refusal) => {
                    *self.last_success() = Instant::now();
                    return Err(CallError::Refused(refusal));
                }
                Attempt::Stopped(error) => return Err(CallError::Stopped(error)),
                Attempt::Unavailable(why, rest) => {
                    let silent = self.last_success().elapsed();
                    if silent > self.pace.patience {
                        return Err(CallError::Stopped(anyhow!(
                            "{} has served nothing for {} s (last: {why}); \
                             run the same command again once it is well: it resumes",
                            self.shown,
                            silent.as_secs()
                        )));
                    }
                    let rest = rest.min(self.pace.patience);
                    tokio::time::sleep(self.pace.pause_after(attempts).max(rest)).await;
                    attempts += 1;
                }
            }
        }
    }

    async fn attempt(&self, operation: &str, variables: &Value) -> Attempt {
        let body = json!({ "query": operation, "variables": variables });
        let mut request = self.http.post(self.endpoint.clone()).json(&body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = match request.send().await {
            Ok(response) => response,
            // Before the log-in there is nothing to be patient for.
            Err(error) if error.is_connect() && self.token.is_none() => {
                return Attempt::Stopped(anyhow!(
                    "No Orderly answers at {}; start it with `cargo run --release`, \
                     or name another address with --to ({})",
                    self.shown,
                    innermost(&error)
                ));
            }
            Err(error) => return unavailable(innermost(&error)),
        };
        let status = response.status();
        self.compare_clocks(response.headers());
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return unavailable(innermost(&error)),
        };
        match serde_json::from_slice(&body) {
            Ok(answer) => self.sort(status, answer),
            Err(_) if is_passing(status) => unavailable(format!("HTTP {status}")),
            Err(_) => Attempt::Stopped(anyhow!(
                "{} answers, but not as Orderly does (HTTP {status}); is --to right?",
                self.shown
            )),
        }
    }

    fn sort(&self, status: StatusCode, answer: Answer) -> Attempt {
        let Some(error) = answer.errors.into_iter().next() else {
            return match answer.data {
                Some(data) if status.is_success() => Attempt::Done(data),
                _ if is_passing(status) => unavailable(format!("HTTP {status}")),
                _ => Attempt::Stopped(anyhow!("{} answers HTTP {status}", self.shown)),
            };
        };
        let shown = &self.shown;
        match error.extensions.code {
            Some(code) if is_passing_code(&code) => {
                let rest = Duration::from_secs(error.extensions.retry_after.unwrap_or_default());
                Attempt::Unavailable(code, rest)
            }
            Some(code) if code == "UNAUTHENTICATED" && self.token.is_some() => {
                Attempt::Stopped(anyhow!("{shown} has ended the session; run the same command again: it resumes"))
            }
            Some(code) if code == "FORBIDDEN" => Attempt::Stopped(anyhow!(
                "{shown} does not let this account import; \
                 log in as an operator with --email and ORDERLY_PASSWORD"
            )),
            Some(code) => Attempt::Refused(Refusal { code, message: error.message }),
            None if is_passing(status) => unavailable(format!("HTTP {status}")),
            None => Attempt::Stopped(anyhow!(
                "{shown} does not understand this importer ({}); are both of one version?",
                error.message
            )),
        }
    }

    fn compare_clocks(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            let ahead = theirs.timestamp_millis() - Utc::now().timestamp_millis();
            let ahead = if ahead.abs() > CLOCKS_AGREE { ahead } else { 0 };
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }

    fn last_success(&self) -> std::sync::MutexGuard<'_, Instant> {
        // An instant is whole whoever panicked while holding it.
        self.last_success.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A GraphQL response.
#[derive(Deserialize)]
struct Answer {
    data: Option<Value>,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct GraphQlError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize, Default)]
struct Extensions {
    code: Option<String>,
    /// Seconds; with RATE_LIMITED.
    #[serde(rename = "retryAfter")]
    retry_after: Option<u64>,
}

fn unavailable(why: String) -> Attempt {
    Attempt::Unavailable(why, Duration::ZERO)
}

fn is_passing_code(code: &str) -> bool {
    matches!(code, "OVERLOADED" | "UNAVAILABLE" | "RATE_LIMITED" | "STALE")
}

fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot hold a user, and then there is none.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.as_str().trim_end_matches('/').to_owned()
}

/// The cause at the bottom: "connection refused" rather than "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(below) = at.source() {
        at = below;
    }
    at.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_equal_for_all() {
        let pace = Pace::default();
        for attempts in 0..100 {
            let whole = (pace.pause * (1 << attempts.min(16))).min(pace.longest);
            let pause = pace.pause_after(attempts);
            assert!(pause >= whole / 2 && pause <= whole, "{attempts}: {pause:?}");
        }
        let some: std::collections::BTreeSet<_> = (0..20).map(|_| pace.pause_after(9)).collect();
        assert!(some.len() > 1);
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url = Url::parse("http://ada:secret@shop.example:8080/").expect("an address");
        assert_eq!(shown(&url), "http://shop.example:8080");
    }
}
