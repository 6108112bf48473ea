"""The ends that the program brings: its exit stops the actors that run, and a fork ends its copies.

A forked child has the memory of its parent's actors, and none of their threads. To wait there for
one of them would be to wait for ever, perhaps for a lock that another thread held at the moment of
the fork. So in the child they have all ended, and it can start its own. The parent notices nothing.
"""

from __future__ import annotations

import atexit
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from antq_actors import forked_child
from antq_actors.otp.actors import pykka_registry
from antq_actors.otp.kernel import stopping
from antq_actors.otp.kernel.cell import living, local
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.messages import StopRequest
from antq_actors.otp.kernel.reasons import Shutdown
from antq_actors.otp.messaging import deadlock, names
from antq_actors.otp.messaging.calls import stop
from antq_actors.otp.messaging.deadlock import DeathWatch

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ActorCell

STOP_TIMEOUT_SECONDS: Final = 10.0
"""Seconds that the actors without a supervisor have together for their ends."""

LATE_STOP_TIMEOUT_SECONDS: Final = 1.0
"""Seconds for those that are left when the time of all is over."""

_roots: Final[dict[ActorCell, int]] = {}


def add(cell: ActorCell) -> None:
    """Stop *cell* when the program ends, if it lives then."""
    _roots[cell] = os.getpid()
    if not cell.watch(add, lambda _ref, _reason: _roots.pop(cell, None)):
        _roots.pop(cell, None)


def _stop_all() -> None:
    # Last started, first stopped. A forked child inherits the list, but none of the threads.
    roots = [cell for cell, pid in list(_roots.items()) if pid == os.getpid()]
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while roots and time.monotonic() < deadline:
        with suppress(CallExit):
            stop(roots.pop().ref, Shutdown(), timeout=max(0.0, deadline - time.monotonic()))
    _stop_together(roots)


def _stop_together(cells: list[ActorCell]) -> None:
    """Stop those whose turn did not come, because one before them does not end."""
    watches = [DeathWatch(cell.ref) for cell in cells]
    for cell in cells:
        cell.ref.deliver(StopRequest(Shutdown()))
    deadline = time.monotonic() + LATE_STOP_TIMEOUT_SECONDS
    for watch in watches:
        watch.wait(max(0.0, deadline - time.monotonic()))


atexit.register(_stop_all)
forked_child.at_end(_stop_all)


# ---- in a forked child ---------------------------------------------------------------------------


def _lose_all() -> None:
    local.cell = None
    for module in (stopping, pykka_registry, names, deadlock):
        module.renew()
    for cell in list(living):
        cell.lose()
    living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lose_all)
