"""Links, exit signals and monitors: how actors are told of each other's ends (otp rules 65–67).

A monitor is one-way, each is on its own, and each gets exactly one Down.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, cast

from antq_actors.checks import check_flag, timeout_seconds
from antq_actors.otp.kernel.cell import ServerRef, fence, local
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.kernel.reasons import ExitReason, Killed, NoProc, check_reason
from antq_actors.otp.messaging.names import Via, find

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination


def link(ref: ServerRef) -> None:
    """Link the calling actor and *ref*: when one ends, the other gets an exit signal.

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
    """Remove the link between the calling actor and *ref*. Raises what `link` raises."""
    other = _cell(ref, "unlink")
    me = _me("unlink")
    me.unlink(other)
    other.unlink(me)


def exit(dest: Destination, reason: ExitReason) -> None:  # noqa: A001 - OTP's name
    """Send an exit signal to *dest*. ``Killed()`` cannot be trapped: the actor is dead at once.

    Any other reason ends an actor when its handler returns, unless it traps exits; ``Normal()``
    ends no one. Sending to one that is dead does nothing. Raises TypeError for what is no reason.
    """
    check_reason(reason)
    cell = find(dest)
    if cell is None:
        return
    me = local.cell
    cell.exit(me, reason)
    if cell is me and isinstance(reason, Killed):
        raise CallExit(Killed(), "this actor has killed itself")


def trap_exit(on: bool) -> None:  # noqa: FBT001 - as in OTP
    """Let exit signals, but those of the parent, arrive in ``handle_info`` as ``Exited``.

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
    fence()
    me = local.cell
    if me is None:
        raise RuntimeError(
            f"{what}() is for actors, and this thread runs none; watch with monitor() instead"
        )
    return me


# ---- monitors ------------------------------------------------------------------------------------


class Down(NamedTuple):
    """A monitored actor ended. Sent exactly once for each monitor (otp rule 67)."""

    monitor: Monitor
    ref: ServerRef
    reason: ExitReason


class Monitor:
    """A watch on one actor's end.

    In an actor, Down arrives in ``handle_info``. In a plain thread, ``wait`` returns it.
    """

    __slots__ = ("_cancelled", "_cell", "_down", "_notifying", "_owner", "ref")

    def __init__(self, target: ActorCell | str | Via, owner: ActorCell | None) -> None:
        cell = None if isinstance(target, str | Via) else target
        self.ref = cast("ServerRef", target) if cell is None else cell.ref
        self._cell = cell
        self._owner = owner
        self._down = Promise() if owner is None else None
        self._notifying = threading.RLock()
        self._cancelled = False

    def __repr__(self) -> str:
        return f"<Monitor of {self.ref}>"

    def start(self) -> None:
        """Begin to watch the actor; of a dead one Down comes at once, with NoProc."""
        if self._cell is None or not self._cell.watch(self, self._notify):
            self._notify(self.ref, NoProc())
        elif self._owner is not None and not self._owner.add_cleanup(self):
            self._cell.unwatch(self)

    def on_exit(self, _owner: ActorCell, /) -> None:
        """Stop watching: the actor that would get the Down has ended."""
        if self._cell is not None:
            self._cell.unwatch(self)

    def wait(self, timeout: float | timedelta | None = None) -> Down:
        """Wait in a plain thread for the watched actor's end, and return the Down.

        Raises TimeoutError if it does not come within *timeout* seconds (None: no limit), and
        RuntimeError in an actor, which gets it in ``handle_info``, and after ``demonitor``.
        """
        if self._down is None:
            raise RuntimeError("this monitor belongs to an actor: its Down arrives in handle_info")
        limit = timeout_seconds(timeout)
        if not self._down.wait(limit):
            raise TimeoutError(f"{self.ref} did not end within {limit} s")
        down: Down | None = self._down.value
        if down is None:
            raise RuntimeError("this monitor was taken back with demonitor(): no Down will come")
        return down

    def cancel(self, *, flush: bool) -> None:
        """Stop watching the actor; with *flush*, a Down in the mailbox is dropped, too."""
        if self._cell is not None:
            self._cell.unwatch(self)
        if self._owner is not None:
            self._owner.remove_cleanup(self)
        with self._notifying:
            # It may be ending at this moment, and notify watchers that it had before.
            self._cancelled = True
        if self._down is not None:
            self._down.answer(None)  # a waiter in another thread would wait for ever
        if flush and self._owner is not None:
            self._owner.mailbox.discard(self._is_own_down)

    def _is_own_down(self, message: Any) -> bool:
        # A message may lie of its class, or raise.
        return issubclass(type(message), Down) and message.monitor is self

    def _notify(self, ref: ServerRef, reason: ExitReason, /) -> None:
        down = Down(self, ref, reason)
        with self._notifying:
            if self._cancelled:
                return
            if self._owner is not None:
                self._owner.remove_cleanup(self)
                self._owner.ref.deliver(down)
            elif self._down is not None:
                self._down.answer(down)


def monitor(dest: Destination) -> Monitor:
    """Watch the actor *dest*: its end is reported once, also if it lies behind (``NoProc``).

    When no actor has the name *dest*, that name is in the place of the ref, as in OTP.
    """
    cell = find(dest)
    made = Monitor(cast("str", dest) if cell is None else cell, local.cell)
    made.start()
    return made


def demonitor(monitor: Monitor, flush: bool = True) -> None:  # noqa: FBT001, FBT002 - as in OTP
    """Stop watching an actor; with *flush*, a Down that waits in the mailbox is dropped.

    Raises TypeError for what is no Monitor.
    """
    if not isinstance(monitor, Monitor):
        raise TypeError(f"demonitor() takes what monitor() returned, got {monitor!r}")
    check_flag(flush, "flush")
    monitor.cancel(flush=flush)
