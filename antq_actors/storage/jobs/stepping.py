"""A queue is looked into and let on job by job: each function is a verb of the store.

Those that look take a :class:`~.reader.JobReader`, the others a :class:`~.job_store.JobStore`.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

from antq_actors.errors import DamagedRecord, QueueNotPaused
from antq_actors.explain.judge import due_end
from antq_actors.jobs.state import CLAIMABLE, Status
from antq_actors.jobs.stepping import Upcoming, rule_of
from antq_actors.storage.format import display
from antq_actors.storage.jobs.breakpoint_table import BreakpointTable, StoredBreakpoint
from antq_actors.storage.jobs.meta import LETS_THROUGH
from antq_actors.storage.jobs.rehearsal import Rehearsal
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.jobs.stepping import Breakpoint, StopsOn
    from antq_actors.storage.jobs.job_store import JobStore
    from antq_actors.storage.jobs.reader import JobReader

_TIMED: Final = (Status.SCHEDULED, Status.RETRYING)
_MOST_LISTED: Final = 1_000
"""How far it is looked for a job with limits that is to be let through."""


def preview(reader: JobReader, queue_name: str, n: int, now: Instant) -> list[Upcoming]:
    """Read the first *n* jobs of a queue that could start now, in the order of claims.

    What steps have let through is not among them.
    """
    return [
        Upcoming(id_, display.worker_for_display(reader._jobs.payload(id_)), rule_of(state))
        for id_, state in _upcoming(reader, queue_name, n, now)
    ]


def step(
    store: JobStore, queue_name: str, n: int, job: int | None, now: Instant
) -> list[int] | None:
    """Let the first *n* jobs of a preview through, or one *job*; return their ids.

    None: that job could not start now. Raises QueueNotPaused.
    """
    if not store.is_paused(queue_name):
        raise QueueNotPaused(
            f"queue {queue_name!r} is not paused, so all its jobs are let through; pause it first:"
            f" app.queue({queue_name!r}).pause()"
        )
    store.flush()  # what others have done in this transaction: it is read below
    if job is None:
        ids = [id_ for id_, _ in _upcoming(store, queue_name, n, now)]
    elif _could_start(store, queue_name, job, now):
        ids = [job]
    else:
        return None
    if ids:
        store._breakpoints().admit(queue_name, ids, store._jobs)
        store.due.add(queue_name)
    return ids


def add_breakpoint(
    store: JobStore, queue_name: str, on: StopsOn, worker: str | None, args: bytes | None
) -> int:
    """Store a breakpoint of a queue; return its number."""
    return store._breakpoints().add(queue_name, StoredBreakpoint(on, worker, args))


def remove_breakpoint(store: JobStore, queue_name: str, number: int) -> bool:
    """Delete a breakpoint of a queue; return whether there was one."""
    if number not in {each for each, _ in store._breakpoints().of_queue(queue_name)}:
        return False
    return store._breakpoints().remove(queue_name, number)


def breakpoints(reader: JobReader, queue_name: str) -> list[Breakpoint]:
    """Read the breakpoints of a queue, by number."""
    if not reader._meta.stepping(queue_name):
        return []
    table = BreakpointTable(reader._txn, reader._tables, reader._meta)
    return table.for_display(queue_name)


def _upcoming(
    reader: JobReader, queue_name: str, n: int, now: Instant
) -> Sequence[tuple[int, JobState]]:
    """Read the first jobs of a queue that could start now, and their states."""
    if reader._meta.queue_limits(queue_name).has_jobs:
        return Rehearsal(reader._txn, reader._tables).run(queue_name, most=n, now=now)
    return list(islice(_in_lanes(reader, queue_name, now), min(n, sys.maxsize)))


def _in_lanes(reader: JobReader, queue_name: str, now: Instant) -> Iterator[tuple[int, JobState]]:
    """Yield the jobs of a queue without limits that could start now, as a claim takes them."""
    through = _through(reader, queue_name)
    lanes = [keys.lane(status, queue_name) for status in _TIMED]
    ranges = [(lane, keys.work_key(lane, due_end(now))) for lane in lanes]
    enqueued = keys.lane(Status.ENQUEUED, queue_name)
    for start, end in (*ranges, (enqueued, keys.lane_end(enqueued))):
        for id_ in map(keys.id_at_end, reader._jobs.between(start, end)):
            state = _state(reader, id_)
            if state is not None and id_ not in through:
                yield id_, state


def _through(reader: JobReader, queue_name: str) -> set[int]:
    if LETS_THROUGH not in reader._meta.stepping(queue_name):
        return set()
    table = BreakpointTable(reader._txn, reader._tables, reader._meta)
    return set(table.through(queue_name))


def _state(reader: JobReader, id_: int) -> JobState | None:
    """Read the state of a job that waits for its time or its turn; None: it does not."""
    try:
        record = reader._jobs.record(id_)
    except DamagedRecord:
        return None
    return record.state if record is not None and record.state.status in CLAIMABLE else None


def _could_start(store: JobStore, queue_name: str, id_: int, now: Instant) -> bool:
    """Return whether a job is in the preview of a queue, at whatever place.

    One with limits has to be among the first of it.
    """
    state = _state(store, id_)
    if state is None or state.queue_name != queue_name or id_ in _through(store, queue_name):
        return False
    if state.limited is not None:
        return any(id_ == each for each, _ in _upcoming(store, queue_name, _MOST_LISTED, now))
    return state.status is Status.ENQUEUED or (state.scheduled_at or 0) < due_end(now)
