"""LMDB: opened, grown, closed, and its transactions run.

Its errors become ours here and nowhere else. A process opens a path once, because LMDB does not
bear it twice; and never uses it in a fork.
"""

from __future__ import annotations

import functools
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import lmdb

from antq_actors.errors import StorageError
from antq_actors.storage.admin.migrate import Migration
from antq_actors.storage.lmdb import directory, file_check
from antq_actors.storage.lmdb.directory import StoreRemoved, removed, storage_error
from antq_actors.storage.lmdb.keys import TABLE_NAMES, Tables
from antq_actors.storage.lmdb.transactions import OpenFiles, Transactions
from antq_actors.storage.locks import store_lock
from antq_actors.storage.locks.store_lock import StoreLock, opening

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

_FIRST_MAP_BYTES: Final = 64 * 2**20
"""Bytes. It doubles when full; the file takes only what is used of it."""
_MOST_READERS: Final = 1024
"""Threads of all processes that may read at once; 64 bytes of the lock file each."""
_LOCK_FILE_BYTES: Final = 64 * _MOST_READERS + 4096
"""Bytes of the lock file; LMDB has as many readers as find room in it."""

_guard = threading.RLock()
_open: Final[dict[Path, Environment]] = {}
_removed: Final[dict[Path, tuple[object, str]]] = {}
"""Stores that were removed while they were open: whose they were, who must make no new one, and
what was found.
"""
_kept: Final[list[Environment]] = []
"""The parent's, in a fork: kept, so that nothing is done at their deletion."""


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


