"""The program that runs an application in one process, and starts it anew when a file changes.

Like the parent of several processes it imports no application. A process that ends by itself, say
because of a mistake in a file, is started again at the next change.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from antq_actors.app.signals import SignalWaiter, hurries
from antq_actors.errors import AntqError
from antq_actors.multiprocess.process_group import CLEAN, STACKS, STOP_NOW, NodeProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GRACE_SECONDS: Final = 3.0
"""What running jobs get to end at a change. Then they are given back to their queues."""

_NEVER: Final = 7 * 86_400.0
_ENDED: Final = 0
_CHANGED: Final = 255


def run(command: Sequence[str], *, report: Callable[[str], None] = lambda _: None) -> int:
    """Run *command*, an application, anew at each change of a Python file below this directory.

    Return 0 once a signal has stopped it, and 1 if it did not end as it should; a second signal
    stops it without waiting for its jobs. *report* is called with a line for each new start, and
    for the end. Raises AntqError if the library that watches files is missing.
    """
    with SignalWaiter(_ENDED, _CHANGED) as waiter, _watched(lambda: waiter.post(_CHANGED)):
        code = _Reloading(command, waiter, report).run()
    report("stopped")
    return code


class _Reloading:
    """One process at a time, and what becomes of it."""

    def __init__(
        self, command: Sequence[str], waiter: SignalWaiter, report: Callable[[str], None]
    ) -> None:
        self._command = command
        self._waiter = waiter
        self._report = report
        self._process: NodeProcess | None = None
        """None: the last one has ended by itself."""
        self._is_asked = False
        """Whether a signal has come: then no further process is started."""
        self._hurry_at: float | None = None
        """When the process that makes place for a new one is not waited for any longer."""

    def run(self) -> int:
        """Handle signals, changes and ends until it is over; return the exit code."""
        self._start()
        while True:
            left = None if self._hurry_at is None else max(0.0, self._hurry_at - time.monotonic())
            event = self._waiter.wait(left)
            if event is None:
                self._hurry()
            elif event == _CHANGED:
                self._change()
            elif event == _ENDED:
                code = self._end()
                if code is not None:
                    return code
            elif self._process is None:
                return 0
            else:
                self._signal(self._process, event)

    def _start(self) -> None:
        self._hurry_at = None
        self._process = NodeProcess(self._command, lambda _: self._waiter.post(_ENDED))

    def _change(self) -> None:
        if self._is_asked or self._hurry_at is not None:
            return
        self._report("a file has changed, so the application starts anew")
        if self._process is None:
            self._start()
        else:
            self._hurry_at = time.monotonic() + GRACE_SECONDS
            self._process.stop()

    def _hurry(self) -> None:
        self._hurry_at = time.monotonic() + _NEVER
        if self._process is not None:
            self._process.send(STOP_NOW)

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        if self._is_asked:
            return 0 if process.returncode in CLEAN else 1
        if self._hurry_at is not None:
            self._start()
        else:
            self._report(f"the process {process.end}; it starts again when a file has changed")
        return None

    def _signal(self, process: NodeProcess, event: int) -> None:
        if event == STACKS:
            process.send(STACKS)
        if not self._is_asked:
            self._is_asked = True
            process.stop()
        elif hurries(event):
            process.send(STOP_NOW)


@contextmanager
def _watched(changed: Callable[[], None]) -> Iterator[None]:
    """Call *changed* in another thread after each change of a Python file below the directory."""
    try:
        import watchfiles  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name != "watchfiles":
            raise
        raise AntqError("--reload needs watchfiles: pip install 'antq-actors[reload]'") from None

    is_over = threading.Event()
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # what it says, *report* gets

    def watch() -> None:
        for _ in watchfiles.watch(
            Path.cwd(),
            watch_filter=watchfiles.PythonFilter(),
            stop_event=is_over,
            raise_interrupt=False,
        ):
            changed()

    thread = threading.Thread(target=watch, name="antq-watch-files", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
