"""Tracing one actor: what it receives, replies and sends, and how it ends."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from antq_actors.otp.kernel.messages import described
from antq_actors.otp.kernel.reasons import ExitReason, NoProc
from antq_actors.otp.messaging.names import find_living

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.otp.kernel.cell import ActorCell, ServerRef
    from antq_actors.otp.messaging.names import Destination

logger = logging.getLogger("antq_actors.otp")


@dataclass(frozen=True, slots=True)
class Got:
    """The actor takes up a message, or begins to end: *callback* is about to run."""

    ref: ServerRef
    callback: str
    message: Any

    def __str__(self) -> str:
        return f"{self.ref} → {self.callback}({self.message!r})"


@dataclass(frozen=True, slots=True)
class Answered:
    """The actor answered a call or an ask, at once or later with ``reply``."""

    ref: ServerRef
    request: Any
    value: Any

    def __str__(self) -> str:
        return f"{self.ref} answers {self.request!r} with {self.value!r}"


@dataclass(frozen=True, slots=True)
class Sent:
    """The actor sends a message to another."""

    ref: ServerRef
    how: str
    """"call", "cast" or "message"."""
    message: Any
    dest: ServerRef

    def __str__(self) -> str:
        return f"{self.ref} sends {self.dest} the {self.how} {self.message!r}"


@dataclass(frozen=True, slots=True)
class Ended:
    """The actor has ended, and the trace with it."""

    ref: ServerRef
    reason: ExitReason

    def __str__(self) -> str:
        return f"{self.ref} ended: {self.reason}"


Entry: TypeAlias = Got | Answered | Sent | Ended
"""A line of a trace; its text is made for reading."""


class Trace:
    """Sees what one actor does until it is stopped, or the actor ends; usable as ``with``."""

    def __init__(self, cell: ActorCell, listener: Callable[[Entry], object]) -> None:
        self._cell = cell
        self._listener = listener

    def start(self) -> None:
        """Observe the actor's messages from now on, and its end."""
        self._cell.add_observer(self)
        if not self._cell.watch(self, self._ended):
            self._ended(self._cell.ref, self._cell.reason or NoProc())

    def stop(self) -> None:
        """Stop tracing the actor. Calling it again does nothing."""
        self._cell.remove_observer(self)
        self._cell.unwatch(self)

    def on_receive(self, what: Any) -> None:
        """Pass the listener the message that the traced actor takes up."""
        ref = self._cell.ref
        self._tell(Got(ref, *described(what, ref.actor_class)))

    def on_reply(self, request: Any, value: Any) -> None:
        """Pass the listener the reply that the traced actor has sent."""
        self._tell(Answered(self._cell.ref, request, value))

    def on_send(self, how: str, message: Any, dest: ActorCell) -> None:
        """Pass the listener the message that the traced actor sends."""
        self._tell(Sent(self._cell.ref, how, message, dest.ref))

    def _ended(self, ref: ServerRef, reason: ExitReason, /) -> None:
        self._tell(Ended(ref, reason))

    def _tell(self, entry: Entry) -> None:
        try:
            self._listener(entry)
        except Exception:
            # Who is looked at must not end for that.
            logger.exception("the listener to a trace raised at %r; the trace is over", entry)
            self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


def trace(dest: Destination, listener: Callable[[Entry], object] = print) -> Trace:
    """Call *listener* with all that the actor *dest* receives, replies and sends, and with its end.

    It is called in the actor's own thread, so what it does makes the actor slower; one that raises
    is logged, and the trace is over. The trace is of this one actor: after a restart, trace its
    successor. Raises CallExit(NoProc()) if *dest* is not there. As Erlang's ``sys:trace``.

    >>> from antq_actors.otp import Agent, stop
    >>> basket = Agent.start(list, name="basket")
    >>> lines = []
    >>> with trace(basket, lambda entry: lines.append(str(entry))):
    ...     Agent.get(basket, len)
    0
    >>> lines[-1].endswith("with 0")
    True
    >>> stop(basket)
    """
    if not callable(listener):
        raise TypeError(f"the listener of a trace is a function, got {listener!r}")
    made = Trace(find_living(dest), listener)
    made.start()
    return made