class Environment(Transactions):
    """An open store.

    *durable*: each commit is on disk when it returns. *owner*: opening the same path again with
    the same owner answers the same environment, as the successor of a killed storage actor needs
    it. *map_size*: bytes to begin with. *lock*: held by who needs the store alone, and kept when it
    is closed. *migrate*: also a migration that takes a while is done.

    Raises StorageError when the path cannot be used, saying why, or this process has it open.
    """

    tables: Tables

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durable: bool = True,
        owner: object = None,
        map_size: int = _FIRST_MAP_BYTES,
        lock: StoreLock | None = None,
        migrate: bool = False,
    ) -> Environment:
        """Open the store in the directory *path*, making it if need be."""
        if owner is not None and (error := removal(path, owner)) is not None:
            raise error
        real = directory.prepare(path)
        with _guard:
            there = _open.get(real)
            if there is not None:
                if owner is not None and there._owner is owner:  # noqa: SLF001 - its own kind
                    return there
                raise StorageError(
                    f"{real} is already open in this process; use the AntQ that has it, or stop"
                    " that one first"
                )
            with opening(real), ExitStack() as undo:
                held = StoreLock(real) if lock is None else lock
                if lock is None:
                    undo.callback(held.release)
                env = cls(real, durable=durable, owner=owner, map_size=map_size, lock=held)
                undo.callback(env.close)
                _bring_up_to_date(env, migrate=migrate)
                undo.pop_all()
            return env

    def __init__(
        self, path: Path, *, durable: bool, owner: object, map_size: int, lock: StoreLock
    ) -> None:
        super().__init__(path, lock, durable=durable)
        self._owner = owner
        store_lock.check_lmdb_lock(path, lock)
        directory.reserve_lock_file(path, _LOCK_FILE_BYTES)
        file_check.check(path)
        with ExitStack() as undo:
            self._lmdb_lock = store_lock.LmdbLock(path)
            undo.callback(self._lmdb_lock.release)
            try:
                self._env = lmdb.open(
                    os.fsencode(path),  # LMDB would take text for UTF-8, which a path need not be
                    map_size=map_size,
                    max_dbs=len(TABLE_NAMES),
                    max_readers=_MOST_READERS,
                    sync=durable,
                    mode=0o600,
                )
                undo.callback(self._env.close)
                self._begin_read = self._env.begin
                self._begin_write = functools.partial(self._env.begin, write=True)
                self._files = OpenFiles(path, (lock, self._lmdb_lock))
                self.clear_dead_readers()
                self.tables = open_tables(self._env, path)
            except (lmdb.Error, OSError) as error:
                raise storage_error(error, path) from error
            undo.pop_all()
        _open[path] = self

    def close(self) -> None:
        """Close it; once more is no error. In a fork it does nothing: it is the parent's."""
        with self._write_lock, self._map_lock, _guard:
            if self._closed or self._pid != os.getpid():
                return
            self._closed = True
            del _open[self.path]
            self._env.close()
            self._lmdb_lock.release()
            if not self._lock.is_exclusive:
                self._lock.release()

    def copy(self, directory: Path) -> None:
        """Copy it as it is now, without its gaps, into an empty directory, while others go on.

        What is not used any more is not reused until it is done. Raises StorageError.
        """
        try:
            with self._map_lock:
                self._check()
                self._env.copy(os.fsencode(directory), compact=True)  # type: ignore[arg-type] # bytes do
        except (lmdb.Error, OSError) as error:
            raise storage_error(error, directory) from error

    def inspect(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """Return what *work* returns in a read transaction that may be long; all others go on.

        Pages that are freed in the meantime are not reused until it is done, so the file may grow.
        """
        try:
            self._check()
            with self._map_lock, self._env.begin() as txn:
                return work(txn)
        except lmdb.Error as error:
            raise storage_error(error, self.path) from error

    def freeze(self, timeout: float) -> bool:
        """Have the environment alone until :meth:`unfreeze`; False: not within so many seconds."""
        if not self._write_lock.acquire(timeout=timeout):
            return False
        if self._map_lock.acquire(timeout=timeout):
            return True
        self._write_lock.release()
        return False

    def unfreeze(self) -> None:
        """Let others have it again."""
        self._map_lock.release()
        self._write_lock.release()

    def _abandon(self) -> None:
        """Let go, in a fork, of the copy of what stays open in the parent."""
        self._env.close()

    def _note_removal(self, finding: str) -> None:
        """Remember it for the successor of a killed storage actor."""
        if self._owner is not None:
            _removed[self.path] = self._owner, finding


def removal(path: str | os.PathLike[str], owner: object = None) -> StoreRemoved | None:
    """Return the error of a store that was removed while it was open, and is not closed for good.

    *owner*: only if it was his.
    """
    real = Path(os.path.realpath(path))
    whose, finding = _removed.get(real, (None, ""))
    if whose is None or owner not in (None, whose):
        return None
    return removed(real, finding)


def opened(path: str | os.PathLike[str]) -> Environment | None:
    """Return the environment of *path* that this process has open, if it has."""
    return _open.get(Path(os.path.realpath(path)))


def _bring_up_to_date(env: Environment, *, migrate: bool) -> None:
    """Migrate a store of an older format: at once if that takes a moment, or if it was asked for.

    Raises StorageError when it takes longer, or another process has the store open. That is one of
    an earlier release: one of this waits until the store is opened here.
    """
    migration = Migration(env._env, env.tables, env.path)  # noqa: SLF001 - a part of it
    migration.begin()
    if not migration.is_due:
        return
    if not migrate:
        migration.check_brevity()
    lock = env._lock  # noqa: SLF001 - a part of it
    if lock.is_exclusive:
        migration.run(env.write)
        return
    if not lock.take_exclusively():
        raise migration.in_use_error()
    migration.run(env.write)
    lock.share()


def close_left_open(path: str | os.PathLike[str], owner: object) -> None:
    """Close what a killed storage actor of *owner* left open, if nobody took it over.

    Its thread may be at its last transaction; that one is waited for.
    """
    real = Path(os.path.realpath(path))
    env = _open.get(real)
    if env is not None and env._owner is owner:  # noqa: SLF001 - its own kind
        env.close()
    if removal(real, owner) is not None:
        del _removed[real]


# A fork copies the environments, but LMDB binds them to the parent. Between two transactions a
# copy can be closed without touching anything that the parent shares, and the child may then open
# the path itself. So a fork waits for the write lock, as everyone else.

_FORK_TIMEOUT_SECONDS: Final = 5.0
_held_over_fork: Final[list[Environment]] = []


def _before_fork() -> None:
    _guard.acquire()
    _held_over_fork.extend(env for env in _open.values() if env.freeze(_FORK_TIMEOUT_SECONDS))


def _after_in_parent() -> None:
    for env in _held_over_fork:
        env.unfreeze()
    _held_over_fork.clear()
    _guard.release()


def _after_in_child() -> None:
    _kept.extend(_open.values())
    _open.clear()
    for env in _held_over_fork:
        env._abandon()  # noqa: SLF001 - its own kind
    _after_in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
