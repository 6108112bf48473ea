"""Messages that arrive later: one service thread for all of them.

A timer to an actor ends with that actor, and nothing here keeps either of them, as in Erlang. One
to a name stays: who has the name is looked up when the time has come.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from antq_actors.checks import finite_seconds
from antq_actors.otp.kernel.cell import ServerRef
from antq_actors.otp.kernel.errors import StartError
from antq_actors.otp.kernel.reasons import Crash
from antq_actors.otp.messaging import names
from antq_actors.otp.messaging.names import find

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination

logger = logging.getLogger("antq_actors.otp")


class Timer:
    """A message on its way."""

    __slots__ = ("_dest", "cell", "due", "entry", "message", "state")

    def __init__(self, dest: Destination, message: Any, due: float) -> None:
        self._dest = dest
        self.cell = dest.cell if isinstance(dest, ServerRef) else None
        """The actor that it ends with; None for a name."""
        self.entry: list[Any] | None = None
        """Its place in the heap."""
        self.message = message
        self.due = due
        """When, on the monotonic clock."""
        self.state = "waiting"

    def __str__(self) -> str:
        return f"a message to {self._dest!r}"

    def fire(self) -> None:
        """Send the timer's message now; its name is looked up now, a dead receiver is no error."""
        # A Via may lead into another registry by now than when it was sent, one of duplicate keys,
        # say: then this raises.
        ref = self._dest if isinstance(self._dest, ServerRef) else names.whereis(self._dest)
        if ref is not None:
            ref.deliver(self.message)


class PollingTimer(Timer):
    """A message on its way whenever there is a reason for it, looked for again and again."""

    __slots__ = ("_interval", "_look", "_ref")

    def __init__(
        self, ref: ServerRef, message: Any, interval: Callable[[], float], look: Callable[[], bool]
    ) -> None:
        super().__init__(ref, message, time.monotonic() + interval())
        self._ref = ref
        self._interval = interval
        self._look = look

    def fire(self) -> None:
        """Call the timer's *look*, send its message if that says yes, and start the timer again."""
        if self._look():
            self._ref.deliver(self.message)
        self.due = time.monotonic() + self._interval()
        self.state = "waiting"
        _timer_thread.add(self)


class _Call(Timer):
    """A function on its way to be called."""

    __slots__ = ("_fn",)

    def __init__(self, fn: Callable[[], object], due: float) -> None:
        super().__init__("", fn, due)
        self._fn = fn

    def fire(self) -> None:
        """Call the timer's function."""
        self._fn()


