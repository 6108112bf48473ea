"""A lock on a file that the system lets go when the process ends, however it ends.

On POSIX it is a record lock (``fcntl.lockf``), because that belongs to the process: a fork never
keeps its parent's. The price: closing *any* descriptor of the file lets the lock go, so a process
must not open a file that it holds locked.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


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
