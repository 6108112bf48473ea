"""A mailbox with two lanes that closes when its actor dies.

Exit signals travel in the first lane, all else in the second, each in order. pykka's inbox
protocol is ``put``, ``get`` and ``empty``. What pykka's own inbox lacks is an end: here, nothing
can be put in after ``close``, and ``close`` hands over all that was not answered yet, so that
whoever waits can be told.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from pykka import ActorDeadError

from antq_actors.otp import current
from antq_actors.otp.messages import Call, Down

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka._envelope import Envelope

    from antq_actors.otp.messages import ExitSignal
    from antq_actors.otp.monitors import Monitor


class Leftovers(NamedTuple):
    """What a closed mailbox owes to others."""

    envelopes: list[Envelope[Any]]
    """Never taken, or a plain ask that was not answered yet."""
    calls: list[Call]
    """Taken, and not answered yet."""
    idle: bool
    """Whether the actor's thread was waiting for a message."""


class Mailbox:
    """The inbox of one GenServer. Only its actor's thread gets; any thread puts."""

    __slots__ = (
        "_asked",
        "_closed",
        "_lock",
        "_messages",
        "_open_asks",
        "_signals",
        "_sleeping",
        "_then",
        "_wake",
        "calls",
        "drowsy",
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._messages: deque[Envelope[Any]] = deque()
        self._signals: deque[ExitSignal] = deque()
        self._sleeping = False
        self._then: Callable[[], object] | None = None
        self._closed = False
        self._asked: Envelope[Any] | None = None
        self._open_asks: set[Envelope[Any]] = set()
        self.calls: set[Call] = set()
        """Calls that were taken and not answered yet."""
        self.drowsy = False
        """Whether quiet messages may wait until something else wakes the actor."""

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add a message of the thread's actor.

        An ask that comes too late is answered with ActorDeadError, a tell raises it. A thread
        whose actor was declared dead gets CallExit.
        """
        current.fence()
        if not self.deliver(envelope):
            _reject(envelope, "the actor has ended")

    def deliver(self, envelope: Envelope[Any], *, quiet: bool = False, wake: bool = True) -> bool:
        """Add a message; False if the mailbox is closed.

        A *quiet* one does not wake an actor that has said, with ``drowsy``, that it can wait.
        Without *wake* it wakes no actor: that is left to ``wake``.
        """
        with self._lock:
            if self._closed:
                return False
            self._messages.append(envelope)
            if wake and not (quiet and self.drowsy):
                self._rouse()
        return True

    def signal(self, signal: ExitSignal, *, wake: bool = True) -> bool:
        """Add an exit signal, which overtakes all messages; False if the mailbox is closed.

        Without *wake* the actor may sleep on: waking it is left to ``wake``.
        """
        with self._lock:
            if self._closed:
                return False
            self._signals.append(signal)
            if wake:
                self._rouse()
        return True

    def wake(self, then: Callable[[], object] | None = None) -> bool:
        """Wake the actor; False if it does not sleep. Awake, it calls *then* before all else."""
        with self._lock:
            if not self._sleeping:
                return False
            self._then = then
            self._rouse()
            return True

    def get(self, timeout: float | None = None) -> Envelope[Any] | ExitSignal | None:
        """Take the next signal or message; None after *timeout* seconds or when closed."""
        while True:
            with self._lock:
                self._asked = None
                if self._closed:
                    return None
                if self._signals:
                    return self._signals.popleft()
                if self._messages:
                    return self._take()
                self._sleeping = True
            if not self._wake.acquire(timeout=-1 if timeout is None else timeout):
                with self._lock:
                    if self._sleeping:
                        self._sleeping = False
                        return None
                # Someone roused this thread just as its time was over.
                self._wake.acquire()
            if self._then is not None:
                then, self._then = self._then, None
                then()

    def _take(self) -> Envelope[Any]:
        envelope = self._messages.popleft()
        # Under the lock: a kill between taking a call and noting it would leave its caller
        # waiting for ever.
        if envelope.reply_to is not None:
            self._asked = envelope
        elif isinstance(envelope.message, Call):
            self.calls.add(envelope.message)
            envelope.message.kept_in = self.calls
        return envelope

    def empty(self) -> bool:
        """Say whether nothing waits."""
        return not self._messages and not self._signals

    def has_signal(self) -> bool:
        """Say whether an exit signal waits."""
        return bool(self._signals)

    @property
    def asleep(self) -> bool:
        """Whether the actor's thread waits in ``get``."""
        return self._sleeping

    def __len__(self) -> int:
        return len(self._messages) + len(self._signals)

    def discard(self, monitor: Monitor) -> None:
        """Drop the Down of *monitor*, if it waits."""
        with self._lock:
            self._messages = deque(
                envelope
                for envelope in self._messages
                if not (isinstance(envelope.message, Down) and envelope.message.monitor is monitor)
            )

    def keep_open(self, envelope: Envelope[Any]) -> None:
        """Note that the plain ask that is being handled is answered later, or by the end."""
        with self._lock:
            if not self._closed:
                self._open_asks.add(envelope)

    def forget(self, envelope: Envelope[Any]) -> None:
        """Note that a plain ask was answered."""
        self._open_asks.discard(envelope)

    def close(self) -> Leftovers:
        """Let nothing in any more; answer what was not answered yet."""
        with self._lock:
            self._closed = True
            envelopes = list(self._messages)
            envelopes += self._open_asks
            if self._asked is not None and self._asked not in self._open_asks:
                envelopes.append(self._asked)
            calls = list(self.calls)
            self._messages.clear()
            self._signals.clear()
            self._asked = None
            self._open_asks.clear()
            self.calls.clear()
            idle = self._sleeping
            self._rouse()
        return Leftovers(envelopes, calls, idle)

    def lose(self) -> None:
        """Close it in a forked child, where a thread that is not there may hold the lock."""
        self._lock = threading.Lock()
        self._sleeping = False
        self.close()

    def _rouse(self) -> None:
        if self._sleeping:
            self._sleeping = False
            self._wake.release()


def _reject(envelope: Envelope[Any], why: str) -> None:
    error = ActorDeadError(f"{why}: the message was not handled")
    if envelope.reply_to is None:
        raise error
    envelope.reply_to.set_exception((ActorDeadError, error, None))
