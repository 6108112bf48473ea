"""Signals that come at random moments to a process that enqueues."""

import os
import random
import signal
import threading

import journal

MOST_SECONDS = 0.01
"""Between two signals."""
AT_ONCE = (1, 1, 1, 2)
"""How many Ctrl-C one stretch of code may get: the second comes while it ends by the first."""


class CtrlC:
    """Ctrl-C raises KeyboardInterrupt in `run`, and nowhere else; SIGUSR1 calls *handler* there."""

    def __init__(self, chance: random.Random, handler) -> None:
        self._chance = chance
        self._handler = handler
        self._left = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(
            target=self._send, args=(random.Random(chance.random()),), daemon=True
        )
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGUSR1, self._call)
        self._thread.start()

    def run(self, fn) -> None:
        """Call ``fn()`` until it ends or is cut short; that is caught and written down."""
        try:
            try:
                self._left = self._chance.choice(AT_ONCE)
                fn()
                self._left = 0
            except KeyboardInterrupt:
                self._left = 0
                journal.note("cut short")
        except KeyboardInterrupt:  # the second
            journal.note("cut short")

    def end(self) -> None:
        """Send no more."""
        self._ending.set()
        self._thread.join()

    def _send(self, chance: random.Random) -> None:
        signals = [signal.SIGINT, signal.SIGINT, signal.SIGUSR1]
        while not self._ending.wait(chance.uniform(0, MOST_SECONDS)):
            os.kill(os.getpid(), chance.choice(signals))

    def _interrupt(self, _signal, _frame) -> None:
        if self._left > 0:
            self._left -= 1
            raise KeyboardInterrupt

    def _call(self, _signal, _frame) -> None:
        if self._left > 0:
            self._handler()
