"""LMDB's and the system's errors in words that help."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import lmdb

from antq_actors.errors import StorageError, StorageFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StoreRemoved(StorageError):
    """The files of an open store are not at its path any more."""


FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when there is no room, or the user may not have more of it."""
_ADVICE: Final = {
    errno.ENAMETOOLONG: "; give a shorter path",
    errno.EACCES: "; give a path that this user may use, or run as the one who may",
    errno.EROFS: "; give a path on a file system that can be written",
    errno.ELOOP: "; give a path whose links end somewhere",
}
"""What to do, where the system's words leave it open."""
_NEXT_TO_NOTHING_BYTES: Final = 2**20


def storage_error(error: lmdb.Error | OSError, path: Path) -> StorageError:
    """Return the error to raise instead of *error*, which using the store in *path* met."""
    if _is_full(error, path):
        return StorageFull(
            f"the disk that holds {path} is full; what was just asked for was not stored."
            " Make room, then repeat it"
        )
    if isinstance(error, lmdb.VersionMismatchError):
        return StorageError(
            f"{path} was written by an LMDB whose format this one cannot read ({error});"
            " open it with the release of antq_actors that wrote it"
        )
    if isinstance(error, lmdb.InvalidError | lmdb.CorruptedError | lmdb.PageNotFoundError):
        return damaged(path, str(error))
    if isinstance(error, lmdb.ReadersFullError):
        return StorageError(f"too many processes have {path} open: {error}")
    advice = _ADVICE.get(error.errno or 0, "") if isinstance(error, OSError) else ""
    return StorageError(f"the store in {path} cannot be used: {error}{advice}")


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Raise what the system says of files of the store in *path* as what it is to callers."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def removed(path: Path, finding: str) -> StoreRemoved:
    """Return the error to raise when what is open is not what is at its path."""
    return StoreRemoved(
        f"the store in {path} was removed or replaced while this process had it open ({finding});"
        " what was just asked for was not stored, and its application stops. Put the store back,"
        " or restore a backup, and start the application again; with an empty directory, or none,"
        " it begins with an empty store"
    )


def damaged(path: Path, finding: str) -> StorageError:
    """Return the error to raise for a file that is not what LMDB wrote."""
    return StorageError(
        f"{path} is damaged, or no store of antq_actors ({finding}). Bring its data.mdb back from a"
        " backup, or move it away to begin with an empty store;"
        f" `python -m lmdb -e {path} verify` says more"
    )


def _is_full(error: lmdb.Error | OSError, path: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    text = str(error)  # LMDB passes the system's errors on as text alone
    if any(os.strerror(code) in text for code in FULL):
        return True
    # A write that found room for a part of its pages only, LMDB calls an input/output error.
    return os.strerror(errno.EIO) in text and shutil.disk_usage(path).free < _NEXT_TO_NOTHING_BYTES
