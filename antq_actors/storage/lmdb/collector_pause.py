"""Python's garbage collector, which does not run within a transaction.

It would run in whatever thread has made one object too many, and call finalizers there: code of the
program, which may enqueue a job. In the middle of a transaction that could neither be done, because
LMDB's own code may be at work further up, nor be waited for. What the program itself wants of the
collector stands, but for one thing: a ``gc.disable()`` in another thread during such a stretch,
which mostly takes less than a millisecond, is not kept.
"""

from __future__ import annotations

import gc
import os
import threading
from _thread import get_ident
from typing import Final


class CollectorPause:
    """Switches Python's garbage collector off while LMDB transactions are under way.

    A context manager for all threads; the collector is on again when the last one has left. Within
    the same thread it is no stretch of its own, and ends with the inner one.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._threads: set[int] = set()
        self._is_ours = False
        """Whether the collector was on, and is off because of us."""

    def __enter__(self) -> None:
        with self._lock:
            self._threads.add(get_ident())
            if gc.isenabled():
                self._is_ours = True
                gc.disable()

    def __exit__(self, *_exception: object) -> None:
        """Switch the garbage collector on again if no other thread is in a transaction."""
        with self._lock:
            self._threads.discard(get_ident())
            if self._is_ours and not self._threads:
                self._is_ours = False
                gc.enable()

    def end_for_thread(self) -> None:
        """Switch the garbage collector on again for a thread that was cut short in the block."""
        while self._lock._is_owned():  # type: ignore[attr-defined] # noqa: SLF001
            self._lock.release()
        self.__exit__()

    def end_in_child(self) -> None:
        """Switch the garbage collector on again in a forked child, which has no other threads."""
        self._lock = threading.RLock()
        self._threads.clear()
        self.__exit__()


collector_pause: Final = CollectorPause()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=collector_pause.end_in_child)
