"""The periodic entries of a store, as rows: what is to be enqueued, when next, and who declares it.

    crons      name            the row
               name, NUL, node a node that declares the entry; it counts while that node is recorded
    cron_due   next_at, name    the entries that wait for an instant; its head is the next one

A row has two parts. Its definition is signed, as it becomes jobs; it changes when the entry is
declared anew. The rest changes with each instant.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from antq_actors.checks import list_known
from antq_actors.errors import DamagedRecord, UnknownCron
from antq_actors.flow.limits import GateKey
from antq_actors.jobs.instant import Instant
from antq_actors.jobs.state import JobSpec
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import marked_spec, opened_spec, sealed_spec
from antq_actors.storage.format.encoding import DAMAGES, Signer
from antq_actors.storage.jobs.meta import node_key
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import first_keys, items_from, keys_with, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb
    from lmdb import _Database

    from antq_actors.storage.jobs.meta import Meta
    from antq_actors.storage.lmdb.tables import Tables

_LONGEST_KEY_BYTES: Final = 511
"""LMDB has no longer keys, and so no entry a longer name."""
_USED: Final = b"crons"
"""The ``meta`` key of a store that has had an entry: without it, no other table is looked at."""
_NODE: Final = b"\0"
_DUE_SIZE: Final = 8
_END: Final = b"\xff" * 9


class CronDefinition(msgspec.Struct, frozen=True, array_like=True):
    """What an entry says: when, and the job that each of its instants enqueues."""

    entry: bytes
    """The ``Cron`` or ``Every``, without worker and arguments."""
    queue_name: str
    priority: int
    max_attempts: int
    spec: JobSpec
    """Of each job, but for the time and the instant."""
    keys: tuple[GateKey, ...] = ()
    """Of its limits."""


class CronRow(msgspec.Struct, frozen=True, array_like=True):
    """An entry as it is stored."""

    definition: bytes
    """The encoded definition, behind what verifies it."""
    digest: bytes
    """Of what was declared: another one is another definition."""
    is_runtime: bool
    """Whether it was made while the application ran, and not declared by code."""
    next_at: Instant | None
    """The instant it waits for; None: it waits for none."""
    last_at: Instant | None = None
    last_job: int | None = None
    missed: int = 0
    skipped: int = 0
    paused: bool = False
    error: str | None = None
    """Why it cannot go on."""
    dormant_since: Instant | None = None
    """Since when it is known that no node declares it."""

    @property
    def is_of_runtime(self) -> bool:
        """Whether it was made at runtime, and its bytes on disk are not damaged."""
        return self.is_runtime and bool(self.definition)

    @property
    def due_at(self) -> Instant | None:
        """When it is to fire next; None: it is paused, cannot go on, or nothing comes any more."""
        if self.paused or self.error is not None or self.dormant_since is not None:
            return None
        return self.next_at


_encode = msgspec.msgpack.Encoder().encode
_decode_row = msgspec.msgpack.Decoder(CronRow).decode
_decode_definition = msgspec.msgpack.Decoder(CronDefinition).decode


class CronTable:
    """Reads and writes the periodic entries of a store in one LMDB transaction."""

    def __init__(
        self, txn: lmdb.Transaction, tables: Tables, meta: Meta, signer: Signer | None = None
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._meta = meta
        self._signer = signer

    @property
    def is_used(self) -> bool:
        """Whether the store has ever had an entry."""
        return self._txn.get(_USED, db=self._tables.meta) is not None

    def get(self, name: str) -> CronRow | None:
        """Read an entry by its name; None: there is none."""
        key = name.encode("utf-8", "surrogatepass")
        if not 0 < len(key) <= _LONGEST_KEY_BYTES or b"\0" in key or not self.is_used:
            return None
        stored = value_of(self._txn, self._crons, key)
        return None if stored is None else _row(stored)

    def existing(self, name: str) -> CronRow:
        """Read an entry by its name. Raises UnknownCron, which names those that exist."""
        row = self.get(name)
        if row is None:
            names = self.names()
            known = list_known(name, names) if names else ", nor any other"
            raise UnknownCron(f"there is no periodic entry {name!r}{known}")
        return row

    def names(self) -> list[str]:
        """Read the names of all entries, sorted."""
        return [name for name, _ in self.rows()]

    def rows(self, after: str = "") -> Iterator[tuple[str, CronRow]]:
        """Yield the entries whose names come after *after*, by name."""
        if not self.is_used:
            return
        start = after.encode() + _NODE if after else b""
        for key, stored in items_from(self._txn, self._crons, start):
            if _NODE not in key:
                yield key.decode(), _row(stored)

    def put(self, name: str, row: CronRow, old: CronRow | None = None) -> None:
        """Write an entry in place of *old*, and when it is due."""
        key = name.encode()
        if old is None and not self.is_used:
            self._txn.put(_USED, b"", db=self._tables.meta)
        self._txn.put(key, _encode(row), db=self._crons)
        before, after = None if old is None else old.due_at, row.due_at
        if before != after:
            if before is not None:
                self.drop_due(before, name)
            if after is not None:
                self._txn.put(_due_key(after, name), b"", db=self._due)
        self._meta.has_changed = True

    def delete(self, name: str, row: CronRow) -> None:
        """Delete an entry, with who declares it. Its jobs stay."""
        if row.due_at is not None:
            self.drop_due(row.due_at, name)
        for key in list(keys_with(self._txn, self._crons, name.encode() + _NODE)):
            self._txn.delete(key, db=self._crons)
        self._txn.delete(name.encode(), db=self._crons)
        self._meta.has_changed = True

    # ---- when -----------------------------------------------------------------------------

    def head(self) -> Instant | None:
        """Read the next instant of all entries; None: none waits for one."""
        if not self.is_used:
            return None
        found = first_keys(self._txn, self._due, b"", 1, _END)
        return _split_due(found[0])[0] if found else None

    def due(self, now: Instant, limit: int) -> list[tuple[Instant, str]]:
        """Read the first *limit* entries that are due at *now*, with their instants."""
        if not self.is_used:
            return []
        end = keys.packed_order(now + 1 + keys.BIAS)
        found = first_keys(self._txn, self._due, b"", limit, end)
        return [_split_due(key) for key in found if key < end]

    def drop_due(self, at: Instant, name: str) -> None:
        """Delete that an entry waits for an instant."""
        if self._txn.delete(_due_key(at, name), db=self._due):
            self._meta.has_changed = True

    def waiting(self) -> Iterator[tuple[Instant, str]]:
        """Yield all instants that are waited for, with the names of their entries."""
        if self.is_used:
            for key, _ in items_from(self._txn, self._due, b""):
                yield _split_due(key)

    # ---- who ------------------------------------------------------------------------------

    def declare(self, name: str, node: int) -> None:
        """Note that a node declares an entry; forget the nodes that are not recorded any more."""
        prefix = name.encode() + _NODE
        for key in list(keys_with(self._txn, self._crons, prefix)):
            if not self._is_recorded(keys.id_at_end(key)):
                self._txn.delete(key, db=self._crons)
        self._txn.put(prefix + keys.job_key(node), b"", db=self._crons)
        self._meta.has_changed = True

    def declared_by(self, name: str) -> tuple[int, ...]:
        """Read the numbers of the recorded nodes that declare an entry."""
        found = keys_with(self._txn, self._crons, name.encode() + _NODE)
        return tuple(filter(self._is_recorded, map(keys.id_at_end, found)))

    def _is_recorded(self, node: int) -> bool:
        return self._txn.get(node_key(node), db=self._tables.meta) is not None

    # ---- what -----------------------------------------------------------------------------

    def marked(self, definition: CronDefinition) -> CronDefinition:
        """Return the definition of an import, to be encrypted where all jobs are."""
        return replace(definition, spec=marked_spec(definition.spec, self._tables.cipher))

    def sealed(self, definition: CronDefinition) -> bytes:
        """Return the bytes of a definition, behind what verifies them."""
        if definition.spec.encrypted:
            spec = sealed_spec(definition.spec, self._tables.cipher)
            definition = replace(definition, spec=spec)
        return (self._signer or Signer()).sign(_encode(definition))

    def definition(self, row: CronRow) -> CronDefinition:
        """Return what an entry says, verified. Raises DamagedRecord.

        It is decrypted where its key is here. Else its jobs are stored encrypted as it is: they run
        where the key is, and are refused where not.
        """
        return self._opened(self._verified(row))

    def _verified(self, row: CronRow) -> CronDefinition:
        try:
            return _decode_definition((self._signer or Signer()).verify(row.definition))
        except DAMAGES as error:
            raise DamagedRecord(f"the periodic entry is damaged on disk: {error}") from error

    def definition_for_display(self, row: CronRow, *, decrypts: bool = True) -> CronDefinition:
        """Return what an entry says, whoever signed it. Raises DamagedRecord.

        *decrypts*: where its key is here; else it stays as it is.
        """
        try:
            found = _decode_definition(encoding.contents(row.definition))
        except DAMAGES as error:
            raise DamagedRecord(f"the periodic entry is damaged on disk: {error}") from error
        return self._opened(found) if decrypts else found

    def _opened(self, definition: CronDefinition) -> CronDefinition:
        """Return what an entry says, decrypted if a key fits."""
        if not definition.spec.encrypted:
            return definition
        with suppress(DamagedRecord):
            spec = opened_spec(definition.spec, self._tables.cipher)
            return replace(definition, spec=spec)
        return definition

    # ---- whole ----------------------------------------------------------------------------

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the entries of the store, one sentence each."""
        if not self.is_used:
            return
        waiting = set(self.waiting())
        names = set()
        for key, stored in items_from(self._txn, self._crons, b""):
            name, is_declarer, _ = key.partition(_NODE)
            shown = name.decode(errors="replace")
            if is_declarer:
                if shown not in names:
                    yield f"crons: {key!r} belongs to no periodic entry"
                continue
            names.add(shown)
            try:
                row = _decode_row(stored)
                self._verified(row)
            except (DamagedRecord, *DAMAGES) as error:
                yield f"periodic entry {shown!r}: {error}"
                continue
            if row.due_at is None:
                continue
            if (row.due_at, shown) in waiting:
                waiting.discard((row.due_at, shown))
            else:
                yield f"cron_due: the next instant of periodic entry {shown!r} is missing"
        for at, shown in sorted(waiting):
            yield f"cron_due: {shown!r} at {at} belongs to no periodic entry that waits for it"

    @property
    def _crons(self) -> _Database:
        return self._tables.further(self._txn, "crons")

    @property
    def _due(self) -> _Database:
        return self._tables.further(self._txn, "cron_due")


def _row(stored: bytes) -> CronRow:
    """Return the entry in these bytes; if they are damaged, one that says so and can be deleted."""
    try:
        return _decode_row(stored)
    except DAMAGES as error:
        why = f"it is damaged on disk: {error}"
        return CronRow(b"", b"", is_runtime=True, next_at=None, error=why)


def _due_key(at: Instant, name: str) -> bytes:
    return keys.packed_order(at + keys.BIAS) + name.encode()


def _split_due(key: bytes) -> tuple[Instant, str]:
    return int.from_bytes(key[:_DUE_SIZE]) - keys.BIAS, key[_DUE_SIZE:].decode(errors="replace")
