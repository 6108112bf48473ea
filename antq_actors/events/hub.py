"""Delivers the events of one application to those who subscribed to them.

Each subscription has a buffer and a thread of its own, so that no listener is waited for: not by
jobs, not by queues, not by another listener. While nobody listens, no event is made: `Hub.wanted`
says which are.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from antq_actors.events import EVENTS, Event, Several, renumbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from antq_actors.events import Told

log: Final = logging.getLogger("antq_actors.app")

MOST_BUFFERED: Final = 10_000
"""Events that a subscription keeps for a listener that is busy."""

GATHER_SECONDS: Final = 0.01
"""How long the thread of a listener waits after what it has delivered: what comes in that time
needs not wake it, which would cost the one who tells an event more than all else."""

IDLE_SECONDS: Final = 10.0
"""Seconds without an event after which the thread of a listener ends, until the next one comes."""

STUCK_SECONDS: Final = 1.0
"""Seconds that a listener gets for one event when its application stops."""

CANCEL_SECONDS: Final = 1.0
"""Seconds that ``cancel`` waits for the event that is being delivered."""

POLL_SECONDS: Final = 0.001

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _now() -> datetime:
    return _EPOCH + timedelta(0, 0, time.time_ns() // 1_000)


class Subscription:
    """Delivers events to a listener until it is cancelled; usable as ``with``."""

    def __init__(
        self, hub: Hub, deliver: Callable[[Event], object], types: frozenset[type[Event]]
    ) -> None:
        self._hub = hub
        self._deliver = deliver
        self.types = types
        """The classes of the events that it delivers."""
        self._dropped = 0
        self._is_cancelled = False
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a fork: it has neither the thread nor a use for what was before."""
        self._buffer: deque[Told] = deque()
        # No Event: setting one that is being set further up in this thread would wait for ever.
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_asleep = False
        self._is_delivering = False
        self._is_ending = False
        # Each is changed by one thread: those that tell, one at a time, and the listener's.
        self._added = self._taken = 0

    @property
    def dropped(self) -> int:
        """How many events came while its buffer was full, and were not delivered."""
        return self._dropped

    def cancel(self) -> None:
        """Deliver no more events to the listener. Calling it again does nothing.

        An event that is being delivered in another thread is waited for, up to a second.
        """
        self._is_cancelled = True
        self._hub.remove(self)
        self._buffer.clear()
        if self._thread is not None:
            self._wakeups.put(None)
        deadline = time.monotonic() + CANCEL_SECONDS
        while self._is_delivering and not self._is_own_thread():
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        state = "cancelled" if self._is_cancelled else f"{self._dropped} dropped"
        return f"<Subscription {state}>"

    # ---- for the hub, one thread at a time ---------------------------------------------------

    def put(self, events: Iterable[Told]) -> None:
        """Add those *events* that the listener wants to its buffer, and have them delivered."""
        buffer, types = self._buffer, self.types
        for event in events:
            if type(event) is Several:
                if event.type in types:
                    self._put_several(event)
            elif type(event) in types:
                if self._added - self._taken < MOST_BUFFERED:
                    self._added += 1
                    buffer.append(event)
                else:
                    self._dropped += 1
        if not buffer:
            return
        if self._thread is None:
            self._start()
        elif self._is_asleep:
            self._is_asleep = False
            self._wakeups.put(None)

    def _put_several(self, several: Several) -> None:
        number, room = len(several.ids), MOST_BUFFERED - self._added + self._taken
        if number > room:
            self._dropped += number - room
            number, several = room, several.first(room)
        if number:
            self._added += number
            self._buffer.append(several)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="antq events", daemon=True)
        self._is_asleep = self._is_ending = False
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads can be had now: the next event tries again
            self._thread = None

    def end(self) -> None:
        """Have the thread end when it has delivered what is in the buffer."""
        if self._thread is not None:
            self._is_ending = True
            self._wakeups.put(None)

    def is_through(self) -> bool:
        """Return whether nothing is left to deliver, or this very thread is to deliver it."""
        return self._is_own_thread() or not (self._buffer or self._is_delivering)

    @property
    def taken(self) -> int:
        """How many events were taken from the buffer to be delivered."""
        return self._taken

    def _is_own_thread(self) -> bool:
        return self._thread is threading.current_thread()

    # ---- in its own thread -------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._deliver_all()
            if self._is_ending or self._is_cancelled:
                timeout = 0.0
            else:
                time.sleep(GATHER_SECONDS)
                timeout = IDLE_SECONDS
            with self._hub.lock:
                self._is_asleep = not self._buffer
                if self._is_asleep and not timeout:
                    self._thread = None
                    return
            if self._is_asleep:
                self._sleep(timeout)

    def _sleep(self, timeout: float) -> None:
        try:
            self._wakeups.get(timeout=timeout)
        except queue.Empty:
            self._is_ending = True

    def _deliver_all(self) -> None:
        # Before it looks whether it was cancelled, which is set before this is looked at: so
        # either sees the other.
        self._is_delivering = True
        try:
            while self._buffer and not self._is_cancelled:
                try:
                    told = self._buffer.popleft()
                except IndexError:  # it was cancelled
                    break
                self._deliver_each(told.made() if isinstance(told, Several) else [told])
        finally:
            self._is_delivering = False

    def _deliver_each(self, events: Iterable[Event]) -> None:
        deliver = self._deliver
        for event in events:
            if self._is_cancelled:
                break
            self._taken += 1
            try:
                if deliver(event) is GONE:
                    self._is_cancelled = True
                    self._hub.remove(self)
            except BaseException:  # SystemExit, too: whatever it does, it is kept
                with suppress(BaseException):
                    log.exception("a listener to events has raised at %r", event)


