"""No-op jobs a second while a backlog is drained, that was enqueued while the queue was paused.

Beside it stand the limits: bare threads that get no-ops from a queue, alone and with the least
that has to be stored in LMDB.
"""

from __future__ import annotations

import functools
import statistics
from typing import TYPE_CHECKING, Final

import limits
from measure import Measure, application, interleaved, kind, main, ratio
from noop import drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAITING: Final = 1_000
"""Jobs of a short drain, which begins and ends more than it goes on."""
BOTH: Final = (True, False)
SHORT: Final = [(durable, slots) for durable in BOTH for slots in (1, 5, 10, 50, 500)]
SUSTAINED: Final = [(durable, slots) for durable in BOTH for slots in (5, 50, 500)]
LIMITED: Final = ((True, 5), (True, 50), (False, 50))
GOALS: Final = {(True, 5): ">= 6,000", (True, 50): ">= 25,000", (False, 50): ">= 40,000"}
THREADS: Final = "bare threads, 50, no-ops through a queue"


def bench(*, short: bool) -> Iterator[Measure]:
    """Everything in turn; each round of each case is on a new store."""
    waiting, drains, sustained, rounds = (50, 1, 100, 1) if short else (WAITING, 3, 20_000, 5)
    benches: dict[str, Callable[[], float]] = {THREADS: lambda: limits.threads(sustained, 50)}
    for durable, slots in LIMITED:
        benches[_limit(slots, durable=durable)] = functools.partial(
            limits.threads_on_lmdb, _enough(sustained, slots), slots, durable=durable
        )
    for durable, slots in SHORT:
        benches[_name(waiting, slots, durable=durable)] = functools.partial(
            drained, waiting, slots, drains, durable=durable
        )
    for durable, slots in SUSTAINED:
        jobs = _enough(sustained, slots)
        benches[_name(jobs, slots, durable=durable)] = functools.partial(
            drained, jobs, slots, 1, durable=durable
        )
    values = interleaved(rounds, benches)
    ours = {case: _name(_enough(sustained, case[1]), case[1], durable=case[0]) for case in LIMITED}
    goals = {name: GOALS[case] for case, name in ours.items()}
    for name, rounded in values.items():
        yield Measure(name, "jobs/s", rounded, goals.get(name, ""))
    for (durable, slots), name in ours.items():
        limit = values[_limit(slots, durable=durable)]
        what = f"  {kind(durable=durable)}, concurrency {slots}, against its limit"
        yield ratio(what, values[name], limit)


def drained(jobs: int, slots: int, times: int, *, durable: bool) -> float:
    """Return the jobs/s of *times* drains on one new store."""
    with application(durable=durable, queues={"default": slots}) as app:
        return statistics.harmonic_mean([drain(app, jobs) for _ in range(times)])


def _enough(jobs: int, slots: int) -> int:
    """Take fewer where each takes longer, so that no case lasts longer than the others together."""
    return jobs if slots >= 50 else min(jobs, 5_000)


def _name(jobs: int, slots: int, *, durable: bool) -> str:
    return f"drain {jobs:,} no-op jobs, {kind(durable=durable)}, concurrency {slots}"


def _limit(slots: int, *, durable: bool) -> str:
    return f"bare threads on raw LMDB, {kind(durable=durable)}, {slots}"


if __name__ == "__main__":
    main(__doc__, bench)
