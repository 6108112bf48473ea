"""Where jobs wait for their limits, and which of them comes to the front next.

A job passes its gates in order. At each, the first of a queue is in front; the others wait in the
room of that queue, and so does the first while the gate is closed. In front of all its gates a job
is in its queue's lane of heads, and only there does a claim see it. So of a thousand jobs with one
key a claim looks at one, however long the others wait; and since a job draws its ticket when it
comes there, keys take turns with each other and with jobs without limits.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from antq_actors.errors import DamagedRecord, JobNotFound
from antq_actors.flow import gates
from antq_actors.jobs.state import GateRef, Limited, Status
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.gate_tally import Tally, counted_jobs
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.jobs.strict_order import StrictOrder
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import lmdb

    from antq_actors.flow.gates import Gate, Room
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.meta import Meta
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables

NEXT_TICKET: Final = b"next:ticket"
NOWHERE: Final = Limited()
"""Of a job with limits that does not wait for them: it runs, is scheduled, or has ended."""

_ENQUEUED: Final = Status.ENQUEUED
_RUNNING: Final = Status.RUNNING


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


def _gates_in(spec: bytes) -> tuple[GateRef, ...]:
    """Return the gates in a job's spec. Raises DamagedRecord."""
    flow = encoding.decode_spec(encoding.contents(spec)).flow
    return () if flow is None else flow.gates


_kept_gates_in: Final = lru_cache(maxsize=1024)(_gates_in)
"""For jobs with small specs: a job that is claimed is mostly settled soon."""


