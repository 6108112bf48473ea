"""What undoes actions, for a while: rows of the table ``audit``.

    u, token        what an action has changed of queues, when, and which entry tells of it
    v, token, id    a job as it was before the action cancelled it

They are written by the transaction that does the action, so whichever process is asked to undo it
can. Rows that are too old are deleted by the next action.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from antq_actors.jobs.instant import SECOND, Instant  # msgspec reads annotations
from antq_actors.jobs.state import JobState  # as well
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.format.records import PauseRecord  # as well
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_with, keys_with, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from antq_actors.storage.lmdb.tables import Tables

TABLE: Final = "audit"
UNDO_TIME: Final = 10 * SECOND
"""How long an action can be undone."""
MOST_CANCELLED: Final = 10_000
"""Jobs whose cancelling can be undone together: it is one transaction."""

_LONGEST_TOKEN: Final = 100
_UNDO: Final = b"u"
_CANCELLED: Final = b"v"


# ---- what an action has changed -----------------------------------------------------------------


class PauseChange(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="pause"):
    """A queue was paused or resumed, or somebody else has paused it now."""

    queue: str
    before: PauseRecord | None
    """Who had paused it; None: it ran."""
    after: PauseRecord | None
    through: tuple[int, ...] = ()
    """The jobs that steps had let through, which is forgotten."""


class SlotsChange(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="slots"):
    """Nodes were told how many jobs of a queue to perform at once."""

    queue: str
    n: int
    before: dict[int, int]
    """How many it were, by node."""


class GlobalChange(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="global"):
    """It was set how many jobs of a queue may run at once on all nodes."""

    queue: str
    before: tuple[bool, int | None]
    """Whether a number was set, and which."""
    after: int | None


QueueChange: TypeAlias = PauseChange | SlotsChange | GlobalChange


class CancelledJob(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job that waited was cancelled."""

    before: JobState
    """As it was."""
    ended_at: Instant
    is_through: bool = False
    """Whether a step had let it through."""
    number: int = 0
    """How many its action had cancelled before."""


@dataclass(slots=True)
class UndoNotes:
    """What a verb has changed that can be undone."""

    changes: list[QueueChange] = field(default_factory=list)
    cancelled: list[tuple[int, CancelledJob]] = field(default_factory=list)
    is_complete: bool = True
    """Whether it has changed nothing else."""


class Undo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What undoes an action, but for the jobs that it has cancelled."""

    at: Instant
    """When it has changed something last."""
    entry: int
    """The number of the action's entry in the audit."""
    changes: tuple[QueueChange, ...] = ()
    cancelled: int = 0
    """How many jobs it has cancelled."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Undo).decode
_decode_job: Final = msgspec.msgpack.Decoder(CancelledJob).decode


# ---- its rows ---------------------------------------------------------------------------------


class UndoTable:
    """Reads and writes what undoes actions, in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._table = tables.further(txn, TABLE)

    def keep(self, token: str, entry: int, notes: UndoNotes, now: Instant) -> bool:
        """Add what a verb has changed to what undoes its action; return whether that can be undone.

        What can be undone no more is deleted.
        """
        self.delete_old(now)
        known = self.get(token) or Undo(now, entry)
        cancelled = known.cancelled + len(notes.cancelled)
        if not notes.is_complete or cancelled > MOST_CANCELLED:
            self.delete(token)
            return False
        undo = Undo(now, entry, (*known.changes, *notes.changes), cancelled)
        self._txn.put(_key(token), _encode(undo), db=self._table)
        for number, (id_, job) in enumerate(notes.cancelled, known.cancelled):
            row = _encode(msgspec.structs.replace(job, number=number))
            self._txn.put(_job_key(token, id_), row, db=self._table)
        return True

    def get(self, token: str) -> Undo | None:
        """Read what undoes an action; None: there is no such, or it is damaged."""
        if len(token) > _LONGEST_TOKEN:
            return None  # as LMDB could have no such key
        return _decoded(value_of(self._txn, self._table, _key(token)))

    def jobs(self, token: str) -> list[tuple[int, CancelledJob]]:
        """Read the jobs that an action has cancelled, the last first; without damaged rows.

        The cancelling of one may have let another come to the front that was cancelled later.
        """
        found = []
        for key, row in items_with(self._txn, self._table, _job_key(token)):
            try:
                found.append((keys.id_at_end(key), _decode_job(row)))
            except DAMAGES:
                continue
        return sorted(found, key=lambda each: -each[1].number)

    def later(self, entry: int) -> Iterator[QueueChange]:
        """Yield what actions have changed of queues whose entries come after one."""
        for _, row in items_with(self._txn, self._table, _UNDO):
            undo = _decoded(row)
            if undo is not None and undo.entry > entry:
                yield from undo.changes

    def delete(self, token: str) -> None:
        """Delete what undoes an action, if there is such."""
        for key in (_key(token), *keys_with(self._txn, self._table, _job_key(token))):
            self._txn.delete(key, db=self._table)

    def delete_old(self, now: Instant) -> None:
        """Delete what undoes actions that are too old for that, or from a time to come."""
        for key, row in list(items_with(self._txn, self._table, _UNDO)):
            undo = _decoded(row)
            if undo is None or not is_young(undo, now):
                self.delete(key[len(_UNDO) :].decode(errors="replace"))

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the rows."""
        counts: dict[bytes, int] = {}
        for key, row in items_with(self._txn, self._table, _UNDO):
            undo = _decoded(row)
            if undo is None:
                yield f"audit: {key!r} is damaged on disk, so an action cannot be undone"
            else:
                counts[key[len(_UNDO) :]] = undo.cancelled
        for key, row in items_with(self._txn, self._table, _CANCELLED):
            token = key[len(_CANCELLED) : -len(keys.job_key(0)) - 1]
            counts[token] = counts.get(token, 0) - 1
            try:
                _decode_job(row)
            except DAMAGES:
                yield f"audit: {key!r} is damaged on disk, so an action cannot be undone"
        for token, missing in counts.items():
            if missing:
                yield f"audit: rows of jobs do not agree with what undoes the action {token!r}"


def is_young(undo: Undo, now: Instant) -> bool:
    """Return whether an action can still be undone."""
    return 0 <= now - undo.at <= UNDO_TIME


def is_key_of_undo(key: bytes) -> bool:
    """Return whether a key of the table ``audit`` is one of these rows."""
    return key[:1] in (_UNDO, _CANCELLED)


def _decoded(row: bytes | None) -> Undo | None:
    try:
        return None if row is None else _decode(row)
    except DAMAGES:
        return None


def _key(token: str) -> bytes:
    return _UNDO + token.encode(errors="replace")


def _job_key(token: str, id_: int | None = None) -> bytes:
    start = _CANCELLED + token.encode(errors="replace") + b"\0"
    return start if id_ is None else start + keys.job_key(id_)
