"""The table: which figure of which work has to be how good, and what it is compared with.

Each row is measured whatever comes out, and a target that is missed is shown as missed.
"""

import dataclasses
import statistics
from collections.abc import Callable

from .shop import EMBEDDED, MODES, ROLES, SERVERS

AT_LEAST, AT_MOST, EXACTLY = "≥", "≤", "="


@dataclasses.dataclass
class Row:
    """One line of the table. `limit` names a figure of the same run; `ratio` tells what the quotient means."""

    what: str
    mode: str
    work: str
    figure: str
    unit: str = ""
    sign: str = AT_LEAST
    # A number, or computed from the medians of the run's figures; None: only reported.
    target: float | Callable | None = None
    # How a computed target is made, in words.
    rule: str = ""
    limit: str | None = None
    limit_name: str = ""
    ratio: str = ""


@dataclasses.dataclass
class Spread:
    """What some runs came to."""

    low: float
    median: float
    high: float
    runs: int


def spread(values):
    return Spread(min(values), statistics.median(values), max(values), len(values))


def _fsyncs(count, more_ms):
    return lambda medians: count * medians["c1.fsync_p50_ms"] + more_ms


NAMES = {EMBEDDED: "embedded", SERVERS: "servers, one process", ROLES: "servers, a process per role"}


def _checkout(mode):
    embedded = mode == EMBEDDED
    ratio = "checkouts per fsync" if embedded else "checkouts per insert"

    def per_s(phase):
        limit = (f"{phase}.fsync_per_s", "fsyncs/s, one writer")
        if not embedded:
            limit = ("pgbench.16_per_s", "pgbench inserts/s, 16 clients")
        return {"unit": "/s", "limit": limit[0], "limit_name": limit[1], "ratio": ratio}

    target = {EMBEDDED: 5_000, SERVERS: 3_000, ROLES: None}[mode]
    rows = [
        Row("complete checkouts, 256 clients", mode, "checkout", "c256.per_s", target=target, **per_s("c256")),
        Row("complete checkouts, 64 clients", mode, "checkout", "c64.per_s", **per_s("c64")),
        Row(
            "confirmed p99 at half of the rate of 256 clients",
            mode,
            "checkout",
            "half.confirmed.p99_ms",
            "ms",
            AT_MOST,
            100 if embedded else None,
        ),
    ]
    fsync = {"limit": "c1.fsync_p50_ms", "limit_name": "one fsync, ms", "ratio": "fsyncs"}
    for kind, count, more_ms in [("accepted", 1, 2), ("confirmed", 10, 10)]:
        target = _fsyncs(count, more_ms) if embedded else None
        fsync["rule"] = f"{count} fsync{'s' if count > 1 else ''} + {more_ms} ms"
        what, figure = f"one client, {kind} p50", f"c1.{kind}.p50_ms"
        rows.append(Row(what, mode, "checkout", figure, "ms", AT_MOST, target, **fsync))
    if not embedded:
        xadd = {"limit": "xadd.per_s", "limit_name": "pipelined XADDs/s", "ratio": "checkouts per XADD"}
        rows.append(Row("complete checkouts, beside Redis", mode, "checkout", "c256.per_s", "/s", **xadd))
    return rows


def _deadlines(mode):
    rows = []
    for name, most in [("p50", 2), ("p99", 15)]:
        target = most if mode != ROLES else None
        late = {"limit": f"sleep.late_{name}_ms", "limit_name": f"a sleeping thread's {name}, ms"}
        what = f"deadlines: lateness {name}"
        rows.append(Row(what, mode, "deadlines", f"late_{name}_ms", "ms", AT_MOST, target, ratio="times", **late))
    return rows


def _catalogue(mode):
    bare = {"limit": "bare_per_s", "limit_name": "the bare service, answers/s"}
    target = 0.8 if mode == EMBEDDED else None
    return [
        Row("catalogue query, over the bare service", mode, "catalogue", "ratio", "×", target=target),
        Row("catalogue query, answers", mode, "catalogue", "shop_per_s", "/s", ratio="of the bare service", **bare),
    ]


def _all():
    rows = [row for mode in MODES for row in _checkout(mode)]
    rows += [row for mode in MODES for row in _deadlines(mode)]
    for mode in MODES:
        what = "60 buyers at once for 10 units: paid"
        rows.append(Row(what + ", fewest", mode, "oversell", "paid_min", "", EXACTLY, 10))
        rows.append(Row(what + ", most", mode, "oversell", "paid_max", "", EXACTLY, 10))
    rows += [row for mode in MODES for row in _catalogue(mode)]
    for mode in [EMBEDDED, SERVERS]:
        target = 100_000 if mode == EMBEDDED else None
        what = "rebuild of the orders' read model"
        rows.append(Row(what, mode, "rebuild", "events_per_s", "events/s", target=target))
    start = {"limit": "version_s", "limit_name": "`orderly --version`, s", "ratio": "times"}
    rows.append(Row("start to first page", EMBEDDED, "start", "first_page_s", "s", AT_MOST, 1, **start))
    for what, figure, most in [("memory, idle", "idle_mib", 60), ("memory, most in the checkout run", "peak_mib", 250)]:
        rows.append(Row(what, EMBEDDED, "checkout", f"c256.{figure}", "MiB", AT_MOST, most))
    for mode in [SERVERS, ROLES]:
        rows.append(Row("memory of the shop, idle", mode, "checkout", "c256.idle_mib", "MiB"))
        rows.append(Row("memory of the shop, most in the checkout run", mode, "checkout", "c256.peak_mib", "MiB"))
    rows.append(Row("growth: rate with many orders over rate with few", EMBEDDED, "growth", "ratio", "×", target=0.9))
    return rows


ROWS = _all()


def met(row, found, medians):
    """Whether the median meets the target; None without one."""
    if row.target is None:
        return None
    target = target_of(row, medians)
    if row.sign == AT_LEAST:
        return found.median >= target
    if row.sign == AT_MOST:
        return found.median <= target
    # Exactly means every time.
    return found.low == found.high == target


def target_of(row, medians):
    return row.target(medians) if callable(row.target) else row.target
