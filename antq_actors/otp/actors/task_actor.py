"""Actors that come and go by the thousand: each has one thing to do, and ends with it.

A `TaskActor` does it in a thread of its own. A `RemoteActor` has none: an event loop has ten
thousand things under way in one thread, another process has them in none of ours. Each is still an
actor of its own, with a supervisor, a place in the tree, an exit reason and one end.
"""

from __future__ import annotations

import itertools
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.cell import ServerRef, living, local
from antq_actors.otp.kernel.errors import Interrupt, Stop
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.kernel.messages import Continue, ExitSignal
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed

if TYPE_CHECKING:
    from threading import Event

_numbers: Final = itertools.count(1)

_TO_RUN: Final = Continue()


class TaskActor(GenServer):
    """Has one thing to do, and ends with it: it handles no messages and has no hooks.

    Subclasses write ``run``. The sender of a message to it is told of its end, as of every actor's.

    It costs half of what a GenServer costs to start: pykka's ActorRegistry does not know it, and
    its urn is unique in this process only.
    """

    in_actor_registry: ClassVar[bool] = False
    end_is_reported_elsewhere: ClassVar[bool] = False
    """Whether its starter logs what its end means, so that its supervisor need not."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # The fields that pykka's own __init__ makes; tests/otp/test_pykka_contract.py knows them.
        self.actor_urn = f"urn:antq:{next(_numbers)}"
        self.actor_inbox = mailbox = Mailbox()  # type: ignore[assignment] # it can do more
        self._otp_ref = self._actor_ref = ref = ServerRef(self, mailbox, registered=False)
        self._otp_cell = ref.cell

    @cached_property
    def actor_stopped(self) -> Event:  # type: ignore[override] # pykka.Actor.__init__ may set it
        """The threading.Event of the actor's end, as pykka has it."""
        return self._otp_cell.stopped_event()

    def run(self) -> ExitReason:
        """Do the actor's one task, in its own thread, and return the exit reason to end with."""
        raise NotImplementedError

    @classmethod
    def spawn(cls, *args: Any) -> ServerRef:
        """Start an actor without a name, linked to the calling actor: a faster ``spawn_link``."""
        parent = local.cell
        if parent is None or parent.reason is not None:
            return cls.spawn_link(*args)
        actor = cls(*args)
        actor._otp_begin(parent)
        return actor._otp_ref

    def _otp_live(self) -> ExitReason:
        cell = self._otp_cell
        if cell.reason is not None:
            return cell.reason  # killed before its turn came: it must not begin
        cell.current_message = (_TO_RUN, time.monotonic())
        if cell.started is not None and not cell.tell_starter(self._otp_ref):
            return Killed()
        try:
            for observer in cell.observers:
                observer.on_receive(_TO_RUN)
            return self.run()
        except Stop as stop:
            return stop.reason
        except Interrupt:
            return self.ordered_reason()
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            return Crash(error)

    def ordered_reason(self) -> ExitReason:
        """Take the exit signal that ends this actor from its mailbox, and return its reason."""
        signal = self.mailbox.get(0)
        return signal.reason if isinstance(signal, ExitSignal) else Killed()


class _Nothing:
    """What an ended actor has to be interrupted."""

    def interrupt(self) -> bool:
        return False


_NOTHING: Final = _Nothing()


class RemoteActor(TaskActor):
    """Has one thing to do, elsewhere, and ends with it: it handles no messages and has no hooks.

    Subclasses write ``on_start``, ``on_interrupt`` and ``on_kill``, which must neither wait nor
    take long: they run in the thread that starts the actor, sends it an exit signal, or kills it.
    Whoever knows that it is over calls ``finish``.
    """

    has_thread: ClassVar[bool] = False

    def on_start(self) -> None:
        """Begin the actor's work in another thread or process. What this raises ends the actor."""
        raise NotImplementedError

    def on_interrupt(self) -> None:
        """Have the actor's remote work end soon: an exit signal has come."""

    def on_kill(self) -> None:
        """Give up the actor's remote work: the actor was killed, its outcome is not wanted."""

    @classmethod
    def spawn(cls, *args: Any) -> ServerRef:
        """Start the actor, which has no thread, as a child of the calling actor; return its ref."""
        parent = local.cell
        actor = cls(*args)
        cell = actor._otp_cell
        cell.current_message = (_TO_RUN, time.monotonic())
        cell.interruptible = actor  # type: ignore[assignment] # as much of one as is needed
        if parent is not None:
            actor._otp_join(parent)
        living[cell] = None
        try:
            actor.on_start()
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            actor.finish(Crash(error))
        return actor._otp_ref

    def finish(self, reason: ExitReason) -> bool:
        """End this actor for *reason*, in whatever thread; False if it had ended before."""
        cell = self._otp_cell
        is_first = cell.die(reason)
        cell.current_message = None
        cell.interruptible = _NOTHING  # type: ignore[assignment] # this actor is garbage now
        return is_first

    def interrupt(self) -> bool:
        """Pass an exit signal or a kill of this actor on to its work, which has no thread here."""
        cell = self._otp_cell
        if cell.reason is None:
            self.on_interrupt()
        else:
            cell.interruptible = _NOTHING  # type: ignore[assignment] # as in finish
            self.on_kill()
        return True
