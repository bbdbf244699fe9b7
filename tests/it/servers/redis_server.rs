//! A Redis server of the tests, and a logical database of its own for each of them.
//!
//! Redis numbers its logical databases; keys and streams of one are not seen from another, only
//! publish/subscribe goes across them. A test that empties, kills or restarts Redis starts a
//! private one.
//!
//! Which program is started: `redis-server`, or the one that `ORDERLY_TEST_REDIS_SERVER` names
//! (`valkey-server`, or a path).

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::sync::OnceCell;

use super::guard::{Guarded, tail};
use super::{PATIENCE, free_port, program, until};

/// What Redis keeps over its own death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Nothing: after a restart it is empty.
    None,
    /// An append-only file, synced each second: a process crash loses nothing that was written, a
    /// machine crash up to a second.
    AppendOnlyEverySecond,
}

/// A running Redis: either started here, or one that the environment names.
#[derive(Debug)]
pub(crate) struct RedisServer {
    /// Without a database number, `redis://127.0.0.1:6379`.
    server_url: String,
    /// How many logical databases it has.
    databases: u32,
    next_database: AtomicU32,
    own: Option<Own>,
    shared: bool,
}

#[derive(Debug)]
struct Own {
    redis_server: PathBuf,
    port: u16,
    persistence: Persistence,
    /// Beside the usual ones.
    arguments: Vec<String>,
    process: Mutex<Guarded>,
}

static SHARED: OnceCell<RedisServer> = OnceCell::const_new();

/// How many logical databases an own server gets: more than a test binary has tests.
const OWN_DATABASES: u32 = 1024;

/// The server that all tests of this process share: the one that `ORDERLY_TEST_REDIS_URL` names,
/// or one started now, without persistence.
///
/// # Errors
/// Redis is not installed or does not start; the error says which, with its log.
pub(crate) async fn redis() -> Result<&'static RedisServer> {
    let start = async || {
        let mut server = match std::env::var("ORDERLY_TEST_REDIS_URL") {
            Ok(url) => RedisServer::named(&url).await?,
            Err(_) => RedisServer::start(Persistence::None).await?,
        };
        server.shared = true;
        Ok(server)
    };
    SHARED.get_or_try_init(start).await
}

impl RedisServer {
    /// Starts a private server, which ends when this value is dropped.
    ///
    /// # Errors
    /// As [`redis`].
    pub(crate) async fn start(persistence: Persistence) -> Result<Self> {
        Self::start_with(persistence, &[]).await
    }

    /// The same, with more arguments.
    ///
    /// # Errors
    /// As [`redis`], also if it does not know an argument.
    pub(crate) async fn start_with(persistence: Persistence, arguments: &[&str]) -> Result<Self> {
        let name = std::env::var("ORDERLY_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let redis_server = program(&[&name], &[], "redis-server")?;
        let process = Mutex::new(Guarded::open("redis")?);
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut own = Own { redis_server, port: 0, persistence, arguments, process };
        let mut tries = 0;
        loop {
            own.port = free_port()?;
            match own.run().await {
                Ok(()) => break,
                Err(_) if own.port_was_taken() && tries < 5 => tries += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            server_url: own.url(),
            databases: OWN_DATABASES,
            next_database: AtomicU32::new(1),
            own: Some(own),
            shared: false,
        })
    }

    /// A server that runs already, by its URL. Its databases above 0 are the tests' to empty.
    async fn named(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("not a URL: ORDERLY_TEST_REDIS_URL")?;
        let server_url = format!("{scheme}://{}", rest.split('/').next().unwrap_or(rest));
        let mut connection = connect(&server_url).await?;
        let answer: (String, u32) =
            redis::cmd("CONFIG").arg("GET").arg("databases").query_async(&mut connection).await?;
        Ok(Self { server_url, databases: answer.1, next_database: AtomicU32::new(1), own: None, shared: false })
    }

    /// The URL of database 0.
    pub(crate) fn url(&self) -> String {
        format!("{}/0", self.server_url)
    }

    /// Where it listens: what a proxy or a replica is told.
    ///
    /// # Errors
    /// The server is not on loopback by number.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let (_, address) = self.server_url.split_once("://").context("not a URL")?;
        address.parse().with_context(|| format!("not an address: {address}"))
    }

