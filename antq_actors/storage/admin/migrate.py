"""From an older format of a store to the present one, a step a version.

A step is done in batches. Each is one transaction and also notes how far it got, so a migration
that was killed goes on where it was. From the first batch on the store has the number of the new
format: an earlier release refuses it, half done or not, and this one opens it for nothing but
going on. An application migrates the store that it opens, however large that is; what only looks
at a store refuses an older one.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import lmdb
from msgspec.structs import replace

from antq_actors.errors import StorageError
from antq_actors.jobs.state import ENDED
from antq_actors.storage.format import encoding
from antq_actors.storage.format.pickled import converted
from antq_actors.storage.jobs.table import add_row, put_all
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_from, value_of
from antq_actors.storage.lmdb.tables import TABLE_NAMES, Tables, make_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lmdb import _Database

    Write = Callable[[Callable[[lmdb.Transaction], "_Progress | None"]], "_Progress | None"]
    """Does something in a write transaction, enlarges the map if need be, returns its result."""

log: Final = logging.getLogger("antq_actors.storage")

FORMAT_KEY: Final = b"format"
_PROGRESS_KEY: Final = b"migrating"
BATCH: Final = 1_000
"""Records rewritten in one transaction, at most."""
_MOST_BATCH_BYTES: Final = 2**24
"""Of records after which a transaction reads no more: arguments may have megabytes."""
_LOG_SECONDS: Final = 5.0
"""Between two lines that say how far it is."""


@dataclass(frozen=True, slots=True)
class OlderTables(Tables):
    """The tables of a store of an older format; those that it does not have are None."""

    listing: _Database | None
    """Up to format 3: lane, id, of the jobs whose lanes have another order; keys only."""
    counts: _Database | None
    """Up to format 3: how many jobs a lane has."""


Batch: TypeAlias = (
    "Callable[[lmdb.Transaction, OlderTables, bytes, int, encoding.Signer], _Following]"
)
"""Rewrite up to so many records from a key on; return the key to go on from, None at the end, and
how many they were. What it signs anew must have been verified by the signer.
"""
_Following: TypeAlias = "tuple[bytes | None, int]"


class Step:
    """How a store of one format becomes one of the next: *parts*, one after another.

    *what* is for the log.
    """

    def __init__(self, what: str, *parts: Batch) -> None:
        self.what = what
        self.parts = parts


def next_items(
    txn: lmdb.Transaction, table: _Database, start: bytes, limit: int
) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
    """Read up to *limit* rows of an LMDB table from a key on, and the key of the next.

    They are fewer if they are large, and one at least.
    """
    found: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in items_from(txn, table, start):
        if len(found) >= limit or size >= _MOST_BATCH_BYTES:
            return found, key
        found.append((key, value))
        size += len(value)
    return found, None


# ---- from format 1 --------------------------------------------------------------------------


def _seal_specs(
    txn: lmdb.Transaction, tables: OlderTables, start: bytes, limit: int, _signer: encoding.Signer
) -> _Following:
    """Write a checksum before the specs of a batch of jobs; return the key to go on from."""
    bare = encoding.Signer()
    batch, following = next_items(txn, tables.payloads, start, limit)
    for key, payload in batch:
        if not encoding.is_protected(payload):
            txn.put(key, bare.sign(payload), db=tables.payloads)
    return following, len(batch)


# ---- from format 2 --------------------------------------------------------------------------


def _rewrite_nothing(*_: object) -> _Following:
    """Rewrite no records of jobs: what older records lack has a default."""
    return None, 0


# ---- from format 3 --------------------------------------------------------------------------
def _convert_args(
    txn: lmdb.Transaction, tables: OlderTables, start: bytes, limit: int, signer: encoding.Signer
) -> _Following:
    """Write the arguments of a batch of jobs as msgpack; return the key to go on from.

    What is damaged stays as it is, and so does what is signed with a key that *signer* lacks. What
    has a checksum gets one, also where jobs are signed: no planted job becomes a valid one.
    """
    unsigned = encoding.Signer()
    batch, following = next_items(txn, tables.payloads, start, limit)
    for key, payload in batch:
        suitable = signer if encoding.is_signed(payload) else unsigned
        if suitable.has_keys != encoding.is_signed(payload):
            continue
        with suppress(StorageError):
            spec = encoding.decode_spec(suitable.verify(payload))
            args = converted(spec.args)
            if args is not spec.args:
                encoded = encoding.encode_spec(replace(spec, args=args))
                txn.put(key, suitable.sign(encoded), db=tables.payloads)
    return following, len(batch)


# From here on neither states nor specs are decoded: what is damaged stays as it is.


def _join_records(
    txn: lmdb.Transaction, tables: OlderTables, start: bytes, limit: int, _signer: encoding.Signer
) -> _Following:
    """Write the size of its head before a job's record, and a small spec behind it."""
    batch, following = next_items(txn, tables.jobs, start, limit)
    records = []
    for key, record in batch:
        payload = value_of(txn, tables.payloads, key) or b""  # one at a time: it may be large
        head = len(record[:_LONGEST_HEAD_BYTES]).to_bytes(2) + record[:_LONGEST_HEAD_BYTES]
        if not 0 < len(payload) <= encoding.MOST_INLINE_BYTES:
            records.append((key, head))
            continue
        records.append((key, head + payload))
        txn.delete(key, db=tables.payloads)
    put_all(txn, tables.jobs, records)
    return following, len(batch)


