"""A mailbox with two lanes that closes when its actor dies.

Exit signals travel in the first lane, all else in the second, each in order. pykka's inbox
protocol is ``put``, ``get`` and ``empty``. What pykka's own inbox lacks is an end: here, nothing
can be put in after ``close``, and ``close`` hands over all that was not answered yet, so that
whoever waits can be told.
"""

from __future__ import annotations

import time
from _thread import RLock, allocate_lock
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pykka import ActorDeadError
from pykka.messages import _ActorStop

from antq_actors.otp.kernel.messages import Call, StopRequest, SystemCall, Turn

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Sequence

    from pykka._envelope import Envelope

    from antq_actors.otp.kernel.messages import ExitSignal

_KEPT_OUT_SECONDS: Final = 0.05
"""Seconds between two looks whether the thread that runs a turn is still at it."""

_ORDERS: Final = (SystemCall, StopRequest, _ActorStop)
"""Messages that a suspended actor takes."""

_NO_ASKS: Final[set[Any]] = set()
_NO_CALLS: Final[set[Any]] = set()
"""Never changed: what stands for nothing."""


class Mailbox:
    """The inbox of one GenServer. Its actor's thread gets; any thread puts, and holds no lock.

    Whoever puts may be cut short at any bytecode, or do so in a signal's handler or a finalizer,
    while this very thread is putting: each step is whole by itself, and wakes too often rather than
    too seldom.

    While the actor's thread sleeps, a foreign one may run turns, see `calls.py`: the one that does
    is in ``turns``, which is taken and left in one step.
    """

    # No dict: two threads that make one at once may each get one, in CPython 3.11.
    __slots__ = (
        *("_asked", "_can_run_inline", "_closed", "_failure", "_lock", "_open_asks", "_own"),
        *("_then", "_wake", "calls", "messages", "signals", "sleeping", "suspended", "turns"),
        *("unanswered", "was_idle"),
    )

    def __init__(self) -> None:
        # Most actors live for one job. What such a one never has is made when it is needed.
        self._lock = RLock()
        """For the actor's thread, those that run its turns, signals, and the end."""
        self.messages: deque[Envelope[Any]] = deque()
        self.signals: deque[ExitSignal] | None = None
        """Those that wait; None for none."""
        self._open_asks: set[Envelope[Any]] = _NO_ASKS
        self.calls: set[Call] = _NO_CALLS
        """Calls that were taken and not answered yet."""
        self._asked: Envelope[Any] | None = None
        self.sleeping = False
        """Whether the actor's thread is about to wait, or waits; see `asleep`."""
        self._wake: LockType | None = None
        """Where the actor's thread sleeps: it takes the lock, and whoever wakes it releases it."""
        self._then: Callable[[], object] | None = None
        self.suspended = False
        """Whether only signals and orders are taken, see `debugging.py`; changed within a turn."""
        self.turns: dict[None, Turn] | None = None
        """The turn that is run now, under None; None where only the actor's thread runs any."""
        self._own: Turn | None = None
        self._can_run_inline = False
        self._failure: BaseException | None = None
        """What a foreign thread met in a turn, to be raised in the actor's own."""
        self._closed = False
        self.was_idle = False
        """Whether the actor's thread waited for a message when this was closed."""
        self.unanswered: Sequence[Call | Envelope[Any]] = ()
        """What `close` returned, until it is answered; an end that is cut short begins anew."""

    def allow_inline(self) -> None:
        """Let threads other than the actor's own run its turns, too."""
        self.turns = {}

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add a message from pykka and wake the actor; the ref has checked the sender.

        An ask that comes too late is answered with ActorDeadError, a tell raises it.
        """
        if not self.deliver(envelope):
            _reject(envelope, "the actor has ended")

    def deliver(self, envelope: Envelope[Any], *, wake: bool = True) -> bool:
        """Add a message, and wake the actor's thread if it sleeps; False if the mailbox is closed.

        Without *wake* the actor may sleep on: waking it is left to ``wake``.
        """
        if self._closed:
            return False
        self.messages.append(envelope)
        if self._closed and _remove(self.messages, envelope):
            return False  # else whoever closed it has it
        if wake and self.sleeping and (not self.suspended or _is_order(envelope)):
            self._rouse()
        return True

    def deliver_once(self, unsent: list[Envelope[Any]]) -> None:
        """Add the message in *unsent*, and wake the actor's thread; only wake it if that is empty.

        A thread that is cut short in it may thus begin again: the message moves in one step.
        """
        if self._closed:
            return
        with suppress(IndexError):
            self.messages.extend(map(unsent.pop, (0,)))  # no bytecode runs between the two
        if self.sleeping and not self.suspended:
            self._rouse()

    def signal(self, signal: ExitSignal, *, wake: bool = True) -> bool:
        """Add an exit signal, which overtakes all messages, and wake the actor; False if closed.

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
        """Wake the actor's thread, which calls *then* before all else; False if it is awake."""
        with self._lock:
            if not self._is_asleep():
                return False
            self._then = then
            self._rouse()
            return True

    def get(self, timeout: float | None = None) -> Envelope[Any] | ExitSignal | None:
        """Wait for the next signal or message and take it; None after *timeout* or when closed.

        Raises what a foreign thread met in a turn.
        """
        # A suspended actor has no idle timeout: what could end its idleness is made to wait.
        until = None if timeout is None or self.suspended else time.monotonic() + timeout
        is_over = False
        while True:
            if self._closed:
                return None
            turns, own = self.turns, self._own
            if turns is not None and own is None:
                own = self._own = Turn(None, takes_messages=True)  # made in the actor's own thread
            if turns is None or own is None or turns.setdefault(None, own) is own:
                with self._lock:
                    if (taken := self._next()) is not None:
                        return taken
                if own is not None:
                    self._leave(own)
            if is_over:
                return None
            left = None if until is None else max(0.0, until - time.monotonic())
            is_over = not self._sleep(left)

    def _next(self) -> Envelope[Any] | ExitSignal | None:
        self._asked = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self.signals:
            signal = self.signals.popleft()
            self.signals = self.signals or None
            return signal
        if not self.messages:
            return None
        return self._take() if not self.suspended else self._take_order()

    def _sleep(self, timeout: float | None) -> bool:
        """Let the actor's thread sleep until there is work; False after *timeout* seconds."""
        if self._wake is None:
            self._wake = allocate_lock()
            self._wake.acquire()
        self._can_run_inline = timeout is None
        # First this, then a look: whoever adds something after the look sees that it sleeps.
        self.sleeping = True
        foreign = self.turn
        if self._has_work():
            if foreign is None:
                self.sleeping = False
                return True
            timeout = _KEPT_OUT_SECONDS if timeout is None else min(timeout, _KEPT_OUT_SECONDS)
        woke = self._wake.acquire(timeout=-1 if timeout is None else timeout)
        with self._lock:
            self.sleeping = False
            then, self._then = self._then, None
        if then is not None:
            then()
        # Only the one that was at it before: to look takes as long as there are threads.
        if foreign is not None and self.turn is foreign:
            self._end_left_turn()
        return woke or foreign is not None

    def _end_left_turn(self) -> None:
        """End the turn of a foreign thread that was interrupted before it could end its turn."""
        turn = self.turn
        if turn is not None and not turn.is_under_way():
            self._leave(turn)

    def _has_work(self) -> bool:
        waiting = self.messages if not self.suspended else self._first_order()
        return bool(waiting or self.signals or self._closed or self._failure is not None)

    def _take(self) -> Envelope[Any]:
        envelope = self.messages[0]
        # Noted first, and under the lock: an end between the two steps would leave its caller
        # waiting for ever.
        if envelope.reply_to is not None:
            self._asked = envelope
        elif issubclass(type(envelope.message), Call):  # a message may lie of its class, or raise
            self._open(envelope.message)
        self.messages.popleft()
        return envelope

    def _take_order(self) -> Envelope[Any] | None:
        envelope = self._first_order()
        if envelope is None:
            return None
        _remove(self.messages, envelope)
        self.messages.appendleft(envelope)
        return self._take()

    def _first_order(self) -> Envelope[Any] | None:
        """Return the first waiting message that a suspended actor takes, too, such as a stop."""
        return next(filter(_is_order, list(self.messages)), None)

    def _open(self, call: Call) -> None:
        if self.calls is _NO_CALLS:
            self.calls = set()
        self.calls.add(call)
        call.kept_in = self.calls

    def take_calls(self, limit: int) -> list[Call]:
        """Take the calls at the head of the mailbox, at most *limit*."""
        taken: list[Call] = []
        turn = self.turns.get(None) if self.turns else None
        if not self.messages or (turn is not None and not turn.takes_messages):
            return taken
        with self._lock:
            while self.messages and len(taken) < limit and not self.signals:
                message = self.messages[0].message
                if not (isinstance(message, Call) and message.callback == Call.callback):
                    break
                self._open(message)
                self.messages.popleft()
                taken.append(message)
        return taken

    # ---- turns of foreign threads -----------------------------------------------------------

    @property
    def turn(self) -> Turn | None:
        """The turn of the actor that is run now, if foreign threads may run turns; else None."""
        return self.turns.get(None) if self.turns else None

    def begin_turn(self, turn: Turn, call: Call | None = None) -> bool:
        """Begin a *turn* of the actor in a foreign thread, which has to end it. Waits for nothing.

        To do a *call* of its own when nothing waits; without one, what waits. False if there is no
        such thing, or another thread is at a turn or about to be.
        """
        if self.turns is None or self.turns.setdefault(None, turn) is not turn:
            return False
        wake = self._wake
        if (
            self._can_run_inline
            and self.sleeping
            and wake is not None
            and wake.locked()
            and not self._closed
            and not self.suspended
            and self._failure is None
            and not self.signals
            and bool(self.messages) is (call is None)
        ):
            if call is not None:  # as `_open` does it
                if self.calls is _NO_CALLS:
                    self.calls = set()
                self.calls.add(call)
                call.kept_in = self.calls
            return True
        self.end_turn(turn)
        return False

    def begin_nested_turn(self, turn: Turn) -> bool:
        """Begin a nested *turn* in the actor's own thread, between two turns; False: not yet."""
        assert self.turns is not None  # noqa: S101 - the actor runs inline
        self._end_left_turn()
        return self.turns.setdefault(None, turn) is turn

    def next_in_turn(self, turn: Turn) -> Envelope[Any] | None:
        """Take the next message that *turn* may handle; None, which ends the turn, if none.

        A turn in a thread that is not the actor's own gets no exit signal, nor what is behind one.
        """
        with self._lock:
            self._asked = None
            may_go_on = not (self.signals or self._closed or self.suspended)
            if self.turn is turn and self.messages and may_go_on:
                return self._take()
        self.end_turn(turn)
        return None

    def end_turn(self, turn: Turn, failure: BaseException | None = None) -> None:
        """End *turn*; the actor's thread wakes if a message waits. Twice does no harm."""
        turns = self.turns
        if not turns or turns.get(None) is not turn:
            return
        self._asked = None
        if failure is not None:
            self._failure = failure
        turns.pop(None, None)
        # The first four are asked here, as nearly always there is nothing.
        waiting = self.messages or self.signals or self._closed or self._failure is not None
        if waiting and self._has_work():
            self._rouse()

    def _leave(self, turn: Turn | None) -> None:
        if self.turns and self.turns.get(None) is turn:
            self.turns.pop(None, None)

    # ---- looked at ------------------------------------------------------------------------

    def empty(self) -> bool:
        """Return whether no message and no exit signal waits."""
        return not self.messages and not self.signals

    def has_signal(self) -> bool:
        """Return whether an exit signal to the actor waits."""
        return bool(self.signals)

    @property
    def asleep(self) -> bool:
        """Whether the actor's thread waits in ``get``, and no foreign thread runs a turn."""
        return not self.turns and self._is_asleep()

    def _is_asleep(self) -> bool:
        wake = self._wake
        return self.sleeping and wake is not None and wake.locked()

    def __len__(self) -> int:
        return len(self.messages) + len(self.signals or ())

    def discard(self, is_unwanted: Callable[[Any], bool]) -> None:
        """Drop the waiting messages for which *is_unwanted* returns True."""
        for envelope in list(self.messages):
            if is_unwanted(envelope.message):
                _remove(self.messages, envelope)

    def keep_ask_open(self, envelope: Envelope[Any]) -> None:
        """Note that the plain ask being handled is answered later, or by the actor's end."""
        with self._lock:
            if not self._closed:
                if self._open_asks is _NO_ASKS:
                    self._open_asks = set()
                self._open_asks.add(envelope)

    def forget_ask(self, envelope: Envelope[Any]) -> None:
        """Note that a plain ask was answered, so that the actor's end need not."""
        self._open_asks.discard(envelope)

    # ---- the end --------------------------------------------------------------------------

    def close(self) -> Sequence[Call | Envelope[Any]]:
        """Let no message in any more; return the calls and plain asks not answered yet."""
        with self._lock:
            self._closed = True
            if self.sleeping:
                self.was_idle = True
            if self._asked is None and not (self.messages or self._open_asks or self.calls):
                self.signals = None
                if self.was_idle:
                    self._rouse()
                return self.unanswered
            waiting = list(self.messages)
            unanswered: list[Call | Envelope[Any]] = [
                each if each.reply_to is not None else each.message
                for each in waiting
                if each.reply_to is not None or issubclass(type(each.message), Call)  # it may lie
            ]
            unanswered += self._open_asks
            if self._asked is not None and self._asked not in self._open_asks:
                unanswered.append(self._asked)
            unanswered += self.calls
            unanswered += self.unanswered
            self.unanswered = unanswered
            # All of it is noted, and may go; what comes in this moment is taken back by its sender.
            for envelope in waiting:
                _remove(self.messages, envelope)
            self.signals = None
            self._asked = None
            self._open_asks = _NO_ASKS
            self.calls = _NO_CALLS
            self._rouse()
        return unanswered

    def close_after_fork(self) -> None:
        """Close the mailbox in a forked child, where a lost thread may hold the lock."""
        self._lock = RLock()
        self.sleeping = False
        self.close()

    def _rouse(self) -> None:
        wake = self._wake
        # Rather once too often: whoever wakes for nothing sleeps again.
        if self.sleeping and wake is not None and wake.locked():
            try:  # noqa: SIM105 - a suppress() takes three calls
                wake.release()
            except RuntimeError:
                pass  # somebody else was quicker


def _is_order(envelope: Envelope[Any]) -> bool:
    return issubclass(type(envelope.message), _ORDERS)  # a message may lie of its class


def _remove(messages: deque[Envelope[Any]], envelope: Envelope[Any]) -> bool:
    """Take *envelope* out of the waiting messages; False if another thread has done so."""
    try:
        messages.remove(envelope)
    except ValueError:
        return False
    return True


def _reject(envelope: Envelope[Any], why: str) -> None:
    error = ActorDeadError(f"{why}: the message was not handled")
    if envelope.reply_to is None:
        raise error
    envelope.reply_to.set_exception((ActorDeadError, error, None))
