"""An application as a program of its own: it runs until a signal, or until its tree gives up."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import FrameType

    from antq_actors.app.antq import AntQ

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_TREE_ENDED: Final = 0
_STOPPED: Final = 255
_EVENTS: Final = (*_SIGNALS, _TREE_ENDED, _STOPPED)


def run(app: AntQ) -> None:
    """Start *app*, wait for SIGINT or SIGTERM, stop it. A second signal hurries the stop.

    Raises RuntimeError outside the main thread, and when the supervision tree gives up.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run() waits for signals, which only the main thread gets; use start()")

    with _Ear() as ear:
        app.start()
        ended = app.root.process
        if not ended.watch(ear, lambda _ref, _reason: ear.tell(_TREE_ENDED)):
            ear.tell(_TREE_ENDED)
        first = ear.hear()
        ended.unwatch(ear)
        reason = ended.reason
        _stop(app, ear)
    if first == _TREE_ENDED:
        raise RuntimeError(f"the supervision tree gave up: {reason}; see the log for why")


def _stop(app: AntQ, ear: _Ear) -> None:
    """Stop in a thread of its own, so that this one can hear the next signal."""
    errors: list[BaseException] = []

    def stop() -> None:
        try:
            app.stop()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            errors.append(error)
        finally:
            ear.tell(_STOPPED)

    threading.Thread(target=stop, name="antq-stop").start()
    while ear.hear() != _STOPPED:
        app.hurry()
    if errors:
        raise errors[0]


class _Ear:
    """Hears signals and what other threads tell, one byte each, in order.

    Python runs a signal's handler when the main thread next runs Python code, and a thread that
    waits for a lock does not: a signal that the system gave to another thread, or that came just
    before the wait, would be heard when the wait is over, which is never. The byte that the
    interpreter writes for each signal ends the wait for a byte.
    """

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.settimeout(0.0)
        self._handlers = {number: signal.signal(number, _heard) for number in _SIGNALS}
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
        while (event := self._reader.recv(1)[0]) not in _EVENTS:
            pass  # a signal that is somebody else's
        return event


def _heard(_number: int, _frame: FrameType | None) -> None:
    """Take the place of the default, which would end the program."""
