//! **Deadline propagation**: one moment by which a whole chain of calls must be over.
//!
//! A timeout per hop adds up: three hops of ten seconds keep a customer for thirty, and
//! the last one works for somebody who has long gone. So the caller's deadline travels.
//! In a process it is a *task-local* value: [`within`] sets it for all that a future
//! awaits. Between processes it is the header `grpc-timeout`, which says what remains
//! rather than when it ends, so that clocks need not agree. Whoever receives a call
//! works within it ([`obeyed`]), and so do the calls that he makes for it: what remains
//! only shrinks.
//!
//! A task-local value does not follow into a spawned task: [`carried`] takes it along.
//! Only the beginning of an answer is bounded: a stream goes on.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;

tokio::task_local! {
    /// When all that this task does for its caller must be over.
    static DEADLINE: Instant;
}

/// The header that carries what remains.
const HEADER: &str = "grpc-timeout";

/// Runs a future so that every call it makes ends within `patience`, counted from now;
/// earlier, if the caller's own deadline is earlier. The future itself is not cut off:
/// it gets the calls' DEADLINE_EXCEEDED, and makes of it what it will.
pub fn within<F: Future>(patience: Duration, future: F) -> impl Future<Output = F::Output> {
    let own = after(patience);
    DEADLINE.scope(current().map_or(own, |callers| callers.min(own)), future)
}

/// Takes the deadline of this task, if there is one, along into another.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    match current() {
        Some(deadline) => Either::Left(DEADLINE.scope(deadline, future)),
        None => Either::Right(future),
    }
}

/// When what runs now must be over, if somebody has said so.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

/// So long from now; a patience that no clock can hold is a very long one.
pub(super) fn after(patience: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(30 * 365 * 86_400);
    Instant::now() + patience.min(LONGEST)
}

/// When a call must be over: the earlier one of this task's deadline and the call's own.
pub(super) fn of(headers: &HeaderMap) -> Option<Instant> {
    let own = headers.get(HEADER).and_then(read).map(after);
    match (current(), own) {
        (Some(callers), Some(own)) => Some(callers.min(own)),
        (callers, own) => callers.or(own),
    }
}

/// Writes into a call's headers what remains of it.
pub(super) fn write(headers: &mut HeaderMap, deadline: Instant) {
    let remains = deadline.saturating_duration_since(Instant::now());
    if let Ok(value) = HeaderValue::from_str(&written(remains)) {
        headers.insert(HEADER, value);
    }
}

/// At most eight digits and a unit; rounded down, so that nothing grows on its way.
fn written(patience: Duration) -> String {
    const MOST: u128 = 99_999_999;
    match (patience.as_micros(), patience.as_millis(), u128::from(patience.as_secs())) {
        (micros, ..) if micros <= MOST => format!("{micros}u"),
        (_, millis, _) if millis <= MOST => format!("{millis}m"),
        (.., seconds) => format!("{}S", seconds.min(MOST)),
    }
}

/// `None` for what the gRPC specification does not allow; tonic ignores that, too.
fn read(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// What a call is told whose time is over.
pub(super) fn exceeded() -> Status {
    Status::deadline_exceeded("the call's deadline is over")
}

/// A server that works within its callers' deadlines: what runs longer is dropped, and
/// DEADLINE_EXCEEDED is the answer. What it calls meanwhile is bounded by the same.
pub fn obeyed<S>(server: S) -> Obeyed<S> {
    Obeyed { server }
}

/// See [`obeyed`].
#[derive(Debug, Clone)]
pub struct Obeyed<S> {
    server: S,
}

impl<S> Service<Request<Body>> for Obeyed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.server.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Counted from here: tonic's own server watches the same header, answers
        // CANCELLED, and counts from a moment later.
        let Some(deadline) = of(request.headers()) else {
            return Box::pin(self.server.call(request));
        };
        let answer = DEADLINE.sync_scope(deadline, || self.server.call(request));
        Box::pin(async move {
            match timeout_at(deadline, DEADLINE.scope(deadline, answer)).await {
                Ok(answer) => answer,
                Err(_) => Ok(exceeded().into_http()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_written_in_eight_digits_and_never_grows() {
        let cases = [
            (Duration::ZERO, "0u"),
            (Duration::from_nanos(1_999), "1u"),
            (Duration::from_secs(10), "10000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(u64::MAX), "99999999S"),
        ];
        for (patience, text) in cases {
            assert_eq!(written(patience), text);
            let back = read(&HeaderValue::from_str(text).expect("a header")).expect("is read");
            assert!(back <= patience, "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_is_ignored() {
        for wrong in ["", "S", "1", "x1S", "+1S", "-1S", "1.5S", "100000000m", "10s", "1 S", "1\u{e9}"] {
            let value = HeaderValue::from_bytes(wrong.as_bytes()).expect("a header");
            assert_eq!(read(&value), None, "{wrong:?}");
        }
        for (right, is) in [("2H", 7200), ("3M", 180), ("4S", 4)] {
            assert_eq!(read(&HeaderValue::from_static(right)), Some(Duration::from_secs(is)));
        }
    }

    #[tokio::test]
    async fn a_deadline_within_another_only_shrinks() {
        assert_eq!(current(), None);
        within(Duration::from_secs(60), async {
            let outer = current().expect("a deadline");
            within(Duration::from_secs(600), async { assert_eq!(current(), Some(outer)) }).await;
            within(Duration::from_secs(6), async { assert!(current().expect("a deadline") < outer) }).await;
            let headers = HeaderMap::from_iter([(HEADER.parse().expect("a name"), HeaderValue::from_static("1S"))]);
            assert!(of(&headers).expect("a deadline") < outer, "the call's own is earlier");
            assert_eq!(of(&HeaderMap::new()), Some(outer));
        })
        .await;
        assert_eq!(of(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn a_spawned_task_has_the_deadline_only_if_it_is_carried() {
        within(Duration::from_secs(60), async {
            let here = current();
            assert_eq!(tokio::spawn(async { current() }).await.expect("ends"), None);
            assert_eq!(tokio::spawn(carried(async { current() })).await.expect("ends"), here);
        })
        .await;
        assert_eq!(tokio::spawn(carried(async { current() })).await.expect("ends"), None);
    }
}
