"""Does a large store slow a queue down? The drain rate with few and with very many jobs stored."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import Measure, interleaved, main, new_folder, ratio
from noop import drain
from stored import fill, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW: Final = 1_000


def bench(*, short: bool) -> Iterator[Measure]:
    """All stores in turn, so that a slower minute of the machine hits each of them."""
    sizes, jobs, rounds = ((2_000,), 50, 1) if short else ((100_000, 1_000_000), 6_000, 15)
    with new_folder() as folder:
        benches = {_name(FEW): functools.partial(_few_stored, jobs)}
        for stored in sizes:
            path = Path(folder, str(stored))
            fill(path, stored)
            benches[_name(stored)] = functools.partial(_drained, path, jobs)
        values = interleaved(rounds, benches)
    for name, rounded in values.items():
        yield Measure(name, "jobs/s", rounded)
    few = values[_name(FEW)]
    for stored in sizes:
        yield ratio(f"  {stored:,} against {FEW:,}", values[_name(stored)], few, ">= 0.9")


def _few_stored(jobs: int) -> float:
    """Drain a store that is new in each round, or it would not stay small."""
    with new_folder() as folder:
        small = Path(folder, "small")
        fill(small, FEW)
        return _drained(small, jobs)


def _drained(path: Path, jobs: int) -> float:
    with open_store(path) as app:
        return drain(app, jobs)


def _name(stored: int) -> str:
    return f"drain with {stored:,} jobs stored"


if __name__ == "__main__":
    main(__doc__, bench)
