"""Whether one service thread had better run all functions: decided by how quick they are.

Two threads that pass the interpreter to each other, on two processors, take up to twice the time of
one that keeps it. For functions that wait, or compute for long, each needs its own. Which kind they
are shows only when they run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WATCH_SECONDS: Final = 0.002
"""How often an idle thread looks whether another one gets on with the functions that wait."""

QUICK_PER_SECOND: Final = 4_000
"""If one thread runs fewer functions while others wait, more threads are woken for them."""

FEWEST_SLOW: Final = 32
"""So many functions have a thread woken for them, before one thread is tried for all."""

MOST_SLOW: Final = 4_096
"""So many have at most, when trying was in vain."""

PROVEN_LOOKS: Final = 8
"""After so many looks that found functions quick, the try was not in vain."""


@dataclass(slots=True)
class Pace:
    """Decides whether one thread runs all functions, while another one watches it.

    That is tried now and then. If a function keeps those behind it waiting, a thread is woken for
    each again, and it takes twice as many of them before the next try. *taken* counts the functions
    that were begun, and *now* is by the monotonic clock.
    """

    is_quick: bool = False
    """Whether one thread runs them one after the other."""
    left: int = FEWEST_SLOW
    """How many more have a thread woken for them, before that is tried."""
    after: int = FEWEST_SLOW
    """How many will, if the try is in vain."""
    quick_looks: int = 0
    """How many looks of this try have found that functions wait, and are quick."""
    taken: int = 0
    since: float = 0.0
    was_waiting: bool = False
    """How it was at the last look: functions begun, when, and whether one waited."""

    def leaves_to_one(self) -> bool:
        """Return whether a function that waits is left to the thread that runs them now.

        One that is not counts towards the next try.
        """
        if not self.is_quick:
            self.left -= 1
            if self.left <= 0:
                self.is_quick = True
                self.quick_looks = 0
        return self.is_quick

    def begin(self, taken: int, now: float, *, is_waiting: bool) -> None:
        """Note how it is when a thread begins to watch; *is_waiting*: whether a function waits."""
        self.taken, self.since, self.was_waiting = taken, now, is_waiting

    def look(self, taken: int, now: float, *, is_waiting: bool) -> bool:
        """Note how it is at a look; return whether to look again, as functions are quick."""
        done, wanted = taken - self.taken, QUICK_PER_SECOND * (now - self.since)
        has_waited = self.was_waiting and is_waiting
        self.begin(taken, now, is_waiting=is_waiting)
        if has_waited and done < wanted:
            self.is_quick = False
            self.left = self.after
            self.after = min(2 * self.after, MOST_SLOW)
            return False
        if has_waited:
            self.quick_looks += 1
            if self.quick_looks == PROVEN_LOOKS:
                self.after = FEWEST_SLOW
        return is_waiting or done > 0
