"""Folders and child processes that cannot outlive the script.

Pattern: a watchdog on a pipe, the same script that the tests use (`tests/it/servers/watchdog.sh`).
No signal tells a child that its parent was killed with -9, but the kernel closes the dead one's
pipes, always: the watchdog then ends the child's process group and removes its folder. An orderly
end takes the same road. A child becomes its program only after its watchdog knows it.
"""

import os
import pwd
import signal
import subprocess
import tempfile
import time
from pathlib import Path

WATCHDOG = Path(__file__).resolve().parents[2] / "tests/it/servers/watchdog.sh"
LAUNCH = 'read -r _ && exec "$@" </dev/null'
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Something could not be measured; the text says what and why."""


def watch(folder):
    """A watchdog that removes `folder`, and ends the child it is told of, once its pipe closes."""
    return subprocess.Popen(
        ["sh", str(WATCHDOG), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )


def until(what, probe, patience=60.0, pause=0.02):
    """Asks `probe` until it gives something true, which is returned."""
    deadline = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"waited {patience:.0f} s in vain: {what}")
        time.sleep(pause)


class Folder:
    """A temporary folder, removed at the end with all that is in it."""

    def __init__(self, parent, name="bench"):
        self.path = Path(tempfile.mkdtemp(prefix=f"orderly-{name}-", dir=parent))
        # Postgres, under another user, has to come through.
        self.path.chmod(0o755)
        self._watchdog = watch(self.path)

    def close(self):
        self._watchdog.stdin.close()
        self._watchdog.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Process:
    """A running program in a folder of its own, with its output in two files there."""

    def __init__(self, folder, argv, env=None, user=None, last_signal="KILL"):
        """`folder` is a `Folder` that belongs to this process from now on."""
        self.folder = folder
        self.name = Path(argv[0]).name
        path = folder.path
        account = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        with open(path / "out", "ab") as out, open(path / "err", "ab") as err:
            self._child = subprocess.Popen(
                ["sh", "-c", LAUNCH, "sh", *map(str, argv)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                env=env,
                cwd=path,
                start_new_session=True,
                **account,
            )
        # First the watchdog, then the word: in the other order a crash leaves a stray process.
        self._tell(f"{self._child.pid} {last_signal}")
        self.begun = time.monotonic()
        self._child.stdin.write(b"go\n")
        self._child.stdin.close()

    @property
    def pid(self):
        return self._child.pid

    def ended(self):
        """The exit code, or None while it runs."""
        return self._child.poll()

    def check(self):
        """Fails, with what it printed, if it has ended."""
        if self.ended() is not None:
            raise Failed(f"{self.name} ended with {self.ended()}:\n{self.tail()}")

    def tail(self, lines=15):
        text = "".join((self.folder.path / name).read_text(errors="replace") for name in ("out", "err"))
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, sign=signal.SIGTERM, patience=60.0):
        """Asks it to end, makes it end, removes its folder; gives the exit code."""
        if self.ended() is None:
            self._child.send_signal(sign)
            try:
                self._child.wait(patience)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        code = self._child.returncode
        self._tell("")
        self.folder.close()
        return code

    def cpu_s(self):
        """CPU seconds so far, of its children too."""
        return cpu_seconds(self.pid)

    def memory_mib(self, field):
        """`VmRSS` (now) or `VmHWM` (the most so far), MiB."""
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) / 1024
        raise Failed(f"the kernel tells no {field}")

    def _tell(self, line):
        self.folder._watchdog.stdin.write(line + "\n")
        self.folder._watchdog.stdin.flush()


def _stat(pid):
    """Parent, and CPU seconds with those of the children that have ended."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def cpu_seconds(root):
    """CPU seconds of a process and all that came from it."""
    parents, spent = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)], spent[int(entry)] = _stat(entry)
            except (OSError, IndexError):
                continue
    family, found = {root}, True
    while found:
        found = {pid for pid, parent in parents.items() if parent in family} - family
        family |= found
    return sum(spent.get(pid, 0.0) for pid in family)
