"""Run all benchmarks, each in a process of its own, and print one table.

    python benchmarks/run.py            about ten minutes; leave the machine alone meanwhile
    python benchmarks/run.py --short    seconds; shows only that everything runs

Durable stores are made in the temporary folder: set TMPDIR to measure another disk.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil
from measure import Measure, options, table

HERE: Final = Path(__file__).parent
PROGRAMS: Final = (
    "drain",
    "enqueue",
    "latency",
    "backlog",
    "leads",
    "processes",
    "memory",
    "otp",
    "otp_restarts",
)
PACKAGES: Final = ("antq-actors", "pykka", "lmdb", "msgspec", "cloudpickle")
LIMIT: Final = 1_800.0
"""Seconds after which one program hangs."""


def run() -> int:
    """Run everything; answer the exit code, 1 if a program failed."""
    given = options(__doc__)
    machine = describe_machine()
    print("\n".join(f"{what:10}{value}" for what, value in machine.items()), end="\n\n")
    measures: dict[str, list[Measure]] = {}
    failed = False
    for program in PROGRAMS:
        found = measured(program, short=given.short)
        failed = failed or found is None
        measures[program] = found or []
    print(table(measure for found in measures.values() for measure in found))
    if given.json is not None:
        raw = {name: [vars(measure) for measure in found] for name, found in measures.items()}
        given.json.write_text(json.dumps({"machine": machine, "measures": raw}, indent=1))
    return 1 if failed else 0


def measured(program: str, *, short: bool) -> list[Measure] | None:
    """Run one program and answer its measures; None when it failed, after saying so."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="antq-bench-") as folder:
        results = Path(folder, "results.json")
        command = [sys.executable, str(HERE / f"{program}.py"), "--json", str(results)]
        if short:
            command.append("--short")
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"{program}.py: {error}", file=sys.stderr)
            return None
        print(f"{program}.py ran {time.monotonic() - began:.0f} s", file=sys.stderr)
        return [Measure(**values) for values in json.loads(results.read_text())]


def describe_machine() -> dict[str, str]:
    """Say on what this was measured."""
    load = f"{os.getloadavg()[0]:.1f} before the first benchmark"
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "load": load,
        "stores in": f"{tempfile.gettempdir()} ({_file_system(tempfile.gettempdir())})",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _file_system(folder: str) -> str:
    """Name the type of the file system: on one in memory, durable costs nothing."""
    mounts = psutil.disk_partitions(all=True)
    holding = [mount for mount in mounts if Path(folder).is_relative_to(mount.mountpoint)]
    return max(holding, key=lambda mount: len(mount.mountpoint)).fstype if holding else "unknown"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(from this folder)"


if __name__ == "__main__":
    sys.exit(run())
