//! A child process, and its folder, that cannot outlive the test process.
//!
//! Pattern: *a watchdog on a pipe*. `Drop` does not run when a test process is killed with -9, and
//! no signal tells a child that its parent is gone; but the kernel closes the dead process's
//! pipes, always. So beside each child runs a few lines of `sh` whose standard input is a pipe held
//! by the test process (`watchdog.sh`): at its end the watchdog kills the child's process group and removes its
//! folder. An orderly end takes the same road (`Drop` closes the pipe), so that the road is tested
//! with every test.
//!
//! A child starts only after the watchdog knows it: it is a `sh` that waits for one line before it
//! becomes (`exec`) the program. If the test process dies in between, the line never comes.
//! Children have a process group of their own, hence Ctrl-C reaches the test process alone.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

/// Waits for the word to go, then becomes the program.
const LAUNCH: &str = r#"read -r _ && exec "$@" </dev/null"#;

/// What the watchdog does: told in the script.
const WATCH: &str = include_str!("watchdog.sh");

/// A temporary folder with at most one running process that works in it, both watched.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// Removed at the end, with everything in it.
    folder: PathBuf,
    watchdog: Child,
    /// The pipe whose closing is the signal; `None` only while dropping.
    orders: Option<ChildStdin>,
    /// `None` before the first start and once the process is known to have ended.
    child: Option<Child>,
    /// How the last process ended, if it was seen to.
    status: Option<ExitStatus>,
}

impl Guarded {
    /// Makes the folder, named `orderly-<name>-…`, and its watchdog.
    ///
    /// # Errors
    /// The folder cannot be made or `sh` cannot be run.
    pub(crate) fn open(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("orderly-{name}-")).tempdir()?;
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCH, "orderly-watchdog"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot run sh")?;
        let orders = watchdog.stdin.take();
        // From here on the folder is the watchdog's to remove.
        Ok(Self { folder: folder.keep(), watchdog, orders, child: None, status: None })
    }

    /// The folder, which exists as long as this value.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts `program`, its standard output and error going to the two files; `configure` sets
    /// what else a command has (environment, user). `last_signal` is how the watchdog ends it.
    ///
    /// # Errors
    /// `sh` cannot be run. A program that cannot be executed shows as an exit with status 127.
    ///
    /// # Panics
    /// The process started before is still running.
    pub(crate) fn start<A: AsRef<OsStr>>(
        &mut self,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        (out, err): (File, File),
        last_signal: &str,
        configure: impl FnOnce(&mut Command),
    ) -> Result<()> {
        self.exited()?;
        assert!(self.child.is_none(), "already running");
        self.status = None;
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCH, "sh"]).arg(program).args(args).process_group(0);
        command.stdin(Stdio::piped()).stdout(out).stderr(err).current_dir(&self.folder);
        configure(&mut command);
        let mut child = command.spawn().context("cannot run sh")?;
        let go = child.stdin.take();
        // First the watchdog, then the word: in the other order a crash leaves a stray process.
        self.tell_watchdog(&format!("{} {last_signal}", child.id()))?;
        go.context("a piped child has a pipe")?.write_all(b"go\n")?;
        self.child = Some(child);
        Ok(())
    }

    /// The process id, while it runs or until its end was seen.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How the process started last has ended; `None` while it runs or if none was started.
    ///
    /// # Errors
    /// The watchdog is gone.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(self.status);
        };
        match child.try_wait()? {
            Some(status) => self.forget(status)?,
            None => return Ok(None),
        }
        Ok(self.status)
    }

    /// Sends a signal by its name (`TERM`) to the process alone, not to its children. Nothing
    /// happens if it has ended.
    ///
    /// # Errors
    /// `sh` cannot be run.
    pub(crate) fn signal(&mut self, name: &str) -> Result<()> {
        if let Some(pid) = self.pid() {
            // The built-in of the shell, since a small image has no `kill` program.
            let kill = r#"kill -s "$1" "$2" 2>/dev/null"#;
            Command::new("sh").args(["-c", kill, "sh", name, &pid.to_string()]).status()?;
        }
        Ok(())
    }

    /// `kill -9`: returns once the process is gone. Its folder stays.
    ///
    /// # Errors
    /// The watchdog is gone.
    pub(crate) fn kill9(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child {
            child.kill()?;
            let status = child.wait()?;
            self.forget(status)?;
        }
        Ok(())
    }

    fn forget(&mut self, status: ExitStatus) -> Result<()> {
        self.child = None;
        self.status = Some(status);
        self.tell_watchdog("")
    }

    fn tell_watchdog(&mut self, line: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the pipe is open until the drop")?;
        writeln!(orders, "{line}").context("the watchdog is gone")
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(child) = &mut self.child {
            // Reaped here, or the watchdog would wait for a zombie.
            let _ = child.wait();
        }
        let _ = self.watchdog.wait();
    }
}

/// The last `lines` lines of a log file, for the message of a failing test; empty if there is none.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
