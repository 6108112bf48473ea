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

_BEGUN: Final = Continue()


class _Nothing:
    """What an ended actor has to be interrupted."""

    def interrupt(self) -> bool:
        return False


_NOTHING: Final = _Nothing()


class Detached(LeanServer):
    """Has one thing to do, elsewhere, and ends with it: it handles no messages and has no hooks.

    Subclasses write ``begin``, ``interrupted`` and ``killed``, which must neither wait nor take
    long: they are run by whoever starts the actor, sends it an exit signal, or kills it. Whoever
    knows that it is over calls ``conclude``.
    """

    has_thread: ClassVar[bool] = False

    def begin(self) -> None:
        """Have it done. What this raises ends the actor."""
        raise NotImplementedError

    def interrupted(self) -> None:
        """Hear that an exit signal has come: what is done shall end soon."""

    def killed(self) -> None:
        """Hear that the actor was killed: nobody waits any more for what is done."""

    @classmethod
    def spawn_copy(cls, *args: Any) -> ServerRef:
        """Start the actor as a child of the actor that calls, and answer its ref."""
        parent = current.process()
        actor = cls(*args)
        process = actor._otp_process
        process.is_at = (_BEGUN, time.monotonic())
        process.interruptible = actor  # type: ignore[assignment] # as much of one as is needed
        if parent is not None:
            actor._otp_join(parent)
        fork.add(process)
        try:
            actor.begin()
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            actor.conclude(Crash(error))
        return actor._otp_ref

    def conclude(self, reason: ExitReason) -> bool:
        """End, in whatever thread; False if it had ended before."""
        process = self._otp_process
        is_first = process.die(reason)
        process.is_at = None
        process.interruptible = _NOTHING  # type: ignore[assignment] # this actor is garbage now
        return is_first

    def interrupt(self) -> bool:
        """Hear of an exit signal or of the end, as an `Interruptible` does."""
        process = self._otp_process
        if process.reason is None:
            self.interrupted()
        else:
            process.interruptible = _NOTHING  # type: ignore[assignment] # as in conclude
            self.killed()
        return True

    def ordered_reason(self) -> ExitReason:
        """Answer the reason of the exit signal that told it to end."""
        signal = self.mailbox.get(0)
        return signal.reason if isinstance(signal, ExitSignal) else Killed()
