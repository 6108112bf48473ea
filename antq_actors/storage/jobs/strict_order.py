"""The order that jobs of a key keep where a limit is strict, in one transaction.

A job has a place in it from when it is stored to its end: those that have begun first, then by
priority and id. As many as may run pass the gate, from the first on. So one that waits for its
retry or its time holds back those behind it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.flow import gates
from antq_actors.jobs.state import ENDED, Limited, Status
from antq_actors.storage.jobs.table import chain_places
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import keys_with

if TYPE_CHECKING:
    from collections.abc import Iterable

    import lmdb
    from lmdb import _Database

    from antq_actors.flow.gates import Gate
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import GateRef, JobState
    from antq_actors.storage.jobs.gates import GateTable
    from antq_actors.storage.lmdb.tables import Tables

_NONE: Final = Limited()

PLACELESS: Final = ENDED | {Status.SUSPENDED}
"""Statuses of jobs that come to their limits anew when they leave them."""


def chain_ids(txn: lmdb.Transaction, index: _Database, gate: bytes, limit: int) -> list[int]:
    """Read the ids of the first jobs in the strict order of a gate."""
    found = islice(keys_with(txn, index, keys.chain_prefix(gate)), limit)
    return list(map(keys.id_at_end, found))


class StrictOrder:
    """Writes the places of jobs in strict orders; *touched* gets the gates where one changes."""

    def __init__(
        self, txn: lmdb.Transaction, tables: Tables, table: GateTable, touched: list[bytes]
    ) -> None:
        self._txn = txn
        self._index = tables.index
        self._table = table
        self._touched = touched

    def is_first(self, id_: int, key: bytes, gate: Gate) -> bool:
        """Return whether a job is among the first at a gate, or its limit is strict no more."""
        limit = self._table.limit(key)
        if not gates.is_strict(limit):
            return True
        most = gates.concurrency_of(limit, gate) or 1
        return id_ in chain_ids(self._txn, self._index, key, most)

    def held_at(
        self, id_: int, state: JobState, refs: Iterable[GateRef], now: Instant
    ) -> GateRef | None:
        """Return the first of a job's gates where others are before it in a strict order."""
        chains = () if state.limited is None else state.limited.chains
        for ref in refs if chains else ():
            gate = ref.gate
            if gate in chains and not self.is_first(id_, gate, self._table.gate(gate, now)):
                return ref
        return None

    def join(self, id_: int, state: JobState, refs: Iterable[GateRef]) -> JobState:
        """Return the state of a job that gets a place in the order of each strict limit it has."""
        old = state.limited or _NONE
        strict = tuple(ref.gate for ref in refs if gates.is_strict(self._table.limit(ref.gate)))
        if not strict:
            return state
        limited = replace(old, chains=strict, has_begun=bool(old.chains))
        self._put(id_, state, limited)
        self._touched += strict
        return replace(state, limited=limited)

    def change(
        self, id_: int, before: JobState, after: JobState, refs: Iterable[GateRef]
    ) -> JobState:
        """Return the new state of a job with its places in strict orders, which are written.

        They are before all others once it has begun, and are given up at its end; but where a
        limit halts on a failure, that of a failed job is kept.
        """
        limited = before.limited or _NONE
        if before.status in PLACELESS and after.status not in PLACELESS:
            self.leave(id_, before)
            return self.join(id_, after, refs)
        if not limited.chains:
            return after
        if after.status is Status.RUNNING and not limited.has_begun:
            self.leave(id_, before)
            limited = replace(limited, has_begun=True)
            self._put(id_, after, limited)
            return replace(after, limited=limited)
        if after.status in ENDED:
            halted: tuple[bytes, ...] = ()
            if after.status is Status.FAILED:
                halted = tuple(
                    gate for gate in limited.chains if gates.halts(self._table.limit(gate))
                )
            left = tuple(gate for gate in limited.chains if gate not in halted)
            self.leave(id_, replace(before, limited=replace(limited, chains=left)))
            return replace(after, limited=replace(limited, chains=halted))
        return after

    def leave(self, id_: int, state: JobState) -> None:
        """Delete the places of a job."""
        if state.limited is not None and state.limited.chains:
            for place in chain_places(id_, state, state.limited):
                self._txn.delete(place, db=self._index)
            self._touched += state.limited.chains

    def _put(self, id_: int, state: JobState, limited: Limited) -> None:
        for place in chain_places(id_, state, limited):
            self._txn.put(place, b"", db=self._index)
