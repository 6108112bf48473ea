"""What is stored of breakpoints, and of the jobs that steps have let through.

    breakpoints  b, queue, number     when it stops, the worker, the arguments, its hits
                 s, queue, position   the id of a job that a step let through
                 t, id                where that row is
                 r, id                where it was, once the job has started
                 p, id                the queue of a job that a breakpoint has stopped, and that
                                      passes all of them the next time

A queue that has any of these says so in ``meta``: a claim of one that has none reads nothing here,
and the table is opened only where it has rows, or is to get one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.state import CLAIMABLE, Status
from antq_actors.jobs.stepping import Breakpoint, StopsOn, is_about
from antq_actors.storage.format.cipher import is_sealed
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.jobs.meta import (
    HAS_STARTED,
    LETS_THROUGH,
    STOPS_ON_CLAIM,
    STOPS_ON_FAILURE,
    Meta,
)
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_before, items_with, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import lmdb

    from antq_actors.storage.format.cipher import Cipher
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables

TABLE: Final = "breakpoints"
ARGS_OF_BREAKPOINT: Final = b"breakpoint"
"""What the arguments of a breakpoint are encrypted for."""
_OF_NO_JOB: Final = b""
"""What is authenticated with them: they belong to no job."""
NEXT_BREAKPOINT: Final = b"next:breakpoint"
_BREAKPOINT: Final = b"b"
_STEP: Final = b"s"
_THROUGH: Final = b"t"
_STARTED: Final = b"r"
_PASSES: Final = b"p"
_NUMBER_BYTES: Final = 8
_MARKS: Final[dict[StopsOn, bytes]] = {"claim": STOPS_ON_CLAIM, "failure": STOPS_ON_FAILURE}


class StoredBreakpoint(NamedTuple):
    """A breakpoint as it is stored."""

    on: StopsOn
    worker: str | None
    args: bytes | None
    """Encoded as those of jobs are, and encrypted where there is a key; None: any."""
    hits: int = 0


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StoredBreakpoint).decode


class BreakpointTable:
    """Reads and writes breakpoints, and what steps let through, in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables, meta: Meta) -> None:
        self._txn = txn
        self._table = tables.further(txn, TABLE)
        self._cipher = tables.cipher
        self._meta = meta

    # ---- breakpoints ------------------------------------------------------------------------

    def add(self, queue_name: str, stored: StoredBreakpoint) -> int:
        """Write a new breakpoint of a queue; return its number."""
        number = self._meta.counter(NEXT_BREAKPOINT)
        self._meta.set_counter(NEXT_BREAKPOINT, number + 1)
        if stored.args is not None and self._cipher is not None:
            stored = stored._replace(
                args=self._cipher.seal(stored.args, ARGS_OF_BREAKPOINT, _OF_NO_JOB)
            )
        self.put(queue_name, number, stored)
        self._mark(queue_name)
        return number

    def put(self, queue_name: str, number: int, stored: StoredBreakpoint) -> None:
        """Write a breakpoint of a queue."""
        key = _of_queue(_BREAKPOINT, queue_name) + keys.job_key(number)
        self._txn.put(key, _encode(stored), db=self._table)
        self._meta.has_changed = True

    def remove(self, queue_name: str, number: int) -> bool:
        """Delete a breakpoint of a queue; return whether there was one."""
        if not keys.is_id(number):
            return False
        key = _of_queue(_BREAKPOINT, queue_name) + keys.job_key(number)
        was_there: bool = self._txn.delete(key, db=self._table)
        self._mark(queue_name)
        if STOPS_ON_CLAIM not in self._meta.stepping(queue_name):
            for each in list(self._passing(queue_name)):
                self._txn.delete(each, db=self._table)
        return was_there

    def of_queue(self, queue_name: str) -> list[tuple[int, StoredBreakpoint]]:
        """Read the numbers of a queue's breakpoints, ascending, and these; no damaged ones."""
        prefix = _of_queue(_BREAKPOINT, queue_name)
        found = []
        for key, value in items_with(self._txn, self._table, prefix):
            stored = _decoded(value)
            if stored is not None:
                found.append((keys.id_at_end(key), stored))
        return found

    def for_display(self, queue_name: str) -> list[Breakpoint]:
        """Read the breakpoints of a queue, by number; what no key decrypts shows as such."""
        return [
            Breakpoint(number, each.worker, self._args(each), each.on, each.hits)
            for number, each in self.of_queue(queue_name)
        ]

    def is_about(self, stored: StoredBreakpoint, worker: str, args: bytes) -> bool:
        """Return whether a breakpoint is about a job with this worker and these *args*, encoded."""
        if stored.args is None or stored.worker not in (None, worker):
            return is_about(stored.worker, None, worker, None)
        wanted = self._opened(stored.args)
        if is_sealed(wanted) or is_sealed(args):
            return False  # without the key nobody knows
        return is_about(None, display_args(wanted), worker, display_args(args))

    def _args(self, stored: StoredBreakpoint) -> dict[str, object] | None:
        return None if stored.args is None else display_args(self._opened(stored.args))

    def _opened(self, args: bytes) -> bytes:
        """Return encoded arguments, decrypted if they are encrypted and a key fits."""
        if not is_sealed(args) or self._cipher is None:
            return args
        try:
            return self._cipher.open(args, ARGS_OF_BREAKPOINT, _OF_NO_JOB)
        except DamagedRecord:
            return args

    def reseal(self, cipher: Cipher) -> None:
        """Encrypt the arguments of all breakpoints anew; what no key fits stays as it is."""
        for key, value in list(items_with(self._txn, self._table, _BREAKPOINT)):
            stored = _decoded(value)
            args = None if stored is None or stored.args is None else self._opened(stored.args)
            if stored is not None and args is not None and not is_sealed(args):
                renewed = stored._replace(args=cipher.seal(args, ARGS_OF_BREAKPOINT, _OF_NO_JOB))
                self._txn.put(key, _encode(renewed), db=self._table)

    # ---- jobs that a breakpoint has stopped -------------------------------------------------

    def let_pass(self, queue_name: str, id_: int, jobs: JobEntries) -> None:
        """Write that a job passes all breakpoints the next time; forget it of those gone."""
        for key in list(self._passing(queue_name)):
            if not _waits(jobs, keys.id_at_end(key), queue_name):
                self._txn.delete(key, db=self._table)
        self._txn.put(_PASSES + keys.job_key(id_), queue_name.encode(), db=self._table)

    def take_pass(self, id_: int) -> bool:
        """Delete that a job passes all breakpoints; return whether it does."""
        return self._txn.delete(_PASSES + keys.job_key(id_), db=self._table)

    def _passing(self, queue_name: str) -> Iterator[bytes]:
        name = queue_name.encode()
        return (key for key, value in items_with(self._txn, self._table, _PASSES) if value == name)

    # ---- jobs that steps have let through ---------------------------------------------------

    def admit(self, queue_name: str, ids: Sequence[int], jobs: JobEntries) -> None:
        """Write that jobs are let through, in this order, behind those that are already."""
        for key, place in list(items_with(self._txn, self._table, _STARTED)):
            if _queue_of(place) == queue_name and not _runs(jobs, keys.id_at_end(key)):
                self._txn.delete(key, db=self._table)
        prefix = _of_queue(_STEP, queue_name)
        last = next(items_before(self._txn, self._table, prefix, keys.lane_end(prefix)), None)
        position = 1 if last is None else keys.id_at_end(last[0]) + 1
        for at, id_ in enumerate(ids, position):
            place = prefix + keys.job_key(at)
            self._txn.put(place, keys.job_key(id_), db=self._table)
            self._txn.put(_THROUGH + keys.job_key(id_), place, db=self._table)
        self._mark(queue_name)

    def is_through(self, id_: int) -> bool:
        """Read whether a job was let through, and has not started since."""
        return value_of(self._txn, self._table, _THROUGH + keys.job_key(id_)) is not None

    def through(self, queue_name: str) -> Iterator[int]:
        """Yield the ids of a queue's jobs that were let through. Do not change any meanwhile."""
        for _, value in items_with(self._txn, self._table, _of_queue(_STEP, queue_name)):
            yield keys.id_at_end(value)

    def before(self, id_: int, jobs: JobEntries, most: int) -> int:
        """Count the jobs that were let through before one that was, and wait; up to *most*."""
        place = value_of(self._txn, self._table, _THROUGH + keys.job_key(id_))
        if place is None:
            return 0
        counted, queue_name = 0, _queue_of(place)
        for key, value in items_with(self._txn, self._table, place[:-_NUMBER_BYTES]):
            if key >= place or counted == most:
                break
            counted += _waits(jobs, keys.id_at_end(value), queue_name)
        return counted

    def start(self, queue_name: str, ids: Sequence[int]) -> None:
        """Write that jobs that were let through have started, or cannot any more."""
        for id_ in ids:
            place = value_of(self._txn, self._table, _THROUGH + keys.job_key(id_))
            if place is not None:
                self._txn.delete(place, db=self._table)
                self._txn.delete(_THROUGH + keys.job_key(id_), db=self._table)
                self._txn.put(_STARTED + keys.job_key(id_), place, db=self._table)
        self._mark(queue_name)

    def give_back(self, queue_name: str, id_: int) -> bool:
        """Write that a job waits again without having run; return whether a step had let it start.

        Then it is let through still, at the place that it had.
        """
        place = value_of(self._txn, self._table, _STARTED + keys.job_key(id_))
        if place is None or _queue_of(place) != queue_name:
            return False
        self._txn.delete(_STARTED + keys.job_key(id_), db=self._table)
        self._txn.put(place, keys.job_key(id_), db=self._table)
        self._txn.put(_THROUGH + keys.job_key(id_), place, db=self._table)
        self._mark(queue_name)
        return True

    def withdraw(self, queue_name: str, id_: int) -> None:
        """Delete that a step has let a job through, and that it passes all breakpoints."""
        self.take_pass(id_)
        place = value_of(self._txn, self._table, _THROUGH + keys.job_key(id_))
        if place is not None:
            self._txn.delete(place, db=self._table)
            self._txn.delete(_THROUGH + keys.job_key(id_), db=self._table)
            if next(self.through(queue_name), None) is None:  # many may be cancelled at once
                self._mark(queue_name)

    def forget(self, queue_name: str) -> None:
        """Delete all that steps have let through of a queue."""
        for kind in (_THROUGH, _STARTED):
            for key, place in list(items_with(self._txn, self._table, kind)):
                if _queue_of(place) == queue_name:
                    self._txn.delete(place, db=self._table)
                    self._txn.delete(key, db=self._table)
        self._mark(queue_name)

    # ---- both -------------------------------------------------------------------------------

    def _mark(self, queue_name: str) -> None:
        """Write in ``meta`` what a queue has here."""
        marks = {_MARKS[stored.on] for _, stored in self.of_queue(queue_name)}
        if next(self.through(queue_name), None) is not None:
            marks.add(LETS_THROUGH)
        started = items_with(self._txn, self._table, _STARTED)
        if any(_queue_of(place) == queue_name for _, place in started):
            marks.add(HAS_STARTED)
        self._meta.set_stepping(queue_name, b"".join(sorted(marks)))

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the rows. Those of jobs that are gone go with the next claim."""
        marked = dict(self._meta.all_stepping())
        found: dict[str, set[bytes]] = {}
        for key, value in items_with(self._txn, self._table, b""):
            kind, rest = key[:1], key[1:]
            if kind == _BREAKPOINT and (stored := _decoded(value)) is not None:
                found.setdefault(_queue_of(key), set()).add(_MARKS[stored.on])
            elif kind == _STEP and self._is_step(key, value):
                found.setdefault(_queue_of(key), set()).add(LETS_THROUGH)
            elif kind == _THROUGH and value_of(self._txn, self._table, value) != rest:
                yield f"breakpoints: job {keys.id_at_end(key)} was let through, and no row has it"
            elif kind == _STARTED and value[:1] == _STEP:
                found.setdefault(_queue_of(value), set()).add(HAS_STARTED)
            elif kind not in (_THROUGH, _PASSES):
                yield f"breakpoints: {key!r} is damaged on disk"
        for name in {*marked, *found}:
            expected = b"".join(sorted(found.get(name, ())))
            if marked.get(name, b"") != expected:
                yield (
                    f"meta: queue {name!r} is noted for {marked.get(name, b'')!r} instead of"
                    f" {expected!r}, of what it stops at and lets through"
                )

    def _is_step(self, key: bytes, value: bytes) -> bool:
        return value_of(self._txn, self._table, _THROUGH + value) == key


def _of_queue(kind: bytes, queue_name: str) -> bytes:
    """Return what the keys of this kind of a queue begin with. Raises StorageError."""
    return kind + keys.lane(Status.ENQUEUED, queue_name)[1:]


def _queue_of(place: bytes) -> str:
    """Return the name of the queue in the key of a row of a queue."""
    return place[1 : -_NUMBER_BYTES - 1].decode(errors="replace")


def _decoded(value: bytes) -> StoredBreakpoint | None:
    try:
        return _decode(value)
    except DAMAGES:
        return None


def _waits(jobs: JobEntries, id_: int, queue_name: str) -> bool:
    """Return whether a job waits in a queue, for its turn or its time."""
    try:
        record = jobs.record(id_)
    except DamagedRecord:
        return False
    if record is None or record.state.queue_name != queue_name:
        return False
    return record.state.status in CLAIMABLE


def _runs(jobs: JobEntries, id_: int) -> bool:
    try:
        record = jobs.record(id_)
    except DamagedRecord:
        return False
    return record is not None and record.state.status is Status.RUNNING


def reseal_breakpoints(tables: Tables, cipher: Cipher, txn: lmdb.Transaction) -> None:
    """Encrypt the arguments of breakpoints with the first key of *cipher*."""
    if tables.has_rows(txn, TABLE):
        with_keys = replace(tables, cipher=cipher)
        BreakpointTable(txn, with_keys, Meta(txn, tables.meta)).reseal(cipher)


def verify_breakpoints(txn: lmdb.Transaction, tables: Tables) -> Iterator[str]:
    """Yield what is wrong with breakpoints and with what steps let through."""
    meta = Meta(txn, tables.meta)
    if tables.has_rows(txn, TABLE) or any(meta.all_stepping()):
        yield from BreakpointTable(txn, tables, meta).findings()
