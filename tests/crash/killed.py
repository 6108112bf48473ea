"""Kill nodes at random while they do something, and look what came of it: see killed_*.py.

    python tests/crash/killed.py batches --kills 200

Exits with 1 when something is found; all is kept then.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
from pathlib import Path

PROGRAMS = {
    "batches": {"kills": 200, "members": 10_000},
    "crons": {"kills": 100, "instants": 10_000, "nodes": 8},
    "graphs": {"kills": 1_000, "graphs": 200, "largest": 10, "size": 10_000},
    "steps": {"kills": 1_000, "jobs": 8},
}
"""Their options, and how many of each there are if nothing is said."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    programs = parser.add_subparsers(dest="program", required=True)
    for name, options in PROGRAMS.items():
        program = programs.add_parser(name)
        for option, value in {**options, "seed": 7}.items():
            program.add_argument(f"--{option}", type=int, default=value)
    given = vars(parser.parse_args(arguments))
    name = given.pop("program")
    directory = Path(tempfile.mkdtemp(prefix=f"antq-{name}-"))
    outcome = importlib.import_module(f"killed_{name}").run(directory / "store", **given)
    for label, value in outcome._asdict().items():
        print(f"{label:12}{len(value) if isinstance(value, list) else round(value)}")
    if not outcome.findings:
        shutil.rmtree(directory)
        return 0
    print(f"\nall is kept in {directory}")
    for finding in outcome.findings[:20]:
        print(f"- {finding}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
