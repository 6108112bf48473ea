"""What makes a queue actor take its next turn: exits of its workers, jobs it was served, jobs due.

Each is reported in its own thread, and often several are at once. One notice does for all of them.
While jobs are enqueued in rapid succession, it waits for more to come: a turn for each of them
would have the threads that enqueue and perform take the interpreter from each other all the time.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pykka._envelope import Envelope

from antq_actors.otp.kernel.messages import Marker
from antq_actors.otp.messaging import calls
from antq_actors.otp.threads import run_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.reasons import ExitReason

COALESCING_SECONDS: Final = 0.002
"""How long a notice waits for others, at most, while jobs arrive rapidly."""

QUICK_SECONDS: Final = 0.000_15
"""A job comes quickly if its caller paused for less since the job before. A caller that waits for
something in between pauses longer; one that enqueues in a loop pauses for a fraction of it."""

SLOW_SECONDS: Final = 0.000_7
"""A job after a longer pause ends the rapid succession."""

SOON_SECONDS: Final = 0.001_5
"""On disk, a job that comes so soon after the one before is claimed as it is stored."""

FEWEST_QUICK: Final = 4
"""So many jobs in a row that come quickly are a rapid succession."""

MOST_QUICK: Final = 1_024
"""So many are needed at most, when waiting for more has turned out to be in vain."""


NOTICE: Final = Marker("NOTICE")
"""A message to a queue actor: some worker actors have ended, or jobs are there to begin."""

_NOTICE: Final = Envelope(NOTICE)


@dataclass(slots=True)
class Arrivals:
    """How jobs arrive, one after the other: decides whether notices are coalesced.

    *now* is by the monotonic clock. If those who enqueue wait for what they have enqueued, or are
    themselves the jobs of the queue, waiting for more jobs only keeps them from coming: nothing
    comes meanwhile. So after each wait in vain, twice as many have to come quickly.
    """

    are_rapid: bool = False
    """Whether they come so quickly that a notice should wait for more of them."""
    last: float = -math.inf
    """When the last one was stored."""
    in_a_row: int = 0
    """How many more came quickly than neither quickly nor slowly, since one was slow; bounded."""
    needed: int = FEWEST_QUICK
    """How many make a rapid succession."""

    def note(self, now: float) -> None:
        """Note that a job is stored now, by a caller that has paused since the `last` one."""
        pause = now - self.last
        if pause < QUICK_SECONDS:
            self.in_a_row = min(self.in_a_row + 1, self.needed + FEWEST_QUICK)
        elif pause > SLOW_SECONDS:
            self.in_a_row = 0
        elif self.in_a_row:
            self.in_a_row -= 1
        self.are_rapid = self.in_a_row >= self.needed

    def waited(self, now: float) -> None:
        """Note that a notice has waited for more jobs; *now* shows whether they still came."""
        if now - self.last <= SLOW_SECONDS:
            self.needed = FEWEST_QUICK
        else:
            self.needed = min(2 * self.needed, MOST_QUICK)
            self.in_a_row = 0
            self.are_rapid = False


class ExitQueue:
    """The exits of one queue's worker actors, each added once and taken once, and its notices.

    *queue* gets one `NOTICE` for any number of them. *is_awaited*: whether a caller waits for jobs
    to end, so that no exit may wait. Called in any thread; it must neither raise nor wait.
    """

    def __init__(
        self, queue: ActorCell, *, is_durable: bool = False, is_awaited: Callable[[], bool] = bool
    ) -> None:
        self._queue = queue
        self._is_durable = is_durable
        self._is_awaited = is_awaited
        self._is_noted = False
        """Whether the arrival of the job that is stored now is noted."""
        self.paused = False
        """Whether the queue actor will take the exits without a message."""
        self._exits: deque[tuple[ActorCell, ExitReason]] = deque()
        self._notified = False
        self._taken = 0
        """How often the exits were taken."""
        self._coming = -1
        """How often they had been, at the last notice that has woken a thread to take them."""
        self._run_turn = run_queue.Brief(partial(calls.run_pending, queue))
        self.has_more = False
        """Whether there may be due jobs that the queue actor has not heard of."""
        self.claims = 0
        """How often the queue actor has done what it is woken for: it has requested a claim."""
        self._woken_for = -1
        """How often that was, at the last notice that jobs are due."""
        self.arrivals = Arrivals()
        self.room = 0
        """How many more jobs may arrive before a notice is sent without waiting."""
        self._waited = 0
        """How many notices have waited for more jobs."""
        self._waiting = -1
        """How many had, when the last one began to."""
        self._wait_for_more = run_queue.Brief(self._run_turn_later)
        self._enough = threading.Lock()
        """Where a notice waits; it is released when no more jobs are needed."""
        self._enough.acquire()

    def add(self, cell: ActorCell, reason: ExitReason, /) -> None:
        """Add the exit of a worker actor, in any thread, and wake the queue actor if need be."""
        # Added before the flags are read, which are lowered before the exits are taken, `_notified`
        # last: so an exit of this moment is either announced or taken.
        self._exits.append((cell, reason))
        if self.paused or self._notified:
            return
        self._notified = True
        if self.arrivals.are_rapid and self.room > 0 and not self._is_awaited():
            # What is free is enough for what arrives, and a held outcome goes with that.
            self._notify_later()
        elif calls.defer_turn(self._queue):
            self._queue.mailbox.deliver(_NOTICE, wake=False)
        elif cell.thread is threading.current_thread():
            # Soon it has nothing more to do, and runs the queue's turn itself: when the worker
            # actors that wait for a thread have begun, so that there is more to settle at once.
            self._queue.mailbox.deliver(_NOTICE, wake=False)
            run_queue.run_soon(self._run_turn)
        else:
            self._queue.mailbox.deliver(_NOTICE)

    def claims_later(self) -> bool:
        """Note that a job is stored; return whether the queue actor claims it in its next turn.

        It does if that is coming, with what else comes until then. But on disk that claim would be
        another flush, so of jobs that arrive soon after each other each is claimed as it is stored.
        """
        now = time.monotonic()
        is_soon = now - self.arrivals.last < SOON_SECONDS
        self.arrivals.note(now)
        self._is_noted = True
        if self._is_durable and is_soon:
            return False
        # As `is_coming`, without another call on the path of each job.
        return self.paused or self._coming == self._taken or self._waiting == self._waited

    def arrive(self, jobs: int) -> None:
        """Note that *jobs* are served in a transaction; `notify` follows."""
        self.room -= jobs

    def notify(self) -> None:
        """Have the queue actor see what it was served; in any thread, at any bytecode.

        An idle service thread runs its turn, and then performs a job that begins in it.
        """
        self.arrivals.last = time.monotonic()
        self._is_noted = False
        if self.is_coming():
            self._hurry_if_full()
            return
        if self.arrivals.are_rapid and self.room > 0:
            self._notify_later()
            return
        taken = self._taken
        self._queue.mailbox.deliver(_NOTICE, wake=False)
        if not run_queue.run_if_idle(self._run_turn):
            self._queue.mailbox.deliver(_NOTICE)
        # Last, and with the number from before: a notice that is cut short counts for nothing, and
        # a turn that has come already is none that will come.
        self._coming = taken

    def wake(self) -> None:
        """Have the queue actor claim due jobs; in any thread, at any bytecode.

        One that was woken already and has not requested a claim since need not hear it again: it
        will when it has a free slot, and then see all that was stored before.
        """
        now = time.monotonic()
        if not (self._is_noted or self._is_durable):  # there, storing it is a longer pause
            self.arrivals.note(now)
        self._is_noted = False
        self.arrivals.last = now
        self.room -= 1
        claims = self.claims
        if self._woken_for == claims:
            return
        # Before the question whether it is coming: the turn that comes reads it.
        self.has_more = True
        if self.is_coming():
            self._hurry_if_full()
        elif self.arrivals.are_rapid and self.room > 0:
            self._notify_later()
        else:
            self._queue.mailbox.deliver(_NOTICE)
            self._woken_for = claims  # last, as in `notify`

    def is_coming(self) -> bool:
        """Return whether the queue actor is about to look, without another message."""
        return self.paused or self._coming == self._taken or self._waiting == self._waited

    def take(self) -> deque[tuple[ActorCell, ExitReason]]:
        """Return the exits of worker actors, to be removed one by one; all later ones come there.

        The next one after this is announced again.
        """
        self._taken += 1
        self._notified = False
        return self._exits

    # ---- a notice that waits for more -----------------------------------------------------

    def _notify_later(self) -> None:
        """Have an idle service thread wait for more jobs, and then run the queue actor's turn."""
        if self.is_coming():
            return
        waited = self._waited
        if run_queue.run_if_idle(self._wait_for_more):
            self._waiting = waited  # last, as in `notify`
        else:
            self._queue.mailbox.deliver(_NOTICE)

    def _run_turn_later(self) -> None:
        self._enough.acquire(timeout=COALESCING_SECONDS)
        self._waited += 1
        self.arrivals.waited(time.monotonic())
        # Its own, as a turn in the meantime has read all messages.
        self._queue.mailbox.deliver(_NOTICE, wake=False)
        calls.run_pending(self._queue)

    def _hurry_if_full(self) -> None:
        """End the wait for more jobs if they have taken all free slots."""
        if self.room <= 0 and self._waiting == self._waited and self._enough.locked():
            with suppress(RuntimeError):  # another thread was quicker
                self._enough.release()
