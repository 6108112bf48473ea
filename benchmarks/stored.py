"""Stores that hold many jobs, of every kind that a store holds after a while."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from noop import Noop

from antq_actors import AntQ, Concurrency, Job, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAR_AHEAD: Final = 30 * 86_400.0
"""Seconds until the first scheduled job is due."""
OTHER: Final = "other"
"""The queue whose jobs wait: it is paused."""
ENDED: Final = (*4 * [Status.COMPLETED], Status.FAILED, Status.CANCELLED)
"""How one job after the other ended."""


def open_store(path: Path) -> AntQ:
    """Return an application on *path*, to be started; nothing of the store is pruned."""
    return AntQ(path, queues={"default": 50, OTHER: 50}, retention=None)


def fill(path: Path, jobs: int, *, with_errors: bool = False) -> None:
    """Store *jobs* jobs: a fifth has ended, two fifths wait in a paused queue, the rest is
    scheduled far ahead. Those that failed have their errors if these are wanted.
    """
    ended = jobs // 5
    waiting = (jobs - ended) // 2
    with open_store(path) as app:
        app.import_jobs(_ended(ended, with_errors=with_errors))
        app.queue(OTHER).pause()
        app.enqueue_many(Noop, _args(waiting), queue=OTHER)
        schedule(app, jobs - ended - waiting)
        stored = app.count_jobs()
    if stored != jobs:
        raise RuntimeError(f"{stored:,} jobs are stored, not {jobs:,}")


def schedule(app: AntQ, jobs: int) -> None:
    """Store *jobs* jobs that are due long after the benchmark."""
    app.enqueue_many(Noop, _args(jobs), schedule_in=FAR_AHEAD)


class Limited(Worker, name="stored:Limited", concurrency=Concurrency(1, key="key")):
    """Does nothing, one at a time of each key."""

    def perform(self, job: Job) -> None:
        """Do nothing."""


def wait_at_closed_limits(app: AntQ, jobs: int) -> None:
    """Store *jobs* jobs that wait for the limits of a hundred keys, which are closed."""
    limit = app.limit(Limited.antq_name)
    app.enqueue(Limited, {"key": "open"})  # from then on the store knows the limit
    for key in range(100):
        limit.pause(key=key)
    app.enqueue_many(Limited, ({"key": number % 100} for number in range(jobs)))


def _args(jobs: int) -> Iterator[dict[str, int]]:
    return ({"number": number} for number in range(jobs))


def _ended(jobs: int, *, with_errors: bool) -> Iterator[str]:
    """Write an export: storing how jobs ended is quicker than performing them."""
    now = datetime.now(UTC).isoformat()
    yield json.dumps({"antq_export": 1})
    for number in range(jobs):
        status = ENDED[number % len(ENDED)]
        has_error = with_errors and status is Status.FAILED
        yield json.dumps(
            {
                "id": number + 1,
                "worker": f"{Noop.__module__}.{Noop.__qualname__}",
                "queue": "default",
                "status": status,
                "inserted_at": now,
                "updated_at": now,
                "attempts": 1,
                "args": {"number": number},
                "errors": [_error(number, now)] if has_error else [],
            }
        )


def _error(number: int, at: str) -> dict[str, str | int]:
    """Return an error as an export has it: one of ten, by where it was raised."""
    frame = f'  File "/srv/shop/orders.py", line {number // len(ENDED) % 10 + 1}, in charge\n'
    return {
        "attempt": 1,
        "error": f"timed out after {number} ms",
        "at": at,
        "stack_trace": f"Traceback (most recent call last):\n{frame}TimeoutError: timed out",
        "error_type": "TimeoutError",
    }
