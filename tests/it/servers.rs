//! Real servers that the tests start themselves: Postgres, Redis, and whatever else must run.
//!
//! Nothing is mocked and nothing has to be set up: a test asks for [`postgres`] or [`redis`] and
//! gets a server on a free loopback port, started by the first test of the process that asks and
//! shared by the others. What keeps tests apart is a database of its own
//! ([`PgServer::fresh_database`]) or a logical Redis database of its own
//! ([`RedisServer::fresh_namespace`]). A test that injects faults starts a private server
//! ([`PgServer::start`], [`RedisServer::start`]), since it kills and empties it; one that breaks the
//! network puts a [`Proxy`](proxy::Proxy) in between.
//!
//! A server that is already there is used instead of the shared one when the environment names it:
//! `ORDERLY_TEST_POSTGRES_URL` (of a superuser) and `ORDERLY_TEST_REDIS_URL`.
//!
//! No server outlives the test process, however that ends: see the guard.

#![allow(dead_code, reason = "each test file uses its own part of the servers")]

// With their paths spelled out, so that another crate's tests can include this file by `#[path]`.
#[path = "servers/guard.rs"]
pub(crate) mod guard;
#[path = "servers/pg_server.rs"]
mod pg_server;
#[path = "servers/proxy.rs"]
pub(crate) mod proxy;
#[path = "servers/redis_server.rs"]
mod redis_server;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

#[allow(unused_imports, reason = "each test file uses its own part of the servers")]
pub(crate) use self::{
    pg_server::{Durability, PgServer, postgres},
    redis_server::{Persistence, RedisServer, redis},
};

/// How long a test waits for a condition before it fails. Generous, since a slow machine is not a
/// broken shop: a test that passes never waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `probe` yields a value, asking again with a growing pause (2 ms to 100 ms).
///
/// # Errors
/// What `probe` fails with, at once; or, after `deadline`, that `what` did not come about.
pub(crate) async fn until<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = probe().await? {
            return Ok(value);
        }
        if begun.elapsed() > deadline {
            bail!("waited {deadline:?} in vain: {what}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// A loopback port that was free a moment ago. Whoever binds it next may still find it taken and
/// asks for another one.
///
/// # Errors
/// The machine has no free port.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}

/// The first of `names` that is a program in `PATH`, in `folders` or, if it has a slash, by itself.
///
/// # Errors
/// None is installed: the error names `package`, because a test that quietly skips is a test that
/// nobody runs.
pub(crate) fn program(names: &[&str], folders: &[PathBuf], package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).chain(folders.iter().cloned()).collect();
    names
        .iter()
        .flat_map(|name| places.iter().map(move |place| place.join(name)))
        .find(|candidate| is_program(candidate))
        .with_context(|| {
            format!(
                "{} is not installed: it is in the package `{package}` of Debian and Ubuntu; ./test installs it",
                names.join(" or ")
            )
        })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
