//! The real topology under test: `orderly serve` in a process per role and replica, on one Redis
//! and one Postgres.
//!
//! Each process has a loopback address of its own (127.x.y.z) and the same ports on it, as containers
//! have: a killed one comes back where its neighbours look for it, and nobody else can have taken its
//! port meanwhile.

#![allow(dead_code, reason = "each test file uses its own part of the cluster")]

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::servers::guard::{Guarded, tail};
use crate::servers::until;
use crate::shop::Client;

/// How long a process may take to serve: a dozen start at once on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the processes show one another.
pub(crate) const TOKEN: &str = "a-token-of-the-tests";

/// The roles, who is asked before who asks.
pub(crate) const ROLES: [&str; 7] = ["inventory", "order", "payment", "notification", "query", "auditor", "gateway"];

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// With `{service}` in it.
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    /// How many processes each of [`ROLES`] has.
    pub(crate) replicas: [usize; 7],
    /// What follows on every command line.
    pub(crate) args: Vec<String>,
}

impl Plan {
    /// So many processes of each role.
    pub(crate) fn new(database_url: &str, redis_url: &str, replicas: [usize; 7]) -> Self {
        Self { database_url: database_url.into(), redis_url: redis_url.into(), replicas, args: Vec::new() }
    }

    /// With these further arguments.
    pub(crate) fn with_args(self, args: &[&str]) -> Self {
        Self { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..self }
    }
}

/// Running processes, all killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Node {
    /// One of [`ROLES`].
    pub(crate) role: &'static str,
    address: Ipv4Addr,
    args: Vec<String>,
    process: Guarded,
    /// How often it was started; each start has log files of its own.
    starts: u32,
}

impl Cluster {
    /// Starts all processes at once and returns when each of them serves.
    ///
    /// # Errors
    /// One of them ends or does not serve in time; with what it printed.
    pub(crate) async fn start(plan: &Plan) -> Result<Self> {
        let mut nodes = Vec::new();
        for (role, count) in ROLES.into_iter().zip(plan.replicas) {
            for number in 0..count {
                let process = Guarded::open(&format!("{role}-{number}"))?;
                nodes.push(Node { role, address: fresh_address(), args: Vec::new(), process, starts: 0 });
            }
        }
        let mut neighbours = Vec::new();
        for role in ROLES.into_iter().filter(|role| *role != "gateway") {
            let urls: Vec<String> = nodes.iter().filter(|node| node.role == role).map(Node::grpc_url).collect();
            if !urls.is_empty() {
                neighbours.extend([format!("--{role}-grpc"), urls.join(",")]);
            }
        }
        for node in &mut nodes {
            node.args = ["serve", node.role, "--database-url", &plan.database_url, "--redis-url", &plan.redis_url]
                .map(str::to_owned)
                .into();
            node.args.extend(["--listen".into(), format!("{}:8080", node.address)]);
            node.args.extend(["--grpc-listen".into(), format!("{}:8081", node.address)]);
            if node.role == "gateway" {
                node.args.push("--demo-data".into());
            }
            node.args.extend(neighbours.iter().chain(&plan.args).cloned());
            node.spawn()?;
        }
        let mut cluster = Self { nodes };
        for node in &mut cluster.nodes {
            node.until_ready().await?;
        }
        Ok(cluster)
    }

    /// The processes of a role.
    pub(crate) fn of(&self, role: &str) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.role == role)
    }

    /// The `number`th process of a role.
    pub(crate) fn node(&mut self, role: &str, number: usize) -> &mut Node {
        self.nodes.iter_mut().filter(|node| node.role == role).nth(number).expect("there is such a process")
    }

    /// A client of the `number`th gateway that is not logged in.
    pub(crate) fn client(&self, number: usize) -> Client {
        Client::new(&self.of("gateway").nth(number).expect("there is such a gateway").http_url())
    }
}

impl Node {
    /// `http://127.x.y.z:8080`, of a gateway.
    pub(crate) fn http_url(&self) -> String {
        format!("http://{}:8080", self.address)
    }

    /// `http://127.x.y.z:8081`.
    pub(crate) fn grpc_url(&self) -> String {
        format!("http://{}:8081", self.address)
    }

    /// Starts it again, after its end, where it was.
    ///
    /// # Errors
    /// It ends or does not serve in time; with what it printed.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.spawn()?;
        self.until_ready().await
    }

    /// The same as a container engine does it: one that ends because a server is away is
    /// started again.
    ///
    /// # Errors
    /// It does not serve in time; with what it printed.
    pub(crate) async fn restart_as_often_as_it_takes(&mut self) -> Result<()> {
        let begun = Instant::now();
        while let Err(error) = self.restart().await {
            if begun.elapsed() > PATIENCE {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Starts it and does not wait.
    ///
    /// # Errors
    /// There is no such program.
    pub(crate) fn spawn(&mut self) -> Result<()> {
        self.starts += 1;
        let logs = (File::create(self.log("out"))?, File::create(self.log("err"))?);
        let binary = Path::new(env!("CARGO_BIN_EXE_orderly"));
        self.process.start(binary, &self.args, logs, "KILL", |command| {
            command.env("ORDERLY_GRPC_TOKEN", TOKEN);
        })
    }

    /// Waits until it says that it serves.
    ///
    /// # Errors
    /// It ends, or takes too long; with what it printed.
    pub(crate) async fn until_ready(&mut self) -> Result<()> {
        let out = self.log("out");
        let ready = until("the process serves", PATIENCE, async || {
            if std::fs::read_to_string(&out).is_ok_and(|said| said.contains("Ctrl-C")) {
                return Ok(Some(()));
            }
            match self.process.exited()? {
                Some(status) => bail!("it ended with {status}"),
                None => Ok(None),
            }
        })
        .await;
        ready.with_context(|| self.log_tail())
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.exited().is_ok_and(|status| status.is_none())
    }

    /// `kill -9`: returns once it is gone.
    ///
    /// # Errors
    /// The guard is gone.
    pub(crate) fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// Sends a signal by its name: STOP, CONT, TERM.
    ///
    /// # Errors
    /// It does not run.
    pub(crate) fn signal(&mut self, name: &str) -> Result<()> {
        self.process.signal(name)
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// It still runs after [`PATIENCE`]; with what it printed.
    pub(crate) async fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.signal("TERM")?;
        let ended = until("the process ends", PATIENCE, async || self.process.exited()).await;
        ended.with_context(|| self.log_tail())
    }

    /// What it wrote to standard error since its last start.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.log("err")).unwrap_or_default()
    }

    /// The last lines that it printed, for a message.
    pub(crate) fn log_tail(&self) -> String {
        let (out, err) = (tail(&self.log("out"), 10), tail(&self.log("err"), 25));
        format!("--- {} at {} (start {})\n{out}\n--- its errors\n{err}\n---", self.role, self.address, self.starts)
    }

    fn log(&self, stream: &str) -> PathBuf {
        self.process.folder().join(format!("{}.{stream}", self.starts))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// A loopback address that no other process of this test run has.
fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = std::process::id().to_be_bytes().map(u32::from).map(|byte| byte as u8);
    let third = low.wrapping_add((number / 250) as u8);
    Ipv4Addr::new(127, 64 | (high & 63), third, (number % 250) as u8 + 2)
}
