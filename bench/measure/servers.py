"""Redis and Postgres of the script's own: on loopback, with the durability that is measured.

Redis: append-only file, `everysec`; Postgres: as Debian's package has it, so `fsync` and
`synchronous_commit` are on. Both are asked for their settings once they run (`settings`), and those
go into the report: what counts is what the server says, not what it was started with.
"""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from .guard import Failed, Folder, Process, until

SERVICES = ["order", "payment", "bank", "inventory", "notification", "query", "gateway"]


def program(name, package):
    """Where a program is: in PATH, or where Debian keeps those of the Postgres server."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name) or next((str(at / name) for at in places if (at / name).exists()), None)
    if not found:
        raise Failed(f"{name} is not installed: apt-get install {package}")
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def output(argv, **more):
    """What a command prints; fails with what it says."""
    done = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, **more)
    if done.returncode:
        raise Failed(f"{Path(argv[0]).name} failed ({done.returncode}): {done.stderr.strip()[-600:]}")
    return done.stdout


class Redis:
    """`redis-server --appendonly yes --appendfsync everysec`."""

    def __init__(self, parent):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        arguments = ["--bind", "127.0.0.1", "--port", self.port, "--save", "", "--appendonly", "yes"]
        arguments += ["--appendfsync", "everysec"]
        self.process = Process(Folder(parent, "redis"), [program("redis-server", "redis-server"), *arguments])
        until("Redis answers", self._answers)

    def _answers(self):
        self.process.check()
        asked = subprocess.run(self._cli("PING"), capture_output=True, text=True)
        return asked.stdout.strip() == "PONG"

    def _cli(self, *command):
        return [program("redis-cli", "redis-tools"), "-h", "127.0.0.1", "-p", str(self.port), *command]

    def ask(self, *command):
        return output(self._cli(*command)).strip()

    def settings(self):
        """What is on, as the server says."""
        found = {}
        for name in ["appendonly", "appendfsync"]:
            found[name] = self.ask("CONFIG", "GET", name).splitlines()[-1]
        info = dict(line.split(":", 1) for line in self.ask("INFO", "server").splitlines() if ":" in line)
        return {"version": info["redis_version"].strip(), **found}

    def empty(self):
        self.ask("FLUSHALL")

    def close(self):
        self.process.stop(signal.SIGKILL)


class Postgres:
    """A cluster made now, run by a user that is not root."""

    def __init__(self, parent):
        self.port = free_port()
        self._made = 0
        folder = Folder(parent, "postgres")
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder.path, user)
        account = {"user": user} if user else {}
        data = folder.path / "data"
        initdb = [program("initdb", "postgresql"), "--username=postgres", "--auth=trust", "--locale=C"]
        output([*initdb, "--encoding=UTF8", "-D", data], cwd=folder.path, **account)
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "max_connections=300"]
        settings += [f"unix_socket_directories={folder.path}"]
        arguments = [part for setting in settings for part in ("-c", setting)]
        argv = [program("postgres", "postgresql"), "-D", data, *arguments]
        # Immediate shutdown: its children go with it.
        self.process = Process(folder, argv, user=user, last_signal="QUIT")
        until("Postgres answers", self._answers)

    def _answers(self):
        self.process.check()
        return subprocess.run(self._psql("postgres", "SELECT 1"), capture_output=True).returncode == 0

    def _psql(self, database, *statements):
        begin = [program("psql", "postgresql-client"), "-X", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]
        commands = [part for statement in statements for part in ("-c", statement)]
        return [*begin, "-p", str(self.port), "-U", "postgres", "-d", database, *commands]

    def ask(self, *statements, database="postgres"):
        return output(self._psql(database, *statements)).strip()

    def settings(self):
        """What is on, as the server says."""
        names = ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size"]
        said = {name: self.ask(f"SHOW {name}") for name in names}
        return {"version": self.ask("SHOW server_version").split()[0], **said}

    def fresh_databases(self):
        """Seven empty databases, as one URL with `{service}` in it."""
        self._made += 1
        prefix = f"shop{self._made}_"
        self.ask(*(f"CREATE DATABASE {prefix}{service}" for service in SERVICES))
        return f"postgres://postgres@127.0.0.1:{self.port}/{prefix}{{service}}"

    def checkpoint(self):
        """Writes out what one shop has left, so that the next is not measured while that is done."""
        self.ask("CHECKPOINT")

    def close(self):
        # At once: nobody will read these data again.
        self.process.stop(signal.SIGQUIT)


class Servers:
    """Both of them, new."""

    def __init__(self, parent):
        self.postgres = Postgres(parent)
        try:
            self.redis = Redis(parent)
        except BaseException:
            self.postgres.close()
            raise

    def settings(self):
        return {"Redis": self.redis.settings(), "Postgres": self.postgres.settings()}

    def close(self):
        self.redis.close()
        self.postgres.close()
