"""What an idle node costs: the processor time of a process in which nothing happens."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Measure, main, new_folder
from stored import open_store, schedule, wait_at_closed_limits

if TYPE_CHECKING:
    from collections.abc import Iterator


def bench(*, short: bool) -> Iterator[Measure]:
    """Take an empty store, one with very many jobs that are due later, and one with many jobs that
    wait for limits.
    """
    scheduled, seconds, rounds = (1_000, 0.2, 1) if short else (1_000_000, 20.0, 3)
    for jobs, goal in ((0, ""), (scheduled, "< 0.5")):
        with new_folder() as folder:
            path = Path(folder, "store")
            with open_store(path) as app:
                schedule(app, jobs)
            shares = [_of_a_process(path, seconds) for _ in range(rounds)]
        yield Measure(f"idle node, {jobs:,} jobs scheduled", "% core", shares, goal)
    closed = 1_000 if short else 100_000
    with new_folder() as folder:
        path = Path(folder, "store")
        with open_store(path) as app:
            wait_at_closed_limits(app, closed)
        shares = [_of_a_process(path, seconds) for _ in range(rounds)]
    yield Measure(f"idle node, {closed:,} jobs at closed limits", "% core", shares, "0.3 more")


def _of_a_process(path: Path, seconds: float) -> float:
    """Ask a process of its own, in which no benchmark has been."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_share, path, seconds).result()


def _share(path: Path, seconds: float) -> float:
    """Return the user and system time of an idle application, in percent of one core."""
    with open_store(path):
        time.sleep(seconds / 5)  # until what belongs to starting is over
        began, used = time.perf_counter(), time.process_time()
        time.sleep(seconds)
        return 100 * (time.process_time() - used) / (time.perf_counter() - began)


if __name__ == "__main__":
    main(__doc__, bench)
