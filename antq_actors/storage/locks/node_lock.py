"""Which nodes live, and what each says of itself.

Each node holds a file lock for as long as its process does. No heartbeat and no timeout: a lock
that can be taken belonged to a process that is gone, and a slow one keeps its own. The locks of
this process are kept here and not by the storage actor, so that its restart does not look like the
death of the node.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import ExitStack, suppress
from datetime import datetime  # msgspec reads annotations
from typing import TYPE_CHECKING, Final

import msgspec

from antq_actors.introspection import explain_fields
from antq_actors.storage.format.records import QueueReport
from antq_actors.storage.locks.file_lock import CAN_ASK, LockFile, try_lock
from antq_actors.storage.locks.store_lock import is_alive

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


@explain_fields
class QueueInfo(msgspec.Struct, frozen=True):
    """How a node runs a queue, as it was configured there."""

    concurrency: int
    """Jobs it performs at once there, at most."""
    executor: str | None = None
    """What runs jobs whose worker names none; None: threads, and an event loop for coroutines."""


@explain_fields
class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs queues of a path."""

    number: int = 0
    """Its number in the store."""
    pid: int = 0
    """The id of its process; 0 if that is unknown."""
    host: str = ""
    """The name of its machine."""
    queues: dict[str, QueueInfo] = msgspec.field(default_factory=dict)
    """The queues that it runs, by name."""
    alive: bool = True
    """False: it died, and its jobs will be given back in a moment."""
    running: int = 0
    """Jobs that run there."""
    started_at: datetime | None = None
    """When it was started; None: it runs an earlier release, which does not tell."""
    version: str = ""
    """The release of ``antq_actors`` that it runs; "" where that is unknown."""


def describe(
    queues: Mapping[str, QueueInfo], *, started_at: datetime | None = None, version: str = ""
) -> bytes:
    """Return the JSON metadata of this process as a node that runs *queues*."""
    return msgspec.json.encode(
        NodeInfo(
            pid=os.getpid(),
            host=socket.gethostname(),
            queues=dict(queues),
            started_at=started_at,
            version=version,
        )
    )


def read_info(number: int, metadata: bytes, *, alive: bool, running: int) -> NodeInfo:
    """Return a node's description, decoded from its *metadata*; if that is damaged, its number."""
    try:
        info = msgspec.json.decode(metadata, type=NodeInfo)
    except (msgspec.DecodeError, UnicodeDecodeError):
        info = NodeInfo()
    return msgspec.structs.replace(info, number=number, alive=alive, running=running)


class _Reports(msgspec.Struct):
    """What is beside a node's description in its metadata."""

    queues: dict[str, QueueInfo] = {}
    reports: dict[str, QueueReport] = {}
    clock: float | None = None
    """When that was written, by the clock of the node's process."""


def with_reports(metadata: bytes, reports: Mapping[str, QueueReport]) -> bytes:
    """Return a node's *metadata* with what it reports of its queues, not of the past."""
    described = msgspec.json.decode(metadata) if metadata else {}
    return msgspec.json.encode({**described, "reports": reports, "clock": time.time()})


def skew(directory: Path, node: int) -> float | None:
    """Return how many seconds a node's clock is ahead of that of the machine with the store.

    The node wrote what time it was into its lock file, and the system noted when that was: the
    clock of a virtual machine or of a library that feigns another time shows. None: the node runs
    an earlier release, or its file cannot be read.
    """
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        told = msgspec.json.decode(metadata(directory, node), type=_Reports).clock
        if told is not None:
            return told - _file(directory, node).stat().st_mtime
    return None


def read_reports(metadata: bytes) -> dict[str, QueueReport]:
    """Return what a node reports of its queues, decoded from its *metadata*; {} if it is damaged.

    Of a queue that it has reported nothing of, that is its concurrency as it was configured.
    """
    try:
        found = msgspec.json.decode(metadata, type=_Reports)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    described = {name: QueueReport(queue.concurrency) for name, queue in found.queues.items()}
    return described | found.reports


_JUST_MADE_SECONDS: Final = 60.0
"""Seconds."""

_guard = threading.Lock()
_held: Final[dict[Path, LockFile]] = {}
_metadata: Final[dict[Path, bytes]] = {}
"""The metadata of the nodes of this process."""

_MOST_METADATA_BYTES: Final = 65_536
"""Bytes that are read of the metadata of a node."""


