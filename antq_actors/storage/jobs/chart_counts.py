"""What happened to jobs lately, counted in memory until it is written to the table of charts.

A transaction notes what it does to jobs: one note for each run of jobs that changed alike. When it
is committed, its notes are kept, and those of many transactions are added up together, to the rows
of their minutes. These are written by a commit that comes anyway, ten seconds after the first of
them, and when the store is closed; so a crash loses ten seconds of what charts show, and nothing
else.

How long jobs waited and ran is counted in buckets, four for each doubling: a bucket is no wider
than a quarter of where it begins.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec

from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.state import ENDED, Status
from antq_actors.storage.format.encoding import worker_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState

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
"""When it was, the queue, the worker and the node (None: this process), what is counted, how long
that took in microseconds, and how many jobs there are. What is in it is at hand where it is made:
jobs wait for that."""

NO_TIME: Final = -(2**62)
"""How long something took of which no time is counted."""

MINUTE: Final = 60 * SECOND
MOST_NOTED: Final = 2_000
"""Notes that wait to be added up: others wait for the store while they are, for 1 or 2 ms."""
WRITE_SECONDS: Final = 10
"""Seconds after which counts are written by the next commit."""
MOST_PENDING_MARKS: Final = 100
"""Marks that wait to be written, as while the store fails."""
MOST_KINDS: Final = 500
"""Pairs of queue and worker in a row. What comes beyond is counted together, by queue."""
OTHERS: Final = ""
"""Stands for the workers that are counted together."""

_RUNNING: Final = Status.RUNNING
_ENDS: Final = {
    Status.COMPLETED: COMPLETED,
    Status.FAILED: FAILED,
    Status.CANCELLED: CANCELLED,
    Status.RETRYING: RETRYING,
    Status.SCHEDULED: SNOOZED,
}
"""What an execution came to, by the status of its job afterwards."""


class Mark(NamedTuple):
    """Something that happened beside jobs."""

    at: Instant
    kind: str
    text: str


class Kind(msgspec.Struct, array_like=True, gc=False):
    """What was counted of the jobs of a queue and a worker on a node, in a minute or an hour."""

    queue: str
    worker: str
    counts: dict[int, int]
    """How many there were, by what is counted."""
    waits: dict[int, int]
    """How many executions began after a wait of a bucket."""
    runs: dict[int, int]
    """How many executions ended that took as long as a bucket."""

    def add(self, other: Kind) -> None:
        """Add what is counted in another one of the same queue and worker."""
        for mine, others in (
            (self.counts, other.counts),
            (self.waits, other.waits),
            (self.runs, other.runs),
        ):
            for key, number in others.items():
                mine[key] = mine.get(key, 0) + number


Kinds: TypeAlias = dict[tuple[str, str], Kind]
"""What was counted in a row, by queue and worker."""
Rows: TypeAlias = dict[tuple[int, int], Kinds]
"""What was counted, by the minute since the epoch and the node."""


class ChartCounts:
    """What was committed and is not in the table of charts yet; outlives its storage actor."""

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self.clock = clock
        """Tells the time of what happens beside jobs."""
        self.node = 0
        """The number of this process among those that run queues; 0: it runs none."""
        self.waiting: deque[list[Note]] = deque()
        """The notes of committed transactions that are not yet added up."""
        self.noted = 0
        """How many these are, or a few more: whoever looks at charts adds them up as well."""
        self._rows: dict[tuple[int, int | None], Kinds] = {}
        """What was counted since the counts were written last."""
        self._taken: Rows = {}
        """What a transaction writes that is not committed yet, or was aborted."""
        self.marks: deque[Mark] = deque(maxlen=MOST_PENDING_MARKS)
        """What happened beside jobs in this process and is not written yet."""
        self._marks_taken: tuple[Mark, ...] = ()
        self.due = math.inf
        """When they are to be written, by the monotonic clock; never, if there are none."""
        self._lock = threading.RLock()
        """Held while notes are added up: by the storage actor, or by whoever looks at charts."""

    def mark(self, kind: str, text: str) -> None:
        """Have the next commit write that something happened now beside jobs."""
        with self._lock:
            self.marks.append(Mark(self.clock(), kind, text))
            self.due = -math.inf

    def take_marks(self) -> tuple[Mark, ...]:
        """Return the marks that are not written yet, to write them; see :meth:`take`."""
        with self._lock:
            self._marks_taken = tuple(self.marks)
            return self._marks_taken

    def take(self) -> Rows:
        """Return all that was counted, to write it; until it is forgotten, it counts all the same.

        What was taken before and is not forgotten was in a transaction that was aborted, and is
        part of it.
        """
        with self._lock:
            self.add_up()
            self._taken, self._rows = self._sum(), {}
            return self._taken

    def forget(self, written: Rows) -> None:
        """Forget what was taken and is *written* to the table, in a committed transaction."""
        with self._lock:
            if written is self._taken:
                self._taken = {}
                self.due = time.monotonic() + WRITE_SECONDS if self._rows else math.inf
                for mark in self._marks_taken:
                    with suppress(ValueError):  # of too many the oldest went
                        self.marks.remove(mark)
                self._marks_taken = ()
                if self.marks:
                    self.due = -math.inf

    def rows(self) -> Rows:
        """Return what was counted, by the minute since the epoch and the node, in a copy."""
        with self._lock:
            self.add_up()
            return self._sum()

    def _sum(self) -> Rows:
        found: Rows = {}
        for rows in (self._taken, self._rows):
            for (minute, node), kinds in rows.items():
                known = found.setdefault((minute, self.node if node is None else node), {})
                for kind in kinds.values():
                    kind_in(known, kind.queue, kind.worker).add(kind)
        return found

    def begin_or_add_up(self) -> None:
        """Set when the counts are to be written, if that is not set; else add notes up."""
        if self.due == math.inf:
            self.due = time.monotonic() + WRITE_SECONDS
        else:
            self.add_up()

    def add_up(self) -> None:
        """Add what transactions have noted to the rows of its minutes."""
        with self._lock:
            self.noted = 0
            while self.waiting:
                self._add(self.waiting.popleft())

    def _add(self, notes: list[Note]) -> None:
        for at, queue, worker, node, what, took, number in notes:
            row = at // MINUTE, node
            kinds = self._rows.get(row)
            if kinds is None:
                kinds = self._rows[row] = {}
            kind = kinds.get((queue, worker)) or kind_in(kinds, queue, worker)
            counts = kind.counts
            counts[what] = counts.get(what, 0) + number
            if took != NO_TIME:
                times = kind.waits if what == WAITED else kind.runs
                bucket = bucket_of(took)
                times[bucket] = times.get(bucket, 0) + number


def kind_in(kinds: Kinds, queue: str, worker: str) -> Kind:
    """Return the one of *kinds* for a queue and a worker, added to them if need be."""
    known = kinds.get((queue, worker))
    if known is None:
        name = worker if len(kinds) < MOST_KINDS else OTHERS
        known = kinds.setdefault((queue, name), Kind(queue, name, {}, {}, {}))
    return known


def bucket_of(microseconds: int) -> int:
    """Return the bucket of a duration; a later one has a larger number.

    >>> [bucket_of(each) for each in (0, 7, 8, 9, 10, 1_000_000)]
    [0, 7, 8, 8, 9, 75]
    """
    if microseconds < 8:  # noqa: PLR2004 - up to there each has one of its own
        return max(0, microseconds)
    shift = microseconds.bit_length() - 3
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


def note_new_together(
    notes: list[Note], now: Instant, runs: Iterable[tuple[str, str, int]]
) -> None:
    """Note that jobs came in together: of each of the *runs* its queue, worker and number."""
    for queue, worker, number in runs:
        notes.append((now, queue, worker, None, ENQUEUED, NO_TIME, number))


def note_change(notes: list[Note], before: JobState, after: JobState, spec: bytes) -> None:
    """Note what a change of one job means for charts, if it does; *spec* is its signed spec."""
    now = after.updated_at
    about = now, before.queue_name, worker_in(spec)
    if before.status is _RUNNING:
        end = _ENDS.get(after.status)
        if end is None:
            if after.interruptions == before.interruptions:
                return  # it was given back
            end = INTERRUPTED
        notes.append((*about, before.node, end, time_between(before.started_at, now), 1))
    elif after.status is _RUNNING:
        waited = time_between(before.scheduled_at, now)
        notes.append((*about, after.node, WAITED, waited, 1))
    elif after.status in ENDED and before.status not in ENDED:
        notes.append((*about, None, _ENDS[after.status], NO_TIME, 1))


def time_between(start: Instant | None, end: Instant) -> int:
    """Return the time between two instants; `NO_TIME` if there is no *start*."""
    return NO_TIME if start is None else end - start