    /// The URL of an empty logical database that no other test of this process has.
    ///
    /// # Errors
    /// There is none left (a named server has 16 unless set up otherwise), or it is not reachable.
    pub(crate) async fn fresh_namespace(&self) -> Result<String> {
        let number = self.next_database.fetch_add(1, Ordering::Relaxed);
        if number >= self.databases {
            bail!("Redis has {} databases only: start it with `--databases {OWN_DATABASES}`", self.databases);
        }
        let url = format!("{}/{number}", self.server_url);
        let mut connection = connect(&url).await?;
        redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await?;
        Ok(url)
    }

    /// `FLUSHALL`: everything in it is lost while it goes on running. Only on a private server.
    ///
    /// # Errors
    /// The server is shared, or not reachable.
    pub(crate) async fn flushall(&self) -> Result<()> {
        self.own()?;
        let mut connection = connect(&self.server_url).await?;
        Ok(redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?)
    }

    /// `kill -9` of the server: returns once it is gone. Only on a private server.
    ///
    /// # Errors
    /// The server is shared.
    pub(crate) fn kill9(&self) -> Result<()> {
        self.own()?.lock().kill9()
    }

    /// The server stops answering (`SIGSTOP`), and its connections stay open. Only on a private one.
    ///
    /// # Errors
    /// The server is shared.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.own()?.lock().signal("STOP")
    }

    /// After [`Self::freeze`]: it goes on as if nothing had been.
    ///
    /// # Errors
    /// The server is shared.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.own()?.lock().signal("CONT")
    }

    /// Starts it again after [`Self::kill9`], on the same port, with what its persistence kept;
    /// returns once it answers.
    ///
    /// # Errors
    /// The server is shared, or does not come up again within [`PATIENCE`].
    pub(crate) async fn restart(&self) -> Result<()> {
        let own = self.own()?;
        let begun = Instant::now();
        loop {
            match own.run().await {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    }

    /// The folder of its data and log. Only of a private server.
    ///
    /// # Errors
    /// The server is not a private one.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        Ok(self.own()?.lock().folder().to_owned())
    }

    fn own(&self) -> Result<&Own> {
        if self.shared {
            bail!("other tests use this Redis: start a private one");
        }
        self.own.as_ref().context("the tests do not own this server")
    }
}

impl Own {
    fn lock(&self) -> std::sync::MutexGuard<'_, Guarded> {
        self.process.lock().expect("no test panics while it holds the process")
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts the server and waits until the one that answers on the port is this one, and loaded.
    async fn run(&self) -> Result<()> {
        let folder = self.lock().folder().to_owned();
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let append_only = match self.persistence {
            Persistence::None => "no",
            Persistence::AppendOnlyEverySecond => "yes",
        };
        let (port, databases) = (self.port.to_string(), OWN_DATABASES.to_string());
        let arguments = [
            ["--bind", "127.0.0.1"],
            ["--port", &port],
            ["--databases", &databases],
            ["--save", ""],
            ["--appendonly", append_only],
            ["--appendfsync", "everysec"],
        ];
        let logs = (log.try_clone()?, log);
        let arguments = arguments.into_iter().flatten().chain(self.arguments.iter().map(String::as_str));
        self.lock().start(&self.redis_server, arguments, logs, "KILL", |_| {})?;
        until("Redis starts", PATIENCE, async || {
            if let Some(status) = self.lock().exited()? {
                bail!("Redis ended with {status}:\n{}", tail(&folder.join("log"), 20));
            }
            let expected = format!("process_id:{}", self.lock().pid().unwrap_or_default());
            let Ok(mut connection) = connect(&self.url()).await else {
                return Ok(None);
            };
            let answer = redis::cmd("INFO").query_async::<String>(&mut connection).await;
            let says = |line: &str| answer.iter().any(|text| text.lines().any(|said| said == line));
            Ok((says(&expected) && says("loading:0")).then_some(()))
        })
        .await
        .with_context(|| tail(&folder.join("log"), 20))
    }

    fn port_was_taken(&self) -> bool {
        tail(&self.lock().folder().join("log"), 20).contains("Address already in use")
    }
}

async fn connect(url: &str) -> Result<redis::aio::MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}
