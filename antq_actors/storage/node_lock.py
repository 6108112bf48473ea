"""Which nodes live: each holds a file lock for as long as its process does.

No heartbeat and no timeout: a lock that can be taken belonged to a process that is gone, and a
slow one keeps its own. The locks of this process are kept here and not by the storage actor, so
that its restart does not look like the death of the node.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from antq_actors.storage.file_lock import try_lock

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_JUST_MADE: Final = 60.0
"""Seconds."""

_guard = threading.Lock()
_held: Final[dict[Path, int]] = {}
_said: Final[dict[Path, bytes]] = {}
"""What nodes of this process say of themselves."""

_MOST_SAID: Final = 65_536
"""Bytes that are read of what a node says."""


def hold(directory: Path, node: int, says: bytes = b"") -> None:
    """Take the lock of a new *node* of the store in *directory*; once more is no error.

    The file holds what it *says* of itself. Raises OSError when the file cannot be made.
    """
    file = _file(directory, node)
    with _guard:
        if file in _held:
            return
        file.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = try_lock(file)
        if descriptor is None:
            raise BlockingIOError(f"{file} is locked by another process, though node {node} is new")
        os.write(descriptor, says)
        _held[file] = descriptor
        _said[file] = says


def said(directory: Path, node: int) -> bytes:
    """Answer what a node says of itself; nothing of one that cannot be read."""
    file = _file(directory, node)
    with _guard:
        # As looking at one's own lock, reading its file would let it go.
        if file in _held:
            return _said[file]
        try:
            with file.open("rb") as readable:
                return readable.read(_MOST_SAID)
        except OSError:
            return b""


def release(directory: Path, node: int) -> None:
    """Let a node's lock go, if this process holds it, and delete its file.

    Raises OSError when the file cannot be deleted; the lock is let go all the same.
    """
    file = _file(directory, node)
    with _guard:
        try:
            file.unlink(missing_ok=True)
        finally:
            descriptor = _held.pop(file, None)
            _said.pop(file, None)
            if descriptor is not None:
                os.close(descriptor)


def is_dead(directory: Path, node: int) -> bool:
    """Tell whether the process of *node* is gone. A node of this process never is.

    Raises OSError when the file cannot be looked at: that tells nothing of the node.
    """
    file = _file(directory, node)
    with _guard:
        # Looking at one's own lock would let it go.
        if file in _held:
            return False
        try:
            file.stat()  # not exists(), which may take any error for a no
        except FileNotFoundError:
            return True
        descriptor = try_lock(file)
        if descriptor is None:
            return False
        os.close(descriptor)
        return True


def sweep(directory: Path, nodes: Collection[int]) -> None:
    """Delete files of none of *nodes*, left by who died while it opened or forgot one.

    Not those of the last minute: a new node has its file a moment before it is locked.
    """
    known = {_file(directory, node) for node in nodes}
    with _guard:
        for file in (directory / "nodes").glob("*.lock"):
            if file in known or file in _held:
                continue
            with suppress(FileNotFoundError):  # another sweep was faster
                if file.stat().st_mtime > time.time() - _JUST_MADE:
                    continue
                descriptor = try_lock(file)
                if descriptor is not None:
                    file.unlink(missing_ok=True)
                    os.close(descriptor)


def _file(directory: Path, node: int) -> Path:
    return directory / "nodes" / f"{node}.lock"


def _forget_in_fork() -> None:
    """Begin without locks: a fork has none of its parent's."""
    global _guard  # noqa: PLW0603 - the parent may have held it at the fork
    _guard = threading.Lock()
    _held.clear()
    _said.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_fork)
