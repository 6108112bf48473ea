"""The programs of benchmarks/, run and imported."""

import importlib.util
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


LONGEST = 400.0
"""Seconds; idle they take a tenth of that."""


def run(program, *options):
    return subprocess.run(  # noqa: S603 - our own benchmarks
        [sys.executable, BENCHMARKS / program, *options],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


def module(name):
    """Return what a file there defines, if it imports none of the others."""
    # By its file: a path to import from would let names as plain as otp and run in here.
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
