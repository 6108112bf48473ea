"""Work for tasks that never ends by itself."""

import threading

from probe import LONGEST


class Endless:
    """Goes on until it is interrupted; tells when it has begun, and when it was cut short."""

    def __init__(self):
        self._begun = threading.Semaphore(0)
        self._over = threading.Semaphore(0)
        self._tick = threading.Event()

    def __call__(self, *_args):
        self._begun.release()
        try:
            while True:
                self._tick.wait(0.001)
        finally:
            self._over.release()

    def wait_begun(self, count=1):
        for _ in range(count):
            assert self._begun.acquire(timeout=LONGEST)

    def has_begun(self):
        return self._begun.acquire(blocking=False)

    def wait_over(self, count=1):
        for _ in range(count):
            assert self._over.acquire(timeout=LONGEST)
