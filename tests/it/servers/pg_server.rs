//! A Postgres server of the tests, and a database of its own for each of them.
//!
//! The programs come from `PATH` or from where Debian keeps them; the cluster lies in a temporary
//! folder. Postgres refuses to run as root, so a test process of root runs it as the user
//! `postgres`, or `nobody`. The locale is C, as in production: sorted text is sorted by bytes.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

use super::guard::{Guarded, tail};
use super::{PATIENCE, free_port, program, until};

/// What a commit is worth on a server of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// No fsync: fast, and safe against the death of any process, not of the machine.
    ProcessCrash,
    /// As in production: a commit is on the disk before it is acknowledged.
    MachineCrash,
}

/// A running Postgres: either started here, or one that the environment names.
#[derive(Debug)]
pub(crate) struct PgServer {
    /// A superuser's URL without a database, `postgres://user@127.0.0.1:5432`.
    server_url: String,
    /// What follows the database's name in a URL of this server: empty or `?…`.
    url_options: String,
    /// The database in which others are created.
    first_database: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    postgres: PathBuf,
    port: u16,
    durability: Durability,
    process: Mutex<Guarded>,
}

static SHARED: OnceCell<PgServer> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The server that all tests of this process share: the one that `ORDERLY_TEST_POSTGRES_URL` names,
/// or one started now, without fsync.
///
/// # Errors
/// Postgres is not installed or does not start; the error says which, with its log.
pub(crate) async fn postgres() -> Result<&'static PgServer> {
    let start = async || match std::env::var("ORDERLY_TEST_POSTGRES_URL") {
        Ok(url) => PgServer::named(&url),
        Err(_) => PgServer::start(Durability::ProcessCrash).await,
    };
    SHARED.get_or_try_init(start).await
}

impl PgServer {
    /// Starts a private server, which ends when this value is dropped.
    ///
    /// # Errors
    /// As [`postgres`].
    pub(crate) async fn start(durability: Durability) -> Result<Self> {
        let postgres = program(&["postgres"], &debian_folders(), "postgresql")?;
        let initdb = program(&["initdb"], &debian_folders(), "postgresql")?;
        let process = tokio::task::spawn_blocking(move || create_cluster(&initdb)).await??;
        let mut own = Own { postgres, port: 0, durability, process: Mutex::new(process) };
        let mut tries = 0;
        loop {
            own.port = free_port()?;
            match own.run().await {
                Ok(()) => break,
                Err(error) if own.port_was_taken() && tries < 5 => {
                    tries += 1;
                    drop(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            server_url: format!("postgres://postgres@127.0.0.1:{}", own.port),
            url_options: String::new(),
            first_database: "postgres".into(),
            own: Some(own),
        })
    }

    /// A server that runs already, by a superuser's URL.
    fn named(url: &str) -> Result<Self> {
        let (plain, options) = match url.split_once('?') {
            Some((plain, options)) => (plain, format!("?{options}")),
            None => (url, String::new()),
        };
        let (scheme, rest) = plain.split_once("://").context("not a URL: ORDERLY_TEST_POSTGRES_URL")?;
        let (server, database) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            server_url: format!("{scheme}://{server}"),
            url_options: options,
            first_database: if database.is_empty() { "postgres" } else { database }.to_owned(),
            own: None,
        })
    }

    /// Creates an empty database that no other test has, and returns its URL.
    ///
    /// On a named server it stays behind, as `orderly_test_<process id>_…`, to be looked at.
    ///
    /// # Errors
    /// The server is not reachable, or its user may not create databases.
    pub(crate) async fn fresh_database(&self) -> Result<String> {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let millis = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
        let name = format!("orderly_test_{}_{millis}_{number}", std::process::id());
        let mut connection = PgConnection::connect(&self.url_of(&self.first_database)).await?;
        // template0 has no connections, by which a concurrent CREATE DATABASE would fail.
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(self.url_of(&name))
    }

