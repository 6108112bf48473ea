"""An actor without a thread: what it does happens elsewhere, and it stands for that in its tree.

An event loop has ten thousand things under way in one thread, another process has them in none of
ours. Each is still an actor of its own, with a supervisor, a place in the tree, an exit reason and
one end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from antq_actors.otp.actors import fork
from antq_actors.otp.actors.task_actor import LeanServer
from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.messages import Continue, ExitSignal
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed

if TYPE_CHECKING:
    from antq_actors.otp.kernel.ref import ServerRef

_STARTED: Final = Continue()


class _Nothing:
    """What an ended actor has to be interrupted."""

    def interrupt(self) -> bool:
        return False


_NOTHING: Final = _Nothing()


class RemoteActor(LeanServer):
    """Has one thing to do, elsewhere, and ends with it: it handles no messages and has no hooks.

    Subclasses write ``on_start``, ``on_interrupt`` and ``on_kill``, which must neither wait nor
    take long: they run in the thread that starts the actor, sends it an exit signal, or kills it.
    Whoever knows that it is over calls ``finish``.
    """

    has_thread: ClassVar[bool] = False

    def on_start(self) -> None:
        """Have it done. What this raises ends the actor."""
        raise NotImplementedError

    def on_interrupt(self) -> None:
        """Have it end soon: an exit signal has come."""

    def on_kill(self) -> None:
        """Give it up: the actor was killed, and its outcome is not wanted any more."""

    @classmethod
    def spawn(cls, *args: Any) -> ServerRef:
        """Start the actor as a child of the actor that calls, and return its ref."""
        parent = current.cell()
        actor = cls(*args)
        cell = actor._otp_cell
        cell.current_message = (_STARTED, time.monotonic())
        cell.interruptible = actor  # type: ignore[assignment] # as much of one as is needed
        if parent is not None:
            actor._otp_join(parent)
        fork.add(cell)
        try:
            actor.on_start()
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            actor.finish(Crash(error))
        return actor._otp_ref

    def finish(self, reason: ExitReason) -> bool:
        """End, in whatever thread; False if it had ended before."""
        cell = self._otp_cell
        is_first = cell.die(reason)
        cell.current_message = None
        cell.interruptible = _NOTHING  # type: ignore[assignment] # this actor is garbage now
        return is_first

    def interrupt(self) -> bool:
        """Receive an exit signal or a kill, as an `Interruptible` does."""
        cell = self._otp_cell
        if cell.reason is None:
            self.on_interrupt()
        else:
            cell.interruptible = _NOTHING  # type: ignore[assignment] # as in finish
            self.on_kill()
        return True

    def ordered_reason(self) -> ExitReason:
        """Return the reason of the exit signal that told it to end."""
        signal = self.mailbox.get(0)
        return signal.reason if isinstance(signal, ExitSignal) else Killed()
