"""Run all benchmarks, then ours beside the peers, and print the tables.

    python benchmarks/run.py                    most of an hour; leave the machine alone meanwhile
    python benchmarks/run.py --short            shows only that everything runs
    python benchmarks/run.py --peers none       our own programs alone
    python benchmarks/run.py --only antq,huey   these contestants alone; or programs: drain,otp

Each program and each measurement of a contestant runs in a process of its own. Peers are installed
in .bench/ of the project, their servers are started and stopped. Durable stores are made in the
temporary folder: set TMPDIR to measure another disk.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil
from comparison import page, plots, rounds
from comparison.contestants import CONTESTANTS, PEERS
from comparison.tables import summary, tables
from measure import Measure, table

HERE: Final = Path(__file__).parent
PROGRAMS: Final = (
    "drain",
    "enqueue",
    "latency",
    "backlog",
    "gates",
    "limit_changes",
    "lookups",
    "bulk",
    "leads",
    "coroutines",
    "cores",
    "executors",
    "memory",
    "idle",
    "crons",
    "events",
    "middleware",
    "tracing",
    "batches",
    "cascades",
    "results",
    "steps",
    "life",
    "otp",
    "otp_restarts",
)
PACKAGES: Final = ("antq-actors", "pykka", "lmdb", "msgspec", "cloudpickle")
LIMIT_SECONDS: Final = 1_800.0
"""Seconds after which one program hangs."""


def run() -> int:
    """Run everything; answer the exit code, 1 if a program failed."""
    given = _options()
    if given.again is not None:
        _show(given, *_read(given.again))
        return 0
    # As Ctrl-C does, so that servers and folders go with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    machine = describe_machine()
    print("\n".join(f"{what:10}{value}" for what, value in machine.items()), end="\n\n")
    measures: dict[str, list[Measure]] = {}
    failed = False
    for program in (name for name in PROGRAMS if given.only is None or name in given.only):
        found = measured(program, short=given.short)
        failed = failed or found is None
        measures[program] = found or []
    size = rounds.SHORT if given.short else rounds.FULL
    size = dataclasses.replace(size, rounds=given.rounds or size.rounds)
    chosen = [one for one in CONTESTANTS if given.only is None or one.peer.name in given.only]
    results = rounds.measured(size, chosen if given.peers == "all" else [])
    if given.json is not None:
        raw = {name: [vars(measure) for measure in found] for name, found in measures.items()}
        comparison = dataclasses.asdict(results)
        content = {"machine": machine, "measures": raw, "comparison": comparison}
        given.json.write_text(json.dumps(content, indent=1))
    _show(given, machine, measures, results)
    return 1 if failed else 0


def _show(
    given: argparse.Namespace,
    machine: dict[str, str],
    measures: dict[str, list[Measure]],
    results: rounds.Results,
) -> None:
    """Print the tables; draw plots and write the page when that is wanted."""
    own = table(measure for found in measures.values() for measure in found) if measures else ""
    if own:
        print(own, end="\n\n")
    if results.values:
        shown = (*tables(results), summary(results))
        print(*(one.to_text() for one in shown), sep="\n\n", end="\n\n")
    for what, why in results.skipped.items():
        print(f"without a number: {what}: {why}")
    drawn = plots.draw(results, given.plots) if given.plots is not None and results.values else []
    if given.page is not None:
        page.write(given.page, machine, results, drawn, own)
    if given.readme is not None:
        page.write_summary(given.readme, results)


def _read(file: Path) -> tuple[dict[str, str], dict[str, list[Measure]], rounds.Results]:
    """Read what an earlier run has written."""
    content = json.loads(file.read_text())
    raw = content["measures"]
    measures = {name: [Measure(**values) for values in found] for name, found in raw.items()}
    return content["machine"], measures, rounds.Results(**content["comparison"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = {*PROGRAMS, *(peer.name for peer in PEERS)}

    def names(text: str) -> set[str]:
        chosen = set(text.split(","))
        if not chosen <= known:
            raise argparse.ArgumentTypeError(
                f"there is no {', '.join(sorted(chosen - known))}; write some of: "
                f"{', '.join(sorted(known))}"
            )
        return chosen

    parser.add_argument(
        "--short", action="store_true", help="only show that it runs; the numbers mean nothing"
    )
    parser.add_argument("--only", type=names, metavar="NAMES", help="these, with commas between")
    parser.add_argument(
        "--peers", choices=("all", "none"), default="all", help="none: compare with nobody"
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="of the comparison; the medians are taken over them"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each round's value there")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw pictures there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="renew the marked parts there")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="renew its short table")
    parser.add_argument(
        "--again", type=Path, metavar="FILE", help="measure nothing, show what --json has written"
    )
    return parser.parse_args()


def measured(program: str, *, short: bool) -> list[Measure] | None:
    """Run one program and answer its measures; None when it failed, after saying so."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="antq-bench-") as folder:
        results = Path(folder, "results.json")
        command = [sys.executable, str(HERE / f"{program}.py"), "--json", str(results)]
        if short:
            command.append("--short")
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"{program}.py: {error}", file=sys.stderr)
            return None
        print(f"{program}.py ran {time.monotonic() - began:.0f} s", file=sys.stderr)
        return [Measure(**values) for values in json.loads(results.read_text())]


def describe_machine() -> dict[str, str]:
    """Describe what this was measured on."""
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
