"""How the worker actors of a queue ended: collected, so that the queue hears of many at once."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from pykka._envelope import Envelope

from antq_actors.otp.messaging import inline
from antq_actors.otp.threads import run_queue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.kernel.ref import ServerRef


class WorkersExited(NamedTuple):
    """Some worker actors have ended; take them from `ExitQueue`."""


_NOTICE: Final = Envelope(WorkersExited())


class ExitQueue:
    """The ends of one queue's worker actors, each told once and taken once.

    *queue* gets a `WorkersExited` for any number of them.
    """

    def __init__(self, queue: ActorCell) -> None:
        self._queue = queue
        self.paused = False
        """Whether the queue will take them without being told."""
        self._exits: deque[tuple[ServerRef, ExitReason]] = deque()
        self._notified = False

    def push(self, ref: ServerRef, reason: ExitReason, /) -> None:
        """Note an end, in whatever thread it happens."""
        # Noted before the flags are read, which are lowered before the notes are taken: so an end
        # that comes at this moment is either told of or taken.
        self._exits.append((ref, reason))
        if self.paused or self._notified:
            return
        self._notified = True
        if inline.defer_turn(self._queue):
            self._queue.mailbox.deliver(_NOTICE, wake=False)
        elif ref.cell.thread is threading.current_thread():
            # Soon it has nothing more to do, and runs the queue's turn itself: when the worker
            # actors that wait for a thread have begun, so that there is more to settle at once.
            self._queue.mailbox.deliver(_NOTICE, wake=False)
            run_queue.run_soon(self._run_turn)
        else:
            self._queue.mailbox.deliver(_NOTICE)

    def _run_turn(self) -> None:
        inline.run_pending(self._queue)

    def drain(self) -> Iterator[tuple[ServerRef, ExitReason]]:
        """Take the ends that were told so far, one by one."""
        self._notified = False
        while self._exits:
            yield self._exits.popleft()