class Rooms:
    """Lets jobs wait for their limits and come to the front; a part of :class:`LimitedJobs`.

    *read_waiting*: reads the record of an enqueued job, or mends the store and returns None.
    *mark_damaged*: fails a job whose records disagree. *next_id*: returns the id of the next new
    job. *due* gets the queues that have a new head.
    """

    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: Tables,
        jobs: JobEntries,
        meta: Meta,
        *,
        due: set[str],
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
            refs = _kept_gates_in(spec) if is_small else _gates_in(spec)
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

    # ---- in front, and in rooms -----------------------------------------------------------------

    def _enqueued(
        self,
        id_: int,
        state: JobState,
        refs: tuple[GateRef, ...],
        now: Instant,
        *,
        is_front: bool = False,
    ) -> JobState:
        """Return the state of a job that comes to its gates: in front of all, or in a room."""
        self._note_limited(state.queue_name, now)
        refs = self.table.in_order(refs, state)
        held = self.order.held_at(id_, state, refs, now)
        if held is not None:
            return self._held(state, held, now, is_front=is_front)
        return self._passed(id_, state, refs, now, is_front=is_front)

    def _held(
        self, state: JobState, ref: GateRef, now: Instant, *, is_front: bool = False
    ) -> JobState:
        """Return the state of a job that waits for others in the strict order of a gate."""
        gate, why = self.gate(ref, now), gates.Closed("order")
        return self._wait(state, ref, gate, why, is_front=is_front, is_held=True)

    def _passed(
        self,
        id_: int,
        state: JobState,
        refs: tuple[GateRef, ...],
        now: Instant,
        *,
        is_front: bool,
    ) -> JobState:
        """Return the state of a job that comes in front of these gates, as far as they let it."""
        queue_name, priority = state.queue_name, state.priority
        for ref in refs:
            gate = self.gate(ref, now)
            room = gate.room(queue_name)
            closed = self._closed(ref, gate, now)
            if closed is None and room.head:
                if gates.goes_before(is_front, priority, room):
                    self._swap_out(room.head, ref.gate, now)
                else:
                    return self._wait(state, ref, gate, closed, is_front=is_front)
            elif closed is not None or (room.waiting and not is_front):
                return self._wait(state, ref, gate, closed, is_front=is_front)
            room.head, room.priority, room.is_front = id_, priority, is_front
        self._due.add(queue_name)
        if self.lead is None or -priority < self.lead:
            self.lead = -priority
        return placed(state, ticket=self._draw())

    def _wait(
        self,
        state: JobState,
        ref: GateRef,
        gate: Gate,
        closed: gates.Closed | None,
        *,
        is_front: bool,
        is_held: bool = False,
    ) -> JobState:
        """Return the state of a job that comes to the room of a gate, perhaps a closed one."""
        room = gate.room(state.queue_name)
        room.waiting += 1
        if closed is None and not room.head:
            self._touched.append(ref.gate)
        elif closed is not None and closed.opens_at is not None:
            self._expect(ref.gate, room, closed.opens_at)
        number = self.table.number(ref.gate)
        return placed(state, ref.gate, number=number, is_front=is_front, is_held=is_held)

    def _expect(self, key: bytes, room: Room, opens_at: Instant) -> None:
        if self.table.expect(key, room, opens_at):
            self._due.add(room.queue)  # so that it knows when to claim next

    def _swap_out(self, id_: int, key: bytes, now: Instant) -> None:
        """Let the job in front of a gate wait for it, as another one goes before it."""
        found = self._read(id_, key, now)
        if found is None:
            return
        record, refs, at = found
        state = record.state
        gate = self.table.gate(key, now)
        room = gate.room(state.queue_name)
        is_front = room.is_front or has_begun(state)
        if state.limited is not None and state.limited.gate is not None:
            later = self.table.gate(state.limited.gate, now).room(state.queue_name)
            later.waiting = max(0, later.waiting - 1)
        self._give_up(id_, state.queue_name, refs[at:], now)
        why = self._closed(refs[at], gate, now)
        after = self._wait(state, refs[at], gate, why, is_front=is_front)
        self._relocate(id_, record, after, now)

    def _step_back(
        self,
        id_: int,
        record: JobRecord,
        refs: tuple[GateRef, ...],
        closed: GateRef,
        now: Instant,
    ) -> None:
        """Let a job at the head of its queue's lane wait for a gate that is *closed* meanwhile."""
        state = record.state
        gate = self.table.gate(closed.gate, now)
        is_front = gate.room(state.queue_name).is_front or has_begun(state)
        self._give_up(id_, state.queue_name, refs[refs.index(closed) :], now)
        why = self._closed(closed, gate, now)
        after = self._wait(state, closed, gate, why, is_front=is_front)
        self._jobs.relocate(id_, record, after)

    def _hold_back(
        self,
        id_: int,
        record: JobRecord,
        refs: tuple[GateRef, ...],
        held: GateRef,
        now: Instant,
    ) -> None:
        """Let an enqueued job wait for those before it in a strict order, in front of no gate."""
        state = record.state
        self._leave(id_, state, refs, now)
        after = self._held(state, held, now, is_front=has_begun(state))
        self._relocate(id_, record, after, now)

    def _leave(self, id_: int, state: JobState, refs: tuple[GateRef, ...], now: Instant) -> None:
        """Count that a job leaves the places that it has at its gates."""
        if state.status is _RUNNING:
            for ref in refs:
                gates.release(self.table.gate(ref.gate, now), id_)
                self._touched.append(ref.gate)
        elif state.status is _ENQUEUED and state.limited is not None:
            if state.limited.gate is not None:
                room = self.table.gate(state.limited.gate, now).room(state.queue_name)
                room.waiting = max(0, room.waiting - 1)
            self._give_up(id_, state.queue_name, refs, now)

    def _give_up(self, id_: int, queue_name: str, refs: Iterable[GateRef], now: Instant) -> None:
        """Count that a job is no more in front of these gates."""
        for ref in refs:
            room = self.table.gate(ref.gate, now).room(queue_name)
            if room.head == id_:
                room.head = 0
                self._touched.append(ref.gate)

    # ---- the next ones --------------------------------------------------------------------------

    def look_again(self, keys: Iterable[bytes], now: Instant) -> None:
        """Let jobs come to the front of gates that have changed."""
        self._touched += keys
        self.promote(now)

    def promote(self, now: Instant) -> None:
        """Let the next jobs come to the front of gates where places have become free."""
        while self._touched or self._is_miscounted or self.table.damaged:
            if self._is_miscounted or self.table.damaged:
                self._correct(now)
                continue
            key = self._touched.pop()
            gate = self.table.gate(key, now)
            for room in list(gate.rooms):
                if room.waiting and not room.head:
                    self._fill(key, gate, room, now)

    def _fill(self, key: bytes, gate: Gate, room: Room, now: Instant) -> None:
        """Let the first job of a room come to the front of its gate, if that is open for it."""
        if self._is_closed(GateRef(key), gate, room, now):
            return
        prefix = keys.room_prefix(self.table.place(key), room.queue)
        if self._cursor is None:
            self._cursor = self._txn.cursor(self._index)
        first = self._cursor.key() if self._cursor.set_range(prefix) else b""
        if not first.startswith(prefix):
            self.count_anew(now)
            return
        id_ = keys.id_at_end(first)
        found = self._read(id_, key, now)
        if found is None:
            return
        record, refs, at = found
        state = record.state
        if self._is_closed(refs[at], gate, room, now):  # for one of this weight
            return
        held = self.order.held_at(id_, state, refs, now)
        if held is None:
            self._let_pass(id_, record, refs, at, now)
        elif held.gate != key:
            self._touched.append(key)  # for the next one of this room
            self._hold_back(id_, record, refs, held, now)
        elif state.limited is not None and not state.limited.is_held:
            self._hold_back(id_, record, refs, held, now)

    def _is_closed(self, ref: GateRef, gate: Gate, room: Room, now: Instant) -> bool:
        """Return whether a gate is closed; if it opens by time, the room's queue is told of it."""
        closed = self._closed(ref, gate, now)
        if closed is not None and closed.opens_at is not None:
            self._expect(ref.gate, room, closed.opens_at)
        return closed is not None

    def _let_pass(
        self, id_: int, record: JobRecord, refs: tuple[GateRef, ...], at: int, now: Instant
    ) -> None:
        """Let the first job of a room pass that gate, and then the later ones."""
        state, queue_name = record.state, record.state.queue_name
        limited = state.limited
        room = self.table.gate(refs[at].gate, now).room(queue_name)
        room.waiting -= 1
        is_front = limited is not None and limited.is_front
        earlier = [self.table.gate(ref.gate, now).room(queue_name).head for ref in refs[:at]]
        if all(head == id_ for head in earlier):
            room.head, room.priority, room.is_front = id_, state.priority, is_front
            later = refs[at + 1 :]
        else:  # it was held back, and comes to all of them anew
            self._give_up(id_, queue_name, refs[:at], now)
            self._touched.append(refs[at].gate)
            later = refs
        after = self._passed(id_, state, later, now, is_front=is_front)
        self._relocate(id_, record, after, now)

    # ---- what is stored -------------------------------------------------------------------------

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

    # ---- after damage ---------------------------------------------------------------------------

    def count_anew(self, now: Instant) -> None:
        """Correct all gates by what the jobs say, and let the next ones come to the front.

        It reads every job with limits that waits or runs: only for a store that was damaged. While
        a job is on its way from one place to another, this is put off to the end of that.
        """
        self._is_miscounted = True
        if not self._is_changing:
            self.promote(now)

    def _correct(self, now: Instant) -> None:
        """Correct all gates by what the jobs say."""
        self._is_miscounted = False
        tally = Tally(self.table)
        for queue_name in self._meta.limited():
            self._count(tally, queue_name, now)
        self.table.damaged.clear()
        for key in {*self.table.keys_of(b""), *tally.keys()}:
            tally.correct(key, self.table.gate(key, now))
            if key in tally.numbers:
                self.table.renumber(key, tally.numbers[key])
            self._touched.append(key)
        self.table.drop_unnamed()
        self.table.damaged.clear()

    def _count(self, tally: Tally, queue_name: str, now: Instant) -> None:
        for id_, record, is_lost in counted_jobs(self._txn, self._index, self._jobs, queue_name):
            with suppress(DamagedRecord):  # it is found where it is needed
                if is_lost:
                    self._fail(id_, "it waits for a limit, and is not in the index", now)
                elif tally.is_apart(record.state):
                    self._fail(id_, "it waits for a limit apart from others of its key", now)
                else:
                    tally.add(id_, record.state, self.refs(id_, record))
