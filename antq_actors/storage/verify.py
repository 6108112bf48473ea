"""Do the tables agree? What the job table promises, as a check."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from antq_actors.errors import StorageError
from antq_actors.storage import encoding, keys
from antq_actors.storage.meta import NEXT_ID, Meta
from antq_actors.storage.scan import items_with, keys_from, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from antq_actors.storage.tables import Tables


def verify(txn: lmdb.Transaction, tables: Tables) -> list[str]:
    """Answer what is wrong with a store, one sentence each; nothing when all is well.

    It reads everything: for tests and for repair, not for daily use.
    """
    return list(_Verification(txn, tables).findings())


class _Verification:
    """One pass over the jobs, collecting what the other tables should hold, then one over those."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._tables = tables
        self._jobs: set[bytes] = set()
        self._index: set[bytes] = set()
        self._listing: set[bytes] = set()
        self._unique: set[bytes] = set()
        self._errors: set[bytes] = set()
        self._counts: Counter[bytes] = Counter()

    def findings(self) -> Iterator[str]:
        for key, record in items_with(self._txn, self._tables.jobs, b""):
            yield from self._job(key, record)
        for name in ("index", "listing", "unique", "errors"):
            there = set(keys_from(self._txn, getattr(self._tables, name)))
            yield from _differences(name, getattr(self, f"_{name}"), there)
        payloads = set(keys_from(self._txn, self._tables.payloads))
        yield from _differences("payloads", self._jobs, payloads)
        yield from self._wrong_counts()

    def _job(self, key: bytes, record: bytes) -> Iterator[str]:
        """Collect what a job should have in the other tables."""
        id_ = keys.id_at_end(key)
        self._jobs.add(key)
        try:
            state, digest = encoding.decode_job(record)
            spec = encoding.decode_spec(value_of(self._txn, self._tables.payloads, key) or b"")
        except StorageError as error:
            yield f"job {id_}: {error}"
            return
        lane = keys.lane(state.status, state.queue_name)
        self._index.add(keys.work_key(lane, keys.order_of(state), id_))
        self._counts[lane] += 1
        self._errors.update(keys.error_key(id_, number) for number in range(state.errors))
        if state.status in keys.LISTED:
            self._listing.add(keys.listing_key(lane, id_))
        if digest is not None:
            self._unique.add(keys.unique_key(digest, state.status, id_))
        if spec.unique_digest != digest:
            yield f"job {id_}: its state has the digest {digest!r}, its spec {spec.unique_digest!r}"
        if id_ >= Meta(self._txn, self._tables).counter(NEXT_ID):
            yield f"job {id_}: its id would be given again"

    def _wrong_counts(self) -> Iterator[str]:
        stored = {
            lane: int.from_bytes(count, "big")
            for lane, count in items_with(self._txn, self._tables.counts, b"")
        }
        for lane in sorted({*stored, *self._counts}):
            if stored.get(lane, 0) != self._counts[lane]:
                try:
                    status, queue_name = keys.split_lane(lane)
                except StorageError as error:
                    yield f"counts: {error}"
                    continue
                yield (
                    f"counts: {queue_name} has {self._counts[lane]} {status} jobs,"
                    f" but {stored.get(lane, 0)} are counted"
                )


def _differences(name: str, expected: set[bytes], there: set[bytes]) -> Iterator[str]:
    yield from (f"{name}: {key!r} is missing" for key in sorted(expected - there))
    yield from (f"{name}: {key!r} belongs to no job" for key in sorted(there - expected))
