"""Jobs that wait for limits, and the gates that they pass, in one transaction.

Who waits where is decided elsewhere (:mod:`~antq_actors.storage.jobs.rooms`).
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from antq_actors.errors import DamagedRecord, JobNotFound
from antq_actors.flow import gates
from antq_actors.jobs.state import GateRef, Limited
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.jobs.strict_order import StrictOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    import lmdb

    from antq_actors.flow.gates import Gate
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.meta import Meta
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables

NEXT_TICKET: Final = b"next:ticket"
NOWHERE: Final = Limited()
"""Of a job with limits that does not wait for them: it runs, is scheduled, or has ended."""


def placed(
    state: JobState,
    gate: bytes | None = None,
    *,
    number: int = 0,
    is_front: bool = False,
    ticket: tuple[int, int] | None = None,
    is_held: bool = False,
) -> JobState:
    """Return the state of a job that waits here now; its places in strict orders stay."""
    old = state.limited
    if old is not None and old.chains:
        limited = Limited(gate, is_front, ticket, old.chains, old.has_begun, is_held, number)
    elif gate is None and ticket is None:
        limited = NOWHERE
    else:
        limited = Limited(gate, is_front, ticket, number=number)
    return replace(state, limited=limited)


def has_begun(state: JobState) -> bool:
    """Return whether a job has run since it got its places in strict orders."""
    return state.limited is not None and state.limited.has_begun


def gates_in(spec: bytes) -> tuple[GateRef, ...]:
    """Return the gates in a job's spec. Raises DamagedRecord."""
    flow = encoding.decode_spec(encoding.contents(spec)).flow
    return () if flow is None else flow.gates


_kept_gates_in: Final = lru_cache(maxsize=1024)(gates_in)
"""For jobs with small specs: a job that is claimed is mostly settled soon."""


class WaitingJobs:
    """Reads and places jobs that wait for limits; a part of :class:`~.limited_jobs.LimitedJobs`.

    *read_waiting*: reads the record of an enqueued job, or mends the store and returns None.
    *mark_damaged*: fails a job whose records disagree. *next_id*: returns the id of the next new
    job. *move*: writes the new state of a job, with all that follows from it. *due* gets the queues
    that have a new head.
    """

    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: Tables,
        jobs: JobEntries,
        meta: Meta,
        *,
        due: set[str],
        move: Callable[..., bool],
        read_waiting: Callable[[int, Instant], JobRecord | None],
        mark_damaged: Callable[[int, str, Instant], object],
        next_id: Callable[[], int],
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._index = tables.index
        self._jobs = jobs
        self._meta = meta
        self._due = due
        self._move = move
        self._read_waiting = read_waiting
        self._mark_damaged = mark_damaged
        self._next_id = next_id
        self._next_ticket: int | None = None
        self._limited_queues: set[str] = set()
        """Known to be marked as having had jobs with limits."""
        self._touched: list[bytes] = []
        """Keys of gates that another job may be in front of now."""
        self._cursor: Any = None
        self._is_changing = False
        """While what is stored of a job and what its gates count differ, as it is on its way."""
        self._is_miscounted = False
        """Whether the gates have to be counted anew as soon as that is over."""
        self._last: tuple[bytes, tuple[GateRef, ...]] = b"", ()
        """The spec of which the gates were looked up last, and these."""
        self.lead: int | None = None
        """The order of the best job that came to the front since the first ones were read."""
        self.comes_back: tuple[int, tuple[int, int]] | None = None
        """A job that was in front of its gates, and gets this turn of then back: its cancelling is
        undone."""
        self.table = GateTable(txn, tables)
        self._gates = self.table.found
        self.order = StrictOrder(txn, tables, self.table, self._touched)

    def refs(self, id_: int, record: JobRecord) -> tuple[GateRef, ...]:
        """Return the gates that a job passes, in their order. Raises DamagedRecord."""
        spec = record.spec or self._jobs.large_spec(id_)
        return self.table.in_order(self._refs_in(spec), record.state)

    def _refs_in(self, spec: bytes) -> tuple[GateRef, ...]:
        """Return the gates in a job's spec. Raises DamagedRecord."""
        last, refs = self._last
        if spec is not last:
            is_small = len(spec) <= encoding.MOST_INLINE_BYTES
            refs = _kept_gates_in(spec) if is_small else gates_in(spec)
            self._last = spec, refs
        return refs

    def gate(self, ref: GateRef, now: Instant) -> Gate:
        """Return the gate that a job passes; a new one gets the text of its key."""
        gate = self._gates.get(ref.gate)  # mostly it was read before
        if gate is None:
            gate = self.table.gate(ref.gate, now)
            if gate.key is None:
                gate.key = ref.text
        return gate

    def _closed(self, ref: GateRef, gate: Gate, now: Instant) -> gates.Closed | None:
        """Return why a gate is closed for a job of this weight."""
        return gates.closed_by(self.table.limit(ref.gate), gate, now, ref.weight)

    def _read(
        self, id_: int, key: bytes, now: Instant
    ) -> tuple[JobRecord, tuple[GateRef, ...], int] | None:
        """Read an enqueued job, its gates, and which of them is that with this *key*.

        None: it was damaged, so it has failed, and all gates have been counted anew.
        """
        is_changing, self._is_changing = self._is_changing, True
        record = self._read_waiting(id_, now)
        self._is_changing = is_changing
        if record is None:
            return None
        try:
            refs = self.refs(id_, record)
        except DamagedRecord as damage:
            self._fail(id_, str(damage), now)
            return None
        for at, ref in enumerate(refs):
            if ref.gate == key and record.state.limited is not None:
                return record, refs, at
        self._fail(id_, "its record says nothing of a limit for which it waits", now)
        return None

    def _relocate(self, id_: int, record: JobRecord, state: JobState, now: Instant) -> None:
        try:
            self._jobs.relocate(id_, record, state)
        except DamagedRecord as damage:
            self._fail(id_, str(damage), now)

    def _fail(self, id_: int, why: str, now: Instant) -> None:
        is_changing, self._is_changing = self._is_changing, True
        with suppress(JobNotFound):
            self._mark_damaged(id_, why, now)
        self._is_changing = is_changing

    def _draw(self) -> tuple[int, int]:
        """Return a ticket behind all others, and behind all jobs that the store has."""
        number = self._next_ticket
        if number is None:
            number = self._meta.counter(NEXT_TICKET)
        self._next_ticket = number + 1
        return self._next_id(), number

    def _note_limited(self, queue_name: str, now: Instant) -> None:
        if queue_name not in self._limited_queues:
            self._limited_queues.add(queue_name)
            found = self._meta.queue_limits(queue_name)
            if not found.has_jobs:
                if not self._meta.with_limited_jobs():
                    for key in self.table.keys_of(b""):  # what was set before there were jobs
                        self.table.gate(key, now).room(queue_name)
                self._meta.set_queue_limits(queue_name, replace(found, has_jobs=True))
