"""The path of one lone durable job: the files, Python calls and classes that it crosses.

An application with one queue is started, warmed up and idle; then jobs that do nothing are enqueued
one by one, each after the job before it was settled. A job's window opens before ``perform_async``.
When ``perform`` has been called, and then no thread has called anything of the package for 20 ms,
the window is closed, and only then is the job looked up: a window whose job was not completed yet
does not count. So what follows the commit of the outcome (the worker actor's end, a free slot) is
in the window, and the measurement itself calls nothing there.

Counted are ``call`` events of `sys.setprofile`, in all threads, in files of the package: each
function entered, as the interpreter counts it, so each step of a generator is a call, and before
Python 3.12 each comprehension. Generated constructors (dataclasses), those of named tuples and
structs, and all code written in C belong to no file and are not counted. The profile function is
set before the tree starts; it costs time but no calls.

Each job comes after a moment of idleness, as a lone job does. The figures are those of the fewest
calls that at least an eighth of the windows have. The timer thread is left out: it looks for news
from other processes 20 times a second, which is in each window of a busy machine and in few of an
idle one. What other services do by the clock (looking for dead nodes, say) only adds to some
windows. And each thread runs until it waits: where one interrupts another depends on what else the
machine does, and then two steps sometimes meet and share a turn.

*Concepts* are the classes of the package that the path takes part in: those whose functions run in
a window, and those of which a function that runs there is given, holds in a local variable or
returns an instance (or the class itself).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from measure import application, until

import antq_actors
from antq_actors import AntQ, Job, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

PACKAGE: Final = Path(antq_actors.__file__).parent
NAME: Final = antq_actors.__name__
WARM_UP: Final = 20
"""Jobs before the first window: what is imported, started or made once is there then."""
IDLE_SECONDS: Final = 0.3
"""Before each window, so that its job is alone. The warm-up lasts six seconds so: for the first two
after its directory has changed, a store looks at its files more closely."""
QUIET_SECONDS: Final = 0.02
"""Without a call for so long, nothing is left to do for a job."""
TIMER_THREAD: Final = "otp-service-timer"
SWITCH_SECONDS: Final = 30.0
"""So long a thread may run before another one that could run gets its turn."""


class Noop(Worker):
    """Does nothing but tell that it was called."""

    was_called: ClassVar[threading.Event] = threading.Event()

    def perform(self, job: Job) -> None:  # noqa: ARG002 - it does nothing
        """Return at once."""
        self.was_called.set()


@dataclass(frozen=True)
class JobPath:
    """What one lone job crosses."""

    calls: int
    """The fewest that several windows have."""
    fewest_calls: int
    """Of the window with the fewest."""
    most_calls: int
    """Of the window with the most."""
    by_file: dict[str, int]
    """Calls by file of the package, in one of these windows."""
    concepts: list[str]
    """``module.Class``, in alphabetical order."""

    @property
    def files(self) -> int:
        """How many files it crosses."""
        return len(self.by_file)


def measure_path(jobs: int) -> JobPath:
    """Return the path of one job, measured on *jobs* of them."""
    recorder = _Recorder()
    switch_seconds = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    try:
        with application(durable=True, queues={"default": 10}) as app:
            _windows(app, recorder, WARM_UP)
            windows = _windows(app, recorder, jobs)
    finally:
        sys.setswitchinterval(switch_seconds)
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # as sys.setprofile takes it
    return _evaluated(windows)


def _windows(app: AntQ, recorder: _Recorder, jobs: int) -> list[_Window]:
    found: list[_Window] = []
    while len(found) < jobs:
        Noop.was_called.clear()
        time.sleep(IDLE_SECONDS)
        with recorder.recording() as window:
            job = Noop.perform_async()
            Noop.was_called.wait()
            until(window.is_quiet, QUIET_SECONDS)
        if app.get_job(job.id).status is Status.COMPLETED:
            found.append(window)
        else:  # a busy machine was quiet in the middle of it
            app.wait_idle()
    return found


def _evaluated(windows: list[_Window]) -> JobPath:
    calls = Counter(len(window.codes) for window in windows)
    often = [each for each, times in calls.items() if 8 * times >= len(windows)]
    usual = min(often or calls)
    alike = [window for window in windows if len(window.codes) == usual]
    return JobPath(
        calls=usual,
        fewest_calls=min(calls),
        most_calls=max(calls),
        by_file=dict(_calls_by_file(alike[0].codes).most_common()),
        concepts=sorted(set().union(*(window.concepts() for window in alike))),
    )


def _calls_by_file(codes: list[CodeType]) -> Counter[str]:
    files = Counter(code.co_filename for code in codes)
    return Counter({_relative(file): calls for file, calls in files.items()})


def _relative(file: str) -> str:
    return Path(file).relative_to(PACKAGE).as_posix()


# ---- recording ------------------------------------------------------------------------------


class _Window:
    """What ran between two moments."""

    def __init__(self) -> None:
        self.codes: list[CodeType] = []
        self.types: set[type] = set()
        self._seen = -1

    def is_quiet(self) -> bool:
        """Return whether nothing has run since it was last asked."""
        seen, self._seen = self._seen, len(self.codes)
        return seen == self._seen

    def concepts(self) -> set[str]:
        """Return the names of the classes that it met."""
        names = {f"{each.__module__}.{each.__qualname__}" for each in self.types}
        for code in set(self.codes):
            scope, _, function = code.co_qualname.partition(".<locals>")[0].rpartition(".")
            if scope and function:
                module = _relative(code.co_filename).removesuffix(".py").replace("/", ".")
                names.add(f"{NAME}.{module}.{scope}")
        return {name.replace(".__init__.", ".") for name in names}


class _Recorder:
    """A profile function. It records while a window is open, and does next to nothing before."""

    def __init__(self) -> None:
        self._window: _Window | None = None
        self._beginning = f"{PACKAGE}/"

    @contextmanager
    def recording(self) -> Iterator[_Window]:
        """Open a window."""
        self._window = window = _Window()
        try:
            yield window
        finally:
            self._window = None

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        window = self._window
        if window is None or not frame.f_code.co_filename.startswith(self._beginning):
            return
        if threading.current_thread().name == TIMER_THREAD:
            return
        if event == "call":
            window.codes.append(frame.f_code)
        elif event == "return":
            # Copied in one step: another thread may be in the same closure.
            for value in (arg, *list(frame.f_locals.values())):
                kind = value if isinstance(value, type) else type(value)
                if kind.__module__.partition(".")[0] == NAME:
                    window.types.add(kind)
