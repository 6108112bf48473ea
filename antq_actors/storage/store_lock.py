"""Who has a store open: many at a time, or one that needs it alone.

Everyone who opens a store shares a lock on one of its files, on the byte that has the process's
number. Who exchanges the store or rewrites it, takes all bytes alone: then nobody has it open, and
nobody can open it meanwhile. It is the system's lock, so it ends with its process.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from antq_actors.errors import StorageError
from antq_actors.storage.failures import storage_error
from antq_actors.storage.file_lock import LockFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if os.name == "posix":
    import fcntl

FILE: Final = "store.lock"
_OPENING_TIMEOUT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.005


class StoreLock:
    """Holds the lock of the store in *directory* until it is released.

    Raises StorageError when somebody has it alone; or, with *alone*, when anybody has it open.
    """

    def __init__(self, directory: Path, *, alone: bool = False) -> None:
        self._directory = directory
        self.is_alone = alone
        try:
            self._file = LockFile(directory / FILE)
        except OSError as error:
            raise storage_error(error, directory) from error
        try:
            taken = self._file.take() if alone else self._share()
        except OSError as error:
            self._file.release()
            raise storage_error(error, directory) from error
        if not taken:
            self._file.release()
            raise self._refusal(alone=alone)

    def take_alone(self) -> None:
        """Have the store alone from now on. Raises StorageError when another has it open."""
        if not self._file.take():
            raise self._refusal(alone=True)
        self.is_alone = True

    def share(self) -> None:
        """Let others open the store again."""
        self._file.take(shared=True)
        self._file.drop(0, os.getpid())
        self._file.drop(os.getpid() + 1)
        self.is_alone = False

    def is_shared(self) -> bool:
        """Tell whether another process has the store open, as far as one can tell."""
        try:
            return self._file.is_shared()
        except OSError:  # released by another thread at this very moment
            return True

    def find_others(self) -> list[int]:
        """Return the processes that live and have the store open, without this one."""
        numbers, ranges = set(), [(1, 0)]
        while ranges:
            start, length = ranges.pop()
            number = self._file.find_other(start, length)
            if number is None or number < start:
                continue
            numbers.add(number)
            if number > start:
                ranges.append((start, number - start))
            if length == 0:
                ranges.append((number + 1, 0))
            elif number + 1 < start + length:
                ranges.append((number + 1, start + length - number - 1))
        return sorted(number for number in numbers if is_alive(number))

    def is_deleted(self) -> bool:
        """Return whether the file is gone, so that nobody else finds the lock."""
        return self._file.is_deleted()

    def release(self) -> None:
        """Let go; once more is no error."""
        self._file.release()

    def _share(self) -> bool:
        return self._file.take(shared=True, start=os.getpid(), length=1)

    def _refusal(self, *, alone: bool) -> StorageError:
        if alone:
            return StorageError(
                f"another process has {self._directory} open, and this needs it alone: stop the"
                " applications that use it, then repeat this"
            )
        return StorageError(
            f"another process is compacting, restoring or migrating {self._directory}; wait until"
            " it is done"
        )


def is_alive(pid: int) -> bool:
    """Return whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


@contextmanager
def opening(directory: Path) -> Iterator[None]:
    """Be the only process that is about to open the store: what one sees of others is settled.

    One that takes too long is waited for no longer, as it may have been stopped. Then what is seen
    may be half of it, which is refused.
    """
    if os.name != "posix":
        yield
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise storage_error(error, directory) from error
    try:
        _lock_directory(descriptor)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for copies of the descriptor
        os.close(descriptor)


def _lock_directory(descriptor: int) -> None:
    deadline = time.monotonic() + _OPENING_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_POLL_SECONDS)
        except OSError:
            return  # a file system that has no locks on directories
        else:
            return
