"""Who has a store open: many at a time, or one that needs it alone.

Everyone who opens a store shares a lock on one of its files, on the byte that has the process's
number, and on another that has the number of its PID namespace. If then somebody holds the byte of
another namespace, the store is refused; of two that open it at once, each may be, and never none.
Who exchanges the store or rewrites it, takes all bytes alone: then nobody has it open, and nobody
can open it until it is done. It is the system's lock, so it ends with its process, and what it
says of a namespace ends with the last process there.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from antq_actors.errors import StorageError
from antq_actors.storage.lmdb.failures import storage_error
from antq_actors.storage.locks import pid_namespace
from antq_actors.storage.locks.file_lock import LockFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if os.name == "posix":
    import fcntl

FILE: Final = "store.lock"
_OPENING_TIMEOUT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.005

_NAMESPACES: Final = 2**30
"""The first byte of namespaces. No process has so large a number, and yet it is one that a process
could have: earlier releases ask the system whether that lives.
"""
_NAMESPACE_BYTES: Final = 2**29
"""As many as there are of them. Linux numbers namespaces from ``0xEFFFFFFC`` to ``0xFFFFFFFF``, so
no two have the same byte.
"""


def can_be_shared(platform: str) -> bool:
    """Return whether several processes may have a store open on *platform*, a ``sys.platform``.

    LMDB frees its write lock when the process that holds it is killed, by what Linux and Windows
    have for that. Elsewhere, as on macOS, all other processes would wait for it for ever.

    >>> can_be_shared("linux"), can_be_shared("darwin")
    (True, False)
    """
    return platform in {"linux", "android", "win32", "cygwin"}


class StoreLock:
    """Holds the lock of the store in *directory* until it is released.

    Raises StorageError when somebody has it alone; or, with *exclusive* and where stores cannot be
    shared, when anybody has it open; or when it is open in another PID namespace.
    """

    def __init__(self, directory: Path, *, exclusive: bool = False) -> None:
        self._directory = directory
        self.is_exclusive = exclusive
        self._can_be_shared = can_be_shared(sys.platform)
        namespace = pid_namespace.current()
        self._namespace_byte = (
            None if namespace is None else _NAMESPACES + namespace % _NAMESPACE_BYTES
        )
        try:
            self._file = LockFile(directory / FILE)
        except OSError as error:
            raise storage_error(error, directory) from error
        try:
            refusal = self._take(exclusive=exclusive)
        except OSError as error:
            self._file.release()
            raise storage_error(error, directory) from error
        if refusal is not None:
            self._file.release()
            raise refusal

    def take_exclusively(self) -> bool:
        """Have the store alone from now on; False: another has it open."""
        self.is_exclusive = self._file.take()
        return self.is_exclusive

    def share(self) -> None:
        """Let others open the store again, where it can be shared.

        What is let go last keeps all others out until then: half of it would be refused as another
        namespace.
        """
        self.is_exclusive = False
        if not self._can_be_shared:
            return
        end = 0
        for byte in sorted(self._own_bytes(), reverse=True):
            self._file.take(shared=True, start=byte, length=1)
            self._file.drop(byte + 1, end - byte - 1 if end else 0)
            end = byte
        self._file.drop(0, end)

    def is_shared(self) -> bool:
        """Return whether another process has the store open, as far as one can tell."""
        try:
            return self._file.is_shared()
        except OSError:  # released by another thread at this very moment
            return True

    def find_others(self) -> list[int]:
        """Return the processes that live and have the store open, without this one."""
        numbers, ranges = set(), [(1, _NAMESPACES - 1)]
        while ranges:
            start, length = ranges.pop()
            number = self._file.find_other(start, length)
            if number is None or number < start:
                continue
            numbers.add(number)
            if number > start:
                ranges.append((start, number - start))
            if number + 1 < start + length:
                ranges.append((number + 1, start + length - number - 1))
        return sorted(number for number in numbers if is_alive(number))

    def is_deleted(self) -> bool:
        """Return whether the file is gone, so that nobody else finds the lock."""
        return self._file.is_deleted()

    def release(self) -> None:
        """Let go; once more is no error."""
        self._file.release()

    def _take(self, *, exclusive: bool) -> StorageError | None:
        """Take the locks, or return why they cannot be had."""
        if exclusive:
            return None if self._file.take() else self._is_open_elsewhere()
        if not self._can_be_shared:
            return None if self._file.take() else self._cannot_be_shared()
        if not all(
            self._file.take(shared=True, start=byte, length=1) for byte in self._own_bytes()
        ):
            return StorageError(
                f"another process is compacting, migrating, resealing or verifying"
                f" {self._directory}; wait until it is done"
            )
        if self._is_in_another_namespace():
            return StorageError(pid_namespace.refusal(self._directory))
        return None

    def _own_bytes(self) -> list[int]:
        """Return the bytes that this process shares while it has the store open."""
        pid, byte = os.getpid(), self._namespace_byte
        return [pid] if byte is None else [pid, byte]

    def _is_in_another_namespace(self) -> bool:
        """Return whether a process of another namespace has the store open."""
        mine, end = self._namespace_byte, _NAMESPACES + _NAMESPACE_BYTES
        if mine is None:
            return False
        others = (_NAMESPACES, mine - _NAMESPACES), (mine + 1, end - mine - 1)
        return any(
            length > 0 and self._file.find_other(start, length) is not None
            for start, length in others
        )

    def _is_open_elsewhere(self) -> StorageError:
        return StorageError(
            f"another process has {self._directory} open, and this needs it alone: stop the"
            " applications that use it, then repeat this"
        )

    def _cannot_be_shared(self) -> StorageError:
        return StorageError(
            f"another process has {self._directory} open, and on {sys.platform} one at a time may:"
            " there LMDB does not recover when a process is killed within a commit. Enqueue and"
            " perform in one process, which starts the application with its queues; or stop the"
            " other one first"
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
