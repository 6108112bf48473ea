"""The pipe to the parent, for all threads of the process that performs attempts.

A thread that waits for a message reads, unless another one does, and passes on what is for others:
the main thread's orders, the reply that another thread waits for, the request to stop. So no thread
is needed that only reads, and a thread that outlives its job takes nothing away.
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


class ParentConnection:
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
        self._takes_calls = True
        """Whether the parent takes calls: from an order until it is done."""
        self._is_closed = False
        self.must_not_break = False
        """Whether the main thread must not be interrupted: half a message would be on its way."""
        self.on_breakable: Callable[[], object] = lambda: None
        """Called in the main thread when it may be again."""

    def begin(self, control: Control | None) -> None:
        """Begin an order; *control* receives the requests to stop, if it is an attempt."""
        self._control = control
        self._takes_calls = True

    def end(self, ended: object) -> None:
        """Send the end of an order; from now on nothing is asked for it."""
        with self._unbreakable(), self._sending:
            self._control = None
            self._takes_calls = False
            wire.send(self._pipe, ended)

    def send(self, message: object) -> None:
        """Send a message, from any thread. Raises OSError when the parent is gone."""
        if self._is_closed:
            return
        with self._unbreakable(), self._sending:
            wire.send(self._pipe, message)

    def next_order(self) -> Any:
        """Wait for the next order. Raises EOFError or OSError when the parent is gone."""
        self._read_until(lambda: bool(self._orders))
        return self._orders.popleft()

    def ask(self, question: Callable[[int], wire.Call | wire.ReadErrors]) -> wire.Reply:
        """Ask the parent, and wait for its reply. Raises NotStarted without one.

        *question* is made from its number.
        """
        with self._unbreakable():
            number = next(self._numbers)
            try:
                with self._sending:
                    if not self._takes_calls:
                        raise NotStarted(
                            "the job has ended in which this thread was started, so nobody hears"
                            " what it wants of the application; join threads before perform returns"
                        )
                    wire.send(self._pipe, question(number))
                self._read_until(lambda: number in self._replies)
            except (EOFError, OSError) as error:
                raise NotStarted("the application ended meanwhile") from error
            return self._replies.pop(number)

    def poll(self) -> None:
        """Read what the parent has sent, without waiting."""
        if self._is_closed:
            return
        with self._unbreakable(), self._turn:
            # While another thread reads, that one receives it.
            while not self._is_read and self._poll.poll(0):
                self._take(wire.receive(self._pipe))

    def close(self) -> None:
        """Have no part in it any more: this is a forked process."""
        self._is_closed = True
        self._takes_calls = False
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
    def _unbreakable(self) -> Iterator[None]:
        if self.must_not_break or threading.get_ident() != self._main:
            yield
            return
        self.must_not_break = True
        try:
            yield
        finally:
            self.must_not_break = False
            self.on_breakable()
