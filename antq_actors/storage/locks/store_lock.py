"""Who has a store open: many at a time, or one process that needs it for itself.

Everyone who opens a store shares a lock on one of its files, on the byte that has the process's
number, and on another that has the number of its PID namespace. If then somebody holds the byte of
another namespace, the store is refused; of two that open it at once, each may be, and never none.
A process that exchanges the store or rewrites it takes all bytes: then nobody else has it open, and
nobody can open it until it is done. It is the system's lock, so it ends with its process, and what
it says of a namespace ends with the last process there.

LMDB has a lock of its own on ``lock.mdb``, by which it sees whether another process has the store
open. It is a POSIX record lock: on the first byte, shared by all, and on the byte with the number
of each process that reads. A process loses both when it closes any descriptor of the file, as it
does when it copies its own store. Then the next one that opens the store would begin LMDB's lock
file anew, and two writers would know nothing of each other. So the two locks, LMDB's and ours, are
compared before LMDB opens a store; and they are taken again by the process that lost them.

LMDB knows processes and threads by their numbers. Two PID namespaces, which two containers have
unless told otherwise, give the same numbers to different processes. Then LMDB takes one for the
other: it refuses transactions, or believes that a lock is held by whoever asks for it. So a process
in another namespace must not open the same store.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from antq_actors.errors import StorageError
from antq_actors.storage.lmdb.directory import storage_error
from antq_actors.storage.locks.file_lock import CAN_ASK, LockFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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
        namespace = pid_namespace()
        self._namespace_byte = (
            None if namespace is None else _NAMESPACES + namespace % _NAMESPACE_BYTES
        )
        try:
            self._file = LockFile(directory / FILE)
        except OSError as error:
            raise storage_error(error, directory) from error
        self.is_shared = self._file.is_shared
        """Return whether another process has the store open, as its lock on the file tells."""
        try:
            refusal = self._take(exclusive=exclusive)
        except OSError as error:
            self._file.release()
            raise storage_error(error, directory) from error
        if refusal is not None:
            self._file.release()
            raise refusal

    def take_exclusively(self) -> bool:
        """Lock the store file exclusively, without waiting; False: another process has it open."""
        self.is_exclusive = self._file.take()
        return self.is_exclusive

    def share(self) -> None:
        """Change the exclusive file lock to a shared one, so that others can open the store again.

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

    def find_others(self) -> list[int]:
        """Return the ids of the other live processes that hold the store's file lock."""
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
        """Return whether the store's lock file was deleted, so that others do not find it."""
        return self._file.is_deleted()

    def release(self) -> None:
        """Release the store's file lock; once more is no error."""
        self._file.release()

    def _take(self, *, exclusive: bool) -> StorageError | None:
        """Take the store's file locks without waiting, or return the error that says who has."""
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
            return StorageError(namespace_refusal(self._directory))
        return None

    def _own_bytes(self) -> list[int]:
        """Return the offsets in the file that this process locks while it has the store open."""
        pid, byte = os.getpid(), self._namespace_byte
        return [pid] if byte is None else [pid, byte]

    def _is_in_another_namespace(self) -> bool:
        """Return whether a process of another PID namespace holds a lock on the store's file."""
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
    """Return whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


@contextmanager
def lock_for_opening(directory: Path) -> Iterator[None]:
    """Lock the store's directory for the block, so that one process opens the store at a time.

    It waits for a process that holds the lock, but not for long, as that may have been stopped.
    Then what is seen of it may be half of it, which is refused.
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


# ---- LMDB's own lock -------------------------------------------------------------------------

LMDB_FILE: Final = "lock.mdb"
_SETTLING_SECONDS: Final = 1.0
"""A process that closes a store, or dies, drops the two locks one after the other."""
_SETTLING_POLL_SECONDS: Final = 0.01


