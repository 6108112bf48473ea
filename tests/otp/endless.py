"""Work for tasks that never ends by itself."""

import queue
import threading
from contextlib import suppress

from probe import LONGEST

from antq_actors.otp.kernel.errors import Interrupt


class Endless:
    """Goes on until it is interrupted; tells when it has begun, and when it was cut short.

    An interruption may hit anywhere, so also between the taking of a lock and the ``with`` that
    would give it back. What several pieces of work share here is therefore done in C.
    """

    def __init__(self):
        self._begun = queue.SimpleQueue()
        self._over = queue.SimpleQueue()

    def __call__(self, *_args):
        never = threading.Lock()
        never.acquire()
        try:
            self._begun.put("begun")
            while True:
                never.acquire(timeout=0.001)
        finally:
            self._over.put("over")

    def wait_begun(self, count=1):
        for _ in range(count):
            self._begun.get(timeout=LONGEST)

    def has_begun(self):
        return not self._begun.empty()

    def wait_over(self, count=1):
        for _ in range(count):
            self._over.get(timeout=LONGEST)


class Deaf:
    """Goes on until it is let go, whoever interrupts it; answers "through"."""

    def __init__(self):
        self._begun = queue.SimpleQueue()
        self._may_end = False

    def __call__(self, *_args):
        never = threading.Lock()
        never.acquire()
        while True:
            with suppress(Interrupt):
                self._begun.put("begun")
                while not self._may_end:
                    never.acquire(timeout=0.001)
                return "through"

    def wait_begun(self):
        self._begun.get(timeout=LONGEST)

    def wait_interrupted(self):
        """Wait until an interruption has hit it, once it has begun."""
        self.wait_begun()

    def let_go(self):
        self._may_end = True
