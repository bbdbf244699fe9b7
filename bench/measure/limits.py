"""What this machine can do at all: the physical limits beside which the shop's figures stand.

Measured again in every run, since a virtual machine's disk is not the same from minute to minute.
"""

import os
import re
import statistics
import sys
import threading
import time

from .guard import Failed
from .servers import output, program

BLOCK = b"\xa5" * 4096
BLOCKS = 1024
# About what an event's envelope has.
PAYLOAD = "x" * 500


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def fsync(folder, seconds, writers=1, most=sys.maxsize):
    """`writers` files at once, each `most` times at most: 4 KiB written over an allocated file, then
    `fdatasync`. It is what a commit in SQLite's write-ahead log costs at least. Gives the rate of all
    together, and p50 and p99 of one, ms.
    """
    took, errors = [], []

    def write(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for at in range(BLOCKS):
                os.pwrite(file, BLOCK, at * len(BLOCK))
            os.fsync(file)
            at, deadline = 0, time.monotonic() + seconds
            while at < most and time.monotonic() < deadline:
                begun = time.perf_counter()
                os.pwrite(file, BLOCK, at % BLOCKS * len(BLOCK))
                os.fdatasync(file)
                took.append(time.perf_counter() - begun)
                at += 1
        except OSError as error:
            errors.append(error)
        finally:
            os.close(file)
            os.unlink(path)

    threads = [threading.Thread(target=write, args=(folder / f"fsync-{n}",)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors or not took:
        raise Failed(f"fsync cannot be measured: {errors[:1]}")
    # Of the writers' own time: not that of making the files.
    rate = writers * len(took) / sum(took)
    took.sort()
    return rate, 1_000 * statistics.median(took), 1_000 * percentile(took, 0.99)


def fsync_now(folder):
    """A short look (200 fsyncs, or a second), for just before and just after a load: rate and p50, ms.

    A virtual disk may be a hundred times slower than it was a minute ago.
    """
    rate, p50, _ = fsync(folder, 1.0, most=200)
    return rate, p50


def sleep_lateness(seconds):
    """How late a thread wakes that has asked to sleep 1 ms: p50 and p99, ms."""
    late, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        begun = time.perf_counter()
        time.sleep(0.001)
        late.append(time.perf_counter() - begun - 0.001)
    late.sort()
    return 1_000 * statistics.median(late), 1_000 * percentile(late, 0.99)


def pgbench(postgres, folder, clients, seconds):
    """Single-row inserts of 500 bytes, each its own transaction, a second."""
    postgres.ask(
        "DROP TABLE IF EXISTS bench_rows",
        "CREATE TABLE bench_rows (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload TEXT NOT NULL)",
    )
    script = folder / "insert.sql"
    script.write_text(f"INSERT INTO bench_rows (payload) VALUES ('{PAYLOAD}');\n")
    argv = [program("pgbench", "postgresql-contrib"), "-h", "127.0.0.1", "-p", postgres.port, "-U", "postgres", "-n"]
    argv += ["-M", "prepared", "-f", script, "-c", clients, "-j", min(clients, 2), "-T", seconds, "postgres"]
    found = re.search(r"^tps = ([\d.]+)", output(argv), re.MULTILINE)
    postgres.ask("DROP TABLE bench_rows")
    if not found:
        raise Failed("pgbench has said no rate")
    return float(found[1])


def xadd(redis, count):
    """`XADD` of 500 bytes, 64 a round trip, 4 connections, a second."""
    argv = [program("redis-benchmark", "redis-tools"), "-h", "127.0.0.1", "-p", redis.port, "-P", 64, "-c", 4]
    argv += ["-n", count, "-q", "XADD", "bench", "*", "envelope", PAYLOAD]
    rates = re.findall(r"([\d.]+) requests per second", output(argv))
    redis.ask("DEL", "bench")
    if not rates:
        raise Failed("redis-benchmark has said no rate")
    return float(rates[-1])


def measure(surroundings, plan):
    """All of them; those of the servers only where there are servers."""
    folder, seconds = surroundings.folder.path, plan.limit_s
    one, p50, p99 = fsync(folder, seconds)
    eight, _, _ = fsync(folder, seconds, writers=8)
    wake_p50, wake_p99 = sleep_lateness(min(seconds, 2))
    found = {"fsync.per_s": one, "fsync.p50_ms": p50, "fsync.p99_ms": p99, "fsync.8_writers_per_s": eight}
    found.update({"sleep.late_p50_ms": wake_p50, "sleep.late_p99_ms": wake_p99})
    if surroundings.servers:
        postgres, redis = surroundings.servers.postgres, surroundings.servers.redis
        found["pgbench.1_per_s"] = pgbench(postgres, folder, 1, max(1, int(seconds)))
        found["pgbench.16_per_s"] = pgbench(postgres, folder, 16, max(1, int(seconds)))
        found["xadd.per_s"] = xadd(redis, plan.xadds)
    return found
