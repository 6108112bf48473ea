"""LMDB: opened, grown, closed, and its transactions run.

Its errors become ours here and nowhere else. A process opens a path once, because LMDB does not
bear it twice; and never uses it in a fork.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import lmdb

from antq_actors.errors import ForkError, StorageError
from antq_actors.storage.admin.migrate import Migration
from antq_actors.storage.lmdb import directory, file_check
from antq_actors.storage.lmdb.directory import StoreRemoved, removed, storage_error
from antq_actors.storage.lmdb.open_files import OpenFiles
from antq_actors.storage.lmdb.tables import TABLE_NAMES, Tables, open_tables
from antq_actors.storage.lmdb.uncollected import uncollected
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

_COMMIT: Final = lmdb.Transaction.commit
_NO_DATABASE: Final = (None,)
"""The argument of the one call that begins a transaction."""

_LOCKS_SECONDS: Final = 1.0
"""Between two times that LMDB's locks are taken again; it costs a microsecond."""

_guard = threading.RLock()
_open: Final[dict[Path, Environment]] = {}
_removed: Final[dict[Path, tuple[object, str]]] = {}
"""Stores that were removed while they were open: whose they were, who must make no new one, and
what was found.
"""
_kept: Final[list[Environment]] = []
"""The parent's, in a fork: kept, so that nothing is done at their deletion."""


class _UnderWay:
    """A transaction, as far as it has come."""

    __slots__ = ("has_ended", "is_repeated", "txns")

    def __init__(self) -> None:
        self.txns: list[lmdb.Transaction] = []
        """The one, from the very step on in which it begins."""
        self.has_ended = False
        self.is_repeated = False
        """Whether it was aborted to make room for another one of its thread."""

    def abort(self) -> None:
        """End it, without its changes unless it was committed."""
        for txn in self.txns:
            txn.abort()
        self.has_ended = True


def _is_owned(lock: threading.RLock) -> bool:
    """Return whether this thread holds *lock*; as a Condition asks."""
    return bool(lock._is_owned())  # type: ignore[attr-defined] # noqa: SLF001


