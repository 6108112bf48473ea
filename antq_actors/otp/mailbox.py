"""A mailbox with two lanes that closes when its actor dies.

Exit signals travel in the first lane, all else in the second, each in order. pykka's inbox
protocol is ``put``, ``get`` and ``empty``. What pykka's own inbox lacks is an end: here, nothing
can be put in after ``close``, and ``close`` hands over all that was not answered yet, so that
whoever waits can be told.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pykka import ActorDeadError

from antq_actors.otp import current
from antq_actors.otp.messages import Call, Down

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka._envelope import Envelope

    from antq_actors.otp.messages import ExitSignal
    from antq_actors.otp.monitors import Monitor


_NO_MESSAGES: Final[deque[Any]] = deque()
_NO_ASKS: Final[set[Any]] = set()
_NO_CALLS: Final[set[Any]] = set()
"""Never changed: what stands for nothing."""


class Leftovers(NamedTuple):
    """What a closed mailbox owes to others."""

    envelopes: list[Envelope[Any]]
    """Never taken, or a plain ask that was not answered yet."""
    calls: list[Call]
    """Taken, and not answered yet."""
    idle: bool
    """Whether the actor's thread was waiting for a message."""


class Mailbox:
    """The inbox of one GenServer. Only its actor's thread gets; any thread puts.

    While the actor's thread sleeps, another thread may borrow its place, see `lending.py`: it takes
    messages, and the actor's thread sleeps on until the place is given back.
    """

    def __init__(self) -> None:
        # Most actors live for one job. What such a one never has is made when it is needed.
        self._lock = threading.Lock()
        self._messages: deque[Envelope[Any]] = _NO_MESSAGES
        self.signals: deque[ExitSignal] | None = None
        """Those that wait; None for none."""
        self._open_asks: set[Envelope[Any]] = _NO_ASKS
        self.calls: set[Call] = _NO_CALLS
        """Calls that were taken and not answered yet."""
        self._asked: Envelope[Any] | None = None
        self._sleeping = False
        self._closed = False

    # What matters to those alone who sleep stands in the class until they do.
    _wake: threading.Lock | None = None
    """Where the actor's thread sleeps."""
    _can_be_borrowed = False
    borrower: object = None
    """Who has the place of the actor's thread now."""
    _taken: list[Envelope[Any]] | None = None
    """What the borrower took for its present turn, but for its own call."""
    _failure: BaseException | None = None
    """What a borrower met, to be raised in the actor's own thread."""
    _then: Callable[[], object] | None = None

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add a message of the thread's actor.

        An ask that comes too late is answered with ActorDeadError, a tell raises it. A thread
        whose actor was declared dead gets CallExit.
        """
        current.fence()
        if not self.deliver(envelope):
            _reject(envelope, "the actor has ended")

    def deliver(self, envelope: Envelope[Any], *, wake: bool = True) -> bool:
        """Add a message; False if the mailbox is closed.

        Without *wake* the actor may sleep on: waking it is left to ``wake``.
        """
        with self._lock:
            if self._closed:
                return False
            if self._messages is _NO_MESSAGES:
                self._messages = deque()
            self._messages.append(envelope)
            if wake:
                self._rouse()
        return True

    def signal(self, signal: ExitSignal, *, wake: bool = True) -> bool:
        """Add an exit signal, which overtakes all messages; False if the mailbox is closed.

        Without *wake* the actor may sleep on: waking it is left to ``wake``.
        """
        with self._lock:
            if self._closed:
                return False
            if self.signals is None:
                self.signals = deque()
            self.signals.append(signal)
            if wake:
                self._rouse()
        return True

    def wake(self, then: Callable[[], object] | None = None) -> bool:
        """Wake the actor; False if it does not sleep. Awake, it calls *then* before all else."""
        with self._lock:
            if not self.asleep:
                return False
            self._then = then
            self._rouse()
            return True

    def get(self, timeout: float | None = None) -> Envelope[Any] | ExitSignal | None:
        """Take the next signal or message; None after *timeout* seconds or when closed.

        Raises what a borrower met.
        """
        while True:
            with self._lock:
                self._asked = None
                if self._closed:
                    return None
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
                if self.signals:
                    signal = self.signals.popleft()
                    self.signals = self.signals or None
                    return signal
                if self._messages:
                    return self._take()
                if self._wake is None:
                    self._wake = threading.Lock()
                    self._wake.acquire()
                self._sleeping = True
                self._can_be_borrowed = timeout is None
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
            self._open(envelope.message)
        return envelope

    def _open(self, call: Call) -> None:
        if self.calls is _NO_CALLS:
            self.calls = set()
        self.calls.add(call)
        call.kept_in = self.calls

    def take_calls(self, limit: int) -> list[Call]:
        """Take the requests that wait in front of all else, up to *limit*."""
        taken: list[Envelope[Any]] = []
        with self._lock:
            while self._messages and len(taken) < limit and not self.signals:
                message = self._messages[0].message
                if not (isinstance(message, Call) and message.callback == Call.callback):
                    break
                taken.append(self._messages.popleft())
                self._open(message)
            if taken and self.borrower is not None:
                self._taken = [*(self._taken or ()), *taken]
        return [envelope.message for envelope in taken]

    # ---- borrowed -------------------------------------------------------------------------

    def borrow(self, borrower: object, call: Call | None = None) -> bool:
        """Let *borrower* have the place of the actor's thread, until it gives it back.

        To do a *call* of its own when nothing waits; without one, what waits. False if there is no
        such thing, or the actor's thread is awake.
        """
        with self._lock:
            if (
                not self.asleep
                or not self._can_be_borrowed
                or self._closed
                or self.signals
                or bool(self._messages) is (call is not None)
            ):
                return False
            if call is not None:
                self._open(call)
            self.borrower = borrower
            return True

    def next_for(self, borrower: object) -> Envelope[Any] | None:
        """Take the next message for *borrower*; None when there is none: the place is given back.

        A signal is for the actor's own thread, and so is what waits behind it.
        """
        with self._lock:
            self._asked = None
            if self.borrower is borrower and self._messages and not self.signals:
                envelope = self._take()
                self._taken = [envelope]
                return envelope
        self.give_back(borrower)
        return None

    def put_back(self, borrower: object) -> None:
        """Let what *borrower* took for a turn that was cut short wait again, in front of all."""
        with self._lock:
            if self.borrower is not borrower or self._taken is None:
                return
            taken, self._taken, self._asked = self._taken, None, None
            for envelope in reversed(taken):
                message = envelope.message
                if isinstance(message, Call):
                    if message.answered:
                        continue
                    self.calls.discard(message)
                self._messages.appendleft(envelope)

    def give_back(self, borrower: object, failure: BaseException | None = None) -> None:
        """Let the actor's thread have its place again; it wakes if there is something to do."""
        with self._lock:
            if self.borrower is not borrower:
                return
            self._asked = self._taken = None
            self._failure = failure
            self.borrower = None
            if failure is not None or self._messages or self.signals:
                self._rouse()

    # ---- looked at ------------------------------------------------------------------------

    def empty(self) -> bool:
        """Say whether nothing waits."""
        return not self._messages and not self.signals

    def has_signal(self) -> bool:
        """Say whether an exit signal waits."""
        return bool(self.signals)

    @property
    def asleep(self) -> bool:
        """Whether the actor's thread waits in ``get``, and nobody has borrowed its place."""
        return self._sleeping and self.borrower is None

    def __len__(self) -> int:
        return len(self._messages) + len(self.signals or ())

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
                if self._open_asks is _NO_ASKS:
                    self._open_asks = set()
                self._open_asks.add(envelope)

    def forget(self, envelope: Envelope[Any]) -> None:
        """Note that a plain ask was answered."""
        self._open_asks.discard(envelope)

    # ---- the end --------------------------------------------------------------------------

    def close(self) -> Leftovers:
        """Let nothing in any more; answer what was not answered yet."""
        with self._lock:
            self._closed = True
            idle = self._sleeping
            if self._asked is None and not (self._messages or self._open_asks or self.calls):
                self.signals = None
                if idle:
                    self._rouse_for_good()
                return _IDLE if idle else _BUSY
            envelopes = list(self._messages)
            envelopes += self._open_asks
            if self._asked is not None and self._asked not in self._open_asks:
                envelopes.append(self._asked)
            calls = list(self.calls)
            self._messages = _NO_MESSAGES
            self.signals = None
            self._asked = None
            self._open_asks = _NO_ASKS
            self.calls = _NO_CALLS
            self._rouse_for_good()
        return Leftovers(envelopes, calls, idle)

    def lose(self) -> None:
        """Close it in a forked child, where a thread that is not there may hold the lock."""
        self._lock = threading.Lock()
        self._sleeping = False
        self.close()

    def _rouse(self) -> None:
        if self.asleep:
            self._sleeping = False
            assert self._wake is not None  # noqa: S101 - it sleeps there
            self._wake.release()

    def _rouse_for_good(self) -> None:
        # Also while its place is borrowed: the borrower finds that it has nothing more to do.
        self.borrower = None
        self._rouse()


_IDLE: Final = Leftovers([], [], idle=True)
_BUSY: Final = Leftovers([], [], idle=False)


def _reject(envelope: Envelope[Any], why: str) -> None:
    error = ActorDeadError(f"{why}: the message was not handled")
    if envelope.reply_to is None:
        raise error
    envelope.reply_to.set_exception((ActorDeadError, error, None))
