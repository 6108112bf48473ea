"""From an older format of a store to the present one, a step a version.

A step is done in batches. Each is one transaction and also notes how far it got, so a migration
that was killed goes on where it was. At its start an application does what takes a moment; what
takes longer is for the operator to begin (``antq migrate``), and nobody opens a store that is
half done.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import StorageError
from antq_actors.storage.format import encoding
from antq_actors.storage.format.pickled import converted
from antq_actors.storage.lmdb.keys import items_from

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import lmdb

    from antq_actors.storage.lmdb.keys import Tables

    Write = Callable[[Callable[[lmdb.Transaction], bool]], bool]
    """Does something in a write transaction, enlarges the map if need be, answers its answer."""

log: Final = logging.getLogger("antq_actors.storage")

FORMAT_KEY: Final = b"format"
_PROGRESS_KEY: Final = b"migrating"
BATCH: Final = 1_000
"""Records rewritten in one transaction."""
_A_MOMENT: Final = 10_000
"""Most jobs for which a step that rewrites records is done at the start of an application."""


class Step(NamedTuple):
    """How a store of one format becomes one of the next."""

    what: str
    """For the log."""
    batch: Callable[[lmdb.Transaction, Tables, bytes, int, encoding.Signer], bytes | None]
    """Rewrite up to so many records from a key on; return the key to go on from, None at the end.
    Done twice, it must come to the same. What it signs anew must have been verified by the signer.
    """
    takes_a_moment: bool = False
    """Whether it does, however many jobs there are."""


def payloads(
    txn: lmdb.Transaction, tables: Tables, start: bytes, limit: int
) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
    """Read up to *limit* specs' stored bytes from a key on, and the key of the next."""
    found = list(islice(items_from(txn, tables.payloads, start), limit + 1))
    return found[:limit], found[limit][0] if len(found) > limit else None


def _seal_specs(
    txn: lmdb.Transaction, tables: Tables, start: bytes, limit: int, _: encoding.Signer
) -> bytes | None:
    """Write a checksum before the specs of a batch of jobs; return the key to go on from."""
    bare = encoding.Signer()
    batch, following = payloads(txn, tables, start, limit)
    for key, payload in batch:
        if not encoding.is_protected(payload):
            txn.put(key, bare.sign(payload), db=tables.payloads)
    return following


def _convert_args(
    txn: lmdb.Transaction, tables: Tables, start: bytes, limit: int, signer: encoding.Signer
) -> bytes | None:
    """Write the arguments of a batch of jobs as msgpack; return the key to go on from.

    What is damaged stays as it is, and so does what is signed with a key that *signer* lacks. What
    has a checksum gets one, also where jobs are signed: no planted job becomes a valid one.
    """
    unsigned = encoding.Signer()
    batch, following = payloads(txn, tables, start, limit)
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
    return following


def _rewrite_nothing(*_: object) -> None:
    """Rewrite no records of jobs: what older records lack has a default."""


STEPS: Final[Sequence[Step]] = (
    Step("sealing what jobs were enqueued with", _seal_specs),
    # An earlier release would take an error with its type for a damaged one, and forget starts.
    Step("noting the types of errors, and when jobs start", _rewrite_nothing, takes_a_moment=True),
    # An earlier release knows pickled arguments alone.
    Step("writing arguments as msgpack", _convert_args, takes_a_moment=True),
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
        signer: encoding.Signer | None = None,
    ) -> None:
        self._env = env
        self._tables = tables
        self._path = path
        self._steps = steps
        self._signer = signer or encoding.Signer()
        with env.begin() as txn:
            self.found = int(txn.get(FORMAT_KEY, db=tables.meta) or 0)
            self._jobs: int = txn.stat(tables.jobs)["entries"]
            self._is_half_done = txn.get(_PROGRESS_KEY, db=tables.meta) is not None
        self._wanted = 1 + len(steps)
        if self.found > self._wanted:
            raise StorageError(
                f"{path} was written by a newer antq_actors (format {self.found}; this one reads up"
                f" to {self._wanted}): upgrade antq-actors, or give another path"
            )

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

    def check_brevity(self) -> None:
        """Raise StorageError, with what to do, when the migration takes longer than a moment."""
        takes_long = not all(step.takes_a_moment for step in self._steps[self.found - 1 :])
        if self._is_half_done or (takes_long and self._jobs > _A_MOMENT):
            begun = "is being brought" if self._is_half_done else "has to be brought"
            raise StorageError(
                f"{self._path} {begun} from format {self.found} to {self._wanted}, which takes a"
                f" while for {self._jobs} jobs: make a backup, then run"
                f" `antq migrate --path {self._path}`"
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
        for version in range(self.found, self._wanted):
            step = self._steps[version - 1]
            log.warning("%s: format %d to %d: %s", self._path, version, version + 1, step.what)
            while write(partial(self._one_batch, step, version)):
                pass

    def _one_batch(self, step: Step, version: int, txn: lmdb.Transaction) -> bool:
        """Rewrite a batch of records and note the progress; return whether more are left."""
        meta = self._tables.meta
        start = bytes(txn.get(_PROGRESS_KEY, b"", db=meta))
        following = step.batch(txn, self._tables, start, BATCH, self._signer)
        if following is not None:
            txn.put(_PROGRESS_KEY, following, db=meta)
            return True
        txn.delete(_PROGRESS_KEY, db=meta)
        txn.put(FORMAT_KEY, b"%d" % (version + 1), db=meta)
        return False
