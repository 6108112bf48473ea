"""To look into one actor, and to hold it still while one looks: Erlang's ``sys``.

A suspended actor sleeps in its mailbox as ever, which hands out nothing but exit signals and the
few messages that must get through: a stop, and what this file sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import timeout_seconds
from antq_actors.otp.kernel.messages import SystemCall
from antq_actors.otp.messaging.calls import put_and_await, put_or_take_back
from antq_actors.otp.messaging.names import find_living

if TYPE_CHECKING:
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination

_OURS: Final = frozenset(
    {
        *("actor_urn", "actor_inbox", "actor_stopped", "_actor_ref"),  # pykka's
        *("_otp_ref", "_otp_cell", "from_"),
    }
)
"""Attributes that every actor has."""


class _GetState(SystemCall):
    __slots__ = ()

    callback = "get_state"

    def put_to(self, actor: Any) -> dict[str, Any]:
        return {name: value for name, value in vars(actor).items() if name not in _OURS}


class _SetSuspended(SystemCall):
    __slots__ = ("_cell", "_value", "callback")

    def __init__(self, cell: ActorCell, *, value: bool) -> None:
        super().__init__(None)
        self._cell = cell
        self._value = value
        self.callback = "suspend" if value else "resume"

    def put_to(self, actor: Any) -> None:  # noqa: ARG002 - it is about the mailbox
        mailbox = self._cell.mailbox
        before, mailbox.suspended = mailbox.suspended, self._value
        if not self.answer(None):
            mailbox.suspended = before  # whoever asked for it has given up


def get_state(dest: Destination, timeout: float | timedelta | None = 5.0) -> dict[str, Any]:
    """Return a shallow copy of the attributes that the class of the actor *dest* gave it.

    For debugging only: in a program, ask an actor with `call`. The state is read between two
    messages, in the actor's own thread, also while the actor is suspended. The values of the
    attributes are not copied, so do not change them. Raises what `call` raises: CallTimeout after
    *timeout* seconds (None: no limit) if the actor is busy, CallExit(NoProc()) if it is not there.
    As Erlang's ``sys:get_state``.

    >>> from antq_actors.otp import GenServer, call, stop
    >>> class Counter(GenServer):
    ...     def init(self):
    ...         self.number = 0
    ...     def handle_call(self, step):
    ...         self.number += step
    ...         return self.number
    >>> counter = Counter.start()
    >>> call(counter, 5)
    5
    >>> get_state(counter)
    {'number': 5}
    >>> stop(counter)
    """
    limit = timeout_seconds(timeout)
    state: dict[str, Any] = put_and_await(find_living(dest), _GetState(None), limit)
    return state


def suspend(dest: Destination, timeout: float | timedelta | None = 5.0) -> None:
    """Let the actor *dest* take no more messages until `resume`; return when it is suspended.

    Messages wait, and so do callers. Exits (of a supervisor, a link or a kill) and stop are still
    obeyed. Timers go on, and their messages wait; there is no idle timeout. A suspended supervisor
    restarts no child, but stops its children when it is stopped itself; it learns what has happened
    to them when it is resumed. ``tree`` says "suspended". To suspend an actor twice is the same as
    once; an actor that is started in its place is not suspended.

    Raises CallTimeout after *timeout* seconds (None: no limit) if the actor is busy, and then it
    will not be suspended later either; CallExit(NoProc()) if it is not there. As Erlang's
    ``sys:suspend``.

    >>> from antq_actors.otp import Agent, cast, stop, tree
    >>> basket = Agent.start(list, name="basket")
    >>> suspend(basket)
    >>> Agent.cast(basket, lambda content: [*content, "bread"])
    >>> print(tree(basket).to_text())
    basket  [worker, suspended, mailbox 1]
    >>> resume(basket)
    >>> Agent.get(basket, len)
    1
    >>> stop(basket)
    """
    _set_suspended(dest, timeout, value=True)


def resume(dest: Destination, timeout: float | timedelta | None = 5.0) -> None:
    """Let the actor *dest* go on after `suspend`, with the messages that have come since.

    Raises what `suspend` raises. As Erlang's ``sys:resume``.
    """
    _set_suspended(dest, timeout, value=False)


def _set_suspended(dest: Destination, timeout: float | timedelta | None, *, value: bool) -> None:
    limit = timeout_seconds(timeout)
    cell = find_living(dest)
    put_or_take_back(cell, _SetSuspended(cell, value=value), limit)