def hold(directory: Path, node: int, metadata: bytes = b"") -> None:
    """Make and lock the lock file of a new *node* of the store; once more is no error.

    The file holds its *metadata*, which describes it. Raises OSError when the file cannot be
    made.
    """
    file = _file(directory, node)
    with _guard:
        if file in _held:
            return
        file.parent.mkdir(mode=0o700, exist_ok=True)
        with ExitStack() as undo:
            lock = LockFile(file)
            undo.callback(lock.release)
            if not _take(lock):
                raise BlockingIOError(
                    f"{file} is locked by another process, though node {node} is new"
                )
            lock.write(metadata)
            undo.pop_all()
        _held[file] = lock
        _metadata[file] = metadata


def describe_anew(directory: Path, node: int, metadata: bytes) -> None:
    """Write new *metadata* of a node into its lock file, if this process holds it.

    In place, in one write, so that it also works on a disk that is full. Raises OSError.
    """
    file = _file(directory, node)
    with _guard:
        lock = _held.get(file)
        if lock is not None:
            metadata = metadata.ljust(len(_metadata[file]))
            _metadata[file] = metadata
            lock.write_over(metadata)


def metadata(directory: Path, node: int) -> bytes:
    """Read a node's metadata from its lock file; empty if that cannot be read."""
    file = _file(directory, node)
    with _guard:
        # Where locks are the process's, reading its own file would let it go.
        if file in _held:
            return _metadata[file]
        try:
            with file.open("rb") as readable:
                return readable.read(_MOST_METADATA_BYTES)
        except OSError:
            return b""


def release(directory: Path, node: int) -> None:
    """Release a node's file lock, if this process holds it, and delete its lock file.

    The file of another node stays: of one that lives, or of the store that took the place of a
    removed one. Raises OSError when the file cannot be deleted; the lock is let go all the same.
    """
    file = _file(directory, node)
    with _guard:
        lock = _held.pop(file, None)
        _metadata.pop(file, None)
        try:
            if lock.is_at(file) if lock is not None else _is_free(file):
                file.unlink(missing_ok=True)
        finally:
            if lock is not None:
                lock.release()


def is_dead(directory: Path, node: int) -> bool:
    """Return whether the process of *node* is gone, as its lock file is not locked.

    A node of this process never is.
    Raises OSError when the file cannot be looked at: that tells nothing of the node.
    """
    file = _file(directory, node)
    with _guard:
        # Where locks are the process's, looking at its own would let it go.
        return file not in _held and _is_free(file)


def sweep(directory: Path, nodes: Collection[int]) -> None:
    """Delete the lock files of nodes other than *nodes*, left by processes that died.

    Not those of the last minute: a new node has its file a moment before it is locked.
    """
    known = {_file(directory, node) for node in nodes}
    with _guard:
        for file in (directory / "nodes").glob("*.lock"):
            if file in known or file in _held:
                continue
            with suppress(FileNotFoundError):  # another sweep was faster
                if file.stat().st_mtime > time.time() - _JUST_MADE_SECONDS:
                    continue
                lock = try_lock(file)
                if lock is not None:
                    file.unlink(missing_ok=True)
                    lock.release()


def _file(directory: Path, node: int) -> Path:
    return directory / "nodes" / f"{node}.lock"


def _take(lock: LockFile) -> bool:
    """Lock a new node's file, as a process and as an open file; see :func:`_is_free`."""
    if not CAN_ASK:
        return lock.take()
    return lock.take(by_process=True, length=1) and lock.take(start=os.getpid())


def _is_free(file: Path) -> bool:
    """Return whether no living process holds the lock of a node's file; nothing is locked.

    The process may have lost its own lock on the first byte, by copying the file. What begins at
    its number it cannot lose; but a child that C code forked may still have that when it is dead.
    """
    try:
        lock = LockFile(file, make=False)
    except FileNotFoundError:
        return True
    try:
        if not CAN_ASK:
            return lock.take()
        if lock.find_other(0, 1, by_process=True) is not None:
            return False
        pid = lock.find_other(1)
        return pid is None or not is_alive(pid)
    finally:
        lock.release()


def _forget_in_fork() -> None:
    """Forget the node locks in a forked child: a fork has none of its parent's."""
    global _guard  # noqa: PLW0603 - the parent may have held it at the fork
    _guard = threading.Lock()
    _held.clear()
    _metadata.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_fork)
