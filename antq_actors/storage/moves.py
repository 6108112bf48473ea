"""Jobs that change together: each table is written once for all of them, not for each.

The jobs of a claim come to have equal records, and so do many that were enqueued together. What
becomes of one becomes of all with an equal record, so that is found out once; a job costs its
place in the order of work, which it leaves at once, and its share of what :meth:`Moves.write`
puts into the tables.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

from antq_actors.errors import DamagedRecord
from antq_actors.storage import encoding, keys

if TYPE_CHECKING:
    from collections.abc import Callable

    import lmdb
    from lmdb import _Database

    from antq_actors.jobs.state import JobState
    from antq_actors.storage.tables import Tables


class Move:
    """What becomes of every job with one and the same record.

    The keys are those of a job up to its id; None where it has none.
    """

    __slots__ = (
        "count",
        "leaves",
        "leaves_lane",
        "leaves_list",
        "leaves_unique",
        "record",
        "result",
        "state",
        "to",
        "to_lane",
        "to_list",
        "to_unique",
    )

    def __init__(self, old: encoding.JobRecord, result: JobState) -> None:
        self.state = old.state
        self.result = result
        self.record = encoding.encode_job(result, old.digest)
        self.leaves_lane, self.leaves, self.leaves_list = _places(old.state)
        self.to_lane, self.to, self.to_list = _places(result)
        self.leaves_unique = self.to_unique = None
        if old.digest is not None:
            self.leaves_unique = keys.unique_prefix(old.digest, old.state.status)
            self.to_unique = keys.unique_prefix(old.digest, result.status)
        self.count = 0
        """How many jobs do so."""


class Moves:
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
        self._moves: dict[bytes, Move | None] = {}
        self._index = txn.cursor(tables.index)
        self._records: list[tuple[bytes, bytes]] = []
        self._places: list[tuple[bytes, bytes]] = []
        self._listed: list[tuple[bytes, bytes]] = []
        self._unique: list[tuple[bytes, bytes]] = []

    def of(self, record: bytes) -> Move | None:
        """Answer what becomes of a job with this *record*; None: it is not for here."""
        try:
            return self._moves[record]
        except KeyError:
            move = self._moves[record] = self._find(record)
            return move

    def begin(self, id_: bytes, move: Move) -> bool:
        """Take a job from its place in the order of work. False: it is not there, nothing is done.

        *id_* is its key in ``jobs``.
        """
        index = self._index
        if not (index.set_key(move.leaves + id_) and index.delete()):
            return False
        if move.leaves_list is not None:
            self._txn.delete(move.leaves_list + id_, db=self._tables.listing)
        if move.leaves_unique is not None:
            self._txn.delete(move.leaves_unique + id_, db=self._tables.unique)
        move.count += 1
        self._records.append((id_, move.record))
        self._places.append((move.to + id_, b""))
        if move.to_list is not None:
            self._listed.append((move.to_list + id_, b""))
        if move.to_unique is not None:
            self._unique.append((move.to_unique + id_, b""))
        return True

    def write(self) -> None:
        """Store what was begun since the last time."""
        if not self._records:
            return
        self._rewrite()
        self._enter()
        for move in self._moves.values():
            if move is not None and move.count:
                self._deltas[move.leaves_lane] -= move.count
                self._deltas[move.to_lane] += move.count
                move.count = 0

    def _rewrite(self) -> None:
        """Store what the jobs have become."""
        put_all(self._txn, self._tables.jobs, self._records)

    def _enter(self) -> None:
        """Give the jobs their new places in the tables of order."""
        put_all(self._txn, self._tables.index, self._places)
        put_all(self._txn, self._tables.listing, self._listed)
        put_all(self._txn, self._tables.unique, self._unique)

    def _find(self, record: bytes) -> Move | None:
        try:
            old = encoding.decode_job(record)
            result = self._decide(old.state)
            return None if result is None else Move(old, result)
        except (DamagedRecord, struct.error, OverflowError):  # and numbers that no key can hold
            return None


def put_all(txn: lmdb.Transaction, table: _Database, items: list[tuple[bytes, bytes]]) -> None:
    """Put all *items* into a table, and empty their list.

    In order, LMDB mostly finds the next place beside the last one.
    """
    if items:
        items.sort()
        with txn.cursor(table) as cursor:
            cursor.putmulti(items)
        items.clear()


def get_many(txn: lmdb.Transaction, table: _Database, wanted: list[bytes]) -> dict[bytes, bytes]:
    """Answer the values of those of these keys that a table has."""
    with txn.cursor(table) as cursor:
        return dict(cast("list[tuple[bytes, bytes]]", cursor.getmulti(wanted)))


def _places(state: JobState) -> tuple[bytes, bytes, bytes | None]:
    """Answer the lane of a job, and up to its id its keys in ``index`` and in ``listing``."""
    lane = keys.lane(state.status, state.queue_name)
    place = keys.without_id(keys.work_key(lane, keys.order_of(state)))
    return lane, place, lane if state.status in keys.LISTED else None
