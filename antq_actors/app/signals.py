"""An application as a program of its own: it runs until a signal, or until its tree gives up."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from antq_actors.jobs import worker_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from antq_actors.otp.kernel.cell import ServerRef

log: Final = logging.getLogger("antq_actors.app")

INTERVAL_SECONDS: Final = 5.0
"""Between two lines about a stop that waits for jobs."""

MOST_IDS: Final = 5
"""Jobs that such a line names."""

_TREE_ENDED: Final = 0
_DRAINED: Final = 254
_STOPPED: Final = 255


class StoppableApp(Protocol):
    """What is started and stopped here: an application."""

    @property
    def root(self) -> ServerRef:
        """The root supervisor of the application."""

    @property
    def runs_queues(self) -> bool:
        """Whether the application has been started with its queues."""

    def start(self, *, queues: bool | None = None) -> object:
        """Start the application's supervision tree."""

    def stop(self) -> None:
        """Stop the application, and wait for running jobs."""

    def hurry(self) -> None:
        """Let a stop of the application wait no longer for running jobs."""

    def running_jobs(self) -> tuple[int, ...]:
        """Return the ids of the jobs that run in this process."""

    def antq_when_drained(self, call: Callable[[], object]) -> None:
        """Have *call* called when the queues of this process were ended from outside."""


def run(
    app: StoppableApp,
    *,
    queues: bool | None = None,
    when_up: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = log.info,
    interval: float = INTERVAL_SECONDS,
    hurried_by: int | None = None,
) -> bool:
    """Start *app*, wait for a signal, stop it. A second signal hurries the stop.

    Return whether it has ended since its node was drained from outside, and not by a signal.

    The signals are SIGINT, SIGTERM, SIGHUP, which does not hurry, and SIGQUIT, at which the stacks
    of all threads are printed first. *queues* is for its start; with True, what has been started
    without queues starts anew. *when_up* is called when it has started. While a stop waits for
    jobs, *report* is given a line at once, and one each *interval* seconds. With *hurried_by* this
    signal hurries, whenever it comes, and no other does. Raises RuntimeError outside the main
    thread, and when the supervision tree gives up.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run() waits for signals, which only the main thread gets; use start()")

    with SignalWaiter(_TREE_ENDED, _DRAINED, _STOPPED) as waiter:
        if queues and not app.runs_queues:
            app.stop()  # its module may have started it without queues, as for a web process
        app.start(queues=queues)
        ended = app.root.cell
        if not ended.watch(waiter, lambda _ref, _reason: waiter.post(_TREE_ENDED)):
            waiter.post(_TREE_ENDED)
        app.antq_when_drained(lambda: waiter.post(_DRAINED))
        when_up()
        with worker_registry.nothing_more_defined():
            first = waiter.wait()
        ended.unwatch(waiter)
        reason = ended.reason
        if first == hurried_by:  # the system may deliver the one that was sent first as the second
            app.hurry()
        _Stop(app, waiter, report, hurried_by).run(interval)
    if first == _TREE_ENDED:
        raise RuntimeError(f"the supervision tree gave up: {reason}; see the log for why")
    return first == _DRAINED


def note_ctrl_c(app: StoppableApp) -> None:
    """Log that Ctrl-C has left ``with app``, which now waits for the jobs that run."""
    running = app.running_jobs()
    if running:
        text = "stopping: {jobs} ({ids}); Ctrl-C again to interrupt {them}"
        log.warning("%s", text.format(**_in_words(running)))


class _Stop:
    """A stop that is under way in a thread of its own, so that this one gets the next signal."""

    def __init__(
        self,
        app: StoppableApp,
        waiter: SignalWaiter,
        report: Callable[[str], None],
        hurried_by: int | None,
    ) -> None:
        self._app = app
        self._waiter = waiter
        self._report = report
        self._hurried_by = hurried_by
        self._is_hurried = False
        self._errors: list[BaseException] = []

    def run(self, interval: float) -> None:
        """Wait until the application has stopped; raise what its ``stop`` raised."""
        begun = time.monotonic()
        self._say("stopping: {jobs}{hint}")
        threading.Thread(target=self._stop, name="antq-stop").start()
        while (event := self._waiter.wait(interval)) != _STOPPED:
            if event is None:
                seconds = round(time.monotonic() - begun)
                self._say(f"stopping since {seconds} s: {{jobs}} ({{ids}}){{hint}}")
            elif hurries(event) and self._hurried_by in (None, event):
                self._hurry()
        if self._errors:
            raise self._errors[0]

    def _stop(self) -> None:
        try:
            self._app.stop()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._errors.append(error)
        finally:
            self._waiter.post(_STOPPED)

    def _hurry(self) -> None:
        if not self._is_hurried:
            self._is_hurried = True
            self._say("interrupting {count}")
        self._app.hurry()

    def _say(self, text: str) -> None:
        running = self._app.running_jobs()
        if not running:
            return
        words = _in_words(running)
        # Under a parent, it is the parent that gets the signals, and says so.
        asks = self._hurried_by is None and not self._is_hurried
        hint = f"; Ctrl-C again to interrupt {words['them']}" if asks else ""
        self._report(text.format(**words, hint=hint))


def _in_words(running: Sequence[int]) -> dict[str, str]:
    """Return how a line about the stop of an application speaks of the jobs that run."""
    one = len(running) == 1
    count = "1 job" if one else f"{len(running)} jobs"
    more = ", …" if len(running) > MOST_IDS else ""
    return {
        "count": count,
        "jobs": f"{count} run{'s' if one else ''}",
        "ids": ", ".join(f"#{id_}" for id_ in running[:MOST_IDS]) + more,
        "them": "it" if one else "them",
    }


SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""What tells a program to stop."""


def signals_to_handle() -> frozenset[signal.Signals]:
    """Return those of ``SIGNALS`` for an application to handle: the program does not itself.

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
    """Return whether this signal makes the stop of an application that is under way hurry.

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
        wanted = signals_to_handle()
        self._events = {*wanted, *self._posted}
        self._handlers: dict[signal.Signals, Any] = {}
        # Before the handlers: a signal that they ignore and that leaves no byte would be lost.
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        try:
            for number in wanted:
                self._handlers[number] = signal.getsignal(number)
                signal.signal(number, _ignore)
        except BaseException:  # a Ctrl-C that comes before its turn
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._writer.close()
        self._reader.close()

    def post(self, event: int) -> None:
        """Wake the thread that waits for signals by *event*, unless the waiter is closed."""
        with suppress(OSError):
            self._writer.send(bytes([event]))

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the next signal or event and return it; None after *timeout* seconds."""
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
    """Handle a signal by doing nothing, where the default would end the program."""
