"""What was measured on, and what: processor, kernel, file system, versions, durability as it is set.

No names of hosts or users and no paths: the report is published.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from .guard import Failed

ROOT = Path(__file__).resolve().parents[2]


def file_system(folder):
    """The type of the file system that a folder is on, and its options that matter for durability."""
    best = ("", "unknown", "")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        point = left.split()[4].replace("\\040", " ")
        kind, _, options = right.split()[:3]
        inside = folder == Path(point) or Path(point) in folder.parents
        if inside and len(point) >= len(best[0]):
            best = (point, kind, left.split()[5] + "," + options)
    telling = {"barrier", "nobarrier", "barrier=0", "data=ordered", "data=writeback", "data=journal", "discard"}
    return best[1], sorted(set(best[2].split(",")) & telling)


def refuse_memory(folder):
    """There is no durability to measure where nothing reaches a disk."""
    kind, _ = file_system(folder)
    if kind in {"tmpfs", "ramfs"}:
        raise Failed(f"the folder for the data is on {kind}, in memory: name one on a disk with --folder")


def describe(folder):
    """The machine."""
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpus, re.MULTILINE)
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1]) // 1024
    kind, options = file_system(folder)
    return {
        "processor": f"{model[1].strip() if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory / 1024:.1f} GiB",
        "virtual machine": "yes" if " hypervisor" in cpus else "no",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": kind + (f" ({', '.join(options)})" if options else ""),
    }


def _first_line(argv):
    if not shutil.which(argv[0]):
        return "not installed"
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def versions(binary):
    """What is measured, and with what."""
    lock = (ROOT / "Cargo.lock").read_text()
    crates = {name: re.search(rf'name = "{name}"\nversion = "([^"]+)"', lock)[1] for name in ["libsqlite3-sys", "rusqlite", "sqlx"]}
    commit = _first_line(["git", "rev-parse", "--short=12", "HEAD"])
    changed = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, cwd=ROOT).stdout
    # The report itself and the documents do not change what is measured.
    changed = [line[3:] for line in changed.splitlines() if not line[3:].endswith(".md")]
    return {
        "orderly": f"commit {commit}{' with changes' if changed else ''}",
        "binary": f"{binary.stat().st_size / 2**20:.1f} MiB, SHA-256 {digest(binary)[:16]}",
        "Rust": _first_line(["rustc", "--version"]),
        "SQLite": f"as in libsqlite3-sys {crates['libsqlite3-sys']} (rusqlite {crates['rusqlite']})",
        "client of Postgres": f"sqlx {crates['sqlx']}",
        "wrk": (re.search(r"wrk \S+", _first_line(["wrk", "-v"])) or ["not installed"])[0],
        "Python": platform.python_version(),
    }


def digest(binary):
    return hashlib.sha256(binary.read_bytes()).hexdigest()


# What asks for more or less durability, wherever the source has it.
DURABILITY = [
    r"PRAGMA synchronous = \w+",
    r"PRAGMA journal_mode = \w+",
    r"synchronous_commit TO \w+",
    r"PRAGMA wal_autocheckpoint = \d+",
]


def durability_in_source():
    """Each such place of `platform/src`, by file; tests are left out.

    Of a connection's pragmas a running shop cannot be asked from outside, and a transaction's own
    setting is gone with it; so it is the source that is quoted.
    """
    found = {}
    for file in sorted((ROOT / "platform/src").rglob("*.rs")):
        text = file.read_text().split("#[cfg(test)]")[0]
        said = re.findall("|".join(DURABILITY), text)
        if said:
            found[str(file.relative_to(ROOT))] = ", ".join(dict.fromkeys(word.replace('"', "") for word in said))
    return found
