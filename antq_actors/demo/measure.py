"""Measure how long attempts take, and how much memory the program uses.

First attempts and retries share the slots of the queue. To know how long the first attempts alone
took, the time that retries spent in slots has to be subtracted.

On Linux the pages of the mapped store are not counted as the program's own memory: the kernel takes
them back whenever it needs memory.
"""

from __future__ import annotations

import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Times(NamedTuple):
    """How long the attempts of this process took, in seconds."""

    firsts: int
    """First attempts that ended."""
    retries: int
    """Later attempts that ended."""
    firsts_ended_at: float
    """When the last first attempt ended, by the stopwatch's clock."""
    in_firsts: float
    """The slot time of all first attempts."""
    in_retries: float
    """The slot time of the retries that had ended by ``firsts_ended_at``."""


class Stopwatch:
    """Adds up attempts. Any thread may use it; it needs constant memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._firsts = 0
        self._retries = 0
        self._in_firsts = 0.0
        self._in_retries = 0.0
        self._last_first = (0.0, 0.0)

    @contextmanager
    def attempt(self, number: int) -> Iterator[None]:
        """Time one attempt of the demo, however it ends; *number* counts from 1."""
        began = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._add(number, began)

    def times(self) -> Times:
        """Return how long the demo's attempts have taken so far."""
        with self._lock:
            ended_at, in_retries = self._last_first
            return Times(self._firsts, self._retries, ended_at, self._in_firsts, in_retries)

    def _add(self, number: int, began: float) -> None:
        ended = self._clock()
        if number == 1:
            self._firsts += 1
            self._in_firsts += ended - began
            self._last_first = (ended, self._in_retries)
        else:
            self._retries += 1
            self._in_retries += ended - began


_STATUS: Final = Path("/proc/self/status")
_KIB: Final = 1024


def own_memory() -> int:
    """Return the bytes of memory that the demo itself uses, from ``/proc``, or else the peak."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        kib = next(line.split()[1] for line in lines if line.startswith("RssAnon:"))
    except (OSError, StopIteration):
        return peak_memory()
    return int(kib) * _KIB


def peak_memory() -> int:
    """Return the most bytes of memory that the demo ever had, including the mapped store."""
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * _KIB