class Environment:
    """An open store.

    *durable*: each commit is on disk when it returns. *owner*: opening the same path again with
    the same owner answers the same environment, as the successor of a killed storage actor needs
    it. *map_size*: bytes to begin with. *lock*: held by who needs the store alone, and kept when it
    is closed. *migrate*: also a migration that takes a while is done.

    Raises StorageError when the path cannot be used, saying why, or this process has it open.
    """

    path: Path
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
        self.path = path
        self._durable = durable
        self._lock = lock
        self._locks_due = 0.0
        """When LMDB's locks are taken again."""
        self._owner = owner
        self._pid = os.getpid()
        self._closed = False
        self._write_lock = threading.RLock()
        """Who holds it has the environment alone: a killed storage actor's thread may still be
        at its last transaction when its successor begins, and a map must not grow under it.
        """
        self._under_way = _UnderWay()
        self._under_way.has_ended = True
        """The transaction of whoever has the write lock."""
        self._map_lock = threading.RLock()
        """Who holds it keeps the map from being enlarged or closed, and nobody from writing."""
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
                self._env_read = self._env.begin
                self._env_write = functools.partial(self._env.begin, write=True)
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
        """Return what *work* answers, in a read transaction that may be long; others go on.

        What is not used any more is not reused until it is done, so the file may grow.
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

    def write(self, work: Callable[[lmdb.Transaction], T], commits: list[None] | None = None) -> T:
        """Return what *work* returns, in a write transaction that is committed if it returns.

        *commits* gets an entry in the very step that commits. *work* may be repeated, as when the
        map was full and is enlarged: it must change nothing but the transaction. Raises what *work*
        raises, having changed nothing; StorageError when LMDB fails, StorageFull when the disk is
        full.
        """
        noted: list[None] = [] if commits is None else commits

        def work_and_commit(txn: lmdb.Transaction) -> T:
            result = work(txn)
            self._check_files()
            # One call, so that no exception and no handler of a signal comes between its halves.
            noted.extend(map(_COMMIT, (txn,)))
            return result

        while True:
            try:
                return self._transact(work_and_commit, write=True)
            except lmdb.MapFullError:
                self._grow()
            except lmdb.Error as error:
                raise storage_error(error, self.path) from error

    def read(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """Return what *work* answers, in a read transaction.

        Keep it short: while it lasts, no page is reused, and the file grows for good.
        """

        def checked(txn: lmdb.Transaction) -> T:
            self._check_files()
            return work(txn)

        try:
            return self._transact(checked, write=False)
        except lmdb.Error as error:
            raise storage_error(error, self.path) from error

    def _transact(self, work: Callable[[lmdb.Transaction], T], *, write: bool) -> T:
        """Return what *work* returns, in a transaction.

        The handler of a signal that comes in the middle of it may need one of its own, in this very
        thread, and could wait for ever for this one to end. So it aborts it, and *work* is
        repeated. Finalizers could do so, too, but they may come in the middle of LMDB's own code:
        the collector has to wait.
        """
        is_outermost = not _is_owned(self._write_lock)
        try:
            return self._transact_or_repeat(work, write=write)
        except BaseException:
            if is_outermost:
                self._let_go()
            raise

    def _transact_or_repeat(self, work: Callable[[lmdb.Transaction], T], *, write: bool) -> T:
        while True:
            mine = _UnderWay()
            try:
                with self._write_lock, uncollected:
                    self._abort_outer()
                    self._under_way = mine
                    try:
                        self._begin(mine.txns, write=write)
                        with mine.txns[0] as txn:
                            return work(txn)
                    finally:
                        mine.abort()
            except lmdb.Error:
                if not mine.is_repeated:
                    raise

    def _abort_outer(self) -> None:
        """Abort the transaction within which this thread, further up, needs another one."""
        outer = self._under_way
        if not outer.has_ended:
            outer.is_repeated = True
            outer.abort()

    def _let_go(self) -> None:
        """Let go of what this thread has left, that was cut short where no ``with`` notices it.

        Only a tracer's exception, say, can do that: between two instructions of ours. That of a
        signal, or of another thread, comes with a call.
        """
        if _is_owned(self._write_lock):
            self._under_way.abort()
        for lock in (self._write_lock, self._map_lock):
            while _is_owned(lock):
                lock.release()
        uncollected.let_go()

    def _begin(self, txns: list[lmdb.Transaction], *, write: bool) -> None:
        """Begin a transaction and note it, in one step."""
        self._check()
        begin = map(self._env_write if write else self._env_read, _NO_DATABASE)
        try:
            txns.extend(begin)
        except lmdb.MapResizedError:
            with self._map_lock:
                self._env.set_mapsize(0)  # another process enlarged it: adopt
            txns.extend(map(self._env_write if write else self._env_read, _NO_DATABASE))

    @property
    def is_uncontended(self) -> bool:
        """Whether a write would begin at once: no other thread or process is at one."""
        return self._under_way.has_ended and not self.is_shared

    @property
    def is_shared(self) -> bool:
        """Whether another process has the store open, as far as one can tell."""
        return self._lock.is_shared()

    def last_transaction(self) -> int:
        """Return the number of the last committed write transaction, of whatever process."""
        self._check()
        return int(self._env.info()["last_txnid"])

    def clear_dead_readers(self) -> None:
        """Forget readers whose process was killed, so that their pages can be reused.

        LMDB takes a process for dead that lost its lock: then nobody's are forgotten.
        """
        self._lmdb_lock.take_again()
        if not self._lmdb_lock.is_lost_by(self._lock.find_others()):
            self._env.reader_check()

    def _check_files(self) -> None:
        """Raise StoreRemoved unless others, and the next start, find the files that are open here.

        What is not durable is gone with its process anyway, and nobody else looks for it.
        """
        if not self._durable:
            return
        finding = self._files.find_loss()
        if finding is not None:
            if self._owner is not None:
                _removed[self.path] = self._owner, finding
            raise removed(self.path, finding)
        now = time.monotonic()
        if now > self._locks_due:
            self._locks_due = now + _LOCKS_SECONDS
            self._lmdb_lock.take_again()

    def _grow(self) -> None:
        try:
            # A reader that was killed keeps pages from being used again, and so the map full.
            self.clear_dead_readers()
            with self._write_lock, self._map_lock:
                self._env.set_mapsize(2 * self._env.info()["map_size"])
        except lmdb.Error as error:
            raise storage_error(error, self.path) from error

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise ForkError(
                f"this process is a fork of the one that opened {self.path}, and a store cannot be"
                " carried across a fork: start the AntQ after the fork (with gunicorn: in"
                " post_fork, or without preload)"
            )
        if self._closed:
            raise StorageError(f"{self.path} was closed")


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
