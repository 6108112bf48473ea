"""An open LMDB environment: its transactions begun, committed, aborted, and repeated if need be.

LMDB's errors become ours here and in :mod:`.open_files`, which opens it, and nowhere else.

After a commit its pages are on disk, but not the meta page that leads to them: that goes with the
next flush. Until then a power cut leaves the store as it was before that commit, and whole. So
:meth:`Environment.write` flushes, unless it is told otherwise and :meth:`Environment.flush` does it
later.

Each transaction looks whether the files of the store are still those that others find at its path:
a process keeps the files that it has open, also when they were deleted or others have their names.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import lmdb

from antq_actors.errors import ForkError, StorageError
from antq_actors.storage.lmdb.collector_pause import collector_pause
from antq_actors.storage.lmdb.directory import is_failing, removed, storage_error, unconfirmed
from antq_actors.storage.lmdb.file_facts import FileFacts, pages_of, readers_in
from antq_actors.storage.lmdb.open_files import OpenFiles
from antq_actors.storage.lmdb.tables import FURTHER_TABLES, TABLE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from antq_actors.storage.locks.store_lock import StoreLock

T = TypeVar("T")

_META_PAGES: Final = 2
_COMMIT: Final = lmdb.Transaction.commit
_NO_DATABASE: Final = (None,)
"""The argument of the one call that begins a transaction."""

_TIMED_COMMITS: Final = 256
"""Commits of which is known how long they took."""
_LOCKS_SECONDS: Final = 1.0
"""Between two times that LMDB's locks are taken again; it costs a microsecond."""
_MTIME_SECONDS: Final = 2.5
"""A directory that changes twice within this time may have one time of change for both."""

guard: Final = threading.RLock()
"""Held while an environment is opened or closed."""
open_here: Final[dict[Path, Environment]] = {}
"""The environments that this process has open."""
removed_here: Final[dict[Path, tuple[object, str]]] = {}
"""Stores that were removed while they were open: whose they were, who must make no new one, and
what was found.
"""


