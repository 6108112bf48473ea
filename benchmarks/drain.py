"""No-op jobs a second while a backlog is drained, that was enqueued while the queue was paused."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from measure import Measure, application, interleaved, main
from noop import drain

if TYPE_CHECKING:
    from collections.abc import Iterator

GOALS = {(True, 50): ">= 5,000"}


def bench(*, short: bool) -> Iterator[Measure]:
    """Durable and volatile, at three concurrencies, each round on a new store."""
    jobs, rounds = (100, 1) if short else (20_000, 5)
    cases = [(durable, slots) for durable in (True, False) for slots in (5, 50, 500)]

    values = interleaved(
        rounds,
        {
            _name(slots, durable=durable): functools.partial(_drained, jobs, slots, durable=durable)
            for durable, slots in cases
        },
    )
    for durable, slots in cases:
        name = _name(slots, durable=durable)
        yield Measure(name, "jobs/s", values[name], GOALS.get((durable, slots), ""))


def _drained(jobs: int, slots: int, *, durable: bool) -> float:
    with application(durable=durable, queues={"default": slots}) as app:
        return drain(app, jobs)


def _name(slots: int, *, durable: bool) -> str:
    return f"drain no-op jobs, {'durable' if durable else 'volatile'}, concurrency {slots}"


if __name__ == "__main__":
    main(__doc__, bench)
