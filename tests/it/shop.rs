//! The real binary under test: started, killed, terminated, started again, talked to over GraphQL.
//!
//! [`Shop`] runs `orderly` as a user would and knows it only from outside: its command line, its
//! exit status, what it prints, its public API ([`Client`]). It is guarded like every other
//! process of the tests, so no shop outlives them. What it wrote to standard output and error is
//! shown when a test fails.

#![allow(dead_code, reason = "each test file uses its own part of the shop")]

#[path = "shop/client.rs"]
mod client;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use anyhow::{Context, Result, bail};

use crate::servers::guard::{Guarded, tail};
use crate::servers::{PATIENCE, until};

#[allow(unused_imports, reason = "each test file uses its own part of the shop")]
pub(crate) use self::client::{Client, GraphqlError};

/// How a shop is run.
#[derive(Debug, Clone)]
pub(crate) struct ShopOptions {
    /// The role: `up`, or `serve` with its roles.
    pub(crate) command: Vec<String>,
    /// `--listen`; port 0 takes a free one, which stays the same over [`Shop::restart`].
    pub(crate) listen: String,
    /// `--data-dir`, which the caller removes; `None`: one that ends with the shop.
    pub(crate) data_dir: Option<PathBuf>,
    /// What follows on the command line.
    pub(crate) args: Vec<String>,
    /// Environment variables on top of the test's own.
    pub(crate) env: Vec<(String, String)>,
}

impl Default for ShopOptions {
    fn default() -> Self {
        Self {
            command: vec!["up".into()],
            listen: "127.0.0.1:0".into(),
            data_dir: None,
            args: Vec::new(),
            env: Vec::new(),
        }
    }
}

impl ShopOptions {
    /// `orderly up` with these further arguments.
    pub(crate) fn with_args<A: Into<String>>(args: impl IntoIterator<Item = A>) -> Self {
        Self { args: args.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// A shop in a process of its own, killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Shop {
    options: ShopOptions,
    data_dir: PathBuf,
    process: Guarded,
    /// How often it was started; each start has log files of its own.
    starts: u32,
    /// `http://127.0.0.1:PORT`.
    base_url: String,
}

/// What the binary prints once it can be used; the address follows.
const READY: &str = "listening on http://";

impl Shop {
    /// Starts `orderly` and returns once it says that it listens.
    ///
    /// # Errors
    /// It ended before that, or took longer than [`PATIENCE`]; with what it printed.
    pub(crate) async fn start(options: ShopOptions) -> Result<Self> {
        let process = Guarded::open("shop")?;
        let data_dir = options.data_dir.clone().unwrap_or_else(|| process.folder().join("data"));
        let mut shop = Self { options, data_dir, process, starts: 0, base_url: String::new() };
        shop.run().await?;
        Ok(shop)
    }

    /// Starts it again, after its end, with the same options on the same port: a client made
    /// before goes on working.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.run().await
    }

    async fn run(&mut self) -> Result<()> {
        self.starts += 1;
        let logs = (File::create(self.log("out"))?, File::create(self.log("err"))?);
        let mut args = self.options.command.clone();
        args.extend(["--listen".into(), self.options.listen.clone()]);
        // Of the operators' port there is one for each of the many shops.
        args.extend(["--grpc-listen".into(), "127.0.0.1:0".into()]);
        args.extend(["--data-dir".into(), self.data_dir.display().to_string()]);
        args.extend(self.options.args.iter().cloned());
        let binary = Path::new(env!("CARGO_BIN_EXE_orderly"));
        let env = self.options.env.clone();
        self.process.start(binary, args, logs, "KILL", |command| {
            command.envs(env);
        })?;
        let ready = until("the shop listens", PATIENCE, async || {
            if let Some(address) = address_in(&self.stdout()) {
                return Ok(Some(address));
            }
            match self.process.exited()? {
                Some(status) => bail!("the shop ended with {status}"),
                None => Ok(None),
            }
        })
        .await;
        let address = ready.with_context(|| self.log_tail())?;
        self.base_url = format!("http://{address}");
        self.options.listen = address;
        Ok(())
    }

    /// `http://127.0.0.1:PORT` of its gRPC port, which is another after each restart.
    ///
    /// # Errors
    /// It does not say so.
    pub(crate) async fn grpc_url(&self) -> Result<String> {
        let said = until("the shop says its gRPC port", PATIENCE, async || Ok(grpc_address_in(&self.stdout()))).await;
        Ok(format!("http://{}", said.with_context(|| self.log_tail())?))
    }

    /// A client of this shop that is not logged in.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.base_url)
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Where its stores are.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// What it wrote to standard output since its last start.
    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(self.log("out")).unwrap_or_default()
    }

    /// What it wrote to standard error since its last start.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.log("err")).unwrap_or_default()
    }

    /// `kill -9`: returns once it is gone.
    ///
    /// # Errors
    /// The guard is gone.
    pub(crate) fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGTERM, the polite way: it drains and ends.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub(crate) async fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.signal("TERM")?;
        self.wait().await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs after [`PATIENCE`]; with what it printed.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        let ended = until("the shop ends", PATIENCE, async || self.process.exited()).await;
        ended.with_context(|| self.log_tail())
    }

    /// The last lines that it printed, for a message.
    pub(crate) fn log_tail(&self) -> String {
        let (out, err) = (tail(&self.log("out"), 30), tail(&self.log("err"), 60));
        format!("--- the shop's output (start {})\n{out}\n--- its errors\n{err}\n---", self.starts)
    }

    fn log(&self, stream: &str) -> PathBuf {
        self.process.folder().join(format!("{}.{stream}", self.starts))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// The `host:port` of the ready line, once the line is whole.
fn address_in(stdout: &str) -> Option<String> {
    let (_, rest) = stdout.split_once(READY)?;
    let (line, _) = rest.split_once('\n')?;
    let address = line.split(|c: char| c.is_whitespace() || c == '/').next()?;
    Some(address.to_owned())
}

/// The `host:port` of the line about gRPC, once the line is whole.
fn grpc_address_in(stdout: &str) -> Option<String> {
    let (_, rest) = stdout.split_once("\n  grpc ")?;
    let (line, _) = rest.split_once('\n')?;
    Some(line.trim().to_owned())
}

#[test]
fn the_ready_line_is_read_only_when_it_is_whole() {
    assert_eq!(address_in("listening on http://127.0.0.1:80"), None);
    let output = "a log line\nlistening on http://127.0.0.1:8080\nlog in as …\n";
    assert_eq!(address_in(output).as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(grpc_address_in("a\n  grpc      127.0.0.1:8"), None);
    assert_eq!(grpc_address_in("a\n  grpc      127.0.0.1:81\n").as_deref(), Some("127.0.0.1:81"));
}
