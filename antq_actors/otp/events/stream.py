"""The events of supervisors, as they happen: delivered to a function or an actor, or as a stream.

No listener is needed: important events are logged (`log`), and an event without a
listener that is not logged is not even made.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

from antq_actors.checks import timeout_seconds
from antq_actors.otp.events import (
    BootFailed,
    ChildExited,
    ChildTerminated,
    Event,
    GaveUp,
    Outcome,
    RestartFailed,
    Unexpected,
)
from antq_actors.otp.kernel.cell import ServerRef, fence
from antq_actors.otp.kernel.reasons import Killed, is_orderly
from antq_actors.otp.messaging.names import Via, find_living

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from antq_actors.otp.events import Event
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.messaging.names import Destination

logger = logging.getLogger("antq_actors.otp")

_lock = threading.RLock()
subscriptions: tuple[Subscription, ...] = ()
"""While there are any, events that are not logged are made and published, too."""

recorder: Callable[[Event], None] | None = None
"""Gets each event that is made, in the thread of its supervisor. It must not raise."""


class Subscription:
    """Delivers events to a listener until it is cancelled; usable as ``with``."""

    def __init__(
        self,
        deliver: Callable[[Event], Any],
        below: ActorCell | None,
        listener: ActorCell | None = None,
    ) -> None:
        self._deliver = deliver
        # Weakly: all that is below it leads to it, so without it no more can come from there.
        self._below = None if below is None else weakref.ref(below)
        self._listener = listener

    def start(self) -> Self:
        """Deliver supervision events to the listener until it is cancelled or its actor ends."""
        fence()
        _change(with_=self)
        if self._listener is not None and not self._listener.watch(self, self._listener_ended):
            self.cancel()
        return self

    def cancel(self) -> None:
        """Deliver no more supervision events to the listener. Calling it again does nothing."""
        _change(without=self)
        if self._listener is not None:
            self._listener.unwatch(self)

    def _listener_ended(self, _ref: ServerRef, _reason: ExitReason, /) -> None:
        _change(without=self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.cancel()

    def deliver(self, event: Event) -> None:
        """Pass a supervision event to the listener if it comes from below the root."""
        if self._below is not None:
            root = self._below()
            if root is None:
                self.cancel()
                return
            if not _is_below(event.supervisor.cell, root):
                return
        try:
            is_over = self._deliver(event) is _GONE
        except Exception:
            # A listener must not end a supervisor, and one that is broken must not fill the log.
            logger.exception("a listener to supervisors raised at %r and is cancelled", event)
            is_over = True
        if is_over:
            self.cancel()


def subscribe(
    listener: Callable[[Event], object] | Destination, *, below: Destination | None = None
) -> Subscription:
    """Deliver supervision events (`events`) from now on to *listener*, a function or an actor.

    A function is called in the thread in which it happens, often the supervisor's, so it must be
    quick and must not call that supervisor. A function that raises is logged and unsubscribed. An
    actor, by its ref or name, gets each event in ``handle_info``, until it ends. With *below*, only
    of that supervisor and all under it. Raises CallExit(NoProc()) if one of them is not there.
    """
    root = None if below is None else find_living(below)
    if isinstance(listener, ServerRef | str | Via):
        cell = find_living(listener)
        return Subscription(lambda event: _deliver(cell, event), root, cell).start()
    if not callable(listener):
        raise TypeError(f"a listener is a function or an actor's ref or name, got {listener!r}")
    return Subscription(lambda event: _call(listener, event), root).start()


class EventStream:
    """The events of supervisors, to be taken one by one by a plain thread; usable as ``with``.

    It keeps events that were not taken yet until it is closed or garbage.

    >>> from antq_actors.otp import Agent, Supervisor
    >>> with EventStream() as stream, Supervisor.start([Agent.child_spec(dict, id="basket")]):
    ...     started = stream.take()
    >>> type(started).__name__, started.child_id
    ('ChildStarted', 'basket')
    """

    def __init__(self, *, below: Destination | None = None) -> None:
        """Collect supervision events from now on, with *below* as in `subscribe`."""
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        root = None if below is None else find_living(below)
        self._subscription = Subscription(_putting_into(self._events), root).start()

    def take(self, timeout: float | timedelta | None = 5.0) -> Event:
        """Wait *timeout* seconds (None: no limit) for a supervision event. Raises TimeoutError."""
        limit = timeout_seconds(timeout)
        try:
            return self._events.get(timeout=limit)
        except queue.Empty:
            raise TimeoutError(f"no event came within {limit} s") from None

    def waiting(self) -> Iterator[Event]:
        """Yield the supervision events that have come, without waiting for more."""
        while not self._events.empty():
            yield self._events.get()

    def close(self) -> None:
        """Stop collecting supervision events; those that have come can still be taken."""
        self._subscription.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


# ---- for supervisors ------------------------------------------------------------------------


def publish(event: Event) -> None:
    """Log a supervision event if it deserves a line, and call all listeners in this thread."""
    log(event)
    if recorder is not None:
        recorder(event)
    for subscription in subscriptions:
        subscription.deliver(event)


_GONE = object()


def _call(listener: Callable[[Event], object], event: Event) -> None:
    listener(event)


def _deliver(cell: ActorCell, event: Event) -> object:
    return None if cell.ref.deliver(event) else _GONE


def _putting_into(events: queue.SimpleQueue[Event]) -> Callable[[Event], object]:
    weakly = weakref.ref(events)  # a stream that was forgotten and not closed is garbage

    def put(event: Event) -> object:
        there = weakly()
        if there is None:
            return _GONE
        there.put(event)
        return None

    return put


def _change(*, with_: Subscription | None = None, without: Subscription | None = None) -> None:
    global subscriptions  # noqa: PLW0603 - replaced, never changed, so that it is read without lock
    with _lock:
        kept = tuple(each for each in subscriptions if each is not without)
        subscriptions = kept if with_ is None else (*kept, with_)


def _is_below(cell: ActorCell | None, root: ActorCell) -> bool:
    while cell is not None and cell is not root:
        cell = None if cell.parent is None else cell.parent.cell
    return cell is root


def _renew() -> None:
    global _lock  # noqa: PLW0603 - in a forked child, a thread that is not there may hold it
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


logger = logging.getLogger("antq_actors.otp")


def log(event: Event) -> None:
    """Log a supervision event if it deserves a line."""
    match event:
        case ChildExited():
            _child_exited(event)
        case ChildTerminated(is_clean=False):
            _not_clean(event)
        case RestartFailed(sup, child_id, error):
            # With its traceback, because nothing else reports it.
            logger.warning("%s restarts child %r again: %s", sup, child_id, error, exc_info=error)
        case GaveUp():
            logger.error(
                "%s gives up and ends with Shutdown: more than %d restarts within %g s, the last"
                " of child %r, which ended with %s",
                event.supervisor,
                event.max_restarts,
                event.max_seconds,
                event.child_id,
                event.reason,
            )
        case BootFailed(sup, _, error):
            logger.error("%s cannot start: %s", sup, error)
        case Unexpected(sup, message):
            logger.warning("%s ignores a message that is not for supervisors: %r", sup, message)


def _child_exited(event: ChildExited) -> None:
    sup, child_id, reason = event.supervisor, event.child_id, event.reason
    if event.outcome is Outcome.RESTARTS:
        also = f", together with {list(event.siblings)}" if event.siblings else ""
        logger.warning("%s restarts child %r%s: it ended with %s", sup, child_id, also, reason)
    elif event.outcome is Outcome.LEAVES and not (
        is_orderly(reason) or _is_reported_elsewhere(event)
    ):
        logger.warning(
            "%s does not restart its temporary child %r: it ended with %s", sup, child_id, reason
        )


def _is_reported_elsewhere(event: ChildExited) -> bool:
    """Return whether the child's starter, not the supervisor, reports the child's end."""
    return getattr(event.ref.actor_class, "end_is_reported_elsewhere", False)


def _not_clean(event: ChildTerminated) -> None:
    hint = f" after {event.shutdown} s" if isinstance(event.reason, Killed) else ""
    logger.error(
        "%s: the shutdown of child %r was not clean: it ended with %s%s",
        event.supervisor,
        event.child_id,
        event.reason,
        hint,
    )
