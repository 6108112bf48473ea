"""Who has a store open: many at a time, or one that needs it alone.

Everyone who opens a store shares a lock on one of its files. Who exchanges the store or rewrites
it, takes that lock alone: then nobody has it open, and nobody can open it meanwhile. It is the
system's lock, so it ends with its process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from antq_actors.errors import StorageError
from antq_actors.storage import file_lock
from antq_actors.storage.failures import storage_error

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "store.lock"


class StoreLock:
    """Holds the lock of the store in *directory* until it is released.

    Raises StorageError when somebody has it alone; or, with *alone*, when anybody has it open.
    """

    def __init__(self, directory: Path, *, alone: bool = False) -> None:
        self._directory = directory
        try:
            self._descriptor = file_lock.try_lock(directory / FILE, shared=not alone)
        except OSError as error:
            raise storage_error(error, directory) from error
        if self._descriptor is None:
            raise self._refusal(alone=alone)

    def take_alone(self) -> None:
        """Have the store alone from now on. Raises StorageError when another has it open."""
        if self._descriptor is not None and not file_lock.relock(self._descriptor, shared=False):
            raise self._refusal(alone=True)

    def share(self) -> None:
        """Let others open the store again."""
        if self._descriptor is not None:
            file_lock.relock(self._descriptor, shared=True)

    def is_shared(self) -> bool:
        """Tell whether another process has the store open, as far as one can tell."""
        descriptor = self._descriptor
        if descriptor is None:
            return True
        try:
            return file_lock.is_shared(descriptor)
        except OSError:  # released by another thread at this very moment
            return True

    def release(self) -> None:
        """Let go; once more is no error."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

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
