"""What the records of gates should say, counted over the jobs.

So gates are verified, and corrected after damage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.errors import DamagedRecord
from antq_actors.flow import gates
from antq_actors.flow.gates import Gate, Room
from antq_actors.jobs.state import Status
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.jobs.gates import (
    NUMBER_BYTES,
    GateTable,
    decode_gate,
    decode_limit,
    is_gate,
)
from antq_actors.storage.jobs.table import places_of
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_with, keys_with, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import lmdb
    from lmdb import _Database

    from antq_actors.jobs.state import GateRef, JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables


class Tally:
    """What the records of gates should say, counted over the jobs that have limits."""

    def __init__(self, table: GateTable) -> None:
        self._table = table
        self.running: dict[bytes, set[int]] = {}
        self.waiting: dict[tuple[bytes, str], int] = {}
        self.heads: dict[tuple[bytes, str], int] = {}
        self.front: dict[tuple[bytes, str], int] = {}
        """The priorities of the jobs in front."""
        self.numbers: dict[bytes, int] = {}
        """By which jobs wait for a gate."""
        self.torn: set[bytes] = set()
        """Gates for which jobs wait by several numbers."""

    def add(self, id_: int, state: JobState, refs: Sequence[GateRef]) -> None:
        """Count a job that passes these gates."""
        if state.status is Status.RUNNING:
            for ref in refs:
                self.running.setdefault(ref.gate, set()).add(id_)
        if state.status is not Status.ENQUEUED or state.limited is None:
            return
        for ref in self._table.in_order(refs, state):
            place = ref.gate, state.queue_name
            if ref.gate == state.limited.gate:
                self.waiting[place] = self.waiting.get(place, 0) + 1
                if self.numbers.setdefault(ref.gate, state.limited.number) != state.limited.number:
                    self.torn.add(ref.gate)
                return
            if state.limited.is_held:
                continue
            self.heads[place] = id_
            self.front[place] = state.priority

    def is_apart(self, state: JobState) -> bool:
        """Return whether a job waits for a gate by another number than those counted so far."""
        if state.status is not Status.ENQUEUED or state.limited is None:
            return False
        number = state.limited.number
        return self.numbers.get(state.limited.gate or b"", number) != number

    def keys(self) -> set[bytes]:
        """Return the keys of the gates that any job uses."""
        return {*self.running, *(gate for gate, _ in (*self.waiting, *self.heads))}

    def correct(self, key: bytes, gate: Gate) -> None:
        """Write into *gate* what was counted; what else it knows stays."""
        running = self.running.get(key, set())
        gate.running = len(running)
        gate.holders = sorted(running)[: gates.MOST_HOLDERS]
        for of_gate, queue_name in {*self.waiting, *self.heads}:
            if of_gate == key:
                gate.room(queue_name)
        for room in gate.rooms:
            place = key, room.queue
            room.waiting = self.waiting.get(place, 0)
            room.head = self.heads.get(place, 0)
            room.priority = self.front.get(place, 0)
            room.is_front = False

    def findings(self, key: bytes, gate: Gate) -> Iterator[str]:
        """Yield what is wrong with the record of a gate."""
        name = key.hex() if gate.key is None else f"{key.hex()} ({gate.key})"
        if key in self.torn:
            yield f"gates: jobs wait for {name} by several numbers"
        running = self.running.get(key, set())
        if gate.running != len(running):
            yield f"gates: {len(running)} jobs of {name} run, but {gate.running} are counted"
        if not running.issuperset(gate.holders):
            yield f"gates: {name} names jobs that do not run"
        rooms = {room.queue: room for room in gate.rooms}
        places = [queue for of_gate, queue in {*self.waiting, *self.heads} if of_gate == key]
        for queue_name in sorted({*rooms, *places}):
            room = rooms.get(queue_name, Room(queue_name))
            waiting = self.waiting.get((key, queue_name), 0)
            if room.waiting != waiting:
                yield (
                    f"gates: {waiting} jobs of {queue_name} wait for {name}, but {room.waiting}"
                    " are counted"
                )
            head = self.heads.get((key, queue_name), 0)
            if room.head != head:
                yield (
                    f"gates: job {head or 'none'} of {queue_name} is in front of {name}, but"
                    f" {room.head or 'none'} is noted"
                )


def counted_jobs(
    txn: lmdb.Transaction, index: _Database, jobs: JobEntries, queue_name: str
) -> Iterator[tuple[int, JobRecord, bool]]:
    """Yield the running and enqueued jobs of a queue that have limits; damaged ones are left out.

    With each comes whether it is lost: it waits, and is not where its record says.
    """
    waiting = keys.lane(Status.ENQUEUED, queue_name)
    for lane in (keys.lane(Status.RUNNING, queue_name), keys.listing_lane(waiting)):
        for key in list(keys_with(txn, index, lane)):
            id_ = keys.id_at_end(key)
            try:
                record = jobs.record(id_)
            except DamagedRecord:
                continue
            if record is None or record.state.limited is None:
                continue
            is_lost = False
            if record.state.status is Status.ENQUEUED:
                place = places_of(record.state).place + keys.job_key(id_)
                is_lost = txn.get(place, db=index) is None
            yield id_, record, is_lost


def verify_gates(txn: lmdb.Transaction, tables: Tables, tally: Tally) -> Iterator[str]:
    """Yield what is wrong with the tables of gates and openings, given what the jobs say."""
    found: dict[bytes, Gate] = {}
    yield from _verify_records(txn, tables.further(txn, "gates"), tally, found)
    for digest, stored in items_with(txn, tables.further(txn, "limits"), b""):
        try:
            decode_limit(stored)
        except DAMAGES as error:
            yield (
                f"limits: the record of {digest.hex()} is damaged, and closes nothing until a node"
                f" that defines it starts: {error}"
            )
    for key in sorted({*found, *tally.keys()}):
        yield from tally.findings(key, found.get(key, Gate()))
    expected = {
        keys.opening_key(room.queue, room.opens_at, key)
        for key, gate in found.items()
        for room in gate.rooms
        if room.opens_at
    }
    stored_openings = set(keys_with(txn, tables.further(txn, "openings"), b""))
    for each in sorted(expected ^ stored_openings):
        what = "is missing" if each in expected else "belongs to no gate"
        yield f"openings: {each!r} {what}"


def _verify_records(
    txn: lmdb.Transaction, table: _Database, tally: Tally, found: dict[bytes, Gate]
) -> Iterator[str]:
    """Yield what is wrong with the records of gates, and note in *found* what they say."""
    named: set[bytes] = set()
    for key, stored in items_with(txn, table, b""):
        if not is_gate(key):
            continue
        number, record = 0, stored
        if len(stored) == NUMBER_BYTES:
            number = int.from_bytes(stored)
            place = keys.gate_place(key, number)
            if place in named:
                yield f"gates: {key.hex()} has the number {number}, and so has another"
            named.add(place)
            record = value_of(txn, table, place) or b""
        try:
            found[key] = decode_gate(record)
        except DAMAGES as error:
            yield f"gates: the record of {key.hex()} is damaged: {error}"
            found[key] = Gate()
        if tally.numbers.get(key, number) != number:
            yield f"gates: jobs wait for {key.hex()} by another number than its {number}"
    for place in keys_with(txn, table, keys.NUMBERED):
        if not is_gate(place) and place not in named:
            yield f"gates: the record {place.hex()} belongs to no gate"
