//! The connection to Redis that everything but reading shares.
//!
//! Multiplexed: the requests of all callers travel interleaved on one socket. A
//! fault breaks it for all of them at once; the next call connects again, but not
//! sooner than a growing pause after a failed attempt, so that an absent server
//! costs its callers no time.
//!
//! Each connection knows the `run_id` of the server process at its other end. It
//! changes with a restart and with a failover: the moments when Redis may have
//! lost its last second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ScriptInvocation, Value,
};
use redis::{FromRedisValue, ServerErrorKind};
use tokio::sync::Mutex;

use crate::bus::BusError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Long, since a server may be slow without being gone.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The shared connection, made when it is needed.
pub(super) struct Link {
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// Counts connections, so that a late error does not break the next one.
    generation: u64,
    backoff: Backoff,
    /// No attempt before this time.
    retry_at: Option<Instant>,
    last_error: String,
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
        Self { client, state: Mutex::default() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The connection, made now if there is none.
    ///
    /// # Errors
    /// At once, if the last attempt failed a moment ago.
    pub(super) async fn live(&self) -> Result<Live, BusError> {
        // Held while connecting: the others would wait for the same anyway.
        let mut state = self.state.lock().await;
        if let Some(live) = &state.live {
            return Ok(live.clone());
        }
        if state.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(BusError::Unreachable(state.last_error.clone()));
        }
        match greet(&self.client).await {
            Ok((connection, run_id)) => {
                state.generation += 1;
                let live = Live { connection, run_id, generation: state.generation };
                state.live = Some(live.clone());
                state.backoff.reset();
                Ok(live)
            }
            Err(error) => {
                state.retry_at = Some(Instant::now() + state.backoff.failed());
                state.last_error = error.to_string();
                Err(translate(&error))
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
                if let Some(error) =
                    results.iter().filter_map(|result| result.as_ref().err()).find(|e| breaks_connection(e))
                {
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
        match script.invoke_async(&mut live.connection).await {
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
        translate(error)
    }
}

/// A new connection that waits at most `response` for each answer.
pub(super) async fn connect(client: &Client, response: Duration) -> RedisResult<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(Some(response));
    client.get_multiplexed_async_connection_with_config(&config).await
}

async fn greet(client: &Client) -> RedisResult<(MultiplexedConnection, Arc<str>)> {
    let mut connection = connect(client, RESPONSE_TIMEOUT).await?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    let run_id = run_id.ok_or((ErrorKind::UnexpectedReturnType, "INFO without run_id"))?;
    Ok((connection, run_id.trim().into()))
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
