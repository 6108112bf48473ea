"""The files of a store that this process has open: LMDB's environment, its map, and the locks.

A volatile store in memory is written by LMDB through its map, and not page by page with calls of
the system: a commit takes less than half of the time. The map is then as large as the room that the
file has been given, because without room a write to it is a SIGBUS.
"""

from __future__ import annotations

import functools
import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, TypeVar

import lmdb

from antq_actors.storage.lmdb import directory, file_check
from antq_actors.storage.lmdb.directory import storage_error
from antq_actors.storage.lmdb.tables import MOST_TABLES, make_store, open_tables
from antq_actors.storage.locks import store_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from antq_actors.storage.lmdb.tables import Tables
    from antq_actors.storage.locks.store_lock import StoreLock

T = TypeVar("T")

_MOST_READERS: Final = 1024
"""Threads of all processes that may read at once; 64 bytes of the lock file each."""
_LOCK_FILE_BYTES: Final = 64 * _MOST_READERS + 4096
"""Bytes of the lock file; LMDB has as many readers as find room in it."""

_FIRST_BYTES_IN_MEMORY: Final = 2**20
"""The size of the map of a store in memory, which takes all of that."""


class OpenFiles:
    """LMDB's environment of a store, with its tables, and the locks that keep it open.

    *durable*: commits are flushed to the disk. *map_size*: bytes to begin with. *lock* is held
    while it is open.

    Raises StorageError when the path cannot be used, saying why.
    """

    tables: Tables

    def __init__(self, path: Path, *, durable: bool, map_size: int, lock: StoreLock) -> None:
        self.path = path
        self.lock = lock
        self._durable = durable
        self._pid = os.getpid()
        self._closed = False
        self._write_lock = threading.RLock()
        """Its holder has the environment alone: a killed storage actor's thread may still be at its
        last transaction when its successor begins, and a map must not grow under it.
        """
        self._map_lock = threading.RLock()
        """Its holder keeps the map from being enlarged or closed, and nobody from writing."""
        self._query_lock = threading.RLock()
        """Its holder asks LMDB something outside of a transaction, which takes no time. A fork
        waits for it: LMDB's wrapper counts calls that are under way, and in the child a call of
        another thread would be under way for ever, and closing the copy would wait for its end.
        """
        self._directory = os.fspath(path)
        self._data_file = path / "data.mdb"
        self._roomy_pages = 0
        self.on_grown: Callable[[int], object] | None = None
        """Called with how many bytes the data file may have when that has become more."""
        """How many pages the file may have before room for more is reserved."""
        store_lock.check_lmdb_lock(path, lock)
        directory.reserve_lock_file(path, _LOCK_FILE_BYTES)
        file_check.check(path)
        self._open_lmdb(map_size)

    def _open_lmdb(self, map_size: int) -> None:
        """Take LMDB's own file lock and open its environment with its tables; or undo all of it."""
        path = self.path
        try:
            make_store(path, map_size, durable=self._durable)
        except (lmdb.Error, OSError) as error:
            raise storage_error(error, path) from error
        with ExitStack() as undo:
            self._lmdb_lock = store_lock.LmdbLock(path)
            undo.callback(self._lmdb_lock.release)
            try:
                self._writes_map = not self._durable and directory.is_in_memory(path)
                if self._writes_map:
                    map_size = min(map_size, _FIRST_BYTES_IN_MEMORY)
                self._env = lmdb.open(
                    os.fsencode(path),  # LMDB would take text for UTF-8, which a path need not be
                    map_size=map_size,
                    writemap=self._writes_map,
                    max_dbs=MOST_TABLES,
                    max_readers=_MOST_READERS,
                    sync=self._durable,
                    metasync=False,
                    mode=0o600,
                )
                undo.callback(self._env.close)
                if self._writes_map:  # nothing was written there yet
                    directory.take_room(self._data_file, self._env.info()["map_size"])
                self._begin_read = self._env.begin
                self._begin_write = functools.partial(self._env.begin, write=True)
                self._data = self._data_file.stat()
                self._page_size = self._env.stat()["psize"]
                self._roomy_pages = self._data.st_size // self._page_size
                self.clear_dead_readers()
                self.tables = self.adopting(lambda: open_tables(self._env, path))
            except (lmdb.Error, OSError) as error:
                raise storage_error(error, path) from error
            undo.pop_all()

    def _extend_file(self, pages: int) -> None:
        """Reserve room on the disk behind the *pages* that the file has, for what is written next.

        A commit that makes the file longer takes up to a fifth longer.
        """
        size = directory.extend(self._data_file, pages * self._page_size)
        self._roomy_pages = size // self._page_size

    def adopting(self, call: Callable[[], T]) -> T:
        """Return what *call* returns, which begins a transaction of its own, with a map that is
        large enough: when another process has enlarged the store, the map is, and *call* repeated.

        The caller must not hold the lock of the map. LMDB's map is at first just as large as the
        store is, so that any commit of another process may be too much.
        """
        while True:
            try:
                return call()
            except lmdb.MapResizedError:
                with self._write_lock:
                    self._adopt_map()

    def _adopt_map(self) -> None:
        """Enlarge the map, as another process has; in memory, to the room that the file has."""
        try:
            with self._map_lock:
                size = 0  # as that process has noted it
                if self._writes_map:
                    size = self._data_file.stat().st_size
                    directory.take_room(self._data_file, size)
                self._env.set_mapsize(size)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _grow(self) -> None:
        try:
            # A reader that was killed keeps pages from being used again, and so the map full.
            self.clear_dead_readers()
            with self._write_lock, self._map_lock:
                size = self._env.info()["map_size"]
                larger = 2 * size
                if self._writes_map:
                    size = max(size, self._data_file.stat().st_size)  # another process may use it
                    larger = directory.take_more_room(self._data_file, size)
                self._env.set_mapsize(larger)
                if self.on_grown is not None:
                    self.on_grown(self._env.info()["map_size"])
        except (lmdb.Error, OSError) as error:
            raise storage_error(error, self.path) from error

    def clear_dead_readers(self) -> None:
        """Have LMDB forget readers whose process was killed, so that their pages can be reused.

        LMDB takes a process for dead that lost its lock: then it forgets none.
        """
        self._lmdb_lock.take_again()
        if not self._lmdb_lock.is_lost_by(self.lock.find_others()):
            with self._query_lock:
                self._env.reader_check()

    def _find_lost_file(self) -> str | None:
        try:
            if not os.path.samestat(self._data_file.stat(), self._data):
                return "its data.mdb is another file"
        except (FileNotFoundError, NotADirectoryError):
            return "its data.mdb is gone"
        except OSError:
            return None
        if self.lock.is_deleted() or self._lmdb_lock.is_deleted():
            return "one of its lock files, store.lock and lock.mdb, is gone"
        return None

    @property
    def is_shared(self) -> bool:
        """Whether another process has the store open, asked of the system's file locks."""
        return self.lock.is_shared()

    def freeze(self, timeout: float) -> bool:
        """Lock out all other threads from the environment until :meth:`unfreeze`.

        Return False when a lock is not to be had within *timeout* seconds.
        """
        taken: list[threading.RLock] = []
        for lock in (self._write_lock, self._map_lock, self._query_lock):
            if not lock.acquire(timeout=timeout):
                for each in taken:
                    each.release()
                return False
            taken.append(lock)
        return True

    def unfreeze(self) -> None:
        """Release the thread locks of the environment that :meth:`freeze` took."""
        for lock in (self._query_lock, self._map_lock, self._write_lock):
            lock.release()

    def abandon(self) -> None:
        """Close a forked child's copy of the LMDB environment; the parent's stays open."""
        self._env.close()
