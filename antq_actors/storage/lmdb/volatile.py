"""Stores that need not outlive their process: a private directory, in memory where there is one.

It holds a lock while its process lives, so whoever makes the next one can tell which were left
behind by a kill, and delete them.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from antq_actors.errors import StorageError
from antq_actors.storage.locks.file_lock import LockFile, try_lock

_LOCK: Final = "volatile.lock"
_NAME: Final = re.compile(r"antq-\d+-\w+")
_held: Final[dict[Path, LockFile]] = {}


class VolatileDirectory:
    """A new directory for one store, deleted by :meth:`remove`.

    Raises StorageError when it cannot be made.
    """

    path: Path

    def __init__(self, parent: Path | None = None) -> None:
        home = parent or _memory()
        try:
            _sweep(home)
            self.path = home / f"antq-{os.getpid()}-{secrets.token_hex(8)}"
            self._make()
        except OSError as error:
            raise StorageError(
                f"there is no room for a volatile store in {home}: {error};"
                " give AntQ a path on a disk instead"
            ) from error
        self._pid = os.getpid()

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700)
            lock = try_lock(self.path / _LOCK)
            if lock is not None:
                _held[self.path] = lock
        except BaseException:  # Ctrl-C, say, when it was made
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def remove(self) -> None:
        """Delete it; once more is no error. A fork leaves it to its parent."""
        if os.getpid() != self._pid:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        lock = _held.pop(self.path, None)
        if lock is not None:
            lock.release()


def _memory() -> Path:
    shared = Path("/dev/shm")  # noqa: S108 - what is made in it is private
    if shared.is_dir() and os.access(shared, os.W_OK | os.X_OK):
        return shared
    return Path(tempfile.gettempdir())


def _sweep(home: Path) -> None:
    """Delete what processes that are gone left in *home*."""
    for directory in home.iterdir():
        with suppress(OSError):  # another user's, or another sweep was faster
            if _NAME.fullmatch(directory.name) and _was_left(directory):
                shutil.rmtree(directory, ignore_errors=True)


def _was_left(directory: Path) -> bool:
    if directory in _held or directory.is_symlink() or not (directory / _LOCK).exists():
        return False  # this process's own, nobody's, or just being made
    lock = try_lock(directory / _LOCK)
    if lock is None:
        return False
    lock.release()
    return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.clear)
