"""Complete checkouts: `placeOrder` with a card, until CONFIRMED is seen through the read model.

Four questions, each to a new shop: as fast as 256 clients and as 64 clients can, half of that rate
by a clock (open loop), and one client alone. The first shop's memory is read as well.
"""

import time

from .graphql import Client
from .limits import fsync_now
from .load import cpu_of, load
from .shop import Shop

LATENCIES = ["p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"]


def run(bench, mode):
    figures, faults, raw = {}, [], {}
    for phase in ["c256", "c64", "half", "c1"]:
        words = ["--concurrency", phase[1:]]
        if phase == "half":
            words = ["--rate", round(figures["c256.per_s"] / 2)]
        bench.say(f"checkout {mode}: {' '.join(map(str, words))}")
        found, wrong, report = one(bench, mode, words, memory=phase == "c256")
        figures.update({f"{phase}.{name}": value for name, value in found.items()})
        faults += [f"{phase}: {fault}" for fault in wrong]
        raw[phase] = report
    return {"figures": figures, "faults": faults, "raw": raw}


def one(bench, mode, words, memory=False):
    """One load on a new shop: figures, faults, and the generator's own report."""
    with Shop(bench, mode) as shop:
        found = {}
        if memory:
            Client(shop.url).page()
            time.sleep(bench.plan.idle_s)
            found["idle_mib"] = shop.memory_mib("VmRSS")
        shop.until_quiet()
        measured, report = checkouts(bench, shop, words)
        found.update(measured)
        if memory:
            found["peak_mib"] = shop.memory_mib("VmHWM")
        audit = shop.audit()
        faults = report["faults"] + [f"audit: {rule}" for rule in audit["breached"]]
        found["audit.rules"] = audit["rules"]
        return found, faults, report


def checkouts(bench, shop, words):
    """Loads a shop that runs: rate, latencies, and what a checkout costs whom."""
    plan = bench.plan
    disk = [fsync_now(bench.folder.path)]
    before, orders = cpu_of(shop, bench.servers), shop.orders()
    times = ["--warm-up", f"{plan.warm_up_s}s", "--duration", f"{plan.duration_s}s"]
    report = load(shop, "--mix", "checkout", *words, *times)
    after, placed = cpu_of(shop, bench.servers), max(1, shop.orders() - orders)
    disk.append(fsync_now(bench.folder.path))
    found = {"fsync_per_s": _mean(rate for rate, _ in disk), "fsync_p50_ms": _mean(p50 for _, p50 in disk)}
    found.update({"per_s": report["confirmed"]["per_s"], "orders": placed})
    for kind in ["accepted", "confirmed"]:
        found.update({f"{kind}.{name}": report[kind][name] for name in LATENCIES})
    for who, spent in after.items():
        found[f"cpu_us.{who}"] = 1e6 * (spent - before[who]) / placed
    found["cpu_us.generator"] = 1e6 * report["generator"]["cpu_s"] / placed
    found["begun_late"] = report.get("late") or 0
    found["generator_share"] = report["generator"]["cpu_share_of_machine"]
    report["faults"] += contradictions(report, placed)
    return found, report


def contradictions(report, placed):
    """What cannot be true of a load, in words."""
    confirmed, found = report["confirmed"], []
    if confirmed["count"] > placed:
        found.append(f"{confirmed['count']} are confirmed, but the shop has only {placed} more orders")
    if report["loop"] == "closed" and confirmed["per_s"]:
        # Little's law: so many clients at such a rate wait so long, on the average; some of them longer.
        mean_ms = 1_000 * report["concurrency"] / confirmed["per_s"]
        if confirmed["max_ms"] < mean_ms / 2:
            found.append(
                f"{report['concurrency']} clients at {confirmed['per_s']:.0f} /s wait {mean_ms:.1f} ms each, "
                f"but the longest was told to be {confirmed['max_ms']:.3f} ms"
            )
    return found


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