class Environment(OpenFiles):
    """An open store, which runs transactions.

    *durable*: commits are flushed to the disk. *owner*: see :func:`open_environment`.
    *map_size*: bytes to begin with. *lock* is held while it is open; one of who needs the store
    alone is kept when it is closed.

    Raises StorageError when the path cannot be used, saying why.
    """

    def __init__(
        self, path: Path, *, durable: bool, owner: object, map_size: int, lock: StoreLock
    ) -> None:
        self.owner = owner
        self._locks_due = 0.0
        """When LMDB's locks are taken again."""
        self._under_way: list[lmdb.Transaction] | None = None
        """The transaction of whoever has the write lock, from the very step on in which it begins.
        """
        self.last_seen = 0
        """The last transaction of any process that there was behind the last commit of this one."""
        self._on_disk = 0
        """The last transaction that this process knows to be on disk, with all before it."""
        self._is_doubtful = False
        """Whether a flush failed. The system reports that once, and takes the page that it did not
        write for written.
        """
        self.commits_took: deque[float] = deque(maxlen=_TIMED_COMMITS)
        """Seconds that the last commits of this process took: with them their pages are on disk."""
        self._checked: tuple[int, int, int] | None = None
        """The state of the directory in which the files were there."""
        super().__init__(path, durable=durable, map_size=map_size, lock=lock)
        open_here[path] = self

    def close(self) -> None:
        """Close LMDB and release the store's file locks; once more is no error.

        It waits for the transactions of other threads, and flushes. In a fork it does nothing: the
        environment is the parent's.
        """
        with self._write_lock, self._map_lock, guard:
            if self._closed or self._pid != os.getpid():
                return
            with suppress(StorageError):  # then what was not flushed may be done again
                self.flush()
            self._closed = True
            del open_here[self.path]
            self._env.close()
            self._lmdb_lock.release()
            if not self.lock.is_exclusive:
                self.lock.release()

    def write(
        self,
        work: Callable[[lmdb.Transaction], T],
        commits: list[None] | None = None,
        *,
        flushes: bool = True,
    ) -> T:
        """Run *work* in an LMDB write transaction, commit, and return what *work* returned.

        *commits* gets an entry in the very step that commits. *flushes*: it is on disk when this
        returns; without it, nobody may be told of it before :meth:`flush`. *work* may be repeated,
        as when the map was full and is enlarged: it must change nothing but the transaction. Raises
        what *work* raises, having changed nothing; StorageError when LMDB fails, StorageFull when
        the disk is full.
        """
        noted: list[None] = [] if commits is None else commits

        is_outermost = not self._write_lock._is_owned()  # type: ignore[attr-defined] # noqa: SLF001 - as a Condition asks
        while True:
            try:
                result = self._transact(work, noted)
                if self._durable:
                    self._after_commit(flushes=flushes)
                return result  # noqa: TRY300 - flushed or not, it is committed
            except lmdb.MapFullError:
                self._grow()
            except lmdb.Error as error:
                raise self._write_error(error) from error
            except BaseException:
                if is_outermost:
                    self._release_thread()
                raise

    def _write_error(self, error: lmdb.Error) -> StorageError:
        if is_failing(error):  # perhaps in flushing the commit before
            self._is_doubtful = True
        return storage_error(error, self.path)

    def _after_commit(self, *, flushes: bool) -> None:
        with self._query_lock:  # also while that is noted, so that it never goes back
            self._check()
            info = self._env.info()
            self.last_seen = info["last_txnid"]
        if flushes:
            self.flush(info["last_txnid"])
        pages = info["last_pgno"] + 1
        if pages >= self._roomy_pages:
            self._extend_file(pages)

    def flush(self, transaction: int | None = None, *, carried_by: int = 0) -> None:
        """Return when the commits up to *transaction* are on disk, by whichever process; None: all.

        *carried_by*: a later one that this process has committed; what it has flushed is not
        flushed again. Raises StorageError when the disk fails; they may then be lost in a power
        cut.
        """
        if not self._durable or (transaction is not None and transaction <= self._on_disk):
            return
        is_outermost = not _is_owned(self._map_lock)
        try:
            if transaction is None or transaction >= carried_by or not self._is_carried(carried_by):
                self._flush_file(transaction)
        except lmdb.Error as error:
            self._is_doubtful = True
            raise unconfirmed(error, self.path) from error
        except BaseException:
            if is_outermost:
                self._release_thread()
            raise

    def _is_carried(self, carrier: int) -> bool:
        """Return whether all before the *carrier*, a commit of this process, are on disk.

        They are, as its pages were flushed after their meta pages were written; but not if a flush
        has lost one of those. That may be one by another thread, which is waited for.
        """
        with self._map_lock:
            if self._is_doubtful:
                return False
            self._on_disk = max(self._on_disk, carrier - 1)
            return True

    def _flush_file(self, transaction: int | None) -> None:
        last = self.last_transaction() if transaction is None else transaction
        if last <= self._on_disk:
            return
        if self._is_doubtful:
            # Only a commit writes a meta page; that of the next one supersedes the lost one.
            self._transact(self._touch, [])
            last = self.last_transaction()
        with self._map_lock:
            self._check()
            try:
                self._env.sync()
            except lmdb.Error:
                self._is_doubtful = True  # before another thread gets the lock
                raise
        self._on_disk = max(self._on_disk, last)
        self._is_doubtful = False

    def _touch(self, txn: lmdb.Transaction) -> None:
        """Change nothing, so that the transaction *txn* writes its pages all the same."""
        with txn.cursor(self.tables.meta) as cursor:
            cursor.first()
            cursor.put(cursor.key(), cursor.value())

    def read(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """Run *work* in an LMDB read transaction and return what it returns.

        Keep it short: while it lasts, no page is reused, and the file grows for good.
        """
        is_outermost = not _is_owned(self._write_lock)
        try:
            return self._transact(work, None)
        except lmdb.Error as error:
            raise storage_error(error, self.path) from error
        except BaseException:
            if is_outermost:
                self._release_thread()
            raise

    def _transact(self, work: Callable[[lmdb.Transaction], T], commits: list[None] | None) -> T:
        """Wait for the write lock, run *work* in an LMDB transaction, return what it returns.

        *commits* gets an entry in the very step that commits it; None: it only reads.

        The handler of a signal that comes in the middle of it may need one of its own, in this very
        thread, and could wait for ever for this one to end. So it aborts it, and *work* is
        repeated. Finalizers could do so, too, but they may come in the middle of LMDB's own code:
        the collector has to wait.

        Its callers let go of what is left when it is cut short: within this very frame there are
        instructions, such as a ``try``, that no handler covers.
        """
        begin = self._begin_read if commits is None else self._begin_write
        while True:
            mine: list[lmdb.Transaction] = []
            with self._write_lock, collector_pause:
                outer = self._under_way  # further up, in this thread
                for each in outer or ():
                    each.abort()
                self._under_way = mine
                try:
                    self._begin(mine, begin)
                    with mine[0] as txn:
                        if commits is None:
                            self._check_files()
                            return work(txn)
                        result = work(txn)
                        self._check_files()
                        began = time.monotonic()
                        # One call, so that nothing comes between its halves, see above.
                        commits.extend(map(_COMMIT, (txn,)))
                        self.commits_took.append(time.monotonic() - began)
                        return result
                except lmdb.Error:
                    if self._under_way is mine:
                        raise
                    # Aborted by another one of this thread, which took its place.
                finally:
                    for each in mine:
                        each.abort()
                    # One that had not begun yet will, and the next handler has to abort it.
                    self._under_way = None if outer else outer

    def _begin(
        self, txns: list[lmdb.Transaction], begin: Callable[[None], lmdb.Transaction]
    ) -> None:
        """Begin an LMDB transaction and append it to *txns*, in one step of the interpreter."""
        if self._closed or self._pid != os.getpid():
            self._check()
        try:
            txns.extend(map(begin, _NO_DATABASE))
        except lmdb.MapResizedError:
            self._adopt_map()
            txns.extend(map(begin, _NO_DATABASE))

    def _release_thread(self) -> None:
        """Abort the transaction and release the locks of this thread, which was cut short in it.

        For where no ``with`` notices that.
        Only a tracer's exception, say, can do that: between two instructions of ours. That of a
        signal, or of another thread, comes with a call.
        """
        if _is_owned(self._write_lock):
            for txn in self._under_way or ():
                txn.abort()
            self._under_way = None
        for lock in (self._write_lock, self._map_lock, self._query_lock):
            while _is_owned(lock):
                lock.release()
        collector_pause.end_for_thread()

    @property
    def is_uncontended(self) -> bool:
        """Whether a write transaction would begin at once: no other thread or process is in one."""
        # No other process finds a volatile store in memory, and asking takes a while.
        return self._under_way is None and (self._writes_map or not self.lock.is_shared())

    def last_transaction(self) -> int:
        """Return the number of the last LMDB transaction that any process has committed."""
        with self._query_lock:
            self._check()
            return int(self._env.info()["last_txnid"])

    def copy(self, directory: Path) -> None:
        """Write a compact copy of the data file, as it is now, into an empty directory.

        Others may read and write in the meantime; pages that they free are not reused until the
        copy is done. Raises StorageError.
        """
        try:
            with self._map_lock:
                self._check()
                self._env.copy(os.fsencode(directory), compact=True)  # type: ignore[arg-type] # bytes do
        except (lmdb.Error, OSError) as error:
            raise storage_error(error, directory) from error
        self.flush()  # a backup has nothing that a power cut undoes in the store

    def inspect(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """Run *work* in a read transaction that may be long, and return what it returns.

        Other threads and processes read and write in the meantime.
        Pages that are freed in the meantime are not reused until it is done, so the file may grow.
        It may take the handles of further tables, which are opened before it begins: LMDB allows
        only one transaction at a time to open any.
        """

        def look() -> T:
            with self._map_lock, self._env.begin() as txn:
                return work(txn)

        try:
            self._open_further()
            return self.adopting(look)
        except lmdb.Error as error:
            raise storage_error(error, self.path) from error

    def _open_further(self) -> None:
        """Open the further tables, for a transaction beside which others run."""
        with self._write_lock:
            self._check()
            for name in FURTHER_TABLES:
                self.adopting(partial(self._env.open_db, name.encode(), create=False))

    def file_facts(self) -> FileFacts:
        """Return how the data file is used, without opening a table or reading its pages."""
        with self._map_lock:
            self._check()
            info, readers = self._env.info(), self._env.readers()
            with self._query_lock, self._env.begin() as txn:
                used = {name: pages_of(txn, name) for name in (*TABLE_NAMES, *FURTHER_TABLES)}
                main = self._env.stat()
        used["main"] = main["branch_pages"] + main["leaf_pages"] + main["overflow_pages"]
        return FileFacts(
            page_size=self._page_size,
            map_bytes=info["map_size"],
            pages=info["last_pgno"] + 1,
            used=used,
            last_txn=info["last_txnid"],
            readers=readers_in(readers),
        )

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the data file that hold something, and up to where any may."""
        self._open_further()
        return self.adopting(self._sizes)

    def _sizes(self) -> tuple[int, int]:
        with self._map_lock:
            self._check()
            with self._query_lock, self._env.begin() as txn:
                tables = [
                    self._env.stat(),
                    *(txn.stat(getattr(self.tables, name)) for name in TABLE_NAMES),
                    *(txn.stat(self.tables.further(txn, name)) for name in FURTHER_TABLES),
                ]
                end = self._env.info()["last_pgno"] + 1
        used = _META_PAGES + sum(
            table["branch_pages"] + table["leaf_pages"] + table["overflow_pages"]
            for table in tables
        )
        return used * self._page_size, end * self._page_size

    def _check_files(self) -> None:
        """Raise StoreRemoved unless the files at the store's path are still those that are open.

        A volatile store is gone with its process anyway, and has no others that look for it.
        """
        if not self._durable:
            return
        finding = self._find_loss()
        if finding is not None:
            if self.owner is not None:  # for the successor of a killed storage actor
                removed_here[self.path] = self.owner, finding
            raise removed(self.path, finding)
        now = time.monotonic()
        if now > self._locks_due:
            self._locks_due = now + _LOCKS_SECONDS
            self._lmdb_lock.take_again()

    def _find_loss(self) -> str | None:
        """Return which file of the store was deleted or replaced, in words; None: none was."""
        try:
            there = os.stat(self._directory)  # noqa: PTH116 - a fifth faster
        except (FileNotFoundError, NotADirectoryError):
            return "its directory is gone"
        except OSError:
            return None  # this process may not look there any more, as after setuid(): no removal
        # A directory that has not changed has the files that it had. They are not asked each time:
        # where the system is asked for a file's times, each write has to store new ones.
        state = there.st_dev, there.st_ino, there.st_mtime_ns
        if state == self._checked:
            return None
        finding = self._find_lost_file()
        if finding is None and time.time() > there.st_mtime + _MTIME_SECONDS:
            self._checked = state
        return finding

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise ForkError(
                f"this process is a fork of the one that opened {self.path}, and a store cannot be"
                " carried across a fork: start the AntQ after the fork (with gunicorn: in"
                " post_fork, or without preload)"
            )
        if self._closed:
            raise StorageError(f"{self.path} was closed")


def _is_owned(lock: threading.RLock) -> bool:
    """Return whether the current thread holds *lock*."""
    return bool(lock._is_owned())  # type: ignore[attr-defined] # noqa: SLF001