def check_lmdb_lock(directory: Path, store_lock: StoreLock) -> None:
    """Raise StorageError if LMDB's file lock and *store_lock* disagree on who has the store open.

    That is if LMDB would not see a process that has it open; or, with an exclusive *store_lock*,
    if LMDB sees one: the file of that lock was deleted, perhaps. It waits a moment for them to
    agree. To be called before LMDB opens the store.
    """
    deadline = time.monotonic() + _SETTLING_SECONDS
    while True:
        is_held = is_open_elsewhere(directory)
        others = [] if store_lock.is_exclusive else store_lock.find_others()
        if not (is_held and store_lock.is_exclusive) and (is_held or not others):
            return
        if time.monotonic() > deadline:
            break
        time.sleep(_SETTLING_POLL_SECONDS)
    if is_held:
        raise StorageError(
            f"another process has {directory} open, without the lock that says so (was its"
            " store.lock deleted?), and this needs it alone: stop the applications that use it,"
            " then repeat this"
        )
    raise StorageError(
        f"{directory} is open in {_processes(others)}, which lost LMDB's lock on its {LMDB_FILE}:"
        " by opening and closing that file, as a copy of the whole directory does, or because the"
        " file was deleted or replaced. Opened here as well, jobs could be lost. The lock comes"
        " back when something is stored there; or stop what has it open. Then repeat this."
        " `antq backup` copies a store without harm"
    )


def is_open_elsewhere(directory: Path) -> bool:
    """Return whether another process holds LMDB's file lock, so has the store open.

    Not to be asked where this process has it open.
    """
    try:
        file = LockFile(directory / LMDB_FILE, make=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage_error(error, directory) from error
    try:
        return file.find_other(0, 1, by_process=True) is not None
    finally:
        file.release()


class LmdbLock:
    """Holds LMDB's lock file open, and can take LMDB's locks again.

    To be released after LMDB closed the store: the descriptor's own end drops the locks. Raises
    StorageError.
    """

    def __init__(self, directory: Path) -> None:
        try:
            self._file = LockFile(directory / LMDB_FILE)
        except OSError as error:
            raise storage_error(error, directory) from error

    def take_again(self) -> None:
        """Lock LMDB's lock file again: closing any descriptor of it drops a process's locks."""
        if not CAN_ASK:
            return
        for shared, byte in ((True, 0), (False, os.getpid())):
            self._file.take(shared=shared, start=byte, length=1, by_process=True)

    def is_lost_by(self, pids: Iterable[int]) -> bool:
        """Return whether one of these live processes has lost its lock on LMDB's lock file."""
        return any(self._file.find_other(pid, 1, by_process=True) is None for pid in pids)

    def is_deleted(self) -> bool:
        """Return whether LMDB's lock file was deleted, so that others do not find it."""
        return self._file.is_deleted()

    def release(self) -> None:
        """Close LMDB's lock file; once more is no error."""
        self._file.release()


def _processes(pids: list[int]) -> str:
    return f"process{'es' if len(pids) > 1 else ''} {', '.join(map(str, pids))}"


# ---- PID namespaces -------------------------------------------------------------------------


def pid_namespace() -> int | None:
    """Read the number of this process's PID namespace from /proc; None where there is none.

    It is unique among the namespaces that have a process. It is asked for each time: a child that
    is forked after ``os.unshare`` is in another one. The device of the number is not looked at, as
    it is the same for all namespaces of a kernel.
    """
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # no Linux, or no /proc
        return None


def namespace_refusal(directory: str | os.PathLike[str]) -> str:
    """Return the error text for a store that processes of another PID namespace have open."""
    return (
        f"{os.fspath(directory)} is open in a process of another PID namespace, such as another"
        " container. LMDB tells processes apart by their numbers, which two namespaces give twice,"
        " so jobs could be lost. Let the containers share one PID namespace: in Docker Compose"
        ' `pid: "service:web"`, with docker `--pid=container:NAME`, in Kubernetes'
        " `shareProcessNamespace: true`. Or run all in one container; a single command goes there"
        " with `docker exec`"
    )
