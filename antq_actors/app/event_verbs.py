"""What an application tells of itself, to those who subscribe to it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pykka import ActorDeadError, ActorRef

from antq_actors.checks import short_repr
from antq_actors.events.hub import GONE, Hub
from antq_actors.otp.kernel.cell import ServerRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.events import Event
    from antq_actors.events.hub import Subscription


E = TypeVar("E", bound="Event")


def _send(ref: ActorRef[Any], event: Event) -> object:
    """Send an event to an actor; return GONE if that has ended."""
    if isinstance(ref, ServerRef):
        return None if ref.deliver(event) else GONE
    try:
        ref.tell(event)
    except ActorDeadError:
        return GONE
    return None


class EventVerbs:
    """The events of an application, whether it runs or not; `AntQ` says how it does."""

    antq_hub: Hub

    @overload
    def subscribe(self, listener: Callable[[Event], object] | ActorRef[Any], /) -> Subscription: ...

    @overload
    def subscribe(
        self, listener: Callable[[E], object] | ActorRef[Any], type_: type[E], /
    ) -> Subscription: ...

    @overload
    def subscribe(
        self,
        listener: Callable[[Any], object] | ActorRef[Any],
        type_: type[Event],
        another: type[Event],
        /,
        *types: type[Event],
    ) -> Subscription: ...

    def subscribe(
        self, listener: Callable[[Any], object] | ActorRef[Any], /, *types: type[Event]
    ) -> Subscription:
        """Deliver what the application does from now on to *listener*, as typed events.

        *types*: classes of events (:mod:`antq_actors.telemetry`), or what several have in common,
        such as ``JobEvent``; none means all. The listener is a function, called with one event
        after the other in a thread of its own, or the ref of an actor, which gets them as
        messages. A subscription may be made before the application starts, and outlives its stop;
        end it with ``cancel``, or use it as ``with``.

        While a listener is busy, 10,000 events wait for it; what comes then is dropped and counted
        in ``dropped``. What it raises is logged, and it is kept. Raises TypeError for a listener
        that is neither, and for what is no class of events.
        """
        if isinstance(listener, ActorRef):
            return self.antq_hub.subscribe(partial(_send, listener), types)
        if not callable(listener):
            raise TypeError(
                "a listener to events is a function, or the ref of an actor, got"
                f" {short_repr(listener)}"
            )
        return self.antq_hub.subscribe(listener, types)
