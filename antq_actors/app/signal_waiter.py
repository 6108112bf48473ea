"""Wait for signals and for events of other threads, whichever comes first."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import FrameType

SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""What tells a program to stop."""


def signals_to_handle() -> frozenset[signal.Signals]:
    """Return those of ``SIGNALS`` that this program does not handle itself.

    SIGHUP is also left alone where it is ignored: nohup does that. SIGQUIT is not: a shell ignores
    it for what runs in the background, where the stacks may be wanted as well.
    """
    wanted = {signal.SIGINT, signal.SIGTERM}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        wanted.add(signal.SIGHUP)
    if signal.getsignal(signal.SIGQUIT) in (signal.SIG_DFL, signal.SIG_IGN):
        wanted.add(signal.SIGQUIT)
    return frozenset(wanted)


def hurries(event: int | None) -> bool:
    """Return whether a stop should wait no longer when this signal comes while it is under way.

    SIGHUP never does: a terminal that is closed sends it more than once.
    """
    return event in SIGNALS and event != signal.SIGHUP


def print_stacks() -> None:
    """Print to stderr where each thread of this program is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"thread {names.get(ident, ident)}, most recent call last:\n"
        + "".join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - documented
    ]
    with suppress(OSError, ValueError):  # the terminal, or the stream, may be closed
        print("\n".join(parts), file=sys.stderr, flush=True)  # noqa: T201


class SignalWaiter:
    """Receives signals and events of other threads, one byte each, in order.

    At a SIGQUIT it prints where all threads are.

    *posted* are the events that threads tell; their numbers must be no signal's.

    Python runs a signal's handler when the main thread next runs Python code, and a thread that
    waits for a lock does not: a signal that the system gave to another thread, or that came just
    before the wait, would be noticed when the wait is over, which is never. The byte that the
    interpreter writes for each signal ends the wait for a byte.
    """

    def __init__(self, *posted: int) -> None:
        self._posted = posted

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.settimeout(0.0)
        self._handlers = {number: signal.signal(number, _ignore) for number in signals_to_handle()}
        self._events = {*self._handlers, *self._posted}
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._writer.close()
        self._reader.close()

    def post(self, event: int) -> None:
        """Send *event* to the waiter, if it is still open."""
        with suppress(OSError):
            self._writer.send(bytes([event]))

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the next event and return it; None after *timeout* seconds without one."""
        self._reader.settimeout(timeout)
        try:
            while (event := self._reader.recv(1)[0]) not in self._events:
                pass  # a signal that this program handles elsewhere
        except TimeoutError:
            return None
        if event == signal.SIGQUIT:
            print_stacks()
        return event


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Take the place of the default, which would end the program."""
