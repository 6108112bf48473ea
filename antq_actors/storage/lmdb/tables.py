"""The tables of a store: LMDB's handles of them, and how those of a new store are made.

What their keys are is in :mod:`~antq_actors.storage.lmdb.keys`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, cast

import lmdb

from antq_actors.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from lmdb import _Database

    from antq_actors.storage.format.cipher import Cipher


@dataclass(frozen=True, slots=True)
class Tables:
    """LMDB's handles of the tables, good for every transaction of their environment."""

    jobs: _Database
    """id → state, digest, and the spec if it is small; what a change of status rewrites."""
    payloads: _Database
    """id → a spec that is not; written once."""
    errors: _Database
    """One entry each, for the jobs that have any."""
    index: _Database
    """The order of work and that of ids; and the ids of what ended, by time."""
    unique: _Database
    """Which unique jobs there are, by status; keys only."""
    meta: _Database
    """The format, counters, pauses, nodes; how many jobs a lane has, with no row for none."""
    environment: lmdb.Environment
    cipher: Cipher | None = field(default=None, kw_only=True)
    """What is encrypted and decrypted with here; None: nothing."""

    def further(self, txn: lmdb.Transaction, name: str) -> _Database:
        """Return LMDB's handle of one of `FURTHER_TABLES`, good for the transaction *txn*.

        It is opened by the first transaction that needs it: an open table costs each transaction.
        Only for transactions that no other one of this process runs beside.
        """
        return opened_in(txn, self.environment, name.encode())

    def has_rows(self, txn: lmdb.Transaction, name: str) -> bool:
        """Read whether one of `FURTHER_TABLES` has rows, by the last commit, without opening it.

        LMDB keeps a record of each table in its main one; the number of the table's root page is
        at its end.
        """
        record = bytes(txn.get(name.encode()) or _NO_ROOT)
        return not record.endswith(_NO_ROOT)


_NO_TABLES: Final = {"environment", "cipher"}
TABLE_NAMES: Final = tuple(each.name for each in fields(Tables) if each.name not in _NO_TABLES)

FURTHER_TABLES: Final = (
    *("gates", "openings", "limits", "crons", "cron_due"),
    *("edges", "waits", "groups", "members", "results", "steps", "progress", "tasks"),
    *("history", "charts", "audit", "breakpoints", "bulks", "imports"),
)
"""Tables that every store has, empty until they are needed: of limits, schedules, workflows, and of
what is shown of jobs and queues. So their first rows need no further format.
"""
_NO_ROOT: Final = b"\xff" * 8
"""In place of the number of its root page, an empty table has this."""
MOST_TABLES: Final = 32
"""That LMDB has room for, with those of older formats."""


def make_store(path: Path, map_size: int, *, durable: bool) -> None:
    """Make the LMDB tables of a new store in *path*; one that is there is left as it is.

    LMDB is opened for that alone: most of these tables are for later, and each transaction of an
    environment costs more with every table that it has made or opened.
    """
    data = path / "data.mdb"
    if data.exists() and data.stat().st_size:
        return
    env = lmdb.open(
        os.fsencode(path), map_size=map_size, max_dbs=MOST_TABLES, mode=0o600, sync=durable
    )
    try:
        with env.begin(write=True) as txn:
            make_tables(env, txn)
    finally:
        env.close()


def open_tables(env: lmdb.Environment, path: Path) -> Tables:
    """Return the handles of the store's LMDB tables; make those that it lacks.

    All of a new store's, and of an older store those that have come since: empty tables, of which
    an earlier release knows nothing. Raises StorageError for an environment of something else.
    """
    with env.begin() as txn:
        names = (*TABLE_NAMES, *FURTHER_TABLES)
        are_there = all(txn.get(name.encode()) is not None for name in names)
    if not are_there:
        with env.begin(write=True) as txn:
            if txn.stat()["entries"] and txn.get(b"meta") is None:
                raise StorageError(
                    f"{path} holds an LMDB environment of another program; give another path"
                )
            make_tables(env, txn)
    handles = {name: env.open_db(name.encode(), create=False) for name in TABLE_NAMES}
    return Tables(**handles, environment=env, cipher=None)


def opened_in(txn: lmdb.Transaction, env: lmdb.Environment, name: bytes) -> _Database:
    """Return the handle of a table, opened by a transaction. Raises lmdb.Error if that is over.

    The handler of a signal may have aborted it to begin one of its own, and py-lmdb's ``open_db``,
    unlike all else, would end the process then. So something that fails is called first, in one
    step of the interpreter with it: no handler comes in between.
    """
    calls: tuple[Any, Any] = (txn.id, partial(env.open_db, name, txn=txn, create=False))
    _, table = map(methodcaller("__call__"), calls)
    return cast("_Database", table)


def make_tables(env: lmdb.Environment, txn: lmdb.Transaction) -> None:
    """Make the LMDB tables that a store lacks; other processes see none or all of them."""
    for name in (*TABLE_NAMES, *FURTHER_TABLES):
        env.open_db(name.encode(), txn=txn)
