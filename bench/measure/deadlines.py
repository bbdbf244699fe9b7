"""Deadlines: many orders whose payment falls due within some seconds, and how late each is obeyed."""

from .load import load
from .shop import Shop

# All orders are placed before the first of them falls due.
WINDOW = "30s"


def run(bench, mode):
    count, within = bench.plan.deadlines, bench.plan.deadlines_within_s
    bench.say(f"deadlines {mode}: {count} within {within} s")
    with Shop(bench, mode, args=["--payment-window", WINDOW]) as shop:
        shop.until_quiet()
        report = load(shop, "timers", "--count", count, "--within", f"{within}s")
        audit = shop.audit()
    figures = {f"late_{name}": report["lateness"][name] for name in ["p50_ms", "p99_ms", "max_ms"]}
    figures.update({"count": report["count"], "audit.rules": audit["rules"]})
    if report.get("seen"):
        figures.update({f"seen_{name}": value for name, value in report["seen"].items() if name.endswith("_ms")})
    faults = report["faults"] + [f"audit: {rule}" for rule in audit["breached"]]
    return {"figures": figures, "faults": faults, "raw": report}
