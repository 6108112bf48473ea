"""Debugging a tree: the state of an actor, actors that are suspended, and waits for a restart.

The first two are those of Erlang's ``sys``.

A suspended actor sleeps in its mailbox as ever, which hands out nothing but exit signals and the
few messages that must get through: a stop, and what this file sends.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import timeout_seconds
from antq_actors.otp import events
from antq_actors.otp.events.stream import EventStream
from antq_actors.otp.inspect.tree import line_of
from antq_actors.otp.kernel.cell import ServerRef
from antq_actors.otp.kernel.messages import SystemCall
from antq_actors.otp.messaging import names
from antq_actors.otp.messaging.calls import put_and_await, put_or_take_back
from antq_actors.otp.messaging.names import find, find_living

if TYPE_CHECKING:
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination, Via

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


def wait_until_restarted(
    name: str | Via, old: ServerRef | None = None, *, timeout: float | timedelta | None = 5.0
) -> ServerRef:
    """Wait until the child with this *name* has been restarted, and return the new actor.

    Its supervisor has restarted it, alone or with a whole branch, and its ``init`` has returned. If
    that has happened already, this returns at once. Without *old*, any restart of the child counts:
    enough when you have seen it end, by a `CallExit`, a `Down` or the return of `stop`. When you
    have not (a `cast` that will crash it, a sibling that will be restarted with another), get
    ``old = whereis(name)`` beforehand, and the actor that is returned is another than *old*.

    Raises TimeoutError after *timeout* seconds (None: no limit), saying what it waited for and what
    there is instead; TypeError for what is no name. It blocks, so an actor must not use it.

    >>> from antq_actors.otp import Agent, Supervisor, call, chaos
    >>> with Supervisor.start([Agent.child_spec(list, name="basket")]):
    ...     Agent.update("basket", lambda content: [*content, "bread"])
    ...     chaos.crash("basket")
    ...     basket = wait_until_restarted("basket")
    ...     Agent.get(basket, len)
    0
    """
    names.check_name(name)
    if old is not None and not isinstance(old, ServerRef):
        raise TypeError(f"old must be the ServerRef from before the restart, got {old!r}")
    limit = timeout_seconds(timeout)
    deadline = None if limit is None else time.monotonic() + limit
    last: events.ChildExited | None = None
    with EventStream() as stream:
        while not _is_restarted(cell := find(name), old):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                event = stream.take(left)
            except TimeoutError:
                raise TimeoutError(
                    f"waited {limit} s for a restart of {str(name)!r}, in vain:"
                    f" {_found(cell)}{_seen(last)}"
                ) from None
            if isinstance(event, events.ChildExited) and event.ref.cell.name == str(name):
                last = event
    assert cell is not None  # noqa: S101 - what is restarted is there; mypy cannot know
    return cell.ref


def _is_restarted(cell: ActorCell | None, old: ServerRef | None) -> bool:
    """Return whether the actor *cell* runs below its supervisors and is a restart, not *old*."""
    if cell is None or (old is not None and cell is old.cell):
        return False
    is_another = old is not None
    is_child = False
    while cell.parent is not None and _is_supervisor(cell.parent):
        line = line_of(cell)
        if line is None:
            return False  # it, or the branch in which it is, is still being started
        is_child = True
        is_another = is_another or line.incarnation > 1
        cell = cell.parent.cell
    return is_child and is_another


def _is_supervisor(ref: ServerRef) -> bool:
    return bool(ref.actor_class.child_type == "supervisor")


def _found(cell: ActorCell | None) -> str:
    if cell is None:
        return (
            "no actor has this name (a temporary child does not come back, and a transient one"
            " only after a crash)"
        )
    if cell.parent is None or not _is_supervisor(cell.parent):
        return "the actor with this name has no supervisor"
    if line_of(cell) is None:
        return "it is still being started"
    return "the actor with this name has not ended"


def _seen(last: events.ChildExited | None) -> str:
    if last is None:
        return ""
    return f"; it ended with {last.reason}, and its supervisor {last.supervisor} {last.outcome}"
