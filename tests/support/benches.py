"""The programs of benchmarks/, run and imported."""

import importlib.util
from pathlib import Path

from support.programs import run_python

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


LONGEST = 400.0
"""Seconds; idle they take a tenth of that."""


def run(program, *options):
    return run_python(BENCHMARKS / program, *options, timeout=LONGEST)


def module(name):
    """Return what a file there defines, if it imports none of the others."""
    # By its file: a path to import from would let names as plain as otp and run in here.
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
