"""Waiting until a supervisor has started a child again: for programs and tests, in a plain thread.

It waits for the events of supervisors (`stream.py`) and looks at the tree after each; it
never sleeps. Who restarts whom is decided elsewhere (`restart.py`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from antq_actors.checks import timeout_seconds
from antq_actors.otp import events
from antq_actors.otp.events.stream import EventStream
from antq_actors.otp.inspect.tree import line_of
from antq_actors.otp.kernel.cell import ServerRef
from antq_actors.otp.messaging import names
from antq_actors.otp.messaging.names import find

if TYPE_CHECKING:
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Via


def wait_until_restarted(
    name: str | Via, old: ServerRef | None = None, *, timeout: float | timedelta | None = 5.0
) -> ServerRef:
    """Wait until the child with this *name* has been started again, and return the new one.

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
    names.check(name)
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
    """Return whether *cell* is up, and so are all above it, and it is not the first or *old*."""
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
