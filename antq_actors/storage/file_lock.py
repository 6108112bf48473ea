"""A lock on a file that the system lets go when the process ends, however it ends.

On POSIX it is a record lock (``fcntl.lockf``), because that belongs to the process: a fork never
keeps its parent's. The price: closing *any* descriptor of the file lets the lock go, so a process
must not open a file that it holds locked.
"""

from __future__ import annotations

import os
import sys
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# The system's struct flock: what a lock is asked about, and answered, with.
_FLOCK: Final = Struct("qqihh" if sys.platform == "darwin" else "hhqqi4x")
_TYPE: Final = 3 if sys.platform == "darwin" else 0


def _question() -> bytes | None:
    """Answer how to ask about a lock on the whole file that lets nobody else have one."""
    if sys.platform == "darwin":
        return _FLOCK.pack(0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
    if sys.platform == "linux":
        return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return None


_QUESTION: Final = _question()


def try_lock(file: Path, *, shared: bool = False) -> int | None:
    """Lock *file*, making it if need be; answer a descriptor to keep, or None if it is locked.

    *shared* locks go together. Close the descriptor to let go. Raises OSError when the file cannot
    be opened.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    if relock(descriptor, shared=shared):
        return descriptor
    os.close(descriptor)
    return None


def relock(descriptor: int, *, shared: bool) -> bool:
    """Exchange the lock that is held for another one; tell whether there is one to be had."""
    try:
        if sys.platform != "win32":
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
        elif not shared:  # it has no shared ones: nobody is kept from anything
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_shared(descriptor: int) -> bool:
    """Tell whether another process may hold a lock on the file, too; nothing is locked for that."""
    if sys.platform == "win32" or _QUESTION is None:
        return True  # it has no way to ask
    answer = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, _QUESTION))
    return bool(answer[_TYPE] != fcntl.F_UNLCK)
