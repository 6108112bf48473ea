"""LMDB's own lock on ``lock.mdb``, which tells it whether another process has the store open.

It is a POSIX record lock: on the first byte, shared by all, and on the byte with the number of each
process that reads. A process loses both when it closes any descriptor of the file, as it does when
it copies its own store. Then the next one that opens the store would begin LMDB's lock file anew,
and two writers would know nothing of each other. So the two locks, LMDB's and ours, are compared
before LMDB opens a store; and they are taken again by the process that lost them.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from antq_actors.errors import StorageError
from antq_actors.storage.lmdb.failures import storage_error
from antq_actors.storage.locks.file_lock import CAN_ASK, LockFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from antq_actors.storage.locks.store_lock import StoreLock

FILE: Final = "lock.mdb"
_SETTLING_SECONDS: Final = 1.0
"""A process that closes a store, or dies, drops the two locks one after the other."""
_POLL_SECONDS: Final = 0.01


def check(directory: Path, store_lock: StoreLock) -> None:
    """Raise StorageError if LMDB would not see who has the store open by *store_lock*.

    Or, of one that is to have it alone, if LMDB sees somebody: the file of that lock was deleted,
    perhaps. To be called before LMDB opens the store.
    """
    deadline = time.monotonic() + _SETTLING_SECONDS
    while True:
        is_held = is_open(directory)
        others = [] if store_lock.is_exclusive else store_lock.find_others()
        if not (is_held and store_lock.is_exclusive) and (is_held or not others):
            return
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    if is_held:
        raise StorageError(
            f"another process has {directory} open, without the lock that says so (was its"
            " store.lock deleted?), and this needs it alone: stop the applications that use it,"
            " then repeat this"
        )
    raise StorageError(
        f"{directory} is open in {_processes(others)}, which lost LMDB's lock on its {FILE}: by"
        " opening and closing that file, as a copy of the whole directory does, or because the file"
        " was deleted or replaced. Opened here as well, jobs could be lost. The lock comes back"
        " when something is stored there; or stop what has it open. Then repeat this."
        " `antq backup` copies a store without harm"
    )


def is_open(directory: Path) -> bool:
    """Return whether LMDB has the store open in another process, as LMDB itself would see it.

    Not to be asked where this process has it open.
    """
    try:
        file = LockFile(directory / FILE, make=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage_error(error, directory) from error
    try:
        return file.find_other(0, 1, by_process=True) is not None
    finally:
        file.release()


class LmdbLock:
    """Holds LMDB's lock file open, and can take LMDB's locks again.

    To be released after LMDB closed the store: the descriptor's own end drops the locks. Raises
    StorageError.
    """

    def __init__(self, directory: Path) -> None:
        try:
            self._file = LockFile(directory / FILE)
        except OSError as error:
            raise storage_error(error, directory) from error

    def take_again(self) -> None:
        """Take what this process may have lost; LMDB has the store open, and holds the same."""
        if not CAN_ASK:
            return
        for shared, byte in ((True, 0), (False, os.getpid())):
            self._file.take(shared=shared, start=byte, length=1, by_process=True)

    def is_lost_by(self, pids: Iterable[int]) -> bool:
        """Return whether one of these processes, which live, has lost the lock as a reader."""
        return any(self._file.find_other(pid, 1, by_process=True) is None for pid in pids)

    def is_deleted(self) -> bool:
        """Return whether the file is gone, so that nobody else finds the lock."""
        return self._file.is_deleted()

    def release(self) -> None:
        """Close the file; once more is no error."""
        self._file.release()


def _processes(pids: list[int]) -> str:
    return f"process{'es' if len(pids) > 1 else ''} {', '.join(map(str, pids))}"
