"""A GenServer for actors that come and go by the thousand."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.errors import Interrupt, Stop
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.kernel.messages import Continue, ExitSignal
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed
from antq_actors.otp.kernel.ref import ServerRef

if TYPE_CHECKING:
    from threading import Event


_numbers: Final = itertools.count(1)


class _Flag:
    """As much of a threading.Event as a ref needs, at a tenth of the cost."""

    _set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True


class LeanServer(GenServer):
    """Costs half of what a GenServer costs to start.

    pykka's ActorRegistry does not know it, its urn is unique in this process only, and nobody can
    wait for its ``actor_stopped``. All else is the same.
    """

    in_actor_registry: ClassVar[bool] = False
    end_is_reported_elsewhere: ClassVar[bool] = False
    """Whether whoever started it logs what its end means, so that its supervisor need not."""

    actor_stopped: Event

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # The fields that pykka's own __init__ makes; tests/otp/test_pykka_contract.py knows them.
        self.actor_urn = f"urn:antq:{next(_numbers)}"
        self.actor_inbox = mailbox = Mailbox()  # type: ignore[assignment] # it can do more
        self.actor_stopped = _Flag()  # type: ignore[assignment]
        self._otp_ref = self._actor_ref = ref = ServerRef(self, mailbox, registered=False)
        self._otp_cell = ref.cell


_TO_RUN: Final = Continue()


class OneShot(LeanServer):
    """Has one thing to do, and ends with it: it handles no messages and has no hooks.

    Subclasses write ``run``. Who sends it a message hears of its end, as of every actor's.
    """

    def run(self) -> ExitReason:
        """Do it, in the actor's own thread, and answer the reason to end with."""
        raise NotImplementedError

    @classmethod
    def spawn(cls, *args: Any) -> ServerRef:
        """Do what ``spawn_link`` does in an actor's thread, without a name and in less time."""
        parent = current.local.cell
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
        if cell.started is not None:
            cell.tell_starter(self._otp_ref)
        try:
            for observer in cell.observers:
                observer.on_receive(_TO_RUN)
            return self.run()
        except Stop as stop:
            return stop.reason
        except Interrupt:
            signal = self.mailbox.get(0)
            return signal.reason if isinstance(signal, ExitSignal) else Killed()
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            return Crash(error)
