"""References to GenServers: pykka's, with the fence and the cell behind them."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from pykka import ActorDeadError, ActorRef, ActorRegistry, messages
from pykka._envelope import Envelope

from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.cell import ActorCell
from antq_actors.otp.kernel.errors import CallExit

if TYPE_CHECKING:
    from types import CodeType, TracebackType

    from antq_actors.otp.actors.gen_server import GenServer
    from antq_actors.otp.kernel.mailbox import Mailbox

_STOP_ALL: Final[CodeType] = ActorRegistry.stop_all.__func__.__code__  # type: ignore[attr-defined]  # the function of a classmethod


class ServerRef(ActorRef[Any]):
    """How others hold an actor. It stays valid, and harmless, after the actor's end."""

    cell: ActorCell

    def __init__(self, actor: GenServer, mailbox: Mailbox, *, registered: bool) -> None:
        super().__init__(actor)
        self.cell = ActorCell(self, mailbox, registered=registered)

    @classmethod
    def to_ended(cls, cell: ActorCell) -> Self:
        """Make another reference to an actor that has ended."""
        ref = cls.__new__(cls)
        ref.actor_class, ref.actor_urn = cell.actor_class, cell.actor_urn
        ref.actor_stopped = cell.actor_stopped
        ref.actor_inbox = cell.mailbox  # type: ignore[assignment] # it can do more
        ref._actor_weakref = cell.actor_weakref  # noqa: SLF001 - of its own class
        ref.cell = cell
        return ref

    def __str__(self) -> str:
        return str(self.cell)

    def __repr__(self) -> str:
        # With pykka's words for it, by which ActorRegistry finds it.
        return f"<ServerRef {self}, ActorRef for {super().__str__()}>"

    def tell(self, message: Any) -> None:
        """Send *message* to ``handle_info``. Raises ActorDeadError when the actor has ended."""
        current.fence()
        current.on_send("message", message, self.cell)
        super().tell(message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send *message* to ``handle_call`` and wait for the answer, as pykka's ``ask`` does.

        An actor in its last callbacks takes no more messages, so who asks it hears at once that it
        is gone, as in pykka. A ``stop`` waits for its end, but not from an actor that is there
        itself: that could be waiting for its own end, or they for each other's.
        """
        if self.cell.is_finishing and (
            not isinstance(message, messages._ActorStop)  # noqa: SLF001 - pykka's stop
            or _is_finishing(current.cell())
        ):
            gone = self.actor_class._create_future()  # noqa: SLF001 - pykka's
            gone.set_exception((ActorDeadError, ActorDeadError(f"{self} not found"), None))
            return gone.get() if block else gone
        return super().ask(message, block=block, timeout=timeout)

    def deliver(self, message: Any) -> bool:
        """Put *message* into the mailbox on behalf of the system; False if it is closed."""
        return self.cell.mailbox.deliver(Envelope(message))

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Do what pykka's ``stop`` does: end the actor after the messages it has.

        A supervisor has to know whether one child is stopped, which it may start again, or all
        actors are, itself soon among them. pykka sends the same message for both, so the
        difference is who called.
        """
        if _is_stop_all_calling():
            self.cell.stop_with_all()
        return super().stop(block=block, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the actor and wait for its end; one that has ended is fine."""
        from antq_actors.otp.messaging.calls import stop  # noqa: PLC0415 - calls stands on refs

        with suppress(CallExit):
            stop(self)


def _is_finishing(cell: ActorCell | None) -> bool:
    return cell is not None and cell.is_finishing


def _is_stop_all_calling() -> bool:
    # Up to Python 3.11 a list comprehension has a frame of its own.
    frame = sys._getframe(2)  # noqa: SLF001 - inspect.currentframe() reads source files
    caller = frame.f_back
    return frame.f_code is _STOP_ALL or (caller is not None and caller.f_code is _STOP_ALL)
