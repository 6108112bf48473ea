"""The directory of a store: made private, refused when others could write to it.

Arguments are pickles, and a node runs what a pickle says; so whoever can write to a store can run
code as its owner. It is guarded as ssh guards keys.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from antq_actors.errors import StorageError
from antq_actors.storage.lmdb.failures import FULL, in_words, storage_error

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def real(path: str | os.PathLike[str]) -> Path:
    """Return the path without links. Raises StorageError for text that is no path."""
    try:
        os.fsencode(path)
        return Path(os.path.realpath(path))
    except ValueError as error:  # a NUL, or a lone surrogate
        raise StorageError(f"{os.fspath(path)!r} is no path of a file system: {error}") from error


def prepare(path: str | os.PathLike[str]) -> Path:
    """Make the directory, if need be, readable by its owner only; return its real path.

    Raises StorageError when it is a file, cannot be made or written, or others can write to it.
    """
    directory = real(path)
    with in_words(directory):
        if directory.exists() and not directory.is_dir():
            raise StorageError(f"{directory} is a file; a store is a directory: give another path")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        _check_mode(directory, status)
        for name in ("data.mdb", "lock.mdb"):
            file = directory / name
            if file.exists() and not os.access(file, os.R_OK | os.W_OK):
                raise StorageError(f"{file} is not writable: give another path, or chmod u+rw it")
    return directory


def _check_mode(directory: Path, status: os.stat_result) -> None:
    if os.name == "posix" and status.st_mode & _WRITABLE_BY_OTHERS:
        raise StorageError(
            f"others can write to {directory} (mode {stat.S_IMODE(status.st_mode):03o}), and who"
            f" can write to a store can run code as you; chmod go-w {directory}"
        )
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        others = ""
        if os.name == "posix" and status.st_uid != os.geteuid():
            others = f"it belongs to user {status.st_uid}, and this is user {os.geteuid()}; "
        raise StorageError(f"{directory} is not writable: {others}give a path that is")


def reserve_lock_file(directory: Path, size: int) -> None:
    """Make LMDB's lock file of *size* bytes, if there is none, with all its room on the disk.

    LMDB makes it without, and maps it: on a full disk, the first byte written to it would end the
    interpreter with SIGBUS. Raises StorageError.
    """
    file = directory / "lock.mdb"
    if file.exists():
        return
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.", dir=directory)
        try:
            with os.fdopen(descriptor, "wb") as new:
                new.write(bytes(size))
            try:
                file.hardlink_to(name)
            except OSError as error:
                # Another process was faster; or this file system has no links, and LMDB makes it.
                if error.errno in FULL:
                    raise
        finally:
            Path(name).unlink()
    except OSError as error:
        raise storage_error(error, directory) from error
