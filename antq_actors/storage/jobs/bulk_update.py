"""Jobs that change together.

Jobs that are claimed together come to have equal records, and mostly come from one place of the
index. So what becomes of them is found out once, by `plan`, and `BulkUpdate` writes it for all;
what a job costs by itself is reading it, and its share of what is written to the tables.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from itertools import compress, groupby, repeat
from typing import TYPE_CHECKING, Final

import msgspec

from antq_actors.errors import StorageError
from antq_actors.jobs.state import JobState
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.chart_counts import COMPLETED, MINUTE, WAITED, bucket_between
from antq_actors.storage.jobs.table import Places, add_row, places_of
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import StoredJob
    from antq_actors.storage.jobs.chart_counts import Note
    from antq_actors.storage.lmdb.tables import Tables


class Transition(msgspec.Struct, frozen=True, gc=False):
    """What becomes of jobs that leave one place of the index and come to have the same record."""

    result: JobState
    head: bytes
    """Of the record that holds the result."""
    old: Places
    new: Places
    old_unique: bytes | None = None
    """The job's old key in ``unique`` up to its id; None for a job without one."""
    new_unique: bytes | None = None


def plan(
    heads: list[bytes | None],
    decide: Callable[[JobState], JobState | None],
    dues: dict[bytes, Instant | None] | None = None,
) -> list[tuple[Transition | None, slice]]:
    """Return what becomes of jobs with these *heads*: for each run of jobs, and where it is.

    None: each of them has to change by itself. So have those for whose state *decide* returns
    None; else it returns what a job in this state becomes. *dues* gets when jobs with each of the
    heads are due, for those that need to know.
    """
    if len(heads) == 1:
        (head,) = heads
        return [(None if head is None else _decided(head, decide, None, dues), slice(1))]
    known: dict[bytes, Transition | None] = {}
    found: list[tuple[Transition | None, slice]] = []
    last: Transition | None = None
    start = end = 0
    for head, group in groupby(heads):
        if head is None:
            transition = None
        elif head in known:
            transition = known[head]
        else:
            transition = known[head] = _decided(head, decide, last, dues)
        if end and transition is not last:
            found.append((last, slice(start, end)))
            start = end
        last = transition
        end += len(list(group))
    found.append((last, slice(start, end)))
    return found


def _decided(
    head: bytes,
    decide: Callable[[JobState], JobState | None],
    last: Transition | None,
    dues: dict[bytes, Instant | None] | None,
) -> Transition | None:
    """Decide what becomes of jobs with this *head*; None: each has to change by itself.

    That is what becomes of those before them, the *last*, if it is the same.
    """
    try:
        state, digest, _ = encoding.decode_job(head)
        if dues is not None:
            dues[head] = state.scheduled_at
        result = decide(state)
        if result is None:
            return None
        old = places_of(state)
        if digest is not None:
            unique = (keys.unique_prefix(digest, each.status) for each in (state, result))
            head = encoding.encode_job(result, digest)
            return Transition(result, head, old, places_of(result), *unique)
        if (
            last is not None
            and last.old_unique is None
            and (last.result, last.old) == (result, old)
        ):
            return last  # enqueued one by one, they differed in their times alone
        return Transition(result, encoding.encode_job(result, None), old, places_of(result))
    except (StorageError, struct.error, OverflowError):  # damaged, or no key can hold it
        return None


