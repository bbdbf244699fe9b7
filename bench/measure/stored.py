"""What needs a shop with a past: start, rebuild of a read model, growth.

The past is made the long way, by checkouts at the full rate through the public API, so that every
row of every store is what the shop itself has written. The orders are shipped and delivered at
once: what a shop has stored for long is finished business. One data folder grows from one size to
the next; what is measured at a small size again later is measured on a copy.
"""

import shutil
import subprocess
import time

from .checkout import checkouts
from .guard import Failed, Folder
from .load import load
from .shop import EMBEDDED, Shop, clean_environment

FINISHED_AT_ONCE = ["--ship-after", "1s", "--deliver-after", "1s"]
# So that what one load has sold is not shipped while the next is measured.
NOT_SHIPPED = ["--ship-after", "1d"]
CLIENTS = ["--concurrency", "256"]


class Past:
    """A data folder, how many orders are in it, and a copy of it from when it was small."""

    def __init__(self, bench):
        self._bench = bench
        self._folder = Folder(bench.folder.path, "past")
        self.data = self._folder.path / "data"
        self.orders = 0
        self.small = None
        self.small_orders = 0
        # What went wrong while it was made.
        self.faults = []

    def grow(self, orders):
        """Until it has so many orders."""
        small = self._bench.plan.small
        if self.small is None and self._bench.wants("growth"):
            self._grow(small)
            self.small, self.small_orders = self.copy("small"), self.orders
        self._grow(orders)

    def _grow(self, orders):
        if self.orders >= orders:
            return
        with Shop(self._bench, EMBEDDED, data=self.data, args=FINISHED_AT_ONCE) as shop:
            self.orders, seconds = shop.orders(), 2
            while self.orders < orders:
                self._bench.say(f"a past of {orders:,} orders: {self.orders:,} so far")
                before = self.orders
                report = load(shop, "--mix", "checkout", *CLIENTS, "--warm-up", "0s", "--duration", f"{seconds}s")
                self.faults += report["faults"]
                self.orders = shop.orders()
                if self.orders == before:
                    raise Failed("the past does not grow")
                rate = (self.orders - before) / seconds
                seconds = max(1, min(60, round((orders - self.orders) / rate)))
            # Until the last of them is delivered.
            shop.until_quiet()

    def copy(self, name):
        """A copy of its data, which the caller removes."""
        to = self._folder.path / name
        shutil.copytree(self.data, to)
        return to

    def mib(self):
        return sum(file.stat().st_size for file in self.data.rglob("*") if file.is_file()) / 2**20

    def close(self):
        self._folder.close()


def past(bench):
    """The one that all works of a run of the script share."""
    if bench.past is None:
        bench.past = Past(bench)
    return bench.past


def start(bench, _mode, runs):
    """From the start of the program to its first page, whole."""
    it = past(bench)
    it.grow(bench.plan.stored)
    for number in range(runs):
        bench.say(f"start on {it.orders:,} orders: run {number + 1} of {runs}")
        begun = time.monotonic()
        subprocess.run([bench.binary, "--version"], capture_output=True, check=True, env=clean_environment())
        version_s = time.monotonic() - begun
        with Shop(bench, EMBEDDED, data=it.data) as shop:
            figures = {"first_page_s": shop.first_page_s, "version_s": version_s, "orders": it.orders}
            figures["data_mib"] = it.mib()
        yield {"figures": figures, "faults": it.faults, "raw": {}}


def rebuild(bench, mode, runs):
    """`orderly read-model rebuild orders`, of a shop that has nothing else to do."""
    plan = bench.plan
    if mode == EMBEDDED:
        it = past(bench)
        it.grow(plan.stored)
        data = it.copy("rebuilt")
        try:
            with Shop(bench, mode, data=data) as shop:
                yield from _rebuilds(bench, shop, runs, it.faults)
        finally:
            shutil.rmtree(data)
    else:
        with Shop(bench, mode, args=NOT_SHIPPED) as shop:
            bench.say(f"rebuild {mode}: orders to fold")
            times = ["--warm-up", "0s", "--duration", f"{2 * plan.duration_s}s"]
            faults = load(shop, "--mix", "checkout", *CLIENTS, *times)["faults"]
            yield from _rebuilds(bench, shop, runs, faults)


def _rebuilds(bench, shop, runs, faults):
    shop.until_quiet()
    for number in range(runs):
        bench.say(f"rebuild {shop.mode}: run {number + 1} of {runs}")
        report = shop.rebuild("orders")
        figures = {"events_per_s": report["events"] / report["seconds"], "events": report["events"]}
        differed = [f"{report['differences']} rows differed"] if report["differences"] else []
        yield {"figures": figures, "faults": faults + differed, "raw": report}
        shop.until_quiet()


def growth(bench, _mode, runs):
    """The rate of checkouts with many orders stored over the rate with few, in turn."""
    it = past(bench)
    it.grow(bench.plan.grown)
    for number in range(runs):
        measured = {}
        for size in ["small", "grown"] if number % 2 == 0 else ["grown", "small"]:
            orders = it.small_orders if size == "small" else it.orders
            bench.say(f"growth: run {number + 1} of {runs}, {orders:,} orders")
            measured[size] = _with_a_past(bench, it, size)
        figures = {f"{size}_per_s": found["per_s"] for size, (found, _) in measured.items()}
        figures["ratio"] = figures["grown_per_s"] / figures["small_per_s"]
        figures.update({"small_orders": it.small_orders, "grown_orders": it.orders, "data_mib": it.mib()})
        faults = it.faults + [fault for _, report in measured.values() for fault in report["faults"]]
        if number == runs - 1:
            bench.say(f"growth: the audit of {it.orders:,} orders")
            with Shop(bench, EMBEDDED, data=it.data) as shop:
                audit = shop.audit()
            figures["audit.rules"] = audit["rules"]
            faults += [f"audit: {rule}" for rule in audit["breached"]]
        reports = {size: report for size, (_, report) in measured.items()}
        yield {"figures": figures, "faults": faults, "raw": reports}


def _with_a_past(bench, it, size):
    """The checkouts of one load on a copy of the small past, or on the grown one itself."""
    data = it.data
    if size == "small":
        data = it.small.with_name("measured")
        shutil.copytree(it.small, data)
    with Shop(bench, EMBEDDED, data=data, args=NOT_SHIPPED) as shop:
        # An audit of a large shop takes long, and the first comes soon after the start.
        shop.until_quiet()
        found = checkouts(bench, shop, CLIENTS)
        if size == "grown":
            it.orders = shop.orders()
    if size == "small":
        shutil.rmtree(data)
    return found
