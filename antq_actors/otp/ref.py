"""References to GenServers: pykka's, with the fence and the process behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykka import ActorRef
from pykka._envelope import Envelope

from antq_actors.otp import current
from antq_actors.otp.process import Process

if TYPE_CHECKING:
    from antq_actors.otp.gen_server import GenServer


class ServerRef(ActorRef[Any]):
    """How others hold an actor. It stays valid, and harmless, after the actor's end."""

    process: Process

    def __init__(self, actor: GenServer, *, registered: bool) -> None:
        super().__init__(actor)
        self.process = Process(self, actor.mailbox, registered=registered)

    def __str__(self) -> str:
        return str(self.process)

    def __repr__(self) -> str:
        return f"<ServerRef {self}>"

    def tell(self, message: Any) -> None:
        """Send *message* to ``handle_info``. Raises ActorDeadError when the actor has ended."""
        current.fence()
        super().tell(message)

    def deliver(self, message: Any) -> bool:
        """Put *message* into the mailbox on behalf of the system; False if it is closed."""
        return self.process.mailbox.deliver(Envelope(message))