    /// `kill -9` of the server: returns once it is gone. Only on a private server.
    ///
    /// # Errors
    /// The server is a named one.
    pub(crate) fn kill9(&self) -> Result<()> {
        self.own()?.lock().kill9()
    }

    /// Stops it in order, as `pg_ctl stop -m fast` does: sessions are ended, what was committed is
    /// written; returns once it is gone. Only on a private server.
    ///
    /// # Errors
    /// The server is a named one, or does not end within [`PATIENCE`].
    pub(crate) async fn stop(&self) -> Result<()> {
        let own = self.own()?;
        own.lock().signal("INT")?;
        until("Postgres stops", PATIENCE, async || Ok(own.lock().exited()?.map(drop))).await
    }

    /// Starts it again after [`Self::kill9`] or [`Self::stop`], on the same port, with crash recovery
    /// if it needs one; returns once it takes connections.
    ///
    /// # Errors
    /// The server is a named one, or does not come up again within [`PATIENCE`].
    pub(crate) async fn restart(&self) -> Result<()> {
        let own = self.own()?;
        let begun = std::time::Instant::now();
        loop {
            match own.run().await {
                Ok(()) => return Ok(()),
                // The orphans of the killed server hold its shared memory for a moment.
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    }

    /// Says who may come in and how: the text of `pg_hba.conf`, in force for new connections when
    /// this returns. At first everybody on loopback may. Only on a private server.
    ///
    /// # Errors
    /// The server is a named one, or does not take the rules.
    pub(crate) async fn admit(&self, rules: &str) -> Result<()> {
        std::fs::write(self.folder()?.join("data/pg_hba.conf"), rules)?;
        self.configure("SELECT pg_reload_conf()").await?;
        let wrong = "SELECT COUNT(*) FROM pg_hba_file_rules WHERE error IS NOT NULL";
        let mut connection = self.administrator().await?;
        let wrong: i64 = sqlx::query_scalar(wrong).fetch_one(&mut connection).await?;
        if wrong > 0 {
            bail!("pg_hba.conf has {wrong} wrong lines:\n{rules}");
        }
        Ok(())
    }

    /// Speaks TLS from now on, to whoever asks for it. Only on a private server.
    ///
    /// # Errors
    /// The server is a named one, or does not take the certificate.
    pub(crate) async fn encrypt(&self, certificate: &str, key: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.folder()?;
        let owner = folder.metadata()?;
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = folder.join("data").join(name);
            std::fs::write(&path, text)?;
            // Or Postgres does not take the key.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            if running_as_root() {
                chown(&path, Some(owner.uid()), Some(owner.gid()))?;
            }
        }
        self.configure("ALTER SYSTEM SET ssl = on").await?;
        self.configure("SELECT pg_reload_conf()").await?;
        until("Postgres speaks TLS", PATIENCE, async || {
            let mut connection = self.administrator().await?;
            let ssl: String = sqlx::query_scalar("SHOW ssl").fetch_one(&mut connection).await?;
            Ok((ssl == "on").then_some(()))
        })
        .await
    }

    /// A superuser's connection to the first database.
    ///
    /// # Errors
    /// The server is not reachable.
    pub(crate) async fn administrator(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url_of(&self.first_database)).await?)
    }

    /// Runs a superuser's statement.
    ///
    /// # Errors
    /// As the server answers.
    pub(crate) async fn configure(&self, sql: &str) -> Result<()> {
        let mut connection = self.administrator().await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Its port on loopback. Only of a private server.
    ///
    /// # Errors
    /// The server is a named one.
    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.own()?.port)
    }

    /// The folder of its data and log. Only of a private server.
    ///
    /// # Errors
    /// The server is not a private one.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        Ok(self.own()?.lock().folder().to_owned())
    }

    fn own(&self) -> Result<&Own> {
        self.own.as_ref().context("the tests do not own this server")
    }

    fn url_of(&self, database: &str) -> String {
        format!("{}/{database}{}", self.server_url, self.url_options)
    }
}

