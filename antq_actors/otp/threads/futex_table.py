"""The kernel's table of waiting threads, enlarged where there are many.

A thread that waits for a lock stands in a table of the kernel, in a row that depends on the lock,
and whoever frees a lock looks through its row. Since Linux 6.16 each process has a table of its
own, as large as the processors are many: 16 rows for two. Idle actors are waiting threads: beside
5,000 of them a wake-up took four times as long. A row for each costs 64 bytes.

Elsewhere, and in an older kernel, nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

FEW_THREADS: Final = 64
"""Threads for which the kernel's own choice is good enough."""

_PR_FUTEX_HASH: Final = 78
_SET_SLOTS: Final = 1
_GET_SLOTS: Final = 2

room = FEW_THREADS
"""For how many waiting threads there are rows enough."""


def make_room(threads: int) -> None:
    """Enlarge the kernel's futex table of this process to a row for each of *threads*, by prctl."""
    global room  # noqa: PLW0603 - the table is the process's, too
    if threads <= room:
        return
    room = 1 << (2 * threads - 1).bit_length()
    if 0 < rows() < room:
        _prctl(_SET_SLOTS, room)


def rows() -> int:
    """Return how many rows the kernel's futex table of this process has; 0: shared, -1: unknown."""
    return _prctl(_GET_SLOTS, 0)


def _prctl(what: int, number: int) -> int:
    if sys.platform != "linux":
        return -1
    rows_now: int = ctypes.CDLL(None).prctl(_PR_FUTEX_HASH, what, ctypes.c_ulong(number), 0, 0)
    return rows_now


def _renew() -> None:
    global room  # noqa: PLW0603 - a forked child begins with the kernel's own choice
    room = FEW_THREADS


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
