"""A GenServer for actors that come and go by the thousand."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Final

from antq_actors.otp.gen_server import GenServer

if TYPE_CHECKING:
    from threading import Event

_numbers: Final = itertools.count(1)


class _Flag:
    """As much of a threading.Event as a ref needs, at a tenth of the cost."""

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set = False

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

    actor_stopped: Event

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # The fields that pykka's own __init__ makes; tests/otp/test_pykka_contract.py knows them.
        self.actor_urn = f"urn:antq:{next(_numbers)}"
        self.actor_inbox = self._create_actor_inbox()
        self.actor_stopped = _Flag()  # type: ignore[assignment]
        self._otp_refer()
