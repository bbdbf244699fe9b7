//! **Retries, only where idempotent**: a second attempt for a call that got no answer.
//!
//! A call that failed on its way may have been done all the same. So what may be asked
//! twice is a promise of the contracts (`method.rs`): reads, and commands with a command
//! id, which the service answers again with its first answer. Everything else is sent
//! again only if it cannot have arrived: the connection was never made.
//!
//! *What* is tried again: UNAVAILABLE, a broken connection, silence for an attempt's share
//! of the deadline while another replica serves. Never a business answer; never
//! RESOURCE_EXHAUSTED, which means "too much": more would make it worse. And nothing
//! whose answer has begun. *How*: at most three attempts, on a replica that was not tried
//! yet where there is one, after a short pause with jitter, within the call's deadline.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_fn;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::body::Body;
use tonic::codegen::{Bytes, Service as _};
use tonic::{Code, ConnectError, Status, TimeoutExpired};

use super::balance::{Balancer, Chosen};
use super::deadline;
use super::method::Method;

/// The first one counted.
const ATTEMPTS: usize = 3;
/// Before the second attempt; twice that before the third.
const PAUSE: Duration = Duration::from_millis(50);
/// An attempt's share of what remains, and its bounds.
const SHARE: f64 = 0.3;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3);

/// A call on its way.
pub(super) struct Call {
    pub(super) service: &'static str,
    pub(super) parts: Parts,
    pub(super) payload: Payload,
    pub(super) method: Method,
    pub(super) deadline: Instant,
}

/// What is sent.
pub(super) enum Payload {
    /// As often as wanted.
    Whole(Bytes),
    /// Once.
    Stream(Option<Body>),
}

/// An attempt without an answer to hand on.
struct Failed {
    /// What the caller gets if this was the last attempt.
    outcome: Result<Response<Body>, Status>,
    /// Whether the replica may have seen the call.
    sent: bool,
}

/// Asks, again if need be.
///
/// # Errors
/// UNAVAILABLE: nobody serves, or the connection broke. DEADLINE_EXCEEDED. What a
/// service answers, a refusal too, is no error here.
pub(super) async fn answer(balancer: &Balancer, mut call: Call) -> Result<Response<Body>, Status> {
    let (mut tried, mut last): (Vec<SocketAddr>, _) = (Vec::new(), None);
    for attempt in 1..=ATTEMPTS {
        if Instant::now() >= call.deadline {
            return last.unwrap_or_else(|| Err(deadline::exceeded()));
        }
        let Some(chosen) = balancer.choose(&tried, call.deadline).await else { break };
        let Some(request) = call.request() else { break };
        let address = chosen.address();
        tried.push(address);
        let other = |tried: &[SocketAddr]| attempt < ATTEMPTS && balancer.has_another(tried);
        let (method, sending) = (call.method, Attempt { service: call.service, deadline: call.deadline });
        let failed = match sending.make(chosen, request, || method.idempotent && other(&tried)).await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let again = attempt < ATTEMPTS && (call.method.idempotent || !failed.sent);
        tracing::debug!(path = call.parts.uri.path(), %address, attempt, again, "a call got no answer");
        last = Some(failed.outcome);
        if !again {
            break;
        }
        let pause = (PAUSE * attempt as u32).mul_f64(rand::random_range(0.5..1.5));
        if Instant::now() + pause >= call.deadline {
            break;
        }
        sleep(pause).await;
    }
    last.unwrap_or_else(|| Err(unavailable(format!("no replica of {} serves now", call.service))))
}

impl Call {
    /// `None` if what was to be sent was sent already and cannot be again.
    fn request(&mut self) -> Option<Request<Body>> {
        let body = match &mut self.payload {
            Payload::Whole(bytes) => Body::new(Full::new(bytes.clone())),
            Payload::Stream(body) => body.take()?,
        };
        let mut parts = self.parts.clone();
        // A stream would end when its time is over; only its beginning is waited for.
        if !self.method.streams_answer {
            deadline::write(&mut parts.headers, self.deadline);
        }
        Some(Request::from_parts(parts, body))
    }
}

/// One of the times that a call is sent.
struct Attempt {
    service: &'static str,
    deadline: Instant,
}

impl Attempt {
    /// Sends it and waits for the beginning of an answer. A replica that is silent for its share of the time becomes suspect;
    /// the attempt is given up only if `elsewhere` is a better place to ask.
    async fn make(
        self,
        chosen: Chosen,
        request: Request<Body>,
        elsewhere: impl Fn() -> bool,
    ) -> Result<Response<Body>, Failed> {
        let mut channel = chosen.channel();
        let mut answer = pin!(async {
            poll_fn(|context| channel.poll_ready(context)).await?;
            channel.call(request).await
        });
        let began = Instant::now();
        let share = self.deadline.saturating_duration_since(began).mul_f64(SHARE).clamp(SHORTEST, LONGEST);
        let answer = match timeout_at(self.deadline.min(began + share), &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                // Not in its caller's last milliseconds: that says little about it.
                if began.elapsed() >= SHORTEST {
                    chosen.suspect();
                }
                if Instant::now() < self.deadline && elsewhere() {
                    return Err(Failed { outcome: Err(deadline::exceeded()), sent: true });
                }
                let late = timeout_at(self.deadline, &mut answer).await;
                late.map_err(|_| Failed { outcome: Err(deadline::exceeded()), sent: true })?
            }
        };
        match answer {
            Ok(response) if says_unavailable(&response) => {
                Err(Failed { outcome: Ok(chosen.until_read(response)), sent: true })
            }
            Ok(response) => Ok(chosen.until_read(response)),
            // The channel watches `grpc-timeout`, too.
            Err(error) if cause::<TimeoutExpired>(&error) => {
                Err(Failed { outcome: Err(deadline::exceeded()), sent: true })
            }
            Err(error) => {
                chosen.suspect();
                let sent = !cause::<ConnectError>(&error);
                Err(Failed { outcome: Err(unavailable(Lost { service: self.service, error })), sent })
            }
        }
    }
}

/// A refusal comes without a body: its status stands in the headers.
fn says_unavailable(response: &Response<Body>) -> bool {
    let status = response.headers().get("grpc-status");
    status.is_some_and(|status| Code::from_bytes(status.as_bytes()) == Code::Unavailable)
}

/// Whether an error came of such a one.
fn cause<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| error.is::<E>())
}

/// An error and what caused it, down to the root.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// UNAVAILABLE with a source: nobody has logged it yet.
pub(super) fn unavailable(why: impl Into<Box<dyn Error + Send + Sync>>) -> Status {
    let why = why.into();
    let mut status = Status::unavailable(why.to_string());
    status.set_source(Arc::from(why));
    status
}

/// A connection that broke, or was never made.
#[derive(Debug)]
struct Lost {
    service: &'static str,
    error: tonic::transport::Error,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = chain(&self.error).last();
        write!(f, "the connection to a replica of {} is lost", self.service)?;
        root.map_or(Ok(()), |root| write!(f, ": {root}"))
    }
}

impl Error for Lost {}
