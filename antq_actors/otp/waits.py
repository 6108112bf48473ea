"""Who waits for whom: so that a ring of waiting actors is an error and not a silence."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from antq_actors.otp import current
from antq_actors.otp.errors import CallCycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors.otp.process import Process

_lock: Final = threading.Lock()


@contextmanager
def waiting_for(target: Process, over: Callable[[], bool]) -> Iterator[None]:
    """Note that this thread's actor waits for *target* until *over* answers True.

    Raises CallCycle if that closes a ring. A plain thread is waited for by no one, so it can
    close none.
    """
    me = current.process()
    if me is None:
        yield
        return
    with _lock:
        path = _ring(me, target)
        if path is not None:
            raise CallCycle(path)
        before, me.waits_for = me.waits_for, (target, over)
    try:
        yield
    finally:
        me.waits_for = before


def _ring(me: Process, target: Process) -> list[Process] | None:
    path = [me, target]
    while target is not me:
        waits_for = target.waits_for
        # A wait whose answer was given is no wait any more, even if its thread did not wake yet.
        if waits_for is None or waits_for[1]():
            return None
        target = waits_for[0]
        path.append(target)
    return path
