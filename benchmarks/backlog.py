"""Does a large store slow a queue down? The drain rate with few and with very many jobs stored.

The stored jobs are a mixture: waiting in a second, paused queue; scheduled far ahead; completed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import Measure, interleaved, main, ratio
from noop import Noop, drain

from antq_actors import AntQ

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR_AHEAD: Final = 30 * 86_400.0
COMPLETED: Final = 0.1
"""Share of the stored jobs; few, because they really have to be performed."""


def bench(*, short: bool) -> Iterator[Measure]:
    """Both stores in turn, so that a slower minute of the machine hits both."""
    many, jobs, rounds = (2_000, 50, 1) if short else (1_000_000, 20_000, 7)
    with tempfile.TemporaryDirectory(prefix="antq-bench-") as folder:
        large = Path(folder, "large")
        _fill(large, many)

        def few_stored() -> float:
            # New for each round, or it would not stay small; the large one hardly grows.
            with tempfile.TemporaryDirectory(prefix="antq-bench-") as other:
                small = Path(other, "small")
                _fill(small, 1_000)
                return _drained(small, jobs)

        names = [f"drain with {stored:,} jobs stored" for stored in (1_000, many)]
        values = interleaved(
            rounds, {names[0]: few_stored, names[1]: lambda: _drained(large, jobs)}
        )
    for name in names:
        yield Measure(name, "jobs/s", values[name])
    few, lots = values.values()
    yield ratio(f"  {many:,} against 1,000", lots, few, ">= 0.85")


def _open(path: Path) -> AntQ:
    return AntQ(path, queues={"default": 50, "other": 50}, retention=None)


def _drained(path: Path, jobs: int) -> float:
    with _open(path) as app:
        return drain(app, jobs)


def _fill(path: Path, jobs: int) -> None:
    completed = int(COMPLETED * jobs)
    waiting = (jobs - completed) // 2
    with _open(path) as app:
        drain(app, completed)
        app.queue("other").pause()
        app.enqueue_many(Noop, ({"number": n} for n in range(waiting)), queue="other")
        app.enqueue_many(
            Noop,
            ({"number": n} for n in range(jobs - completed - waiting)),
            schedule_in=FAR_AHEAD,
        )
        stored = app.count_workers()
        if stored != jobs:
            raise RuntimeError(f"{stored:,} jobs are stored, not {jobs:,}")


if __name__ == "__main__":
    main(__doc__, bench)
