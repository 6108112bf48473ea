"""When each job was performed: one clock reading per job, in memory that all processes share.

It costs a job well under a microsecond, no lock, and nothing to who waits for the last one; and it
shows whether every job was performed, not only how many.
"""

from __future__ import annotations

import mmap
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLL_SECONDS: Final = 0.001
"""Seconds between two looks; what is measured are the readings, not when they were seen."""


class Journal:
    """The readings of jobs 0, 1, 2, …, each 0.0 until the job was performed."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._times = memoryview(mmap.mmap(opened.fileno(), 0)).cast("d")
        self._performed = 0
        """All jobs below this one are known to be performed."""

    @staticmethod
    def make(file: Path, jobs: int) -> Journal:
        """Make the file, with room for so many *jobs*."""
        with file.open("wb") as opened:
            opened.truncate(8 * jobs)
        return Journal(file)

    def note(self, number: int) -> None:
        """Write down that the job of this *number* is performed now."""
        # perf_counter is one clock for all processes of the system, where there are peers.
        self._times[number] = time.perf_counter()

    def of(self, number: int) -> float:
        """Return when the job was performed; 0.0: not yet."""
        return self._times[number]

    def times(self) -> list[float]:
        """Return when the performed jobs were performed, in the order of time."""
        return sorted(filter(None, self._times.tolist()))

    def wait(
        self, jobs: int, *, until: float, check: Callable[[], None], poll: float = POLL_SECONDS
    ) -> bool:
        """Wait for the jobs below number *jobs*; False when it is *until* before that.

        *check* is called now and then, to raise if the workers have died.
        """
        looks = 0
        while True:
            while self._performed < jobs and self._times[self._performed]:
                self._performed += 1
            if self._performed == jobs:
                return True
            if time.perf_counter() > until:
                return False
            looks += 1
            if looks % 100 == 0:
                check()
            time.sleep(poll)

    def wait_for_any(self, *, until: float, check: Callable[[], None]) -> None:
        """Wait for the first job, whichever that is. Raises TimeoutError when it is *until*."""
        while not any(self._times):
            check()
            if time.perf_counter() > until:
                raise TimeoutError("no job was performed")
            time.sleep(0.01)