class BulkUpdate:
    """Changes jobs with equal heads together, in all tables."""

    def __init__(
        self, txn: lmdb.Transaction[bytes], tables: Tables, deltas: dict[bytes, int]
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._deltas = deltas
        self.jobs = txn.cursor(tables.jobs)
        self.index = txn.cursor(tables.index)

    def complete(self, ids: list[bytes], specs: list[bytes]) -> list[bytes]:
        """Return the *specs* of jobs, with those that are not in their records read."""
        get = self._txn.cursor(self._tables.payloads).get
        return [spec or get(id_) or b"" for id_, spec in zip(ids, specs, strict=True)]

    def change(self, ids: list[bytes], specs: list[bytes], transition: Transition) -> list[bytes]:
        """Write a *transition* of jobs to all tables. All of them have the head that it is of.

        *ids* are their keys in ``jobs``, each once; *specs* are in their records, behind the head.
        Return those that are changed: nothing is done with a job that is not in the index.
        """
        is_there = self._leave(ids, transition)
        if is_there is not None:
            ids, specs = list(compress(ids, is_there)), list(compress(specs, is_there))
        count, head = len(ids), transition.head
        # Most rounds of a queue with few slots are about one job, so that has fewer steps here.
        if count == 1:
            self.jobs.put(ids[0], head + specs[0])
        else:
            _consume(map(self.jobs.put, ids, map(head.__add__, specs)))
        if ids:
            self._enter(ids, transition)
            self._deltas[transition.old.lane] -= count
            self._deltas[transition.new.lane] += count
        return ids

    def _leave(self, ids: list[bytes], transition: Transition) -> list[bool] | None:
        """Delete the index entries that jobs had by their order; None: all of them had one.

        Else return of each whether it had.
        """
        if len(ids) == 1:
            return [False] if self.index.pop(transition.old.place + ids[0]) is None else None
        found = list(map(self.index.pop, map(transition.old.place.__add__, ids)))
        return [each is not None for each in found] if None in found else None

    def _enter(self, ids: list[bytes], transition: Transition) -> None:
        """Write the new index entries of jobs, and delete those of their old listing lane."""
        old, new = transition.old, transition.new
        if new.is_ended:
            if new.place:
                add_row(self.index, new.place, ids)
        elif len(ids) == 1:
            self.index.put(new.place + ids[0], b"")
        else:
            _consume(map(self.index.put, map(new.place.__add__, ids), repeat(b"")))
        if old.listing is not None:
            _consume(map(self.index.pop, map(old.listing.__add__, ids)))
        if new.listing is not None:
            _consume(map(self.index.put, map(new.listing.__add__, ids), repeat(b"")))
        if transition.old_unique is not None and transition.new_unique is not None:
            unique = self._txn.cursor(self._tables.unique)
            _consume(map(unique.pop, map(transition.old_unique.__add__, ids)))
            _consume(map(unique.put, map(transition.new_unique.__add__, ids), repeat(b"")))


_consume: Final[Callable[[Iterable[object]], None]] = deque[object](maxlen=0).extend
"""Exhaust an iterator, without a loop of Python code."""


# ---- what charts show of it -------------------------------------------------------------------


def note_claimed(
    notes: list[Note],
    jobs: Sequence[StoredJob],
    dues: Sequence[Instant | None],
    changed: Sequence[bytes],
) -> None:
    """Note that the *changed* ones of *jobs*, due at *dues*, were claimed: they have one state."""
    state, count = jobs[0].state, len(jobs)
    if len(changed) < count:
        there = set(map(int.from_bytes, changed))
        pairs = [each for each in zip(jobs, dues, strict=True) if each[0].id in there]
        jobs, dues = [job for job, _ in pairs], [due for _, due in pairs]
        count = len(jobs)
        if not count:
            return
    now, worker, due = state.updated_at, jobs[0].spec.worker, dues[0]
    about = now // MINUTE, state.queue_name
    workers = [job.spec.worker for job in jobs]
    if workers.count(worker) == count and dues.count(due) == count:
        # As bucket_between does: each claimed job comes by here.
        waited = max(0, now - due) if due is not None else 0
        shift = max(0, waited.bit_length() - 3)
        bucket = (shift << 2) + (waited >> shift)
        notes.append((*about, worker, state.node, WAITED, bucket, count))
        return
    for (name, due_at), number in Counter(zip(workers, dues, strict=True)).items():
        bucket = bucket_between(due_at, now)
        notes.append((*about, name, state.node, WAITED, bucket, number))


def note_completed(  # noqa: PLR0917 - each job comes by here, and names cost time
    notes: list[Note] | None,
    bulk: BulkUpdate,
    ids: list[bytes],
    specs: list[bytes],
    changed: list[bytes],
    after: JobState,
) -> None:
    """Note that the *changed* ones of some jobs completed on this node, alike *after* that."""
    if notes is None or not changed:
        return
    if len(changed) < len(ids):
        specs = list(compress(specs, map(set(changed).__contains__, ids)))
    if not all(specs):
        specs = bulk.complete(changed, specs)
    now = after.updated_at
    about = now // MINUTE, after.queue_name
    ran = max(0, now - after.started_at) if after.started_at is not None else 0
    shift = max(0, ran.bit_length() - 3)  # as bucket_between does
    bucket = (shift << 2) + (ran >> shift)
    worker, count = encoding.worker_in(specs[0]), len(specs)
    if count == 1 or encoding.all_have_worker(specs, worker):
        notes.append((*about, worker, None, COMPLETED, bucket, count))
        return
    for worker, number in Counter(map(encoding.worker_in, specs)).items():
        notes.append((*about, worker, None, COMPLETED, bucket, number))
