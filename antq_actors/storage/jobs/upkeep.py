"""When a store was last looked after: pruned, verified, backed up.

    meta       "upkeep:" and what was done    when, and what came of it

The last of each kind is kept, for those that look whether it is done at all.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from antq_actors.jobs import instant
from antq_actors.jobs.instant import Instant  # msgspec reads annotations
from antq_actors.storage.lmdb.scan import value_of

if TYPE_CHECKING:
    import lmdb

    from antq_actors.storage.lmdb.environment import Environment
    from antq_actors.storage.lmdb.tables import Tables

UPKEEP: Final = b"upkeep:"
"""Behind all rows of ``meta`` that a claim looks for."""

PRUNED: Final = "pruned"
VERIFIED: Final = "verified"
BACKED_UP: Final = "backed up"


class Upkeep(msgspec.Struct, frozen=True, array_like=True):
    """Something that was done for a store."""

    at: Instant
    count: int = 0
    """Of jobs that were pruned, or findings of a verification."""
    text: str = ""
    """Where a backup is."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Upkeep).decode


def note(txn: lmdb.Transaction, tables: Tables, what: str, done: Upkeep) -> None:
    """Store that something was done."""
    txn.put(UPKEEP + what.encode(), _encode(done), db=tables.meta)


def last(txn: lmdb.Transaction, tables: Tables, what: str) -> Upkeep | None:
    """Read when something was done last; None: never, as far as is known."""
    stored = value_of(txn, tables.meta, UPKEEP + what.encode())
    if stored is None:
        return None
    with suppress(msgspec.MsgspecError):
        return _decode(stored)
    return None


def note_in(env: Environment, what: str, *, count: int = 0, text: str = "") -> None:
    """Store that something was done, in an open store. Raises StorageError where it refuses."""
    done = Upkeep(instant.now(), count, text)
    env.write(lambda txn: note(txn, env.tables, what, done))
