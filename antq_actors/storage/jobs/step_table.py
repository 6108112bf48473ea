"""What jobs have kept between their executions: the table ``steps``.

    id, 0           the checkpoint
    id, 1, number   a step: its name, when it was taken, and its value if that is small
    id, 2, number   the value of a step that is not small

A step of a small value is one row, and a job's steps are listed without their large values. Each
row is signed, or has a checksum, with the id and number that it is of: so it stands for no other.
A job with such rows says so in its state (`Composed.has_steps`); all others never look here.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.state import Composed
from antq_actors.jobs.steps import KeptStep
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import SHOWN
from antq_actors.storage.format.encoding import DAMAGES, Signer
from antq_actors.storage.format.job_cipher import NAME, VALUE
from antq_actors.storage.jobs.entry_reader import cipher_of, opener_of
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import delete_range, items_from, items_with, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import lmdb
    from lmdb import _Database

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.lmdb.tables import Tables

MOST_INLINE_BYTES: Final = 512
"""Of a step's value that is in the row with its name."""

_RESEALED_BYTES: Final = 8 * 2**20
"""Signed again in one transaction, with one row more."""
_CHECKPOINT: Final = b"\0"
_STEP: Final = b"\1"
_VALUE: Final = b"\2"
_END: Final = b"\3"
_ID_BYTES: Final = len(keys.job_key(0))
_NUMBER_BYTES: Final = 4


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """What a row holds; the first two say of what it is, as its key does."""

    id: int
    place: bytes
    at: int
    value: bytes | None = None
    name: bytes | None = None


class KeptRow(msgspec.Struct, frozen=True, array_like=True):
    """A row as it goes to another store."""

    place: bytes
    at: int
    value: bytes | None = None
    name: bytes | None = None

    @property
    def is_one(self) -> bool:
        """Whether there can be such a row, whatever its value."""
        if self.place == _CHECKPOINT:
            return self.value is not None
        has_place = self.place[:1] in (_STEP, _VALUE) and len(self.place) == 1 + _NUMBER_BYTES
        return has_place and (self.place[:1] == _STEP) == (self.name is not None)


_encode = msgspec.msgpack.Encoder().encode
_decode_row = msgspec.msgpack.Decoder(_Row).decode


def has_steps(state: JobState) -> bool:
    """Return whether a job has rows in ``steps``."""
    return state.composed is not None and state.composed.has_steps


def with_steps(state: JobState) -> JobState:
    """Return the *state* of a job that has rows in ``steps``."""
    if has_steps(state):
        return state
    return replace(state, composed=replace(state.composed or Composed(), has_steps=True))


def without_steps(state: JobState) -> JobState:
    """Return the *state* of a job whose rows in ``steps`` are deleted."""
    if state.composed is None:
        return state
    rest = replace(state.composed, has_steps=False)
    return replace(state, composed=None if rest == Composed() else rest)


