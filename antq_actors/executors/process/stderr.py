"""What OS processes write to their standard error: passed on at once, and its end remembered.

One thread for all processes of a pool: most write nothing. It may wait for the reader of this
program's own standard error, so nothing waits long for it.
"""

from __future__ import annotations

import codecs
import os
import selectors
import sys
import threading
from contextlib import suppress
from typing import IO, Final

TAIL_BYTES: Final = 4096
"""Bytes that are remembered of each."""

_CHUNK_BYTES: Final = 65536
_MAX_LAST_CHUNKS: Final = 16
"""Chunks that are read at most after the end of a process: what it started may go on writing."""


class Tail:
    """The last bytes of one process."""

    def __init__(self, stream: IO[bytes]) -> None:
        os.set_blocking(stream.fileno(), False)
        self.stream = stream
        self.closed = threading.Event()
        self._kept = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def forget(self) -> None:
        """Begin anew: what comes next is another attempt's."""
        self._kept = b""

    def text(self) -> str:
        """Return the end of what it wrote, as far as it has come."""
        return self._kept.decode(errors="replace").strip()

    def read(self) -> int | None:
        """Take what is there and pass it on; return how much. 0: it has ended; None: not now."""
        try:
            chunk = os.read(self.stream.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        self._kept = (self._kept + chunk)[-TAIL_BYTES:]
        if chunk:
            _write(self._decoder.decode(chunk))
        return len(chunk)


class Closed(Exception):
    """It is closed, so nothing can be followed any more."""


class Stderr:
    """Reads from all streams that it follows, until it is closed."""

    def __init__(self, queue: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_up, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._selector.register(self._wake_up, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._new: list[Tail] = []
        self._old: list[Tail] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"antq-stderr-{queue}", daemon=True)
        self._thread.start()

    def follow(self, stream: IO[bytes]) -> Tail:
        """Read from *stream* from now on; return its tail. Raises Closed."""
        tail = Tail(stream)
        with self._lock:
            if self._is_closed:
                stream.close()
                raise Closed
            self._new.append(tail)
            self._wake_up_thread()
        return tail

    def leave(self, tail: Tail) -> None:
        """Read what is left, and close the stream; soon, in this one's thread."""
        with self._lock:
            if not self._is_closed:
                self._old.append(tail)
                self._wake_up_thread()

    def close(self) -> None:
        """Read no more; the thread ends soon."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._wake_up_thread()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout)

    def _wake_up_thread(self) -> None:
        with suppress(BlockingIOError):  # it is full of pokes
            os.write(self._wake, b"!")

    def _run(self) -> None:
        try:
            while not self._is_closed:
                for key, _ in self._selector.select():
                    tail: Tail | None = key.data
                    if tail is None:
                        os.read(self._wake_up, _CHUNK_BYTES)
                        self._change()
                    elif not tail.closed.is_set() and tail.read() == 0:
                        self._close(tail)
        finally:
            self._end()

    def _change(self) -> None:
        with self._lock:
            new, self._new = self._new, []
            old, self._old = self._old, []
        for tail in new:
            self._selector.register(tail.stream, selectors.EVENT_READ, tail)
        for tail in old:
            if not tail.closed.is_set():
                for _ in range(_MAX_LAST_CHUNKS):
                    if not tail.read():
                        break
                self._close(tail)

    def _close(self, tail: Tail) -> None:
        self._selector.unregister(tail.stream)
        tail.stream.close()
        tail.closed.set()

    def _end(self) -> None:
        with self._lock:
            self._is_closed = True
            os.close(self._wake)
            unregistered = self._new
        tails = [key.data for key in self._selector.get_map().values() if key.data is not None]
        for tail in (*tails, *unregistered):
            tail.stream.close()
            tail.closed.set()
        self._selector.close()
        os.close(self._wake_up)


def _write(text: str) -> None:
    with suppress(Exception):  # a closed or broken stderr must not stop the others
        sys.stderr.write(text)
        sys.stderr.flush()