_LONGEST_HEAD_BYTES: Final = 2**16 - 1


def _gather_ended(
    txn: lmdb.Transaction, tables: OlderTables, start: bytes, limit: int, _signer: encoding.Signer
) -> _Following:
    """Write the ids of ended jobs to rows, one for all that ended together in a lane."""
    first, *_, last = sorted(keys.lane(status, "a")[:1] for status in ENDED)
    batch, following = next_items(txn, tables.index, max(start, first), limit)
    found = [key for key, _ in batch if key[:1] <= last]
    with txn.cursor(tables.index) as index:
        for place, group in groupby(found, keys.without_id):
            lane = keys.lane_in(place + keys.job_key(0))
            if keys.is_lane(lane):  # else it is no key of a job: the store is damaged
                together = list(group)
                prefix = keys.ends_prefix(keys.order_in(together[0]))
                add_row(index, prefix, list(map(keys.id_part, together)))
                for key in together:
                    index.pop(key)
    return following if len(found) == len(batch) else None, len(found)


def _list_in_index(
    txn: lmdb.Transaction, tables: OlderTables, start: bytes, limit: int, _signer: encoding.Signer
) -> _Following:
    """Move entries of the table ``listing`` to the index."""
    if tables.listing is None:
        return None, 0
    batch, following = next_items(txn, tables.listing, start, limit)
    put_all(txn, tables.index, [(keys.listing_lane(key), b"") for key, _ in batch])
    for key, _ in batch:
        txn.delete(key, db=tables.listing)
    return following, len(batch)


def _count_in_meta(
    txn: lmdb.Transaction, tables: OlderTables, start: bytes, limit: int, _signer: encoding.Signer
) -> _Following:
    """Move rows of the table ``counts`` to that of the small facts."""
    if tables.counts is None:
        return None, 0
    batch, following = next_items(txn, tables.counts, start, limit)
    for lane, count in batch:
        txn.put(keys.COUNT + lane, count, db=tables.meta)
        txn.delete(lane, db=tables.counts)
    return following, len(batch)


STEPS: Final[Sequence[Step]] = (
    Step("sealing what jobs were enqueued with", _seal_specs),
    # An earlier release would take an error with its type for a damaged one, and forget starts.
    Step("noting the types of errors, and when jobs start", _rewrite_nothing),
    # An earlier release knows pickled arguments alone, and a state and a spec by itself.
    Step(
        "writing arguments as msgpack, and small jobs as one record each",
        *(_convert_args, _join_records, _gather_ended, _list_in_index, _count_in_meta),
    ),
    # An earlier release would start jobs that wait for a limit, and forget limits and entries.
    Step("making room for limits and periodic jobs", _rewrite_nothing),
    # An earlier release would never release what waits for other jobs, forget its results, and take
    # the number of a limit's gate for a damaged gate.
    Step("making room for workflows and results", _rewrite_nothing),
    # An earlier release would drop what is kept beside arguments when it writes a job anew.
    Step("making room for what is kept beside arguments", _rewrite_nothing),
)
"""The first leads from format 1 to format 2, and so on."""

FORMAT: Final = 1 + len(STEPS)
"""Grows with every change that an older release could not read."""


