"""What a process has to do with the parent that started it.

The two hold the ends of a socket. The process sends one byte through it when it is up. When the
parent ends, whatever ended it, the socket is at its end, and the process tells itself to stop.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from typing import Final

STOP: Final = signal.SIGTERM
"""From the parent: stop, and let what runs end. It may come from others as well, and twice."""
HURRY: Final = signal.SIGINT
"""From the parent: wait no longer."""
STACKS: Final = signal.SIGQUIT
"""From the parent: print where all threads are, and stop."""


class Lifeline:
    """The end of the process that was started; *fd* is the socket it has inherited."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        threading.Thread(target=self._watch, name="antq-lifeline", daemon=True).start()

    def report_up(self) -> None:
        """Tell the parent, if there still is one, that this process is up."""
        with suppress(OSError):
            self._socket.send(b"u")

    def _watch(self) -> None:
        with suppress(OSError):
            self._socket.recv(1)  # the parent sends nothing: this is its end
        os.kill(os.getpid(), STOP)
