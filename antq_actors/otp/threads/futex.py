"""The kernel's table of waiting threads, made as large as the threads are many.

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

ENOUGH: Final = 64
"""Threads for which the kernel's own choice is good enough."""

_PR_FUTEX_HASH: Final = 78
_SET_SLOTS: Final = 1
_GET_SLOTS: Final = 2

_room = ENOUGH


def make_room(threads: int) -> None:
    """Have at least a row for each of this many *threads*, if the table is this process's own."""
    global _room  # noqa: PLW0603 - the table is the process's, too
    if threads <= _room:
        return
    _room = 1 << (2 * threads - 1).bit_length()
    if 0 < rows() < _room:
        _prctl(_SET_SLOTS, _room)


def rows() -> int:
    """Answer how many rows the table has: 0 if the process shares the system's, -1 if unknown."""
    return _prctl(_GET_SLOTS, 0)


def _prctl(what: int, rows: int) -> int:
    if sys.platform != "linux":
        return -1
    answer: int = ctypes.CDLL(None).prctl(_PR_FUTEX_HASH, what, ctypes.c_ulong(rows), 0, 0)
    return answer


def _renew() -> None:
    global _room  # noqa: PLW0603 - a forked child has the kernel's own choice again
    _room = ENOUGH


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
