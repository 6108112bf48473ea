"""What OS processes write to their standard error: passed on at once, and its end remembered.

One thread for all processes of a pool: most write nothing.
"""

from __future__ import annotations

import os
import selectors
import sys
import threading
from contextlib import suppress
from typing import IO, Final

KEPT: Final = 4096
"""Bytes that are remembered of each."""

_CHUNK: Final = 65536


class Tail:
    """The last bytes of one process."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.kept = b""
        self.closed = threading.Event()

    def text(self, patience: float) -> str:
        """Answer the end of what it wrote, when all has come or *patience* seconds are over."""
        self.closed.wait(patience)
        return self.kept.decode(errors="replace").strip()

    def forget(self) -> None:
        """Begin anew: what comes next is another attempt's."""
        self.kept = b""

    def add(self, chunk: bytes) -> None:
        """Remember what came."""
        self.kept = (self.kept + chunk)[-KEPT:]


class Stderr:
    """Reads from all that it is told to follow, until it is closed."""

    def __init__(self, queue: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_up, self._wake = os.pipe()
        self._selector.register(self._wake_up, selectors.EVENT_READ)
        self._new: list[Tail] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"antq-stderr-{queue}", daemon=True)
        self._thread.start()

    def follow(self, stream: IO[bytes]) -> Tail:
        """Read from *stream* from now on; answer its tail."""
        tail = Tail(stream)
        os.set_blocking(stream.fileno(), False)
        self._new.append(tail)
        self._poke()
        return tail

    def close(self) -> None:
        """Read no more, and end the thread."""
        self._closed = True
        self._poke()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, Tail):
                key.data.stream.close()
        self._selector.close()
        os.close(self._wake)
        os.close(self._wake_up)

    def _poke(self) -> None:
        with suppress(OSError):
            os.write(self._wake, b"!")

    def _run(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                if isinstance(key.data, Tail):
                    self._read(key.data)
                else:
                    os.read(self._wake_up, _CHUNK)
            while self._new:
                tail = self._new.pop()
                self._selector.register(tail.stream, selectors.EVENT_READ, tail)

    def _read(self, tail: Tail) -> None:
        try:
            chunk = os.read(tail.stream.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if chunk:
            tail.add(chunk)
            _pass_on(chunk)
        else:
            self._selector.unregister(tail.stream)
            tail.stream.close()
            tail.closed.set()


def _pass_on(chunk: bytes) -> None:
    with suppress(Exception):  # a closed or broken stderr must not stop the others
        sys.stderr.write(chunk.decode(errors="replace"))
        sys.stderr.flush()
