"""Does a large store slow a queue down? The drain rate with few and with very many jobs stored."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import Measure, interleaved, main, new_folder, ratio
from noop import drain
from stored import fill, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FEW: Final = 1_000


def bench(*, short: bool) -> Iterator[Measure]:
    """All stores in turn, in many short drains: what disturbs one disturbs its neighbours."""
    sizes, jobs, rounds = ((2_000,), 50, 1) if short else ((100_000, 1_000_000), 1_500, 41)
    benches: dict[str, Callable[[], float]] = {_name(FEW): functools.partial(_few_stored, jobs)}
    with ExitStack() as opened:
        folder = opened.enter_context(new_folder())
        for stored in sizes:
            path = Path(folder, str(stored))
            fill(path, stored)
            app = opened.enter_context(open_store(path))
            benches[_name(stored)] = functools.partial(drain, app, jobs)
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
        with open_store(small) as app:
            return drain(app, jobs)


def _name(stored: int) -> str:
    return f"drain with {stored:,} jobs stored"


if __name__ == "__main__":
    main(__doc__, bench)
