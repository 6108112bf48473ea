"""A store that holds many jobs, made once: each test of explanations gets a copy of its own.

Ordinarily it has so many that no explanation counts them all. With ``--stored 1000000`` it is a
large one, and how long explanations took there is shown at the end.
"""

import contextlib
import json
import os
import shutil
import time
from datetime import UTC, datetime

from antq_actors import AntQ, Concurrency, Status, Worker

FAR_AHEAD = 30 * 86_400
ENDED = (*4 * [Status.COMPLETED], Status.FAILED, Status.CANCELLED)
REPEATS = 100
"""How often an explanation is asked for in a large store, to see how long it takes."""
LARGE = 100_000
"""From so many jobs on, it is measured."""

took = {}
"""How long explanations took, by the code of each reason that was in them: the seconds, and those
of this thread alone, which other programs on the machine do not lengthen."""


class Stored(Worker, name="stored_base:Stored"):
    def perform(self, job):
        raise AssertionError("no job of the base is due")


class Kept(
    Stored,
    concurrency=Concurrency(1, key="account", name="kept"),
    name="stored_base:Kept",
):
    """Waits behind a limit that is paused."""


class Timed(AntQ):
    """Explains, and notes how long that takes if the store is a large one."""

    is_large = False

    def explain(self, job_or_id):
        found = super().explain(job_or_id)
        if self.is_large:
            for _ in range(REPEATS):
                began = time.perf_counter(), time.thread_time()
                again = super().explain(job_or_id)
                seconds = time.perf_counter() - began[0], time.thread_time() - began[1]
                for reason in again.reasons:
                    took.setdefault(reason.code, []).append(seconds)
        return found


def fill(path, jobs):
    """Store so many jobs: a fifth has ended, a fifth waits behind a closed limit, with a key for
    every ten, a fifth is scheduled and a fifth is retried far ahead, all in the queue "default",
    and a fifth waits in the paused queue "other".
    """
    part = jobs // 5
    with AntQ(path, queues={"default": 1, "other": 1}, start_queues=False) as app:
        app.import_jobs(_exported(part))
        app.queue("other").pause()
        app.enqueue_many(Stored, _args(part), queue="other")
        app.enqueue_many(Stored, _args(part), schedule_in=FAR_AHEAD)
        app.enqueue(Kept, {"account": 0})
        app.limit("kept").pause()
        app.enqueue_many(Kept, ({"account": n // 10} for n in range(part - 1)))
        assert app.count_jobs() == 5 * part


def copy(base, path, *, is_large):
    """Have a copy of the base at *path*; where it *is_large*, explanations are measured."""
    shutil.copytree(base, path, ignore=shutil.ignore_patterns("*.lock", "lock.mdb"))
    Timed.is_large = is_large


def remove(path):
    """Remove a copy; what a child process has still open goes with that."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def report(jobs):
    """Yield a line for each reason: how long explanations took that had it."""
    yield f"explanations, {jobs:,} jobs stored ({os.cpu_count()} cores): milliseconds"
    for code, seconds in sorted(took.items()):
        lasted, computed = (
            sorted(1_000 * each for each in one) for one in zip(*seconds, strict=True)
        )
        at_99 = int(len(lasted) * 0.99)
        yield (
            f"{code:20} p50 {lasted[len(lasted) // 2]:8.3f}  p99 {lasted[at_99]:8.3f}"
            f"  p99 of the thread {computed[at_99]:8.3f}  of {len(lasted):,}"
        )


def _args(jobs):
    return ({"number": number} for number in range(jobs))


def _exported(jobs):
    """Yield an export: half of the jobs have ended, and half are retried far ahead."""
    now = datetime.now(UTC)
    later = datetime.fromtimestamp(now.timestamp() + FAR_AHEAD, UTC).isoformat()
    yield json.dumps({"antq_export": 1})
    for number in range(2 * jobs):
        status = ENDED[number // 2 % len(ENDED)] if number % 2 else Status.RETRYING
        job = {
            "id": number + 1,
            "worker": "stored_base:Stored",
            "queue": "default",
            "status": status,
            "inserted_at": now.isoformat(),
            "updated_at": now.isoformat(),
            "attempts": 1,
            "max_attempts": 20,
            "args": {"number": number},
        }
        yield json.dumps(job | ({"scheduled_at": later} if status is Status.RETRYING else {}))
