"""Locks on ranges of a file's bytes that the system drops when the process ends, however it ends.

On Linux they belong to the open file (``F_OFD_SETLK``), so what else the program does with the
file, such as copying it, does not drop them. A forked child has a copy of the descriptor, which
would keep the lock: it is closed there at once. Elsewhere they are POSIX record locks, which belong
to the process and are dropped when it closes *any* descriptor of the file: there, a process must
not open a file that it holds locked.
"""

from __future__ import annotations

import os
import sys
import threading
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

CAN_ASK: Final = sys.platform != "win32"
"""Whether the system tells of a lock without taking it."""
_IS_LINUX: Final = sys.platform == "linux"
# The system's struct flock: what a lock is set with, and asked about. The kernel is asked which it
# is, so that tests may decide everything else as on a Mac.
_IS_DARWIN: Final = hasattr(os, "uname") and os.uname().sysname == "Darwin"
_FLOCK: Final = Struct("qqihh" if _IS_DARWIN else "hhqqi4x")
_TYPE: Final = 3 if _IS_DARWIN else 0
_START: Final = 0 if _IS_DARWIN else 2


def _flock(kind: int, start: int, length: int) -> bytes:
    """Return the ``struct flock`` of a lock on bytes of a file; length 0: all that follow."""
    if _IS_DARWIN:
        return _FLOCK.pack(start, length, 0, kind, os.SEEK_SET)
    return _FLOCK.pack(kind, os.SEEK_SET, start, length, 0)


_WHOLE: Final = _flock(fcntl.F_WRLCK, 0, 0) if sys.platform != "win32" else b""

_guard = threading.RLock()
_files: Final[dict[LockFile, None]] = {}
"""All that are open: a fork has to close its copies."""


class LockFile:
    """An open file, and the locks on it that are held until it is released; by a fork as well.

    *make*: it is made if need be. Raises OSError when the file cannot be opened.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, file: Path, *, make: bool = True) -> None:
        flags = os.O_RDWR | (os.O_CREAT if make else 0) | getattr(os, "O_CLOEXEC", 0)
        with _guard:  # a fork in between would keep what it knows nothing of
            self._descriptor: int | None = os.open(file, flags, 0o600)
            _files[self] = None

    def take(
        self, *, shared: bool = False, start: int = 0, length: int = 0, by_process: bool = False
    ) -> bool:
        """Lock bytes of the file, without waiting; return whether the lock could be had.

        *shared* locks go together; a *length* of 0 means all bytes that follow. *by_process*: as a
        POSIX record lock, whatever the system has.
        """
        descriptor = self._descriptor
        if descriptor is None:
            return False
        try:
            if sys.platform == "win32":
                if not shared:  # it has no shared ones: nobody is kept from anything
                    msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return True
            command = fcntl.F_OFD_SETLK if _IS_LINUX and not by_process else fcntl.F_SETLK
            kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
            fcntl.fcntl(descriptor, command, _flock(kind, start, length))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def drop(self, start: int, length: int = 0) -> None:
        """Unlock bytes of the file; a *length* of 0 means all that follow."""
        if self._descriptor is not None and sys.platform != "win32":
            command = fcntl.F_OFD_SETLK if _IS_LINUX else fcntl.F_SETLK
            fcntl.fcntl(self._descriptor, command, _flock(fcntl.F_UNLCK, start, length))

    def find_other(
        self, start: int = 0, length: int = 0, *, by_process: bool = False
    ) -> int | None:
        """Return where a lock of another process on bytes of the file begins; None: there is none.

        *by_process*: asked for the process, which has locks of its own by process only. Nothing is
        locked for that. Windows has no way to ask: None.
        """
        descriptor = self._descriptor
        if descriptor is None or sys.platform == "win32":
            return None
        return _ask(descriptor, _flock(fcntl.F_WRLCK, start, length), by_process=by_process)

    def is_shared(self) -> bool:
        """Return whether other processes may hold a lock on the file, too."""
        descriptor = self._descriptor
        if descriptor is None or sys.platform == "win32":
            return True  # it has no way to ask
        try:
            found = fcntl.fcntl(
                descriptor, fcntl.F_OFD_GETLK if _IS_LINUX else fcntl.F_GETLK, _WHOLE
            )
        except OSError:  # released by another thread at this very moment
            return True
        kind: int = _FLOCK.unpack(found)[_TYPE]
        return kind != fcntl.F_UNLCK

    def write(self, content: bytes) -> None:
        """Write bytes to the lock file, behind those written before."""
        if self._descriptor is not None:
            os.write(self._descriptor, content)

    def write_over(self, content: bytes) -> None:
        """Write bytes from the beginning of the lock file on; what is behind them stays."""
        if self._descriptor is not None:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, content)

    def is_deleted(self) -> bool:
        """Return whether the lock file was deleted, so that no other process finds its locks."""
        descriptor = self._descriptor
        return descriptor is not None and os.fstat(descriptor).st_nlink == 0

    def is_at(self, file: Path) -> bool:
        """Return whether the path *file* leads to this very lock file."""
        descriptor = self._descriptor
        try:
            return descriptor is not None and os.path.samestat(os.fstat(descriptor), file.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Drop all locks on the file and close it; once more is no error."""
        with _guard:
            try:
                self.drop(0)  # closing is not enough: a child that is about to exec has a copy
            finally:
                _files.pop(self, None)
                self._forget()

    def _forget(self) -> None:
        """Close the lock file; in a fork, the copy of it that would keep the parent's locks."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def try_lock(file: Path, *, shared: bool = False) -> LockFile | None:
    """Open and lock a whole file, without waiting; None: it is locked. Raises OSError."""
    lock = LockFile(file)
    try:
        if lock.take(shared=shared):
            return lock
    except BaseException:
        lock.release()
        raise
    lock.release()
    return None


def _ask(descriptor: int, question: bytes, *, by_process: bool = False) -> int | None:
    command = fcntl.F_OFD_GETLK if _IS_LINUX and not by_process else fcntl.F_GETLK
    found = _FLOCK.unpack(fcntl.fcntl(descriptor, command, question))
    return None if found[_TYPE] == fcntl.F_UNLCK else int(found[_START])


def _before_fork() -> None:
    _guard.acquire()


def _after_in_parent() -> None:
    _guard.release()


def _after_in_child() -> None:
    global _guard  # noqa: PLW0603 - who forks without the hook above may have left it locked
    _guard = threading.RLock()
    for file in list(_files):
        file._forget()  # noqa: SLF001 - its own kind
    _files.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
