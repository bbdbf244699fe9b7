"""The report: what the records of a run come to, as Markdown."""

from collections import defaultdict

from .shop import MODES
from .targets import NAMES, ROWS, met, spread, target_of

HEAD = """# Benchmarks

Written by `bench/run --write`, and by nothing else: to change a figure, measure again.

Everything ran on one machine: the shop, the generator (`orderly load`) and, where there are any, Redis and
Postgres **share its {cores}**. So a rate is what is left of them after the generator, whose share is
given, and no figure says what a larger machine would do. Beside a figure stands what the machine itself can do,
measured in the same run a moment before: a ratio tells more than a rate.

A checkout is complete when `placeOrder` with a card, sent over HTTP by GraphQL, has come to CONFIRMED and a client
has seen that through the read model. On the way it passes through order, inventory, payment, the bank and query, each
with a store of its own, and what one of them tells another is on the disk first. `orderly audit` runs on the
stores after every load.

To repeat it (Debian or Ubuntu, with `redis-server`, `postgresql` and `wrk`; nothing has to run, and nothing is left
running):

```sh
bench/run                                  # everything, about an hour; prints the tables below
bench/run --only checkout,catalogue --runs 1 --quick    # a look at some of it
bench/run --write                          # everything, and writes this page
```
"""


LAZY = """Whatever a service has decided is committed with `synchronous=FULL` on SQLite and with `synchronous_commit=on`
on Postgres. Less is asked only by *lazy* transactions, which hold the relay's marks, and by the embedded broker's file:
their loss repeats work and loses nothing, since the outboxes cover it (see [store](store.md) and
[outbox](outbox.md)).
"""


