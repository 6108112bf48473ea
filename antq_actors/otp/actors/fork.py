"""A forked child has the memory of its parent's actors, and none of their threads.

Whoever waited there for one of them would wait for ever, perhaps for a lock that another thread
held at the moment of the fork. So in the child they have all ended, and it can start its own. The
parent notices nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from antq_actors.otp.actors import pykka_registry
from antq_actors.otp.kernel import abandoned, current
from antq_actors.otp.messaging import deadlock, names

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ActorCell

_living: Final[dict[ActorCell, None]] = {}


def add(cell: ActorCell) -> None:
    """Have *cell* end in every child that is forked from now on."""
    _living[cell] = None


def discard(cell: ActorCell) -> None:
    """Note that *cell* has ended here, too."""
    _living.pop(cell, None)


def _lose_all() -> None:
    current.enter(None)
    for module in (abandoned, pykka_registry, names, deadlock):
        module.renew()
    for cell in list(_living):
        cell.lose()
    _living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lose_all)