class Migration:
    """Brings the store in *path* to the last format of *steps*.

    *signer*: with it, jobs that it has signed are rewritten, too. Raises StorageError for a format
    that is newer than that.
    """

    def __init__(
        self,
        env: lmdb.Environment,
        tables: Tables,
        path: Path,
        steps: Sequence[Step] = STEPS,
        *,
        signer: encoding.Signer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._env = env
        self._tables = tables
        self._path = path
        self._steps = steps
        self._signer = signer or encoding.Signer()
        self._clock = clock
        self._next_line = 0.0
        with env.begin() as txn:
            self.found = int(txn.get(FORMAT_KEY, db=tables.meta) or 0)
            self._jobs: int = txn.stat(tables.jobs)["entries"]
            progress = _Progress.read(txn, tables)
        self._wanted = 1 + len(steps)
        if self.found > self._wanted:
            raise StorageError(
                f"{path} was written by a newer antq_actors (format {self.found}; this one reads up"
                f" to {self._wanted}): upgrade antq-actors, or give another path"
            )
        self._is_half_done = progress is not None
        if progress is not None:
            self.found = progress.version

    def begin(self) -> None:
        """Write the format number of a store that has none yet: its tables were just made.

        So a store half made by a process that died is made to the end by the next.
        """
        if self.found == 0:
            with self._env.begin(write=True) as txn:
                txn.put(FORMAT_KEY, b"%d" % self._wanted, db=self._tables.meta)

    @property
    def is_due(self) -> bool:
        """Whether the store has an older format and has to be migrated."""
        return 0 < self.found < self._wanted

    def due_error(self) -> StorageError:
        """Return the error for who only looks at the store and therefore does not migrate it."""
        begun = "is being" if self._is_half_done else "has to be"
        return StorageError(
            f"{self._path} {begun} brought from format {self.found} to {self._wanted}, and a"
            " command that looks at jobs does not do that: run"
            f" `antq migrate --path {self._path}`, or start the application"
        )

    def in_use_error(self) -> StorageError:
        """Return the error for a store that cannot be migrated, as another process has it open."""
        return StorageError(
            f"{self._path} has to be brought from format {self.found} to {self._wanted}, and a"
            " process of an earlier antq_actors has it open: stop that one, then repeat this"
        )

    def run(self, write: Write) -> None:
        """Migrate the store, or go on with that, each batch of records in a transaction of *write*.

        No other process may have the store open.
        """
        tables = self._older_tables()
        for version in range(self.found, self._wanted):
            step = self._steps[version - 1]
            log.warning("%s: format %d to %d: %s", self._path, version, version + 1, step.what)
            self._next_line = self._clock() + _LOG_SECONDS
            while (progress := write(partial(self._one_batch, tables, version))) is not None:
                self._log_progress(step, progress)
        log.warning("%s has format %d now, with %d jobs", self._path, self._wanted, self._jobs)

    def _log_progress(self, step: Step, progress: _Progress) -> None:
        if self._clock() < self._next_line:
            return
        self._next_line = self._clock() + _LOG_SECONDS
        log.warning(
            "%s: format %d to %d, part %d of %d: %d of %d jobs",
            self._path,
            progress.version,
            progress.version + 1,
            progress.part + 1,
            len(step.parts),
            min(progress.done, self._jobs),
            self._jobs,
        )

    def _older_tables(self) -> OlderTables:
        older: dict[str, _Database | None] = {"listing": None, "counts": None}
        for name in older:
            with suppress(lmdb.NotFoundError):
                older[name] = self._env.open_db(name.encode(), create=False)
        handles = {name: getattr(self._tables, name) for name in TABLE_NAMES}
        return OlderTables(
            **handles,
            environment=self._env,
            listing=older["listing"],
            counts=older["counts"],
        )

    def _one_batch(
        self, tables: OlderTables, version: int, txn: lmdb.Transaction
    ) -> _Progress | None:
        """Rewrite a batch of records and note the progress; return it, None if the step is done."""
        meta, parts = self._tables.meta, self._steps[version - 1].parts
        found = _Progress.read(txn, self._tables)
        if found is None or found.version != version:
            found = _Progress(version)
        following, count = parts[found.part](txn, tables, found.start, BATCH, self._signer)
        txn.put(FORMAT_KEY, b"%d" % self._wanted, db=meta)
        if following is not None:
            progress = found._replace(start=following, done=found.done + count)
        elif found.part + 1 < len(parts):
            progress = _Progress(version, found.part + 1)
        elif version + 1 < self._wanted:
            _Progress(version + 1).write(txn, self._tables)
            return None
        else:
            txn.delete(_PROGRESS_KEY, db=meta)
            make_tables(self._env, txn)
            return None
        progress.write(txn, self._tables)
        return progress


class _Progress(NamedTuple):
    """How far a migration is."""

    version: int
    """The format that it is coming from."""
    part: int = 0
    """Of the step."""
    done: int = 0
    """Records of this part."""
    start: bytes = b""
    """The key to go on from."""

    @classmethod
    def read(cls, txn: lmdb.Transaction, tables: Tables) -> _Progress | None:
        """Read how far the store's migration is; None: none is under way."""
        numbers, separator, start = (value_of(txn, tables.meta, _PROGRESS_KEY) or b"").partition(
            b":"
        )
        try:
            version, part, done = map(int, numbers.split())
        except ValueError:
            return None
        return cls(version, part, done, start) if separator else None

    def write(self, txn: lmdb.Transaction, tables: Tables) -> None:
        """Store how far the migration is."""
        numbers = b"%d %d %d:" % (self.version, self.part, self.done)
        txn.put(_PROGRESS_KEY, numbers + self.start, db=tables.meta)
