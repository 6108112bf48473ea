"""Where jobs wait for their limits, and which of them comes to the front next.

A job passes its gates in order. At each, the first of a queue is in front; the others wait in the
room of that queue, and so does the first while the gate is closed. In front of all its gates a job
is in its queue's lane of heads, and only there does a claim see it. So of a thousand jobs with one
key a claim looks at one, however long the others wait; and since a job draws its ticket when it
comes there, keys take turns with each other and with jobs without limits.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from antq_actors.errors import DamagedRecord
from antq_actors.flow import gates
from antq_actors.jobs.state import GateRef, Status
from antq_actors.storage.jobs.gate_tally import Tally, counted_jobs
from antq_actors.storage.jobs.waiting_jobs import WaitingJobs, has_begun, placed
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antq_actors.flow.gates import Gate, Room
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.format.encoding import JobRecord

_ENQUEUED: Final = Status.ENQUEUED
_RUNNING: Final = Status.RUNNING


class Rooms(WaitingJobs):
    """Lets jobs wait for their limits and come to the front; a part of :class:`LimitedJobs`."""

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
        who, turn = self.comes_back or (0, None)
        comes_back = who == id_
        for ref in refs:
            gate = self.gate(ref, now)
            room = gate.room(queue_name)
            closed = self._closed(ref, gate, now)
            if closed is None and room.head:
                if comes_back or gates.goes_before(is_front, priority, room):
                    self._swap_out(room.head, ref.gate, now)
                else:
                    return self._wait(state, ref, gate, closed, is_front=is_front)
            elif closed is not None or (room.waiting and not (is_front or comes_back)):
                return self._wait(state, ref, gate, closed, is_front=is_front)
            room.head, room.priority, room.is_front = id_, priority, is_front
        self._due.add(queue_name)
        if self.lead is None or -priority < self.lead:
            self.lead = -priority
        return placed(state, ticket=turn if comes_back else self._draw())

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
        if closed is not None and not is_held and self._jobs.journal is not None:
            self._jobs.journal.gate_closed(ref.gate, self.table.limit(ref.gate), gate.key)
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
            if self._jobs.journal is not None and not any(room.waiting for room in gate.rooms):
                self._jobs.journal.gate_cleared(key)

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
        if closed is not None and self._jobs.journal is not None:
            self._jobs.journal.gate_closed(ref.gate, self.table.limit(ref.gate), gate.key)
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