impl Own {
    fn lock(&self) -> std::sync::MutexGuard<'_, Guarded> {
        self.process.lock().expect("no test panics while it holds the process")
    }

    /// Starts the server and waits until its own status file says `ready`.
    async fn run(&self) -> Result<()> {
        let folder = self.lock().folder().to_owned();
        let status_file = folder.join("data/postmaster.pid");
        self.lock().start(
            &self.postgres,
            self.arguments(&folder),
            log_files(&folder)?,
            // Immediate shutdown: its children go with it.
            "QUIT",
            |command| as_account(command, &folder),
        )?;
        until("Postgres starts", PATIENCE, async || {
            if let Some(status) = self.lock().exited()? {
                bail!("Postgres ended with {status}:\n{}", tail(&folder.join("log"), 20));
            }
            let pid = self.lock().pid().unwrap_or_default().to_string();
            let text = std::fs::read_to_string(&status_file).unwrap_or_default();
            let mut lines = text.lines();
            // Line 1 is the process, line 8 its state. The file of a killed server names another.
            let ready = lines.next() == Some(&pid) && lines.nth(6).is_some_and(|state| state.trim() == "ready");
            Ok(ready.then_some(()))
        })
        .await
        .with_context(|| tail(&folder.join("log"), 20))
    }

    fn arguments(&self, folder: &Path) -> Vec<String> {
        let mut settings = vec![
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".into(),
            format!("unix_socket_directories={}", folder.display()),
            "max_connections=300".into(),
            "shared_buffers=64MB".into(),
        ];
        if self.durability == Durability::ProcessCrash {
            settings.extend(["fsync=off".into(), "full_page_writes=off".into()]);
        }
        let data = folder.join("data").display().to_string();
        let settings = settings.into_iter().flat_map(|setting| ["-c".into(), setting]);
        ["-D".into(), data].into_iter().chain(settings).collect()
    }

    fn port_was_taken(&self) -> bool {
        tail(&self.lock().folder().join("log"), 20).contains("Address already in use")
    }
}

/// `initdb` in a folder of its own; blocking, about a second.
fn create_cluster(initdb: &Path) -> Result<Guarded> {
    let guarded = Guarded::open("pg")?;
    let folder = guarded.folder();
    if let Some((uid, gid)) = account(folder)? {
        chown(folder, Some(uid), Some(gid))?;
    }
    let mut command = Command::new(initdb);
    command.args(["--username=postgres", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync"]);
    command.arg("-D").arg(folder.join("data")).current_dir(folder);
    as_account(&mut command, folder);
    let output = command.output().with_context(|| format!("cannot run {}", initdb.display()))?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(guarded)
}

/// Runs `command` as the owner of `folder`, if a root process gave it away.
fn as_account(command: &mut Command, folder: &Path) {
    if let Ok(owner) = folder.metadata()
        && running_as_root()
    {
        command.uid(owner.uid()).gid(owner.gid());
    }
}

/// Whom a root process runs Postgres as; `None` if this process is not root's.
fn account(folder: &Path) -> Result<Option<(u32, u32)>> {
    if folder.metadata()?.uid() != 0 {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd").context("no /etc/passwd")?;
    let of = |name: &str| {
        let mut fields = accounts
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = of("postgres").or_else(|| of("nobody"));
    found.map(Some).context("Postgres refuses to run as root, and there is no user postgres or nobody")
}

/// The owner of what a process creates is its effective user.
fn running_as_root() -> bool {
    tempfile::tempfile().and_then(|file| file.metadata()).is_ok_and(|file| file.uid() == 0)
}

fn log_files(folder: &Path) -> Result<(File, File)> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    Ok((log.try_clone()?, log))
}

/// Debian keeps the server's programs out of `PATH`: `/usr/lib/postgresql/15/bin`, newest first.
fn debian_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}
