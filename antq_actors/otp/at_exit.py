"""A program that ends with running actors stops them."""

from __future__ import annotations

import atexit
import os
import time
from typing import TYPE_CHECKING, Final

from antq_actors.otp.calls import stop
from antq_actors.otp.errors import CallExit
from antq_actors.otp.reasons import Shutdown

if TYPE_CHECKING:
    from antq_actors.otp.process import Process

PATIENCE: Final = 10.0
"""Seconds that the actors without a supervisor have together for their ends."""

_roots: Final[dict[Process, int]] = {}


def add(process: Process) -> None:
    """Stop *process* when the program ends, if it lives then."""
    _roots[process] = os.getpid()
    if not process.watch(add, lambda _ref, _reason: _roots.pop(process, None)):
        _roots.pop(process, None)


def _stop_all() -> None:
    # Last started, first stopped. A forked child inherits the list, but none of the threads.
    deadline = time.monotonic() + PATIENCE
    for process, pid in reversed(list(_roots.items())):
        if pid == os.getpid():
            try:
                stop(process.ref, Shutdown(), timeout=max(0.0, deadline - time.monotonic()))
            except CallExit:
                continue


atexit.register(_stop_all)
