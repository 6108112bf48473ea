"""The tables of a store; :mod:`~antq_actors.storage.lmdb.keys` has their keys."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from antq_actors.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    import lmdb
    from lmdb import _Database


@dataclass(frozen=True, slots=True)
class Tables:
    """LMDB's handles of the tables, good for every transaction of their environment."""

    jobs: _Database
    """id → state and digest; the only record that a change of status rewrites."""
    payloads: _Database
    """id → spec; written once."""
    errors: _Database
    """One entry each, for the jobs that have any."""
    index: _Database
    """The order of work; keys only."""
    listing: _Database
    """The order of ids where ``index`` has another; keys only."""
    unique: _Database
    """Which unique jobs there are, by status; keys only."""
    counts: _Database
    """How many jobs a queue has in a status; no row for none."""
    meta: _Database
    """The format, counters, pauses, nodes."""


TABLE_NAMES: Final = tuple(field.name for field in fields(Tables))


def open_tables(env: lmdb.Environment, path: Path) -> Tables:
    """Open the tables, making those of a new store.

    Raises StorageError for an environment of something else.
    """
    with env.begin() as txn:
        are_there = all(txn.get(name.encode()) is not None for name in TABLE_NAMES)
    if not are_there:
        _make_tables(env, path)
    return Tables(**{name: env.open_db(name.encode(), create=False) for name in TABLE_NAMES})


def _make_tables(env: lmdb.Environment, path: Path) -> None:
    """Make all in one transaction: who opens the store in the meantime sees none or all of them."""
    with env.begin(write=True) as txn:
        if txn.stat()["entries"] and txn.get(b"meta") is None:
            raise StorageError(
                f"{path} holds an LMDB environment of another program; give another path"
            )
        for name in TABLE_NAMES:
            env.open_db(name.encode(), txn=txn)
