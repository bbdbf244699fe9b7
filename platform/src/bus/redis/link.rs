//! The connection to Redis that everything but reading shares.
//!
//! Multiplexed: the requests of all callers travel interleaved on one socket. A
//! fault breaks it for all of them at once; the next call connects again, but not
//! sooner than a growing pause after a failed attempt, so that an absent server
//! costs its callers no time.
//!
//! Each connection knows the `run_id` of the server process at its other end. It
//! changes with a restart and with a failover: the moments when Redis may have
//! lost its last second. Where it may not be read (`INFO` forbidden or cut down), each
//! connection counts as a server of its own: more is said again than need be.
//!
//! Nobody waits for ever. Each attempt to connect and each request has a time limit, and
//! who had to wait for another caller's attempt shares its outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ScriptInvocation, Value,
};
use redis::{FromRedisValue, ServerErrorKind};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::bus::BusError;

/// From the name to the greeting, TLS included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Long, since a server may be slow without being gone.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The shared connection, made when it is needed.
pub(super) struct Link {
    client: Client,
    state: Mutex<State>,
    /// How many attempts to connect have failed.
    failures: AtomicU64,
    /// The server refused something for lack of memory.
    full: AtomicBool,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// Counts connections, so that a late error does not break the next one.
    generation: u64,
    backoff: Backoff,
    /// No attempt before this time.
    retry_at: Option<Instant>,
    last_error: Option<BusError>,
}

/// A connection and who is at its other end.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    pub(super) run_id: Arc<str>,
    generation: u64,
}

/// A pause that doubles with each failure.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn failed(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        pause.min(LONGEST_PAUSE)
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        Self { client, state: Mutex::default(), failures: AtomicU64::new(0), full: AtomicBool::new(false) }
    }

    /// Whether anything was refused for lack of memory since this was last asked.
    pub(super) fn was_full(&self) -> bool {
        self.full.swap(false, Ordering::AcqRel)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The connection, made now if there is none.
    ///
    /// # Errors
    /// At once, if the last attempt failed a moment ago.
    pub(super) async fn live(&self) -> Result<Live, BusError> {
        let failures = self.failures.load(Ordering::Acquire);
        // Held while connecting: the others would wait for the same anyway.
        let mut state = self.state.lock().await;
        if let Some(live) = &state.live {
            return Ok(live.clone());
        }
        let failed_meanwhile = self.failures.load(Ordering::Acquire) != failures;
        let too_soon = state.retry_at.is_some_and(|at| Instant::now() < at);
        if let Some(error) = state.last_error.as_ref().filter(|_| failed_meanwhile || too_soon) {
            return Err(error.clone());
        }
        match in_time(CONNECT_TIMEOUT, greet(&self.client)).await {
            Ok((connection, run_id)) => {
                state.generation += 1;
                let live = Live { connection, run_id, generation: state.generation };
                state.live = Some(live.clone());
                state.backoff.reset();
                Ok(live)
            }
            Err(error) => {
                let error = translate(&error);
                self.failures.fetch_add(1, Ordering::AcqRel);
                state.retry_at = Some(Instant::now() + state.backoff.failed());
                state.last_error = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Runs the commands in one round trip. Each has its own result: one that
    /// fails hides no other.
    pub(super) async fn run(&self, pipeline: &mut Pipeline) -> Result<Vec<RedisResult<Value>>, BusError> {
        let mut live = self.live().await?;
        self.run_on(&mut live, pipeline).await
    }

    /// The same on a connection that the caller has looked at.
    pub(super) async fn run_on(
        &self,
        live: &mut Live,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, BusError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        match pipeline.ignore_errors().query_async(&mut live.connection).await {
            Ok(results) => {
                let results: Vec<RedisResult<Value>> = results;
                for error in results.iter().filter_map(|result| result.as_ref().err()) {
                    self.failed(live, error).await;
                }
                Ok(results)
            }
            Err(error) => Err(self.failed(live, &error).await),
        }
    }

    /// Runs one command on a connection that the caller has looked at.
    pub(super) async fn query<T: FromRedisValue>(&self, live: &mut Live, command: &Cmd) -> Result<T, BusError> {
        match command.query_async(&mut live.connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.failed(live, &error).await),
        }
    }

    /// Runs a script on a connection that the caller has looked at.
    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        live: &mut Live,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, BusError> {
        // One limit for all: a script that the server has forgotten is three requests.
        match in_time(RESPONSE_TIMEOUT, script.invoke_async(&mut live.connection)).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.failed(live, &error).await),
        }
    }

    /// Gives the connection up if the error means that it is no good.
    async fn failed(&self, live: &Live, error: &RedisError) -> BusError {
        if breaks_connection(error) {
            let mut state = self.state.lock().await;
            if state.live.as_ref().is_some_and(|current| current.generation == live.generation) {
                state.live = None;
                state.retry_at = None;
            }
        }
        if error.code() == Some("OOM") {
            self.full.store(true, Ordering::Release);
        }
        translate(error)
    }
}

/// A new connection that waits at most `response` for each answer.
pub(super) async fn connect(client: &Client, response: Duration) -> RedisResult<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(Some(response));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// No longer than `limit`: late is gone.
pub(super) async fn in_time<T>(limit: Duration, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| RedisError::from((ErrorKind::Io, "no answer in time"));
    tokio::time::timeout(limit, work).await.map_err(late)?
}

async fn greet(client: &Client) -> RedisResult<(MultiplexedConnection, Arc<str>)> {
    let mut connection = connect(client, RESPONSE_TIMEOUT).await?;
    let info: RedisResult<String> = redis::cmd("INFO").arg("server").query_async(&mut connection).await;
    let run_id = match &info {
        Ok(info) => info.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::trim),
        Err(error) if matches!(translate(error), BusError::Broken(_)) => None,
        Err(_) => return info.map(|_| (connection, "".into())),
    };
    let run_id = match run_id.filter(|run_id| !run_id.trim_matches('0').is_empty()) {
        Some(run_id) => run_id.to_owned(),
        None => {
            static SAID: std::sync::Once = std::sync::Once::new();
            SAID.call_once(|| {
                tracing::warn!(
                    "Redis does not tell its run_id: after each lost connection everything unsettled is published again"
                );
            });
            format!("connection-{}", Uuid::new_v4().simple())
        }
    };
    Ok((connection, run_id.into()))
}

/// Whether the connection, or the server behind it, must be looked for anew.
pub(super) fn breaks_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

/// What passes is [`BusError::Unreachable`]: no server, one that is loading, full
/// or not the master. What does not is [`BusError::Broken`].
pub(super) fn translate(error: &RedisError) -> BusError {
    const PASSING: [&str; 10] = [
        "OOM",
        "LOADING",
        "READONLY",
        "BUSY",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "NOSCRIPT",
    ];
    let passes = error.is_io_error() || error.code().is_some_and(|code| PASSING.contains(&code));
    let text = error.to_string();
    if passes { BusError::Unreachable(text) } else { BusError::Broken(text) }
}

/// Redis knows the stream or the group no more. (`UNBLOCKED` is what a read that
/// was waiting at that moment is told by Redis 7.0.)
pub(super) fn is_forgotten(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED")) || error.to_string().contains("no such key")
}
