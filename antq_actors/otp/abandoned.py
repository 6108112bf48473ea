"""Threads that were abandoned by a kill and still run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from antq_actors.otp.process import Process

_lock = threading.RLock()
_abandoned: Final[dict[Process, threading.Thread]] = {}


def orphans() -> list[threading.Thread]:
    """List the threads whose actors were killed while they were busy, and that have not ended.

    Python cannot end them. They can do no harm through us: whatever they still send raises
    CallExit in them and reaches nobody.
    """
    with _lock:
        return [thread for thread in _abandoned.values() if thread.is_alive()]


def is_abandoned(process: Process) -> bool:
    """Say whether the thread of *process* was abandoned and still runs."""
    return process in _abandoned


def add(process: Process, thread: threading.Thread) -> None:
    """Note that *thread* may go on without its actor."""
    with _lock:
        _abandoned[process] = thread


def discard(process: Process) -> None:
    """Note that the thread of *process* came to its end."""
    if process not in _abandoned:  # as nearly all; it was added before its end was known
        return
    with _lock:
        _abandoned.pop(process, None)


def renew() -> None:
    """Begin anew in a forked child: the lock may be held by a thread that is not there."""
    global _lock  # noqa: PLW0603 - the old one cannot be freed
    _lock = threading.RLock()
    _abandoned.clear()
