"""Jobs that change together.

Jobs that are claimed together come to have equal records, and mostly come from one place of the
index. So what becomes of them is found out once, by `plan`, and `BulkUpdate` writes it for all;
what a job costs by itself is reading it, and its share of what is written to the tables.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from itertools import compress, groupby, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import msgspec

from antq_actors.errors import StorageError
from antq_actors.jobs.state import JobState
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.chart_counts import COMPLETED, WAITED
from antq_actors.storage.jobs.table import Places, add_row, places_of
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobSpec
    from antq_actors.storage.format.records import Settlement
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
    dues: dict[bytes | None, Instant | None] | None = None,
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
    dues: dict[bytes | None, Instant | None] | None,
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
#
# Each run of jobs comes by here, and mostly has one worker, so that has few steps.


def note_claimed(  # noqa: PLR0917 - names cost time
    notes: list[Note],
    after: JobState,
    ids: Sequence[bytes],
    heads: Sequence[bytes | None],
    specs: Sequence[JobSpec],
    dues: Mapping[bytes | None, Instant | None],
    changed: Sequence[bytes],
) -> None:
    """Note that those of the jobs *ids* that are *changed* were claimed, alike *after* that.

    *dues* has when they had been due, by the *heads* of their records.
    """
    count = len(changed)
    if count < len(ids):
        is_changed = list(map(set(changed).__contains__, ids))
        heads, specs = list(compress(heads, is_changed)), list(compress(specs, is_changed))
        if not count:
            return
    head, worker, now = heads[0], specs[0].worker, after.updated_at
    if count > 1:
        is_alike = len(dues) == 1 or heads.count(head) == count
        for spec in specs:
            if spec.worker != worker:
                is_alike = False
                break
        if not is_alike:
            _note_claimed_apart(notes, after, heads, specs, dues)
            return
    due = dues[head]
    waited = 0 if due is None else now - due
    notes.append((now, after.queue_name, worker, after.node, WAITED, waited, count))


def _note_claimed_apart(
    notes: list[Note],
    after: JobState,
    heads: Sequence[bytes | None],
    specs: Sequence[JobSpec],
    dues: Mapping[bytes | None, Instant | None],
) -> None:
    """Do what `note_claimed` does for jobs of several workers, or due at several instants."""
    now, node = after.updated_at, after.node
    waits = {head: now - (dues[head] or now) for head in set(heads)}
    workers = [spec.worker for spec in specs]
    alike = Counter(zip(workers, map(waits.__getitem__, heads), strict=True))
    for (worker, waited), count in alike.items():
        notes.append((now, after.queue_name, worker, node, WAITED, waited, count))


def note_completed(  # noqa: PLR0917 - names cost time
    notes: list[Note],
    bulk: BulkUpdate,
    after: JobState,
    settlements: Sequence[Settlement],
    ids: Sequence[bytes],
    specs: Sequence[bytes],
    changed: Sequence[bytes],
) -> None:
    """Note that those of the jobs *ids* that are *changed* completed here, alike *after* that.

    Their *settlements* know the workers, or their stored *specs* do.
    """
    count = len(changed)
    if count < len(ids):
        is_changed = list(map(set(changed).__contains__, ids))
        settlements = list(compress(settlements, is_changed))
        specs = list(compress(specs, is_changed))
        if not count:
            return
    worker, now, started = settlements[0].worker, after.updated_at, after.started_at
    ran = 0 if started is None else now - started
    if worker and (count == 1 or list(map(_WORKER, settlements)).count(worker) == count):
        notes.append((now, after.queue_name, worker, None, COMPLETED, ran, count))
        return
    workers = list(map(_WORKER, settlements))
    if not all(workers):
        whole = specs if all(specs) else bulk.complete(list(changed), list(specs))
        workers = list(map(encoding.worker_in, whole))
    for each, number in Counter(workers).items():
        notes.append((now, after.queue_name, each, None, COMPLETED, ran, number))


_WORKER: Final = itemgetter(4)