class TimerThread:
    """The heap of timers, and the thread that empties it."""

    def __init__(self) -> None:
        # One that its thread may take again: a finalizer that runs in here may use timers, too.
        self._lock = threading.RLock()
        # Where the thread sleeps: a Condition makes a lock for each of its waits.
        self._wake = threading.Lock()
        self._wake.acquire()
        self._asleep = False
        self._heap: list[list[Any]] = []
        """When each is due, its number, and the timer; None in the place of a cancelled one."""
        self._by_cell: dict[ActorCell, set[Timer]] = {}
        """Of living ones; each tells of its end."""
        self._numbers = itertools.count()
        self._cancelled = 0
        self._thread: threading.Thread | None = None

    def add(self, timer: Timer) -> None:
        """Have the timer thread fire *timer* when it is due; starts the thread, or wakes it."""
        with self._lock:
            if self._thread is None:
                self._thread = self._start_thread()
            timer.entry = [timer.due, next(self._numbers), timer]
            heapq.heappush(self._heap, timer.entry)
            cell = timer.cell
            is_known = cell is None or cell in self._by_cell
            if cell is not None:
                self._by_cell.setdefault(cell, set()).add(timer)
            if self._asleep and self._heap[0] is timer.entry:
                self._asleep = False
                self._wake.release()
        if cell is not None and not is_known and not cell.add_cleanup(self):
            self.on_exit(cell)

    def on_exit(self, cell: ActorCell) -> None:
        """Drop the timers to the actor *cell*, which has ended, with their messages."""
        with self._lock:
            dropped = self._by_cell.pop(cell, ())
            for timer in dropped:
                self._drop(timer)
        # Here they go, without the lock: what a message held may have a __del__.

    def _make_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="otp-service-timer", daemon=True)

    def _start_thread(self) -> threading.Thread:
        thread = self._make_thread()
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            raise StartError(Crash(error), message=f"no timer can be started: {error}") from error
        return thread

    def cancel(self, timer: Timer) -> float | None:
        """Drop *timer*; return the seconds that were left, None if it has fired."""
        with self._lock:
            if timer.state != "waiting":
                return None
            self._drop(timer)
        return max(0.0, timer.due - time.monotonic())

    def _drop(self, timer: Timer) -> None:
        timer.state = "cancelled"
        self._take_out(timer)
        self._cancelled += 1
        if self._cancelled > max(64, len(self._heap) // 2):
            # What is left of them is dropped when their time comes; of many, at once.
            self._heap = [entry for entry in self._heap if entry[2] is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _take_out(self, timer: Timer) -> None:
        """Remove all references to *timer* from the heap, so that its message can be freed."""
        entry, timer.entry = timer.entry, None
        if entry is not None:
            entry[2] = None
        if timer.cell is not None and (of_cell := self._by_cell.get(timer.cell)):
            of_cell.discard(timer)

    def _run(self) -> None:
        while True:
            self._fire(self._next())  # held in no frame while this thread waits for the next one

    def _fire(self, timer: Timer) -> None:
        try:
            timer.fire()
        except Exception:
            # All other timers need this thread.
            logger.exception("%s, sent to arrive now, is lost", timer)

    def _next(self) -> Timer:
        while True:
            with self._lock:
                timer, wait = self._take()
                self._asleep = timer is None
            if timer is not None:
                return timer
            if not self._wake.acquire(timeout=wait):
                with self._lock:
                    if self._asleep:
                        self._asleep = False
                        continue
                # Someone roused this thread just as its time was over.
                self._wake.acquire()

    def _take(self) -> tuple[Timer | None, float]:
        """Take the timer that is due from the heap; or none, and the seconds to wait."""
        while self._heap:
            entry = heapq.heappop(self._heap)
            timer: Timer | None = entry[2]
            if timer is None:
                self._cancelled -= 1
                continue
            wait = timer.due - time.monotonic()
            if wait > 0:
                heapq.heappush(self._heap, entry)
                return None, min(wait, threading.TIMEOUT_MAX)
            timer.state = "fired"
            self._take_out(timer)
            return timer, 0.0
        return None, -1


_timer_thread = TimerThread()


def _renew() -> None:
    global _timer_thread  # noqa: PLW0603 - a forked child has no timer thread, and needs its own
    _timer_thread = TimerThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def send_after(dest: Destination, message: Any, seconds: float | timedelta) -> Timer:
    """Have the timer thread send *message* to ``handle_info`` of *dest* in *seconds*.

    Raises ValueError for a negative or endless time, TypeError for what is no time or no
    destination, StartError if the thread that all timers share cannot be started.
    """
    find(dest)
    delay = finite_seconds(seconds, "seconds")
    timer = Timer(dest, message, time.monotonic() + delay)
    _timer_thread.add(timer)
    return timer


def send_when(
    ref: ServerRef, message: Any, look: Callable[[], bool], *, every: Callable[[], float]
) -> PollingTimer:
    """Send *message* to *ref* whenever *look* says yes; *every* gives the seconds to the next look.

    Both run in the thread that all timers share, so that nobody is woken for a no: they must be
    quick, and must neither wait nor raise. It ends when *ref* has.
    """
    lookout = PollingTimer(ref, message, every, look)
    _timer_thread.add(lookout)
    return lookout


def call_after(fn: Callable[[], object], seconds: float) -> Timer:
    """Call *fn* in *seconds*, in the timer thread: it must be quick, and not wait.

    For what an actor that is busy, or a thread that waits, cannot do for itself.
    """
    timer = _Call(fn, time.monotonic() + seconds)
    _timer_thread.add(timer)
    return timer


def send_soon(ref: ServerRef, message: Any, seconds: float) -> None:
    """Send *message* to *ref* in *seconds*, by the timer thread; with 0, at once and without it.

    As `send_after`, for times that need no check.
    """
    if seconds:
        _timer_thread.add(Timer(ref, message, time.monotonic() + seconds))
    else:
        ref.deliver(message)


def cancel_timer(timer: Timer) -> float | None:
    """Drop a timer's message: return the seconds that were left, or None if it was too late.

    Raises TypeError for what is no timer.
    """
    if not isinstance(timer, Timer):
        raise TypeError(f"cancel_timer() takes what send_after() returned, got {timer!r}")
    return _timer_thread.cancel(timer)
