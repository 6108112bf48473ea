"""The records of gates, limits and openings in one transaction.

A gate is read when a job needs it, and kept until :meth:`GateTable.flush` writes what has changed;
so one key of which many jobs pass in a transaction is written once. One that is without jobs is
deleted, as soon as its rate knows nothing any more that a new one would not.

Gates have numbers, in the order in which they came to be, and their records and rooms are in that
order, which is mostly that in which their jobs come to the front. So what a claim changes is close
together, however many keys there are. What releases before format 6 have written has no number;
it is by itself until it is deleted.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from antq_actors.flow import gates
from antq_actors.flow.gates import Gate, Limit, Room
from antq_actors.flow.limits import LIMIT_BYTES, gate_id
from antq_actors.jobs import instant
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.jobs.meta import Meta
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_before, keys_with

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import GateRef, JobState
    from antq_actors.storage.lmdb.tables import Tables

NO_KEY: Final = gate_id("", None)[LIMIT_BYTES:]
"""What the gates of limits without a key end with."""
NEXT_GATE: Final = b"next:gate"
"""The counter of their numbers, in ``meta``."""
NUMBER_BYTES: Final = 8
"""Of a row that has the number of a gate; one with a gate of format 5 is longer."""
_encode = msgspec.msgpack.Encoder().encode
decode_gate = msgspec.msgpack.Decoder(Gate).decode
decode_limit = msgspec.msgpack.Decoder(Limit).decode


def is_gate(key: bytes) -> bool:
    """Return whether these bytes may be the key of a gate."""
    return len(key) == LIMIT_BYTES + len(NO_KEY)


class GateTable:
    """Reads and writes gates in one transaction; without :meth:`flush` nothing is written."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn: Any = txn
        self._meta = Meta(txn, tables.meta)
        self._gates = tables.further(txn, "gates")
        self._limits = tables.further(txn, "limits")
        self._openings = tables.further(txn, "openings")
        self._stored: dict[bytes, bytes | None] = {}
        self._places: dict[bytes, bytes | None] = {}
        """Of the records of the gates that were read; None: it is not stored yet."""
        self._next_number: int | None = None
        self.found: dict[bytes, Gate] = {}
        """The gates that were read, by their keys."""
        self._found_limits: dict[bytes, Limit | None] = {}
        self.now: Instant = 0
        """The last time that was passed in."""
        self.damaged: set[bytes] = set()
        """Keys of gates whose records could not be read, so that they have to be counted anew."""

    def gate(self, key: bytes, now: Instant) -> Gate:
        """Return a gate, a new one if the store has none; the same object each time."""
        gate = self.found.get(key)
        if gate is None:
            stored = self._txn.get(key, db=self._gates)
            place = None if stored is None else key
            if stored is not None and len(stored) == NUMBER_BYTES:
                place = keys.NUMBERED + stored
                stored = self._txn.get(place, db=self._gates)
                if stored is None:  # its number is another one
                    place, stored = None, b""
            gate = self._decoded(key, stored)
            self._stored[key] = stored
            self._places[key] = place
            self.found[key] = gate
            self.now = max(self.now, now)
        return gate

    def gate_as_of(self, key: bytes, now: Instant) -> Gate:
        """Return a gate, without what it is ahead of *now* because the clock was set back since.

        *now* is the time of this transaction: an earlier one would take away starts that count.
        """
        gate = self.gate(key, now)
        gates.cut(self.limit(key), gate, now)
        return gate

    def _decoded(self, key: bytes, stored: bytes | None) -> Gate:
        if stored is None:
            return Gate()
        try:
            return decode_gate(stored)
        except DAMAGES:
            self.damaged.add(key)
            return Gate()

    def number(self, key: bytes) -> int:
        """Return the number of a gate that was read, for good: one that is new gets the next."""
        place = self._places[key]
        if place is None:
            if self._next_number is None:
                self._next_number = self._meta.counter(NEXT_GATE)
            number = self._next_number
            self._places[key] = keys.gate_place(key, number)
            self._next_number += 1
            return number
        return 0 if place == key else keys.number_in(place)

    def place(self, key: bytes) -> bytes:
        """Return where the record of a gate that was read is, by which its rooms are named."""
        return self._places[key] or key

    def renumber(self, key: bytes, number: int) -> None:
        """Give a gate that was read the number by which its jobs wait, if it has another."""
        place = keys.gate_place(key, number)
        if self._places[key] != place:
            self._places[key], self._stored[key] = place, b""

    def drop_unnamed(self) -> None:
        """Delete the records of numbers that no gate has; all gates were read."""
        named = set(self._places.values())
        for place in list(keys_with(self._txn, self._gates, keys.NUMBERED)):
            if not is_gate(place) and place not in named:
                self._txn.delete(place, db=self._gates)

    def limit(self, key: bytes) -> Limit | None:
        """Return the limit of the gate with this *key*; None: nothing is known of it."""
        digest = key[:LIMIT_BYTES]
        if digest not in self._found_limits:
            stored = self._txn.get(digest, db=self._limits)
            try:
                limit = None if stored is None else decode_limit(stored)
            except DAMAGES:  # as long as no node has declared it again
                limit = None
            self._found_limits[digest] = limit
        return self._found_limits[digest]

    def in_order(self, refs: Sequence[GateRef], state: JobState) -> tuple[GateRef, ...]:
        """Return the gates of a job in the order in which it passes them, one order for all jobs.

        So no two jobs wait for each other, each in front of a gate. First come those of limits that
        were strict when they were declared. Then come those with a key: what a job that waits for a
        later gate is in front of is closed to others meanwhile, and so that is mostly one key.
        """
        if len(refs) == 1:
            return tuple(refs)
        chains = () if state.limited is None else state.limited.chains
        return tuple(sorted(refs, key=lambda ref: self._rank(ref.gate, chains)))

    def _rank(self, key: bytes, chains: tuple[bytes, ...]) -> tuple[bool, bool, bytes]:
        limit = self.limit(key)
        is_first = key in chains if limit is None else gates.passes_first(limit)
        return not is_first, key.endswith(NO_KEY), key

    def put_limit(self, digest: bytes, limit: Limit) -> None:
        """Write a limit to the table ``limits``."""
        self._txn.put(digest, _encode(limit), db=self._limits)
        self._found_limits[digest] = limit

    def limits(self) -> dict[bytes, Limit]:
        """Return all limits, by their digests; damaged ones are left out."""
        found = {key: self.limit(key) for key in keys_with(self._txn, self._limits, b"")}
        return {key: limit for key, limit in found.items() if limit is not None}

    def keys_of(self, digest: bytes) -> list[bytes]:
        """Return the keys of the gates of a limit, or of all: *digest* is empty."""
        stored = set(filter(is_gate, keys_with(self._txn, self._gates, digest)))
        return sorted(stored.union(key for key in self.found if key.startswith(digest)))

    def some_keys_of(self, digest: bytes, most: int) -> list[bytes]:
        """Return the keys of the first gates of a limit that are stored, at most so many."""
        found = filter(is_gate, keys_with(self._txn, self._gates, digest))
        return list(islice(found, most))

    # ---- openings ---------------------------------------------------------------------------

    def expect(self, key: bytes, room: Room, opens_at: Instant) -> bool:
        """Write that a gate opens for a room at this time, if nothing earlier is known of it.

        Return whether that is new.
        """
        if room.opens_at and room.opens_at <= opens_at:
            return False
        self.expect_no_more(key, room)
        self._txn.put(keys.opening_key(room.queue, opens_at, key), b"", db=self._openings)
        room.opens_at = opens_at
        return True

    def expect_no_more(self, key: bytes, room: Room) -> None:
        """Delete the row of a gate's opening for a room, if it has one."""
        if room.opens_at:
            self._txn.delete(keys.opening_key(room.queue, room.opens_at, key), db=self._openings)
            room.opens_at = 0

    def openings(self, queue_name: str) -> Iterator[tuple[Instant, bytes]]:
        """Yield when gates open for a queue, and their keys. Do not change them meanwhile."""
        prefix = keys.opening_key(queue_name, 0)[:-_TIME_BYTES]
        for key in keys_with(self._txn, self._openings, prefix):
            at = len(prefix) + _TIME_BYTES
            yield int.from_bytes(key[len(prefix) : at]), key[at:]

    def last_opening(self, queue_name: str) -> tuple[Instant, bytes] | None:
        """Read when the last of a queue's gates opens, and its key."""
        prefix = keys.opening_key(queue_name, 0)[:-_TIME_BYTES]
        end = keys.lane_end(prefix)
        for key, _ in items_before(self._txn, self._openings, prefix, end):
            at = len(prefix) + _TIME_BYTES
            return int.from_bytes(key[len(prefix) : at]), key[at:]
        return None

    def delete_opening(self, queue_name: str, opens_at: Instant, key: bytes) -> None:
        """Delete a row of the table ``openings``."""
        self._txn.delete(keys.opening_key(queue_name, opens_at, key), db=self._openings)

    # ---- the end of the transaction ----------------------------------------------------------

    def tidy(self, now: Instant) -> None:
        """Forget the gates that nobody needs any more, or expect the time at which that is so."""
        for key, gate in list(self.found.items()):
            if not gates.is_idle(gate):
                continue
            forgotten_at = gates.forgotten_at(self.limit(key), gate)
            if forgotten_at <= now:
                for room in gate.rooms:
                    self.expect_no_more(key, room)
            elif gate.rooms and not any(room.opens_at for room in gate.rooms):
                at = forgotten_at + -forgotten_at % instant.SECOND  # with others at once
                self.expect(key, gate.rooms[0], at)

    def flush(self) -> bool:
        """Write the gates that have changed; return whether any has."""
        self.tidy(self.now)
        has_changed = False
        for key, gate in self.found.items():
            if self._is_over(key, gate, self.now):
                if self._txn.delete(key, db=self._gates):
                    self._txn.delete(self.place(key), db=self._gates)
                    has_changed = True
                continue
            _drop_empty_rooms(gate)
            encoded = _encode(gate)
            if encoded != self._stored[key]:
                self._put(key, encoded)
                has_changed = True
        if self._next_number is not None:
            self._meta.set_counter(NEXT_GATE, self._next_number)
            self._next_number = None
        self.found.clear()
        self._found_limits.clear()
        return has_changed

    def _put(self, key: bytes, encoded: bytes) -> None:
        if not self._stored[key] and (number := self.number(key)):
            self._txn.put(key, number.to_bytes(NUMBER_BYTES), db=self._gates)
        self._txn.put(self.place(key), encoded, db=self._gates)

    def _is_over(self, key: bytes, gate: Gate, now: Instant) -> bool:
        return gates.is_idle(gate) and gates.forgotten_at(self.limit(key), gate) <= now


_TIME_BYTES: Final = 8


def _drop_empty_rooms(gate: Gate) -> None:
    if len(gate.rooms) > 1:
        used = [room for room in gate.rooms if room.waiting or room.head or room.opens_at]
        gate.rooms = used or gate.rooms[:1]
