"""How long write transactions take while very much follows from one change.

A job, a cancelling or a deletion changes 100,000 others. Each write transaction of the process is
measured from when it has the store to the end of its commit: the time of day, and the processor
time of its thread. So others wait no longer than that for the store. What the disk takes is in the
former only, and what other programs take of the processor as well.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from measure import Measure, application, main, until

from antq_actors import AntQ, Fail, Workflow, worker
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.lmdb import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import lmdb

    from antq_actors import Batch, WorkflowRun

MOST_MS: Final = "<= 50"
FIRST: Final = "first"
"""The queue of those for whose end the others wait; theirs is paused."""


class Transaction(NamedTuple):
    """What a write transaction took, in milliseconds."""

    wall: float
    cpu: float


_taken: list[Transaction] = []


@worker(queue=FIRST)
def first(fails: bool) -> Fail | None:  # noqa: FBT001 - an argument of a job
    """Fail, if it is to."""
    return Fail("no") if fails else None


@worker
def other(number: int) -> Fail:
    """Fail."""
    return Fail(f"{number}")


def bench(*, short: bool) -> Iterator[Measure]:
    """One cascade after another, each with its largest transaction."""
    logging.disable()  # of each that fails
    many, rounds = (1_500, 1) if short else (100_000, 1)
    found: dict[str, list[list[Transaction]]] = {}
    for _ in range(rounds):
        with application(durable=True, queues={"default": 8, FIRST: 1}) as app:
            _measure_transactions()
            for name, act, is_done in _cascades(app, many):
                _taken.clear()
                act()
                until(is_done, 0.02)
                until(functools.partial(_has_no_task, app), 0.02)
                found.setdefault(name, []).append(_taken.copy())
    for name, seen in found.items():
        count = round(sum(map(len, seen)) / len(seen))
        wall = [max(each.wall for each in taken) for taken in seen]
        cpu = [max(each.cpu for each in taken) for taken in seen]
        yield Measure(f"{name}: the longest of {count:,} transactions", "ms", wall, MOST_MS)
        yield Measure("  its processor time, at most", "ms", cpu, MOST_MS)


def _cascades(
    app: AntQ, many: int
) -> Iterator[tuple[str, Callable[[], object], Callable[[], bool]]]:
    """Yield what is to be measured, how it begins, and whether it is done."""
    app.queue("default").pause()
    app.queue(FIRST).pause()
    run, upstream = _workflow(app, many, fails=False)
    yield f"cancel an upstream of {many:,}", functools.partial(app.cancel_job, upstream), _at_once
    yield f"retry an upstream of {many:,}", functools.partial(app.retry_job, upstream), _at_once
    yield f"delete an upstream of {many:,}", functools.partial(app.delete_job, upstream), _at_once

    run, upstream = _workflow(app, many, fails=True)
    ended = functools.partial(_has_ended, app, upstream)
    yield f"{many:,} wait for one that fails", app.queue(FIRST).resume, ended
    app.queue(FIRST).pause()
    yield f"retry what failed of {many:,} cut off", run.retry_failed, _at_once
    yield f"cancel a workflow, {many:,} suspended", run.cancel, _at_once

    run, upstream = _workflow(app, many, fails=False)
    ended = functools.partial(_has_ended, app, upstream)
    yield f"{many:,} wait for one that completes", app.queue(FIRST).resume, ended
    yield f"cancel a workflow, {many:,} enqueued", run.cancel, _at_once

    batch = _batch(app, many)
    yield f"cancel a batch of {many:,}", batch.cancel, lambda: not batch.status().open
    batch = _batch(app, many)
    yield (
        f"{many:,} members of a batch fail",
        app.queue("default").resume,
        lambda: not batch.status().open,
    )
    app.queue("default").pause()
    again = lambda: batch.status().failed == 0  # noqa: E731
    yield f"retry the failed of a batch of {many:,}", batch.retry_failed, again


def _workflow(app: AntQ, many: int, *, fails: bool) -> tuple[WorkflowRun, int]:
    """Store one of a job and so many that wait for it; return the job's id, too."""
    flow = Workflow("cascade")
    up = flow.add(first, {"fails": fails}, name="first", max_attempts=1)
    flow.add_many(other, ({"number": number} for number in range(many)), after=up, max_attempts=1)
    run = app.start_workflow(flow)
    return run, run.id + 1


def _batch(app: AntQ, many: int) -> Batch:
    with app.batch("cascade") as batch:
        batch.enqueue_many(other, ({"number": number} for number in range(many)), max_attempts=1)
    return batch


def _at_once() -> bool:
    return True


def _has_ended(app: AntQ, id_: int) -> bool:
    return app.get_job(id_).status in ("completed", "failed")


def _has_no_task(app: AntQ) -> bool:
    store = app._runtime().store  # noqa: SLF001 - as its services use it
    return not store.read(JobReader.has_task)


def _measure_transactions() -> None:
    """Have each write transaction of this process noted in ``_taken``."""
    (env,) = environment.open_here.values()
    begin = env._begin_write  # noqa: SLF001 - what is measured
    began: dict[int, tuple[float, float]] = {}

    def timed_begin(*args: None) -> lmdb.Transaction:
        txn = begin(*args)
        began[id(txn)] = time.perf_counter(), time.thread_time()
        return txn

    def timed_commit(txn: lmdb.Transaction) -> None:
        _COMMIT(txn)
        wall, cpu = began.pop(id(txn))
        _taken.append(
            Transaction(1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - cpu))
        )

    env._begin_write = timed_begin  # noqa: SLF001
    environment._COMMIT = timed_commit  # noqa: SLF001


_COMMIT: Final = environment._COMMIT  # noqa: SLF001

if __name__ == "__main__":
    main(__doc__, bench)
