"""A running shop in one of the three modes, for as long as a `with` lasts.

`embedded`: `orderly up` on SQLite files. `servers`: `orderly up` on Redis and Postgres. `roles`:
`orderly serve` in a process per role on the same two. Each shop has a loopback address of its own, so
that no port can be taken by somebody else meanwhile.
"""

import itertools
import json
import os
import subprocess
import time

from .graphql import Client, stored_orders
from .guard import Failed, Folder, Process, until
from .servers import output

EMBEDDED, SERVERS, ROLES = "embedded", "servers", "roles"
MODES = [EMBEDDED, SERVERS, ROLES]
PARTS = ["inventory", "order", "payment", "notification", "query", "auditor", "gateway"]
TOKEN = "a-token-of-the-benchmark"
# A shop whose processes together use less than this share of one core has nothing left to do.
QUIET = 0.05

_numbers = itertools.count(2)


def clean_environment():
    """Ours, without any setting of a shop in it."""
    foreign = ("ORDERLY_", "DATABASE_URL", "REDIS_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "ORDERLY_GRPC_TOKEN": TOKEN}


def fresh_address():
    """A loopback address that nobody else of this machine is likely to have."""
    number = next(_numbers)
    pid = os.getpid()
    return f"127.{32 + (pid >> 8) % 32}.{(pid + number // 250) % 256}.{number % 250 + 2}"


class Shop:
    """The processes of one shop. `surroundings` has the binary, the folder and the two servers."""

    def __init__(self, surroundings, mode, data=None, args=(), servers=None):
        """`data`: a data folder to go on with (embedded); by default a new one."""
        self.mode = mode
        self.binary = surroundings.binary
        self._parent = surroundings.folder.path
        self._args = list(args)
        self._servers = surroundings.servers if mode != EMBEDDED else None
        self._own = None
        self.processes = []
        if mode == EMBEDDED:
            if data is None:
                self._own = Folder(self._parent, "data")
            self._stores = ["--data-dir", str(data or self._own.path)]
        else:
            self._servers.redis.empty()
            self._stores = ["--database-url", self._servers.postgres.fresh_databases()]
        self._broker = [] if mode == EMBEDDED else ["--redis-url", self._servers.redis.url]
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        if self.mode == ROLES:
            self._start_roles()
        else:
            address = fresh_address()
            self.url, self.grpc = f"http://{address}:8080", f"http://{address}:8081"
            self._spawn("up", self._listen(address))
        # Asked without a pause: the time to the first page is measured by this.
        until("the first page comes", self._first_page, pause=0.001)
        self.first_page_s = time.monotonic() - self.processes[0].begun

    def _start_roles(self):
        addresses = {part: fresh_address() for part in PARTS}
        others = [part for part in PARTS if part != "gateway"]
        neighbours = [word for part in others for word in (f"--{part}-grpc", f"http://{addresses[part]}:8081")]
        for part in PARTS:
            demo = ["--demo-data"] if part == "gateway" else []
            self._spawn("serve", [part, *demo, *neighbours, *self._listen(addresses[part])])
        self.url = f"http://{addresses['gateway']}:8080"
        self.grpc = f"http://{addresses['query']}:8081"
        # Of a new cluster the gateway makes the demo products, and waits for them.
        until("all roles serve", self._all_serve, patience=120)

    def _all_serve(self):
        for process in self.processes:
            process.check()
        return all("Ctrl-C" in (process.folder.path / "out").read_text() for process in self.processes)

    def _listen(self, address):
        return ["--listen", f"{address}:8080", "--grpc-listen", f"{address}:8081"]

    def _spawn(self, command, words):
        argv = [self.binary, command, *words, *self._stores, *self._broker, *self._args]
        self.processes.append(Process(Folder(self._parent, "shop"), argv, env=clean_environment()))

    def _first_page(self):
        for process in self.processes:
            process.check()
        client = Client(self.url)
        try:
            return client.page()
        except OSError:
            return False
        finally:
            client.close()

    def cpu_s(self):
        return sum(process.cpu_s() for process in self.processes)

    def memory_mib(self, field):
        return sum(process.memory_mib(field) for process in self.processes)

    def until_quiet(self, patience=900.0):
        """Waits until it has nothing left to do; its first audit, after 5 s, is over then."""
        up = self.processes[0].begun
        time.sleep(max(0.0, up + 6 - time.monotonic()))
        deadline, quiet = time.monotonic() + patience, 0
        while quiet < 3:
            before, at = self.cpu_s(), time.monotonic()
            time.sleep(0.5)
            share = (self.cpu_s() - before) / (time.monotonic() - at)
            # Several processes have several idle loops.
            quiet = quiet + 1 if share < QUIET * len(self.processes) else 0
            if time.monotonic() > deadline:
                raise Failed(f"the shop is still busy after {patience:.0f} s")

    def orders(self):
        return stored_orders(self.url)

    def audit(self):
        """`orderly audit` beside it: how many rules, and the breaches by rule."""
        argv = [self.binary, "audit", "--json", *self._stores]
        done = subprocess.run(argv, capture_output=True, text=True, env=clean_environment())
        findings = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if not findings:
            raise Failed(f"the audit failed: {done.stderr.strip()[-600:]}")
        breached = [finding["rule"] for finding in findings if finding["breaches"]]
        if bool(breached) != bool(done.returncode):
            raise Failed(f"the audit ended with {done.returncode}: {done.stderr.strip()[-600:]}")
        return {"rules": len(findings), "breached": breached}

    def rebuild(self, model):
        """`orderly read-model rebuild`: what it reports."""
        argv = [self.binary, "read-model", "rebuild", model, "--json", "--to", self.grpc]
        return json.loads(output(argv, env=clean_environment()))

    def close(self):
        """Ends it in order, and removes what was made for it."""
        codes = [process.stop() for process in reversed(self.processes)]
        self.processes = []
        if self._own:
            self._own.close()
        if self.mode != EMBEDDED:
            self._servers.postgres.checkpoint()
        return codes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
