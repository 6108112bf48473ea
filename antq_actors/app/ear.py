"""Hears signals, and what other threads tell, where a program waits for whatever comes next."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import FrameType

SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM})


class Ear:
    """Hears signals and what other threads tell, one byte each, in order.

    *told* are the events that threads tell; their numbers must be no signal's.

    Python runs a signal's handler when the main thread next runs Python code, and a thread that
    waits for a lock does not: a signal that the system gave to another thread, or that came just
    before the wait, would be heard when the wait is over, which is never. The byte that the
    interpreter writes for each signal ends the wait for a byte.
    """

    def __init__(self, *told: int) -> None:
        self._events = {*SIGNALS, *told}

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.settimeout(0.0)
        self._handlers = {number: signal.signal(number, _heard) for number in SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._writer.close()
        self._reader.close()

    def tell(self, event: int) -> None:
        """Have *event* heard, if anyone listens any more."""
        with suppress(OSError):
            self._writer.send(bytes([event]))

    def hear(self) -> int:
        """Wait for the next event and answer it."""
        while (event := self._reader.recv(1)[0]) not in self._events:
            pass  # a signal that is somebody else's
        return event


def _heard(_number: int, _frame: FrameType | None) -> None:
    """Take the place of the default, which would end the program."""
