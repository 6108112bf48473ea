"""The table of bulk changes: what is to be done with which jobs, and how far it is.

    bulks    id                what is asked for, and what became of the jobs so far
             id, page          the ids of jobs that are left, in their order

A turn takes the first page, and what it does to the jobs and this table is one transaction. So each
job is changed once, wherever a process dies. What ended is kept for its page, the newest ones.

What finds the jobs, and why they are changed, is encrypted where there is a key, as in the audit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.audit import UNREADABLE
from antq_actors.jobs.instant import Instant  # msgspec reads annotations
from antq_actors.storage.format.cipher import is_sealed
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import delete_range, items_from, keys_from, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import lmdb

    from antq_actors.storage.format.cipher import Cipher
    from antq_actors.storage.lmdb.tables import Tables

TABLE: Final = "bulks"

PAGE_JOBS: Final = 500
"""Jobs that are changed in one transaction: a claim waits for it for some milliseconds."""
MOST_ENDED: Final = 100
"""Bulk changes that are kept once they have ended."""

RETRY: Final = "retry"
CANCEL: Final = "cancel"
DELETE: Final = "delete"
RUN_NOW: Final = "run-now"
VERBS: Final = (RETRY, CANCEL, DELETE, RUN_NOW)

RUNNING: Final = "running"
STOPPED: Final = "stopped"
DONE: Final = "done"
"""How a bulk change stands."""

_ID_BYTES: Final = len(keys.job_key(0))

Page: TypeAlias = bytes
"""The keys of jobs in ``jobs``, one behind the other."""


class BulkRecord(msgspec.Struct, frozen=True, array_like=True):
    """A bulk change: what is asked for, and what became of the jobs."""

    verb: str
    total: int
    began: Instant
    """When the jobs were found."""
    by: str | None = None
    """Who has begun it."""
    token: str | None = None
    """What undoes it for a while; None: it cannot be undone."""
    is_strict: bool = True
    """Whether a job that has changed since then is left as it is."""
    takes_completed: bool = False
    """Whether completed jobs are retried: somebody has asked for these."""
    spread: Instant = 0
    """Microseconds over which the jobs come due; 0: all at once."""
    spread_jobs: int = 0
    """Over how many jobs that is: those that can be changed, as far as was known."""
    state: str = RUNNING
    changed: int = 0
    skipped: int = 0
    """Jobs that had changed since, and were left as they are."""
    refused: int = 0
    """Jobs that could not be changed."""
    at: Instant = 0
    """When something was done last."""
    entry: int | None = None
    """The number of its entry in the audit; None: it has changed nothing so far."""
    about: bytes = b""
    """What finds the jobs, and why they are changed, encoded and perhaps encrypted."""


class SeenBulk(NamedTuple):
    """A bulk change as it is read."""

    record: BulkRecord
    filter: str
    """What finds the jobs."""
    reason: str | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], BulkRecord]] = msgspec.msgpack.Decoder(BulkRecord).decode
_decode_about: Final = msgspec.msgpack.Decoder(tuple[str, str | None]).decode
_PURPOSE: Final = b"bulk"
"""What filters and reasons are encrypted for."""
_OF_NO_JOB: Final = b""
"""What is authenticated with them: they belong to no job."""


def pages_of(ids: Iterable[int]) -> Iterator[Page]:
    """Yield job ids in pages, as the table has them.

    >>> [len(page) // 8 for page in pages_of(range(1, 1_202))]
    [500, 500, 201]
    """
    joined = b"".join(map(keys.job_key, ids))
    size = PAGE_JOBS * _ID_BYTES
    return (joined[at : at + size] for at in range(0, len(joined), size))


class BulkTable:
    """Reads and writes bulk changes in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn: Any = txn
        self._table = tables.further(txn, TABLE)
        self._cipher = tables.cipher

    def get(self, id_: int) -> BulkRecord | None:
        """Read a bulk change; None: there is none, or it is damaged."""
        stored = value_of(self._txn, self._table, keys.job_key(id_)) if keys.is_id(id_) else None
        return None if stored is None else _decoded(stored)

    def seen(self, id_: int) -> SeenBulk | None:
        """Read a bulk change with what it is about; None: there is none, or it is damaged."""
        record = self.get(id_)
        return None if record is None else SeenBulk(record, *self.about(record))

    def sealed(self, filter_: str, reason: str | None) -> bytes:
        """Return what a change is about as it is stored."""
        about = _encode((filter_, reason))
        return about if self._cipher is None else self._cipher.seal(about, _PURPOSE, _OF_NO_JOB)

    def about(self, record: BulkRecord) -> tuple[str, str | None]:
        """Return what finds the jobs, and why they are changed, as far as a key shows it."""
        about = record.about
        try:
            if is_sealed(about):
                if self._cipher is None:
                    return UNREADABLE, None
                about = self._cipher.open(about, _PURPOSE, _OF_NO_JOB)
            return _decode_about(about)
        except (DamagedRecord, *DAMAGES):
            return UNREADABLE, None

    def reseal(self, cipher: Cipher) -> None:
        """Encrypt what all changes are about anew; what no key fits stays as it is."""
        for id_ in list(self.ids()):
            seen = self.seen(id_)
            if seen is not None and seen.filter != UNREADABLE:
                about = cipher.seal(_encode(seen[1:]), _PURPOSE, _OF_NO_JOB)
                self.put(id_, msgspec.structs.replace(seen.record, about=about))

    def running_with(self, token: str) -> int | None:
        """Read which bulk change goes on that this token undoes; None: none does."""
        for id_ in self.ids():
            record = self.get(id_)
            if record is not None and record.token == token and record.state == RUNNING:
                return id_
        return None

    def put(self, id_: int, record: BulkRecord) -> None:
        """Write how far a bulk change is."""
        self._txn.put(keys.job_key(id_), _encode(record), db=self._table)

    def add(self, record: BulkRecord, pages: Iterable[Page]) -> int:
        """Write a bulk change with the jobs that it is about; return its id.

        Of those that have ended the oldest are deleted, so that as many as are kept are left.
        """
        ids = list(self.ids())
        ended = [id_ for id_ in ids if not self.is_running(id_)]
        for old in ended[: max(0, len(ended) - MOST_ENDED + 1)]:
            self._delete(old, with_record=True)
        id_ = ids[-1] + 1 if ids else 1
        self.put(id_, record)
        for number, page in enumerate(pages):
            self._txn.put(_page_key(id_, number), page, db=self._table)
        return id_

    def ids(self) -> Iterator[int]:
        """Yield the ids of all bulk changes, in their order."""
        start = b""
        while (found := next(items_from(self._txn, self._table, start), None)) is not None:
            id_ = int.from_bytes(found[0][:_ID_BYTES])
            yield id_
            start = _end_of(found[0][:_ID_BYTES])

    def is_running(self, id_: int) -> bool:
        """Read whether a bulk change goes on; a damaged one does not."""
        record = self.get(id_)
        return record is not None and record.state == RUNNING

    def first_page(self, id_: int) -> tuple[bytes, Page] | None:
        """Read the first page of jobs that a bulk change has left, with its key."""
        found = next(items_from(self._txn, self._table, _page_key(id_, 0)), None)
        return found if found is not None and found[0].startswith(keys.job_key(id_)) else None

    def replace_page(self, key: bytes, page: Page) -> None:
        """Write what is left of a page; of nothing the page is deleted."""
        if page:
            self._txn.put(key, page, db=self._table)
        else:
            self._txn.delete(key, db=self._table)

    def forget_pages(self, id_: int) -> None:
        """Delete the jobs that a bulk change has left."""
        self._delete(id_, with_record=False)

    def _delete(self, id_: int, *, with_record: bool) -> None:
        start = keys.job_key(id_)
        first = start if with_record else _page_key(id_, 0)
        delete_range(self._txn, self._table, first, _end_of(start))

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the table."""
        for id_ in self.ids():
            record = self.get(id_)
            if record is None:
                yield f"bulks: {id_} is damaged on disk, so it does not go on"
            elif record.state != RUNNING and self.first_page(id_) is not None:
                yield f"bulks: {id_} has ended, and has jobs left"
        for key in keys_from(self._txn, self._table):
            if len(key) not in {_ID_BYTES, 2 * _ID_BYTES}:
                yield f"bulks: {key!r} is no key of a bulk change"


def ids_in(page: Page) -> tuple[int, ...]:
    """Return the ids of the jobs of a page."""
    return tuple(map(int.from_bytes, keys.ids_in(page)))


def _page_key(id_: int, number: int) -> bytes:
    return keys.job_key(id_) + keys.job_key(number)


def _end_of(start: bytes) -> bytes:
    """Return what is behind all keys of a bulk change, given what they begin with."""
    return start + b"\xff" * (_ID_BYTES + 1)


def _decoded(stored: bytes) -> BulkRecord | None:
    try:
        return _decode(stored)
    except DAMAGES:
        return None


def verify_bulks(txn: lmdb.Transaction, tables: Tables) -> Iterator[str]:
    """Yield what is wrong with bulk changes."""
    if tables.has_rows(txn, TABLE):
        yield from BulkTable(txn, tables).findings()


def reseal_bulks(tables: Tables, cipher: Cipher, txn: lmdb.Transaction) -> None:
    """Encrypt what all bulk changes are about anew."""
    if tables.has_rows(txn, TABLE):
        BulkTable(txn, replace(tables, cipher=cipher)).reseal(cipher)
