"""The directory of a store: made private, refused when others could write to it, or volatile.

Arguments may be pickles, and a node runs what those say; so whoever can write to a store can run
code as its owner. It is guarded as ssh guards keys. What the system and LMDB say of its files
becomes an error that helps.

A volatile store need not outlive its process: it has a private directory, in memory where there is
one. That holds a lock while its process lives, so whoever makes the next one can tell which were
left behind by a kill, and delete them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lmdb

from antq_actors.checks import short_repr
from antq_actors.errors import StorageError, StorageFull
from antq_actors.storage.locks.file_lock import LockFile, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

# ---- errors ---------------------------------------------------------------------------------


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
    """Return the StorageError for an error of LMDB or the system that the store in *path* met."""
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


def unconfirmed(error: lmdb.Error, path: Path) -> StorageError:
    """Return the StorageError for a flush that failed: what it was for may be on disk or not."""
    return StorageError(
        f"the disk that holds {path} does not confirm what was just written ({error}): look whether"
        " it is there before you repeat it"
    )


def is_failing(error: lmdb.Error) -> bool:
    """Return whether the disk failed, in the system's words."""
    return os.strerror(errno.EIO) in str(error)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Raise the OSErrors of the block as a StorageError that names the store in *path*."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def removed(path: Path, finding: str) -> StoreRemoved:
    """Return the error for an open store whose files are gone or replaced; *finding* says how."""
    return StoreRemoved(
        f"the store in {path} was removed or replaced while this process had it open ({finding});"
        " what was just asked for was not stored, and its application stops. Put the store back,"
        " or restore a backup, and start the application again; with an empty directory, or none,"
        " it begins with an empty store"
    )


def damaged(path: Path, finding: str) -> StorageError:
    """Return the error for a store whose data file is not what LMDB wrote."""
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


# ---- a directory ----------------------------------------------------------------------------

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def real(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path without links.

    Raises StorageError for text that is no path, and TypeError for what is neither text nor a path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"a path must be a str or an os.PathLike, got {short_repr(path)}")
    try:
        os.fsencode(path)
        return Path(os.path.realpath(path))
    except ValueError as error:  # a NUL, or a lone surrogate
        raise StorageError(f"{os.fspath(path)!r} is no path of a file system: {error}") from error


def prepare(path: str | os.PathLike[str]) -> Path:
    """Make the directory of a store, if need be, private to its owner; return its real path.

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


# ---- room for what is written next ----------------------------------------------------------

_SMALLEST_STEP_BYTES: Final = 2**18
_LARGEST_STEP_BYTES: Final = 2**26
_SHARE_OF_FREE: Final = 8
"""Of the room that the disk has left, at most the part of one in so many is reserved."""

# Not os.posix_fallocate: where the file system cannot do it, that writes a byte into each block,
# also into one that another process is writing.
_libc: Final = (
    ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" and sys.maxsize > 2**32 else None
)
_fallocate: Final = getattr(_libc, "fallocate", None)
if _fallocate is not None:
    _fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def step(used: int, free: int) -> int:
    """Return how many bytes to reserve for a file that uses *used*, on a disk that has *free* left.

    >>> [step(used, 2**40) // 2**10 for used in (0, 2**20, 2**30)]
    [256, 1024, 65536]
    >>> [step(2**30, free) // 2**10 for free in (2**20, 2**22, 2**26)]
    [0, 512, 8192]
    """
    wanted = min(max(used, _SMALLEST_STEP_BYTES), _LARGEST_STEP_BYTES, free // _SHARE_OF_FREE)
    return wanted if wanted >= _SMALLEST_STEP_BYTES else 0


def extend(file: Path, used: int) -> int:
    """Reserve room on the disk behind the first *used* bytes of a data file, as much as it has.

    Return how much may be used before there is more to reserve. The file never gets shorter, and
    its content stays as it is: so it does not matter who else writes to it. Where the system, the
    file system or the disk does not allow it, nothing is reserved.
    """
    if _fallocate is None:
        return sys.maxsize
    with suppress(OSError), file.open("rb+") as data:
        descriptor = data.fileno()
        size = os.fstat(descriptor).st_size
        if size > used:
            return size  # another process has done it
        reserved = step(used, shutil.disk_usage(file).free)
        if reserved and _fallocate(descriptor, 0, used, reserved) == 0:
            return used + reserved
    return used + _SMALLEST_STEP_BYTES  # look again then


# ---- volatile stores ------------------------------------------------------------------------

_LOCK: Final = "volatile.lock"
_NAME: Final = re.compile(r"antq-\d+-\w+")
_held: Final[dict[Path, LockFile]] = {}


_TMPFS: Final = 0x01021994
"""How the system calls a file system in memory."""
_STATFS_BYTES: Final = 512
"""More than what the system says of a file system; that begins with its kind, of eight bytes."""


def is_in_memory(directory: Path) -> bool:
    """Return whether the files of a *directory* are in memory, and room for them can be taken."""
    statfs = getattr(_libc, "statfs", None)
    if statfs is None or not hasattr(os, "posix_fallocate"):
        return False
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if statfs(os.fsencode(directory), found) != 0:
        return False
    return int.from_bytes(found.raw[:8], sys.byteorder) == _TMPFS


def take_room(file: Path, size: int) -> None:
    """Give a data file in memory all the room for its first *size* bytes. Raises OSError.

    LMDB writes into its map of it: where there was no room, that would end the interpreter with
    SIGBUS.
    """
    with file.open("rb+") as data:
        os.posix_fallocate(data.fileno(), 0, size)


def take_more_room(file: Path, size: int) -> int:
    """Give a data file in memory that has *size* bytes more of them; return how many it has then.

    As many as it has, where there is memory for it. Raises OSError.
    """
    wanted = step(size, shutil.disk_usage(file).free)
    larger = size + max(wanted - wanted % _SMALLEST_STEP_BYTES, _SMALLEST_STEP_BYTES)
    take_room(file, larger)
    return larger


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
        """Delete the volatile store's directory; once more is no error. A fork leaves it alone."""
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
    """Delete the directories of volatile stores in *home* whose process is gone."""
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
