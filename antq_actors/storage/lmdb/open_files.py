"""Are the files of an open store still those that others find at its path?

A process keeps the files that it has open, also when they were deleted or others have their names.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MTIME_SECONDS: Final = 2.5
"""A directory that changes twice within this time may have one time of change for both."""


class Deletable(Protocol):
    """A file that is open."""

    def is_deleted(self) -> bool:
        """Return whether no directory has it any more."""


class OpenFiles:
    """The data file that is found in *directory* now, and *locks* that are open beside it.

    Raises OSError when there is none.
    """

    def __init__(self, directory: Path, locks: Sequence[Deletable]) -> None:
        self._directory = os.fspath(directory)
        self._data_file = directory / "data.mdb"
        self._data = self._data_file.stat()
        self._locks = locks
        self._checked: tuple[int, int, int] | None = None
        """The state of the directory in which the files were there."""

    def find_loss(self) -> str | None:
        """Return what is not there any more, in words; None: all is."""
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

    def _find_lost_file(self) -> str | None:
        try:
            if not os.path.samestat(self._data_file.stat(), self._data):
                return "its data.mdb is another file"
        except (FileNotFoundError, NotADirectoryError):
            return "its data.mdb is gone"
        except OSError:
            return None
        if any(lock.is_deleted() for lock in self._locks):
            return "one of its lock files, store.lock and lock.mdb, is gone"
        return None
