"""Jobs that change together: each table is written once for all of them, not for each.

The jobs of a claim come to have equal records, and so do many that were enqueued together. What
becomes of one becomes of all with an equal record, so that is found out once; a job costs its
place in the order of work, which it leaves at once, and its share of what :meth:`BulkUpdate.write`
puts into the tables.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, cast

from antq_actors.errors import StorageError
from antq_actors.storage.format import encoding
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    import lmdb
    from lmdb import _Database

    from antq_actors.jobs.state import JobState
    from antq_actors.storage.lmdb.tables import Tables

    Items = list[tuple[bytes, bytes]]
    """Keys and values."""


class Transition(NamedTuple):
    """What becomes of every job with one and the same record."""

    state: JobState
    result: JobState
    record: bytes
    """The one that holds the result."""
    digest: bytes | None
    move: IndexMove


class IndexMove:
    """From one place in the order of work to another, and the jobs that go there.

    The keys are those of a job up to its id; None for a table where it has none.
    """

    __slots__ = (
        "ids",
        "new_lane",
        "new_listing",
        "new_place",
        "old_lane",
        "old_listing",
        "old_place",
    )

    def __init__(self, old: JobState, new: JobState) -> None:
        self.old_lane, self.old_place, self.old_listing = places_of(old)
        self.new_lane, self.new_place, self.new_listing = places_of(new)
        self.ids: list[bytes] = []


class BulkUpdate:
    """Changes of jobs in one transaction, by one rule, begun one by one and written together.

    *decide* answers what a job in some state becomes; None: it is not for here. Nothing else may
    change these jobs before :meth:`write`.
    """

    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: Tables,
        deltas: dict[bytes, int],
        decide: Callable[[JobState], JobState | None],
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._deltas = deltas
        self._decide = decide
        self._index = txn.cursor(tables.index)
        self._transitions: dict[bytes, Transition] = {}
        self._index_moves: dict[tuple[str, str, int, str, int], IndexMove] = {}
        self._records: Items = []
        self._unique: Items = []

    def transition_of(self, record: bytes) -> Transition | None:
        """Return what becomes of a job with this *record*; None: it is not for here."""
        return self._transitions.get(record) or self._find(record)

    def begin(self, id_: bytes, transition: Transition) -> bool:
        """Take a job from its place in the order of work. False: it is not there, nothing is done.

        *id_* is its key in ``jobs``.
        """
        state, result, record, digest, move = transition
        index = self._index
        if not (index.set_key(move.old_place + id_) and index.delete()):
            return False
        move.ids.append(id_)
        self._records.append((id_, record))
        if move.old_listing is not None:
            self._txn.delete(move.old_listing + id_, db=self._tables.listing)
        if digest is not None:
            before = keys.unique_prefix(digest, state.status)
            self._txn.delete(before + id_, db=self._tables.unique)
            self._unique.append((keys.unique_prefix(digest, result.status) + id_, b""))
        return True

    def write(self) -> None:
        """Store what was begun since the last time."""
        if not self._records:
            return
        self._rewrite()
        self._enter()
        for move in self._index_moves.values():
            self._deltas[move.old_lane] -= len(move.ids)
            self._deltas[move.new_lane] += len(move.ids)
            move.ids.clear()

    def _rewrite(self) -> None:
        """Store what the jobs have become."""
        put_all(self._txn, self._tables.jobs, self._records)

    def _enter(self) -> None:
        """Give the jobs their new places in the tables of order."""
        for move in self._index_moves.values():
            places = [(move.new_place + id_, b"") for id_ in move.ids]
            put_all(self._txn, self._tables.index, places)
            if move.new_listing is not None:
                listed = [(move.new_listing + id_, b"") for id_ in move.ids]
                put_all(self._txn, self._tables.listing, listed)
        put_all(self._txn, self._tables.unique, self._unique)

    def _find(self, record: bytes) -> Transition | None:
        try:
            state, digest = encoding.decode_job(record)
            result = self._decide(state)
            if result is None:
                return None
            move = self._index_move(state, result)
            record_after = encoding.encode_job(result, digest)
            transition = Transition(state, result, record_after, digest, move)
        except (StorageError, struct.error, OverflowError):  # damaged, or no key can hold it
            return None
        self._transitions[record] = transition
        return transition

    def _index_move(self, old: JobState, new: JobState) -> IndexMove:
        way = old.status, old.queue_name, keys.order_of(old), new.status, keys.order_of(new)
        move = self._index_moves.get(way)
        if move is None:
            move = self._index_moves[way] = IndexMove(old, new)
        return move


def put_all(
    txn: lmdb.Transaction,
    table: _Database,
    items: Items,
    *,
    append: bool = False,
) -> None:
    """Put all *items* into a table, and empty their list. *append*: they come after all others.

    In order, LMDB mostly finds the next place beside the last one.
    """
    if items:
        items.sort()
        with txn.cursor(table) as cursor:
            cursor.putmulti(items, append=append)
        items.clear()


def get_many(txn: lmdb.Transaction, table: _Database, wanted: list[bytes]) -> dict[bytes, bytes]:
    """Return the values of those of these keys that a table has."""
    with txn.cursor(table) as cursor:
        return dict(cast("Items", cursor.getmulti(wanted)))


def places_of(state: JobState) -> tuple[bytes, bytes, bytes | None]:
    """Return the lane of a job, and up to its id its keys in ``index`` and in ``listing``."""
    lane = keys.lane(state.status, state.queue_name)
    place = keys.without_id(keys.work_key(lane, keys.order_of(state)))
    return lane, place, lane if state.status in keys.LISTED else None