class StepTable:
    """Reads and writes what jobs have kept, in one LMDB transaction; *signer* signs what is put."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables, signer: Signer | None = None) -> None:
        self._txn = txn
        self._tables = tables
        self._signer = signer or Signer()
        self._table: _Database = tables.further(txn, "steps")

    # ---- steps ----------------------------------------------------------------------------

    def put(self, id_: int, step: KeptStep, value: bytes) -> None:
        """Write a step of a job."""
        number = step.number.to_bytes(_NUMBER_BYTES)
        name = step.name.encode("utf-8", "surrogatepass")
        cipher = cipher_of(self._txn, self._tables, id_)
        if cipher is not None:
            value, name = cipher.seal(value, VALUE, number), cipher.seal(name, NAME, number)
        inline: bytes | None = value
        if len(value) > MOST_INLINE_BYTES:
            inline = None
            self._put(_Row(id_, _VALUE + number, step.at, value))
        self._put(_Row(id_, _STEP + number, step.at, inline, name))

    def steps(self, id_: int) -> list[KeptStep]:
        """Read the steps of a job, without their values, by number; damaged ones are left out."""
        found = []
        cipher = opener_of(self._txn, self._tables, id_)
        for key, stored in items_with(self._txn, self._table, keys.job_key(id_) + _STEP):
            try:
                row = _row(encoding.contents(stored))
            except DamagedRecord:
                continue
            name = SHOWN
            with suppress(DamagedRecord):
                opened_name = cipher.open(row.name or b"", NAME, _number(row.place))
                name = opened_name.decode("utf-8", "surrogatepass")
            found.append(KeptStep(int.from_bytes(key[_ID_BYTES + 1 :]), name, row.at))
        return found

    def value(self, id_: int, number: int) -> bytes | None:
        """Read the value of a step, verified; None: there is none. Raises DamagedRecord."""
        place = number.to_bytes(_NUMBER_BYTES)
        row = self._get(id_, _STEP + place)
        if row is not None and row.value is None:
            row = self._get(id_, _VALUE + place)
        return self._opened(row)

    # ---- checkpoints ----------------------------------------------------------------------

    def put_checkpoint(self, id_: int, value: bytes, at: Instant) -> None:
        """Write the checkpoint of a job."""
        cipher = cipher_of(self._txn, self._tables, id_)
        if cipher is not None:
            value = cipher.seal(value, VALUE)
        self._put(_Row(id_, _CHECKPOINT, at, value))

    def checkpoint(self, id_: int) -> bytes | None:
        """Read the checkpoint of a job, verified; None: it has none. Raises DamagedRecord."""
        return self._opened(self._get(id_, _CHECKPOINT))

    # ---- whole ----------------------------------------------------------------------------

    def delete(self, id_: int) -> int:
        """Delete all that a job has kept; return how many rows that were."""
        key = keys.job_key(id_)
        return delete_range(self._txn, self._table, key + _CHECKPOINT, key + _END)

    def rows(self, id_: int) -> list[KeptRow]:
        """Read all that a job has kept, without signatures; damaged rows are left out."""
        found = []
        for _, stored in items_with(self._txn, self._table, keys.job_key(id_)):
            with suppress(DamagedRecord):
                row = _row(encoding.contents(stored))
                if row.id == id_:
                    found.append(KeptRow(row.place, row.at, row.value, row.name))
        return found

    def put_rows(self, id_: int, rows: Iterable[KeptRow]) -> None:
        """Write what a job has kept in another store."""
        cipher = cipher_of(self._txn, self._tables, id_)
        for place, at, value, name in map(msgspec.structs.astuple, rows):
            if cipher is not None:
                number = _number(place)
                value = None if value is None else cipher.seal(value, VALUE, number)  # noqa: PLW2901 - as it is stored
                name = None if name is None else cipher.seal(name, NAME, number)  # noqa: PLW2901 - as it is stored
            self._put(_Row(id_, place, at, value, name))

    def has_any(self, id_: int) -> bool:
        """Read whether a job has kept anything."""
        return next(items_with(self._txn, self._table, keys.job_key(id_)), None) is not None

    def ids(self) -> Iterator[int]:
        """Yield the ids of the jobs that have kept something, each once."""
        start = b""
        while (found := next(items_from(self._txn, self._table, start), None)) is not None:
            key = found[0]
            yield int.from_bytes(key[:_ID_BYTES])
            start = key[:_ID_BYTES] + b"\xff" * (_NUMBER_BYTES + 2)

    def findings_of(self, id_: int) -> Iterator[str]:
        """Yield what is wrong with the rows of a job, one sentence each."""
        names: set[bytes] = set()
        for key, stored in items_with(self._txn, self._table, keys.job_key(id_)):
            place = key[_ID_BYTES:]
            try:
                row = self._verified(id_, place, stored)
            except DamagedRecord as error:
                yield f"job {id_}: {error}"
                continue
            if place[:1] != _STEP:
                continue
            if row.name is None or row.name in names:
                yield f"steps: {key!r} of job {id_} has the name of another step, or none"
                continue
            names.add(row.name)
            value = keys.job_key(id_) + _VALUE + place[1:]
            if row.value is None and value_of(self._txn, self._table, value) is None:
                yield f"steps: the value of step {place[1:]!r} of job {id_} is missing"

    def reseal(self, start: bytes, limit: int) -> bytes | None:
        """Sign up to *limit* rows again, from a key on; return the key to go on from."""
        batch: list[tuple[bytes, bytes]] = []
        size = 0
        following = None
        for key, stored in items_from(self._txn, self._table, start):
            if len(batch) == limit or size > _RESEALED_BYTES:
                following = key
                break
            batch.append((key, stored))
            size += len(stored)
        for key, stored in batch:
            with suppress(DamagedRecord):
                contents = self._renewed(encoding.contents(stored))
                self._txn.put(key, self._signer.sign(contents), db=self._table)
        return following

    def _renewed(self, contents: bytes) -> bytes:
        """Return the bytes of a row as they are encrypted with the first key."""
        if self._signer.cipher is None:
            return contents
        row = _row(contents)
        opener = opener_of(self._txn, self._tables, row.id)
        cipher, number = opener._replace(cipher=self._signer.cipher), _number(row.place)
        value = None if row.value is None else cipher.renewed(row.value, VALUE, number)
        name = None if row.name is None else cipher.renewed(row.name, NAME, number)
        return _encode(replace(row, value=value, name=name))

    # ---- rows -----------------------------------------------------------------------------

    def _put(self, row: _Row) -> None:
        key = keys.job_key(row.id) + row.place
        self._txn.put(key, self._signer.sign(_encode(row)), db=self._table)

    def _opened(self, row: _Row | None) -> bytes | None:
        """Return the value of a row, decrypted. Raises DamagedRecord."""
        if row is None or row.value is None:
            return None
        cipher = opener_of(self._txn, self._tables, row.id)
        return cipher.open(row.value, VALUE, _number(row.place))

    def _get(self, id_: int, place: bytes) -> _Row | None:
        stored = value_of(self._txn, self._table, keys.job_key(id_) + place)
        return None if stored is None else self._verified(id_, place, stored)

    def _verified(self, id_: int, place: bytes, stored: bytes) -> _Row:
        """Return a row that is what its key says. Raises DamagedRecord."""
        row = _row(self._signer.verify(stored))
        if (row.id, row.place) != (id_, place):
            raise DamagedRecord("what it has kept is that of another job or step")
        return row


def _number(place: bytes) -> bytes:
    """Return the number of the step that a row is of; none of a checkpoint."""
    return place[1:]


def _row(contents: bytes) -> _Row:
    try:
        return _decode_row(contents)
    except DAMAGES as error:
        raise DamagedRecord(f"what it has kept is damaged on disk: {error}") from error
