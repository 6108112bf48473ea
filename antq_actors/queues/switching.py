"""How long a thread may keep the interpreter when hundreds of others want it.

A thread that waits for the interpreter wakes up once in every switch interval, 5 ms by default, to
ask for it. When two thousand wait, that is four hundred thousand wake-ups a second: the processors
do little else, and so the line gets no shorter. 40,000 jobs of 0.2 s with 2,000 slots took 37 s
like that, and 13 s with an interval of 50 ms. So it is raised with the number of slots, beyond
what the default is good for, and put back when the queues have ended.

The price: beside a job that computes, other threads wait up to that long for their turn.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

SLOT_SECONDS: Final = 25e-6
"""Seconds of switch interval for each slot: 200 slots are the default's 5 ms."""

MAX_INTERVAL_SECONDS: Final = 0.05
"""Seconds beyond which a longer interval is no gain."""


class SwitchInterval:
    """The switch interval of this process, as far as its queues have a say in it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._slots: dict[str, int] = {}
        self._before: float | None = None
        self._ours: float | None = None

    def want(self, queue: str, slots: int) -> None:
        """Note that *queue* runs up to *slots* jobs at once; 0 when it runs none any more."""
        with self._lock:
            self._slots.pop(queue, None)
            if slots:
                self._slots[queue] = slots
            self._apply()

    def _apply(self) -> None:
        now = sys.getswitchinterval()
        if self._before is None or self._ours is None or abs(now - self._ours) > SLOT_SECONDS:
            self._before = now  # nothing of ours is in force; it is the program's own setting
        wanted = min(MAX_INTERVAL_SECONDS, SLOT_SECONDS * sum(self._slots.values()))
        self._ours = max(self._before, wanted)
        if self._ours != now:
            sys.setswitchinterval(self._ours)


switch_interval: Final = SwitchInterval()
