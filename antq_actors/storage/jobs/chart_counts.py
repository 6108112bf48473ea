"""What happened to jobs lately, counted in memory until it is written to the table of charts.

A transaction notes what it does to jobs: one note for each run of jobs that changed alike. When it
is committed, its notes are added to the counts of the running minute. Those are written by a commit
that comes anyway, ten seconds after the first of them or when their minute is over, and when the
store is closed; so a crash loses ten seconds of what charts show, and nothing else.

How long jobs waited and ran is counted in buckets, four for each doubling: a bucket is no wider
than a quarter of where it begins.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.state import ENDED, Status
from antq_actors.storage.format.encoding import worker_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobSpec, JobState

ENQUEUED: Final = 0
COMPLETED: Final = 1
FAILED: Final = 2
CANCELLED: Final = 3
RETRYING: Final = 4
SNOOZED: Final = 5
INTERRUPTED: Final = 6
WAITED: Final = 7
"""What is counted, by the number under which it is stored: jobs that came in, ends of jobs and of
executions, and executions that began."""

Note: TypeAlias = tuple[int, str, str, int | None, int, int, int]
"""The minute since the epoch, the queue, the worker and the node (None: this process), what is
counted, the bucket of the time that it took, and how many jobs there are."""

NO_TIME: Final = -1
"""The bucket of what took no time that is counted."""

MINUTE: Final = 60 * SECOND
MOST_NOTES: Final = 20_000
"""Notes that are kept before they are written."""
WRITE_SECONDS: Final = 10
"""Seconds after which counts are written by the next commit."""

_RUNNING: Final = Status.RUNNING
_ENDS: Final = {
    Status.COMPLETED: COMPLETED,
    Status.FAILED: FAILED,
    Status.CANCELLED: CANCELLED,
    Status.RETRYING: RETRYING,
    Status.SCHEDULED: SNOOZED,
}
"""What an execution came to, by the status of its job afterwards."""


class ChartCounts:
    """What was committed and is not in the table of charts yet; outlives its storage actor."""

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self.clock = clock
        """Tells the time of what happens beside jobs."""
        self.node = 0
        """The number of this process among those that run queues; 0: it runs none."""
        self.notes: list[Note] = []
        """Those of committed transactions that are not yet merged."""
        self._merged: Counter[Note] = Counter()
        """How often each note was made since the counts were written last."""
        self.due = math.inf
        """When they are to be written, by the monotonic clock; never, if there are none."""

    def merged(self) -> Counter[Note]:
        """Return how often each note was made."""
        self._merged.update(self.notes)
        self.notes.clear()
        return self._merged

    def forget(self, written: Mapping[Note, int]) -> None:
        """Forget what was *written* to the table, in a transaction that was committed."""
        if written is self._merged:
            self._merged = Counter()
            self.due = math.inf


def bucket_of(microseconds: int) -> int:
    """Return the bucket of a duration; a later one has a larger number.

    >>> [bucket_of(each) for each in (0, 7, 8, 9, 10, 1_000_000)]
    [0, 7, 8, 8, 9, 75]
    """
    if microseconds < 0:
        return 0
    shift = max(0, microseconds.bit_length() - 3)
    return (shift << 2) + (microseconds >> shift)


def bounds_of(bucket: int) -> tuple[int, int]:
    """Return the least duration of a bucket, and the least of the next one, in microseconds.

    >>> bounds_of(8), bounds_of(75)
    ((8, 10), (917504, 1048576))
    """
    return _least_of(bucket), _least_of(bucket + 1)


def _least_of(bucket: int) -> int:
    shift = max(0, (bucket >> 2) - 1)
    return (bucket - (shift << 2)) << shift


# ---- what transactions note -----------------------------------------------------------------


def note_new_together(notes: list[Note], news: Sequence[tuple[JobState, JobSpec, object]]) -> None:
    """Note that jobs came in together."""
    state, spec, _ = news[0]
    count, minute = len(news), state.updated_at // MINUTE
    workers = [each[1].worker for each in news]
    states = [each[0] for each in news]
    if states.count(state) == count and workers.count(spec.worker) == count:
        notes.append((minute, state.queue_name, spec.worker, None, ENQUEUED, NO_TIME, count))
        return
    queues = [each.queue_name for each in states]
    for (queue, worker), number in Counter(zip(queues, workers, strict=True)).items():
        notes.append((minute, queue, worker, None, ENQUEUED, NO_TIME, number))


def note_change(notes: list[Note], before: JobState, after: JobState, spec: bytes) -> None:
    """Note what a change of one job means for charts, if it does; *spec* is its signed spec."""
    now = after.updated_at
    about = now // MINUTE, before.queue_name, worker_in(spec)
    if before.status is _RUNNING:
        end = _ENDS.get(after.status)
        if end is None:
            if after.interruptions == before.interruptions:
                return  # it was given back
            end = INTERRUPTED
        bucket = bucket_between(before.started_at, now)
        notes.append((*about, before.node, end, bucket, 1))
    elif after.status is _RUNNING:
        bucket = bucket_between(before.scheduled_at, now)
        notes.append((*about, after.node, WAITED, bucket, 1))
    elif after.status in ENDED and before.status not in ENDED:
        notes.append((*about, None, _ENDS[after.status], NO_TIME, 1))


def bucket_between(start: Instant | None, end: Instant) -> int:
    """Return the bucket of the time between two instants; `NO_TIME` if there is no *start*."""
    return NO_TIME if start is None else bucket_of(end - start)