def number(value):
    """Three digits that matter, and all of a large number."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


class Report:
    """The records of all runs, by work and mode."""

    def __init__(self, about, records):
        self.about = about
        self.records = defaultdict(list)
        for record in records:
            self.records[record["work"], record["mode"]].append(record)

    def values(self, work, mode, figure):
        """A figure, or a limit that was measured with it, of every run that has it."""
        found = (
            record["figures"].get(figure, record["limits"].get(figure)) for record in self.records.get((work, mode), [])
        )
        return [value for value in found if value is not None]

    def median(self, work, mode, figure):
        values = self.values(work, mode, figure)
        return spread(values).median if values else None

    def markdown(self):
        cores = self.about["machine"]["processor"].rsplit(", ", 1)[-1]
        quick = "**A quick look, not a benchmark: short runs, few orders.**\n" if self.about["quick"] else ""
        parts = [HEAD.format(cores=cores), quick]
        parts += ["## Targets\n", self.legend(), self.targets()]
        parts += ["## A checkout in detail\n", self.details(), "## Limits of the machine\n", self.limits()]
        parts += ["## More\n", self.more(), "## What went wrong\n", self.wrong()]
        parts += ["## Machine, versions, durability\n", self.machine()]
        return "\n".join(part for part in parts if part)

    def legend(self):
        runs = max((len(found) for (work, _), found in self.records.items() if work != "limits"), default=0)
        times = "once" if runs == 1 else f"{runs} times"
        return (
            f"Each was measured {times}; the median counts. *embedded*: SQLite files, every commit on the disk; "
            "*servers*: Redis and Postgres.\n"
        )

    def targets(self):
        columns = ["work", "mode", "min", "median", "max", "", "target", "met", "limit of the machine", "ratio"]
        return table(columns, [self.line(row) for row in ROWS])

    def line(self, row):
        values = self.values(row.work, row.mode, row.figure)
        if not values:
            return [row.what, NAMES[row.mode], "–", "not measured", "–", row.unit, self.target(row, None), "", "", ""]
        found = spread(values)
        medians = {row.limit: self.median(row.work, row.mode, row.limit)} if row.limit else {}
        verdict = {None: "", True: "yes", False: "**MISSED**"}[met(row, found, medians)]
        if any(record["faults"] for record in self.records[row.work, row.mode]):
            verdict = f"{verdict} (but see what went wrong)".strip()
        limit, ratio = "", ""
        if medians.get(row.limit):
            limit = f"{number(medians[row.limit])} {row.limit_name}"
            ratio = f"{number(found.median / medians[row.limit])} {row.ratio}"
        figures = [number(value) for value in (found.low, found.median, found.high)]
        return [row.what, NAMES[row.mode], *figures, row.unit, self.target(row, medians), verdict, limit, ratio]

    @staticmethod
    def target(row, medians):
        if row.target is None:
            return ""
        if callable(row.target):
            rule = row.rule
            return f"{row.sign} {rule}" + (f" = {number(target_of(row, medians))} {row.unit}" if medians else "")
        return f"{row.sign} {row.target:,} {row.unit}".rstrip()

    def details(self):
        phases = {"c256": "256 clients", "c64": "64 clients", "half": "half of that rate, open loop", "c1": "1 client"}
        rows = []
        for mode in MODES:
            for phase, name in phases.items():

                def cell(figure, times=1.0, at=(mode, phase)):
                    value = self.median("checkout", at[0], f"{at[1]}.{figure}")
                    return number(value if value is None else times * value)

                late = [cell(f"{kind}.{p}_ms") for kind in ("accepted", "confirmed") for p in ("p50", "p99", "p999")]
                cpu = [cell(f"cpu_us.{who}") for who in ("shop", "postgres", "redis", "generator")]
                if self.median("checkout", mode, f"{phase}.per_s") is not None:
                    share, disk = cell("generator_share", 100) + " %", cell("fsync_p50_ms")
                    rows.append([NAMES[mode], name, cell("per_s"), *late, *cpu, share, disk])
        late = [f"{kind} {p}" for kind in ("accepted", "confirmed") for p in ("p50", "p99", "p99.9")]
        cpu = [f"CPU µs: {who}" for who in ("shop", "Postgres", "Redis", "generator")]
        columns = ["mode", "load", "checkouts/s", *late, *cpu, "generator of all CPU", "one fsync then"]
        return (
            "Medians. Latencies in ms, from the sending of the request to its answer (accepted) and to the moment when "
            "the client knows that the order is confirmed; in the open loop from the moment when it was due to be "
            "sent. CPU is per complete checkout, user and system. The last column is the p50 of one fsync, ms, in a short "
            "look just before and just after that load: a virtual disk changes.\n\n" + table(columns, rows)
        )

    def limits(self):
        names = {
            "fsync.per_s": "fsyncs/s: 4 KiB over an allocated file, then `fdatasync`; one writer",
            "fsync.8_writers_per_s": "the same, eight writers on eight files",
            "fsync.p50_ms": "one such fsync, p50, ms",
            "fsync.p99_ms": "p99, ms",
            "pgbench.1_per_s": "`pgbench`: inserts of one row of 500 bytes, each its own transaction, 1 client, /s",
            "pgbench.16_per_s": "the same, 16 clients, /s",
            "xadd.per_s": "`redis-benchmark`: XADD of 500 bytes, 64 a round trip, 4 connections, /s",
            "sleep.late_p50_ms": "a thread that sleeps 1 ms wakes too late by, p50, ms",
            "sleep.late_p99_ms": "p99, ms",
        }
        rows = []
        for name, what in names.items():
            found = [value for mode in MODES for value in self.values("limits", mode, name)]
            if found:
                it = spread(found)
                rows.append([what, number(it.low), number(it.median), number(it.high), str(it.runs)])
        return table(["what", "min", "median", "max", "times"], rows)

    def more(self):
        names = [
            ("start", "start: orders stored", "orders"),
            ("start", "start: data, MiB", "data_mib"),
            ("rebuild", "rebuild: events folded", "events"),
            ("growth", "growth: few orders", "small_orders"),
            ("growth", "growth: many orders", "grown_orders"),
            ("growth", "growth: checkouts/s with few", "small_per_s"),
            ("growth", "growth: checkouts/s with many", "grown_per_s"),
            ("growth", "growth: data, MiB", "data_mib"),
            ("deadlines", "deadlines: how many", "count"),
            ("deadlines", "deadlines: most late, ms", "late_max_ms"),
            ("deadlines", "deadlines: until a client knows, p50, ms", "seen_p50_ms"),
            ("deadlines", "deadlines: until a client knows, p99, ms", "seen_p99_ms"),
            ("checkout", "half of the rate was, checkouts/s", "half.per_s"),
            ("checkout", "of these begun late, for want of a free client", "half.begun_late"),
            ("oversell", "oversell: rounds that were right", "rounds_right"),
            ("catalogue", "catalogue: the bare service, answers/s", "bare_per_s"),
        ]
        rows = [[what, *(number(self.median(work, mode, figure)) for mode in MODES)] for work, what, figure in names]
        rows = [row for row in rows if any(cell != "–" for cell in row[1:])]
        return "Medians.\n\n" + table(["", *(NAMES[mode] for mode in MODES)], rows) if rows else ""

    def wrong(self):
        lines = []
        for (work, mode), records in self.records.items():
            for record in records:
                lines += [f"* {work}, {NAMES[mode]}, run {record['run']}: {fault}" for fault in record["faults"]]
        lines += [f"* not measured: {text}" for text in self.about["failures"]]
        every = [name for records in self.records.values() for record in records for name in record["figures"]]
        audits = sum("audit." in name for name in every)
        done = f"`orderly audit` ran {audits} times after the loads."
        return "\n".join(dict.fromkeys(lines)) + f"\n\n{done}\n" if lines else f"Nothing. {done} No rule was breached.\n"

    def machine(self):
        sections = {"machine": "Machine", "versions": "Versions"}
        parts = []
        for key, title in sections.items():
            parts.append(table([title, ""], [[name, str(value)] for name, value in self.about[key].items()]))
        durable = []
        for server, settings in self.about["servers"].items():
            durable += [[f"{server}, as the server says", f"{name} = {value}"] for name, value in settings.items()]
        durable += [[f"`{file}`, in its order", said] for file, said in self.about["source"].items()]
        parts.append(table(["Durability", ""], durable) + "\n" + LAZY)
        return "\n".join(parts)


def summary(report):
    """The table of targets alone, for a terminal."""
    rows = [line for line in map(report.line, ROWS) if line[3] != "not measured"]
    columns = ["work", "mode", "min", "median", "max", "", "target", "met", "limit of the machine", "ratio"]
    lines = [columns, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    return "\n".join(padded).replace("**", "")