GONE: Final = object()
"""Returned by what delivers an event, if nobody is there any more to get it."""


class Hub:
    """Where all parts of one application tell what they did, and who listens to that.

    It outlives the runs of the application.
    """

    def __init__(
        self, clock: Callable[[], datetime] = _now, *, path: str | os.PathLike[str] | None = None
    ) -> None:
        self.path = None if path is None else os.path.realpath(path)
        """The directory of the application's store."""
        _hubs.add(self)
        self.clock = clock
        """Dates events that are not dated by the store."""
        self.node: int | None = 0
        """The number of this process as a node; None: it is about to get one."""
        self.wanted: frozenset[type[Event]] = frozenset()
        """The classes of events that somebody listens to."""
        self.silences = 0
        """How often the last subscription has ended."""
        self.hanging: set[int] = set()
        """The jobs in its store whose next attempt is to hang, for a test."""
        self.lock = threading.RLock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._taps: tuple[Callable[[Sequence[Told]], object], ...] = ()
        self._tapped: frozenset[type[Event]] = frozenset()
        self._held: list[Told] | None = None
        self._early: list[Event] = []

    # ---- listeners ---------------------------------------------------------------------------

    def subscribe(
        self, deliver: Callable[[Event], object], types: Sequence[type[Event]] = ()
    ) -> Subscription:
        """Call *deliver* with each event of these *types*, none: of all, in a thread of its own.

        It may return GONE, to get no more. Raises TypeError for what is no class of events.
        """
        subscription = Subscription(self, deliver, _concrete(types))
        with self.lock:
            self._change((*self._subscriptions, subscription))
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Deliver nothing more to a subscription."""
        with self.lock:
            self._change(tuple(each for each in self._subscriptions if each is not subscription))

    def tap(self, take: Callable[[Sequence[Told]], object], types: Sequence[type[Event]]) -> None:
        """Call *take* with all that is told, in the threads that tell it, one at a time, for good.

        For what counts: it misses nothing, as it has no buffer, and those that tell wait for it, so
        it has to be quick and must not raise. *types* are those that it needs; it is also given
        what others listen to.
        """
        with self.lock:
            self._taps = (*self._taps, take)
            self._tapped |= _concrete(types)
            self._change(self._subscriptions)

    def _change(self, subscriptions: tuple[Subscription, ...]) -> None:
        self._subscriptions = subscriptions
        self.wanted = self._tapped.union(*(each.types for each in subscriptions))
        if not self.wanted:
            self.silences += 1

    def renew(self) -> None:
        """Forget, in a fork, what its parent was about to tell, and who may hold the lock there."""
        self.lock = threading.RLock()
        self._held = None
        for subscription in self._subscriptions:
            subscription.renew()

    # ---- events ------------------------------------------------------------------------------

    def publish(self, *events: Event) -> None:
        """Have *events* delivered to those who want them, after all that was told before."""
        with self.lock:
            if self._held is not None:
                self._held += events
            else:
                self._distribute(events)

    def tell(self, type_: type[Event], **values: Any) -> None:
        """Make an event and publish it, if somebody listens to those of this class.

        Its time is now, and its node this one.
        """
        if type_ in self.wanted:
            self.publish(type_(at=self.clock(), node=self.node or 0, **values))

    def hold(self) -> None:
        """Keep all events that are published from now on until `release` is called.

        So what a transaction brings about is told after its own events, and not before its end.
        """
        if self._held is None:
            self._held = []

    def release(self, events: Sequence[Told] = ()) -> None:
        """Publish *events*, and then what was held."""
        with self.lock:
            held, self._held = self._held, None
            if events:
                self._distribute(events)
            if held:
                self._distribute(held)

    def _distribute(self, events: Sequence[Told]) -> None:
        if self.node is None:
            for each in events:
                self._early += each.made() if isinstance(each, Several) else [each]
            return
        for take in self._taps:
            take(events)
        for subscription in self._subscriptions:
            subscription.put(events)

    # ---- the life of its application -----------------------------------------------------------

    def begin(self, *, runs_queues: bool) -> None:
        """Note that the application starts.

        If it runs queues, events are kept until this process has its number as a node.
        """
        with self.lock:
            self.node = None if runs_queues else 0
            self._early = []

    def set_number(self, node: int) -> None:
        """Note the number of this process as a node; 0: it is none any more."""
        with self.lock:
            before, self.node = self.node, node
            early, self._early = self._early, []
            if before is None and early:
                self._distribute([renumbered(each, node) for each in early])

    def flush(self, timeout: float) -> None:
        """Wait until all events are delivered, and let the threads of listeners end.

        No longer than *timeout* seconds, nor for a listener that takes a second for one event.
        """
        deadline = time.monotonic() + timeout
        for subscription in self._subscriptions:
            taken, stuck_at = -1, 0.0
            while not subscription.is_through():
                now = time.monotonic()
                if subscription.taken != taken:
                    taken, stuck_at = subscription.taken, now + STUCK_SECONDS
                if now >= min(deadline, stuck_at):
                    break
                time.sleep(POLL_SECONDS)
            subscription.end()


_hubs: Final[weakref.WeakSet[Hub]] = weakref.WeakSet()


def _renew() -> None:
    for hub in list(_hubs):
        hub.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def of_path(path: str | os.PathLike[str]) -> list[Hub]:
    """Return the hubs of the applications of this process whose stores are in *path*."""
    real = os.path.realpath(path)
    return [hub for hub in list(_hubs) if hub.path == real]


def _concrete(types: Sequence[type[Event]]) -> frozenset[type[Event]]:
    """Return the classes of events that are meant by *types*. Raises TypeError."""
    for each in types:
        if not isinstance(each, type) or each not in EVENTS:
            raise TypeError(
                "what to listen to is given as classes of events, such as telemetry.JobEnded, got"
                f" {each!r}"
            )
    return EVENTS if not types else frozenset(e for e in EVENTS if issubclass(e, tuple(types)))
