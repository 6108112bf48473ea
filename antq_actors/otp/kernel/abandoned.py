"""Threads that were abandoned, by a kill or with what they ran for, and still run."""

from __future__ import annotations

import threading
from typing import Final

_lock = threading.RLock()
_abandoned: Final[dict[object, threading.Thread]] = {}
"""By the actor's `ActorCell`, or whatever else tells them apart."""


def orphans() -> list[threading.Thread]:
    """List the threads that were abandoned while they were busy, and that have not ended.

    Python cannot end them. Those of actors that were killed can do no harm through us: whatever
    they still send raises CallExit in them and reaches nobody. Others were used by coroutines of
    an event loop that has ended.
    """
    with _lock:
        return [thread for thread in _abandoned.values() if thread.is_alive()]


def is_abandoned(key: object) -> bool:
    """Say whether the thread of *key* was abandoned and still runs."""
    return key in _abandoned


def add(key: object, thread: threading.Thread) -> None:
    """Note that *thread* may go on without its actor."""
    with _lock:
        _abandoned[key] = thread


def discard(key: object) -> None:
    """Note that the thread of *key* came to its end."""
    if key not in _abandoned:  # as nearly all; it was added before its end was known
        return
    with _lock:
        _abandoned.pop(key, None)


def renew() -> None:
    """Begin anew in a forked child: the lock may be held by a thread that is not there."""
    global _lock  # noqa: PLW0603 - the old one cannot be freed
    _lock = threading.RLock()
    _abandoned.clear()
