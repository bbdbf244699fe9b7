"""`orderly load`, run as anybody would, and what it reports."""

import json
import subprocess

from .guard import Failed
from .shop import clean_environment


def load(shop, *words):
    """Runs the generator against a shop; gives its JSON, with what went wrong as `faults`.

    It is not asked to audit: `Shop.audit` does that the same way for every mode.
    """
    argv = [shop.binary, "load", *words, "--to", shop.url, "--json", "--no-audit"]
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, env=clean_environment())
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise Failed(f"orderly load ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    report = json.loads(lines[-1])
    report["faults"] = faults(report)
    return report


# Of what a clean run has none.
COUNTS = {
    "unfinished": "orders have not come to their end",
    "wrong": "orders have come to an end that is not theirs",
    "not_begun": "operations could not even be begun",
    "early": "deadlines were obeyed before they were due",
}


def faults(report):
    """In words, whatever a clean run has not."""
    found = [f"{count} × {code}" for code, count in (report.get("errors") or {}).items()]
    found += [f"{report[name]} {what}" for name, what in COUNTS.items() if report.get(name)]
    if report.get("ok") is False and not found:
        found.append("the generator says that the run was not right")
    return found


def cpu_of(shop, servers):
    """CPU seconds so far of the shop and of each server."""
    spent = {"shop": shop.cpu_s()}
    if servers and shop.mode != "embedded":
        spent["postgres"] = servers.postgres.process.cpu_s()
        spent["redis"] = servers.redis.process.cpu_s()
    return spent
