"""Waiting for an actor: for its answer or its end. A ring of waiting actors is an error."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from antq_actors.otp.kernel.cell import local
from antq_actors.otp.kernel.errors import CallCycle
from antq_actors.otp.kernel.messages import Call, Promise
from antq_actors.otp.kernel.reasons import ExitReason, NoProc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from antq_actors.otp.kernel.cell import ActorCell, ServerRef

_lock = threading.RLock()

recorder: Callable[[Sequence[ActorCell]], None] | None = None
"""Gets each ring of actors that is broken, in the thread that closes it; the lock is held. It must
be quick, and must not raise."""


@contextmanager
def waiting_for(target: ActorCell, answer: Promise) -> Iterator[None]:
    """Note, for the block, that this thread's actor waits for *answer* from the actor *target*.

    A call that would close a ring raises CallCycle. When it is the wait of a supervisor for a
    child's start or end that closes it, the call within the ring is the one that fails. A plain
    thread is waited for by no one, so it closes none.
    """
    me = local.cell
    if me is None:
        yield
        return
    before = me.waits_for
    if target.inline_actor is not None and target.inline_actor.is_reentrant:
        me.waits_for = (target, answer)  # it waits for nobody, and so is in no ring
    else:
        with _lock:
            path = find_cycle(me, target)
            if path is not None:
                _break(path, answer)
            me.waits_for = (target, answer)
    try:
        yield
    finally:
        me.waits_for = before


def find_cycle(me: ActorCell, target: ActorCell) -> list[ActorCell] | None:
    """Return the ring of waiting actors that *me* closes by waiting for *target*, or None."""
    path = [me, target]
    waits = []
    while target is not me:
        wait = target.waits_for  # read once: its thread takes it away without the lock
        # One that has ended keeps nobody waiting, also while its thread, which was killed, waits.
        if wait is None or wait in waits or target.reason is not None:
            return None
        waits.append(wait)
        target = wait[0]
        path.append(target)
    # Only those that still wait now have waited at the same time. A wait whose answer was given is
    # none any more, even if its thread did not wake yet.
    still_wait = all(
        cell.waits_for is wait and not wait[1].is_settled
        for cell, wait in zip(path[1:], waits, strict=False)
    )
    return path if still_wait else None


def _break(path: list[ActorCell], answer: Promise) -> None:
    if recorder is not None:
        recorder(path[:-1])
    cycle = CallCycle([cell.ref for cell in path])
    if not isinstance(answer, Call):
        closing = path[-2].waits_for
        if closing is not None and isinstance(closing[1], Call):
            closing[1].answer(None, cycle)
            return
    raise cycle


def reset_after_fork() -> None:
    """Renew, in a forked child, the lock of the search for deadlocks: a lost thread may hold it."""
    global _lock  # noqa: PLW0603 - the old one cannot be freed
    _lock = threading.RLock()


class DeathWatch:
    """Waits for the end of the actor it was made for; of a dead one the reason is NoProc."""

    def __init__(self, ref: ServerRef) -> None:
        self._cell = ref.cell
        self._end = Promise()
        if not self._cell.watch(self, self._note):
            self._end.answer(NoProc())

    def wait(self, timeout: float | None = None) -> ExitReason | None:
        """Wait for the actor's end and return its exit reason; None after *timeout* seconds."""
        if not self._end.is_settled:  # else there is no wait that could close a ring
            with waiting_for(self._cell, self._end):
                if not self._end.wait(timeout):
                    return None
        reason: ExitReason = self._end.value
        return reason

    def cancel(self) -> None:
        """Stop watching the actor."""
        self._cell.unwatch(self)

    def _note(self, _ref: ServerRef, reason: ExitReason, /) -> None:
        self._end.answer(reason)
