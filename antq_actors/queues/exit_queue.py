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

    from antq_actors.otp.kernel.cell import Process
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.kernel.ref import ServerRef


class WorkersEnded(NamedTuple):
    """Some worker actors have ended; take them from `Ends`."""


_NOTICE: Final = Envelope(WorkersEnded())


class Ends:
    """The ends of one queue's worker actors, each told once and taken once.

    *queue* gets a `WorkersEnded` for any number of them.
    """

    def __init__(self, queue: Process) -> None:
        self._queue = queue
        self.quiet = False
        """Whether the queue will take them without being told."""
        self._ended: deque[tuple[ServerRef, ExitReason]] = deque()
        self._told = False

    def tell(self, ref: ServerRef, reason: ExitReason, /) -> None:
        """Note an end, in whatever thread it happens."""
        # Noted before the flags are read, which are lowered before the notes are taken: so an end
        # that comes at this moment is either told of or taken.
        self._ended.append((ref, reason))
        if self.quiet or self._told:
            return
        self._told = True
        if inline.leave_turn(self._queue):
            self._queue.mailbox.deliver(_NOTICE, wake=False)
        elif ref.process.thread is threading.current_thread():
            # Soon it has nothing more to do, and runs the queue's turn itself: when the worker
            # actors that wait for a thread have begun, so that there is more to settle at once.
            self._queue.mailbox.deliver(_NOTICE, wake=False)
            run_queue.run_soon(self._run_turn)
        else:
            self._queue.mailbox.deliver(_NOTICE)

    def _run_turn(self) -> None:
        inline.run_what_waits(self._queue)

    def take(self) -> Iterator[tuple[ServerRef, ExitReason]]:
        """Take the ends that were told so far, one by one."""
        self._told = False
        while self._ended:
            yield self._ended.popleft()
