"""The pipe to the parent, for all threads of the process that performs attempts.

Whoever waits for a message reads, if nobody else does, and hands on what is for others: the main
thread's orders, the answer that another thread waits for, the word that the attempt shall end. So
no thread is needed that only reads, and a thread that outlives its job takes nothing away.
"""

from __future__ import annotations

import itertools
import select
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from antq_actors.errors import NotStarted
from antq_actors.executors.process import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from antq_actors.jobs.control import Control


class Link:
    """This end of the pipe. It is made by the main thread, where SIGTERM is noticed."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._main = threading.get_ident()
        self._poll = select.poll()
        self._poll.register(pipe.fileno(), select.POLLIN)
        self._sending = threading.Lock()
        self._turn = threading.Condition(threading.Lock())
        self._is_read = False
        self._orders: deque[Any] = deque()
        self._replies: dict[int, wire.Reply] = {}
        self._numbers = itertools.count()
        self._control: Control | None = None
        self._is_heard = True
        """Whether the parent hears calls: from an order until it is done."""
        self._is_cut = False
        self.is_unbroken = False
        """Whether the main thread must not be interrupted: half a message would be on its way."""
        self.on_mended: Callable[[], object] = lambda: None
        """Called in the main thread when it may be again."""

    def begin(self, control: Control | None) -> None:
        """Do an order; let *control* hear of what is said of the attempt, if it is one."""
        self._control = control
        self._is_heard = True

    def end(self, ended: object) -> None:
        """Send the end of an order; from now on nothing is asked for it."""
        with self._unbroken(), self._sending:
            self._control = None
            self._is_heard = False
            wire.send(self._pipe, ended)

    def send(self, message: object) -> None:
        """Send a message, from any thread. Raises OSError when the parent is gone."""
        if self._is_cut:
            return
        with self._unbroken(), self._sending:
            wire.send(self._pipe, message)

    def next_order(self) -> Any:
        """Wait for the next order. Raises EOFError or OSError when the parent is gone."""
        self._read_until(lambda: bool(self._orders))
        return self._orders.popleft()

    def ask(self, question: Callable[[int], wire.Call | wire.ReadErrors]) -> wire.Reply:
        """Ask the parent, and wait for its reply. Raises NotStarted without one.

        *question* is made from its number.
        """
        with self._unbroken():
            number = next(self._numbers)
            try:
                with self._sending:
                    if not self._is_heard:
                        raise NotStarted(
                            "the job has ended in which this thread was started, so nobody hears"
                            " what it wants of the application; join threads before perform returns"
                        )
                    wire.send(self._pipe, question(number))
                self._read_until(lambda: number in self._replies)
            except (EOFError, OSError) as error:
                raise NotStarted("the application ended meanwhile") from error
            return self._replies.pop(number)

    def look(self) -> None:
        """Hear what the parent says, if it says something now."""
        if self._is_cut:
            return
        with self._unbroken(), self._turn:
            # While another thread reads, that one hears it.
            while not self._is_read and self._poll.poll(0):
                self._take(wire.receive(self._pipe))

    def cut(self) -> None:
        """Have no part in it any more: this is a forked process."""
        self._is_cut = True
        self._is_heard = False
        self._control = None
        self._pipe.close()

    def _read_until(self, there: Callable[[], bool]) -> None:
        with self._turn:
            while not there():
                if self._is_read:
                    self._turn.wait()
                    continue
                self._is_read = True
                self._turn.release()
                try:
                    message = wire.receive(self._pipe)
                finally:
                    self._turn.acquire()
                    self._is_read = False
                    self._turn.notify_all()
                self._take(message)

    def _take(self, message: Any) -> None:
        match message:
            case wire.Reply(number):
                self._replies[number] = message
            case wire.Stop():
                if self._control is not None:
                    self._control.request_stop()
            case _:
                self._orders.append(message)

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        if self.is_unbroken or threading.get_ident() != self._main:
            yield
            return
        self.is_unbroken = True
        try:
            yield
        finally:
            self.is_unbroken = False
            self.on_mended()
