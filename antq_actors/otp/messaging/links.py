"""Links and exit signals (otp rules 65 and 66)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.reasons import ExitReason, Killed, NoProc, check
from antq_actors.otp.kernel.ref import ServerRef
from antq_actors.otp.messaging.destinations import find

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.destinations import Destination


def link(ref: ServerRef) -> None:
    """Link this actor and *ref*: when one ends, the other gets an exit signal.

    Linking a dead one is answered by a signal with ``NoProc``. Raises RuntimeError outside an
    actor, TypeError for what is no ServerRef.
    """
    other = _cell(ref, "link")
    me = _me("link")
    if other is me:
        return
    if not (me.link(other) and other.link(me)):
        me.unlink(other)
        me.exit(other, NoProc(), by_link=True)


def unlink(ref: ServerRef) -> None:
    """Remove the link between this actor and *ref*. Raises what `link` raises."""
    other = _cell(ref, "unlink")
    me = _me("unlink")
    me.unlink(other)
    other.unlink(me)


def exit(dest: Destination, reason: ExitReason) -> None:  # noqa: A001 - OTP's name
    """Send an exit signal. ``Killed()`` cannot be trapped: the actor is declared dead at once.

    Any other reason ends an actor when its handler returns, unless it traps exits; ``Normal()``
    ends no one. Sending to one that is dead does nothing. Raises TypeError for what is no reason.
    """
    check(reason)
    cell = find(dest)
    if cell is None:
        return
    me = current.cell()
    cell.exit(me, reason)
    if cell is me and isinstance(reason, Killed):
        raise CallExit(Killed(), "this actor has killed itself")


def trap_exit(on: bool) -> None:  # noqa: FBT001 - as in OTP
    """Let exit signals, but those of the parent, arrive as ``Exited`` in ``handle_info``.

    Raises RuntimeError outside an actor, TypeError for what is neither True nor False.
    """
    me = _me("trap_exit")
    if not isinstance(on, bool):
        raise TypeError(f"trap_exit() takes True or False, got {on!r}")
    me.trap_exit = on


def _cell(ref: object, what: str) -> ActorCell:
    if not isinstance(ref, ServerRef):
        raise TypeError(
            f"{what}() takes a ServerRef, got {ref!r}; whereis(name) has that of a name"
        )
    return ref.cell


def _me(what: str) -> ActorCell:
    current.fence()
    me = current.cell()
    if me is None:
        raise RuntimeError(
            f"{what}() is for actors, and this thread runs none; watch with monitor() instead"
        )
    return me
