"""Jobs with limits: one comes, runs, leaves, and what follows from it for the others.

Every change of a job with limits goes through :class:`LimitedJobs`, which counts it in its gates
and lets the next one of their rooms come to the front (:mod:`~antq_actors.storage.jobs.rooms`).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.errors import DamagedRecord
from antq_actors.flow import gates
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.state import GateRef, Status
from antq_actors.storage.jobs.gates import NO_KEY
from antq_actors.storage.jobs.rooms import Rooms
from antq_actors.storage.jobs.strict_order import PLACELESS
from antq_actors.storage.jobs.waiting_jobs import NEXT_TICKET, NOWHERE, has_begun, placed
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import first_keys, keys_with

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, NewJob
    from antq_actors.storage.format.encoding import JobRecord

_ENQUEUED: Final = Status.ENQUEUED
_RUNNING: Final = Status.RUNNING


def with_texts(new: NewJob) -> JobSpec:
    """Return the spec of a new job, whose gates have the texts of their keys."""
    spec, flow = new.spec, new.spec.flow
    if flow is None or all(ref.text or ref.gate.endswith(NO_KEY) for ref in flow.gates):
        return spec
    texts = {key.gate: key.text for key in new.keys if not key.gate.endswith(NO_KEY)}
    refs = tuple(replace(ref, text=texts.get(ref.gate)) for ref in flow.gates)
    return replace(spec, flow=replace(flow, gates=refs))


class LimitedJobs(Rooms):
    """Changes jobs with limits, and keeps their gates, in one LMDB write transaction."""

    # ---- a job comes, changes, goes -------------------------------------------------------------

    def arrive(self, id_: int, new: NewJob, now: Instant) -> JobState:
        """Return the state to store of a new job; call :meth:`promote` when it is stored."""
        state = new.state
        keys.lane(_ENQUEUED, state.queue_name)  # refuses a name that no key can hold
        self._note_limited(state.queue_name, now)  # also if it is not due: so that it is counted
        refs = () if new.spec.flow is None else new.spec.flow.gates
        state = replace(state, limited=NOWHERE)
        if state.status not in PLACELESS:
            state = self.order.join(id_, state, refs)
        if state.status is not _ENQUEUED:
            return state
        for ref in refs:
            self._replace_waiting(id_, ref, now)
        return self._enqueued(id_, state, refs, now)

    def full(
        self, state: JobState, refs: Iterable[GateRef], now: Instant
    ) -> tuple[str, int | None] | None:
        """Return why a job may not even wait for these gates, and a job that holds a place.

        None: it may. Only one that comes anew is refused, and only where its limit says so.
        """
        if state.status is not _ENQUEUED:
            return None
        for ref in refs:
            gate, limit = self.gate(ref, now), self.table.limit(ref.gate)
            why = gates.refused_by(limit, gate)
            if why is not None:
                return why, gates.holder_in(gate)
        return None

    def close(self, ref: GateRef, until: Instant, now: Instant) -> None:
        """Let nothing pass a gate before an instant, as another service lets nobody in."""
        gate = self.gate(ref, now)
        gate.refused_until = max(gate.refused_until, until)

    def _replace_waiting(self, id_: int, ref: GateRef, now: Instant) -> None:
        """Cancel those that wait for a full limit, if a newer job takes their place: *id_*."""
        gate, limit = self.gate(ref, now), self.table.limit(ref.gate)
        if limit is None or not gates.replaces(limit) or not gates.is_full(limit, gate):
            return
        for room in list(gate.rooms):
            prefix = keys.room_prefix(self.table.place(ref.gate), room.queue)
            waiting = [keys.id_at_end(key) for key in keys_with(self._txn, self._index, prefix)]
            for each in (room.head, *waiting):
                found = self._read(each, ref.gate, now) if each else None
                if found is not None:
                    record = found[0]
                    after = lifecycle.replaced(record.state, id_, limit.rule.name, now=now)
                    self._move(each, record, *after, now=now)

    def move(
        self,
        id_: int,
        record: JobRecord,
        state: JobState,
        error: ErrorEntry | None = None,
        *,
        now: Instant,
        cause: str | None = None,
    ) -> None:
        """Write a job's new state, as :meth:`JobEntries.move` does, and what follows for others."""
        refs = self.refs(id_, record)
        self._leave(id_, record.state, refs, now)
        state = self.order.change(id_, record.state, state, refs)
        if state.status is _ENQUEUED:
            came_back = record.state.status is _RUNNING or has_begun(state)
            for ref in refs if record.state.status in PLACELESS else ():
                self._replace_waiting(id_, ref, now)
            state = self._enqueued(id_, state, refs, now, is_front=came_back)
        else:
            state = placed(state)
        if state.status is _RUNNING:
            for ref in refs:
                self._start(id_, ref, now)
        self._jobs.move(id_, record, state, error, cause)
        self.promote(now)

    def let_go(self, specs: dict[bytes, bytes], completed: list[bytes], now: Instant) -> None:
        """Count that jobs, by their keys in ``jobs``, run no more: they were completed together.

        *specs* are those in their records.
        """
        for key in completed:
            id_ = int.from_bytes(key)
            try:
                refs = self._refs_in(specs[key] or self._jobs.large_spec(id_))
            except DamagedRecord:  # the others are still counted
                self._is_miscounted = True
                continue
            for ref in refs:
                gates.release(self.gate(ref, now), id_)
                self._touched.append(ref.gate)
        self.promote(now)

    def remove(self, id_: int, record: JobRecord, *, now: Instant) -> None:
        """Delete a job, as :meth:`JobEntries.remove` does, and let others come to the front."""
        self._leave(id_, record.state, self.refs(id_, record), now)
        self.order.leave(id_, record.state)
        self._jobs.remove(id_, record)
        self.promote(now)

    def _start(self, id_: int, ref: GateRef, now: Instant) -> None:
        gate = self.gate(ref, now)
        gates.take(self.table.limit(ref.gate), gate, id_, now, ref.weight)
        self._touched.append(ref.gate)

    # ---- the claim ------------------------------------------------------------------------------

    def first_heads(self, queue_name: str, limit: int) -> list[bytes]:
        """Read the ``index`` keys of a queue's next jobs that are in front of all their limits.

        They are next until :attr:`lead` says that one with a higher priority has come.
        """
        self.lead = None
        lane = keys.heads_lane(queue_name)
        found = first_keys(self._txn, self._index, lane, limit, end := keys.lane_end(lane))
        return found if not found or found[-1] < end else found[: bisect_left(found, end)]

    def admits(self, id_: int, record: JobRecord, now: Instant) -> bool:
        """Return whether a job that is due may run now; else let it wait where it has to."""
        state, refs = record.state, self.refs(id_, record)
        if state.limited is not None and state.limited.gate is not None:
            return False  # another one went before it since the claim has read who is in front
        held = self.order.held_at(id_, state, refs, now)
        for ref in refs if held is None else ():
            gate = self.gate(ref, now)
            if self.table.damaged:  # then it says nothing; the job is looked at again
                self.count_anew(now)
                return False
            room = gate.room(state.queue_name)
            if room.head not in (0, id_):
                break
            closed = self._closed(ref, gate, now)
            if closed is not None and closed.why == "rate":
                self.table.gate_as_of(ref.gate, now)
                closed = self._closed(ref, gate, now)
            if closed is not None:
                break
        else:
            if held is None:
                return True
        if state.status is not _ENQUEUED:
            self.move(id_, record, lifecycle.come_due(state, now=now), now=now)
        elif held is not None:
            self._hold_back(id_, record, refs, held, now)
        else:
            self._step_back(id_, record, refs, ref, now)
        self.promote(now)
        return False

    def open_due(self, queue_name: str, now: Instant, limit: int) -> None:
        """Let jobs come to the front of gates that have opened by time, at most *limit* gates."""
        found: list[tuple[Instant, bytes]] = []
        for opens_at, key in self.table.openings(queue_name):
            if len(found) >= limit or not self._is_over(opens_at, key, now):
                break
            found.append((opens_at, key))
        last = self.table.last_opening(queue_name)
        if last is not None and last not in found and self._is_over(*last, now):
            found.append(last)
        for opens_at, key in found:
            gate = self.table.gate(key, now)
            room = gate.room(queue_name)
            if room.opens_at == opens_at:
                self.table.expect_no_more(key, room)
            else:
                self.table.delete_opening(queue_name, opens_at, key)
            self._touched.append(key)
        self.promote(now)

    def _is_over(self, opens_at: Instant, key: bytes, now: Instant) -> bool:
        """Return whether there is no use in waiting for an opening: it is past, or never was.

        That is so when the clock was set back.
        """
        if opens_at <= now:
            return True
        gate, limit = self.table.gate_as_of(key, now), self.table.limit(key)
        rate = gates.rate_of(limit, gate)
        if rate is None:
            return False
        latest = max(gates.forgotten_at(limit, gate), 0 if limit is None else limit.closed_until)
        return opens_at > max(latest, now) + instant.SECOND

    def next_opening(self, queue_name: str, now: Instant) -> Instant | None:
        """Read when the next gate opens for a queue by time alone; None: none does."""
        self.table.tidy(now)
        return next((opens_at for opens_at, _ in self.table.openings(queue_name)), None)

    # ---- for the end of the transaction ---------------------------------------------------------

    def flush(self) -> bool:
        """Write the gates and the next ticket; return whether anything has changed."""
        if self._is_miscounted or self.table.damaged:
            self.promote(self.table.now or instant.now())
        if self._next_ticket is not None:
            self._meta.set_counter(NEXT_TICKET, self._next_ticket)
            self._next_ticket = None
        return self.table.flush()
