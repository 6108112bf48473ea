"""Threads that actors run on, used again and again.

Starting a thread costs more than most actors do, and waking a particular one nearly as much. So
actors stand in one line, and a thread that has finished with one takes the next without being
woken. As many threads are kept as there are actors to run; whoever waits longer than
``IDLE_TIMEOUT_SECONDS`` seconds for work ends.

Two threads that pass the interpreter to each other do less than one that keeps it. So functions
that take a fraction of a millisecond are all run by one thread, while an idle one looks now and
then whether it gets on; if not, each function has a thread again (see `Pace`).

Nothing here happens to all threads at once: ten thousand that wake together, to find that there is
nothing to do, keep every other one from the interpreter for half a minute.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import TYPE_CHECKING, Final

from antq_actors import forked_child
from antq_actors.otp.threads import futex_table
from antq_actors.otp.threads.pace import WATCH_SECONDS, Pace

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Iterable, Iterator, Sequence

IDLE_TIMEOUT_SECONDS: Final = 10.0
"""Seconds an idle thread is kept."""

IDLE_NAME: Final = "otp-service-idle"


class ServiceThread(threading.Thread):
    """A thread with the name of the actor that runs in it.

    Of most actors nobody asks for the name of their thread, so theirs is made when it is read.
    """

    runs: object = None
    """What the thread runs, if its name is to be that of this; None: it has one of its own."""

    @property
    def name(self) -> str:
        """The name of the actor that runs in the thread."""
        runs = self.runs
        return self._name if runs is None else str(runs)

    @name.setter
    def name(self, name: str) -> None:
        self._name = name


def _start(work: Callable[[], None]) -> None:
    ServiceThread(target=work, name=IDLE_NAME, daemon=True).start()


class RunQueue:
    """Runs functions, each in a thread of its own, in the order in which they came.

    There is one thread for each function that is wanted and not done, so none waits for another
    one to end. Threads are started with *start*, which raises RuntimeError if there are no more.

    A finalizer, or a signal's handler, may hand over a function at any bytecode of this class, in
    the thread that holds the lock. So a thread first says that it sleeps, or ends, and then looks
    whether something was handed over that counted on it; what is counted is added in one step.
    """

    def __init__(self, start: Callable[[Callable[[], None]], None] = _start) -> None:
        self._start = start
        self._lock = threading.RLock()
        self._line: deque[Callable[[], None]] = deque()
        self._idle: dict[LockType, float] = {}
        """Where idle threads sleep, and since when; in that order. The first one keeps time."""
        self._started: list[None] = []
        """One entry for each thread that is there, or is being started, and will not end."""
        self._not_done: list[None] = []
        """One entry for each function that is wanted and not done. Adding some and removing some is
        one step each, so it takes no lock, and may happen in a signal's handler."""
        self._waking = False
        self._taken = 0
        """How many functions were taken; about, as no lock is taken to count."""
        self._pace = Pace()
        self._watcher: LockType | None = None
        """Where the idle thread sleeps that looks whether the functions that wait are taken."""

    @property
    def _threads(self) -> int:
        """How many threads a function may count on."""
        return len(self._started)

    @property
    def has_waiting(self) -> bool:
        """Whether a function waits for a thread."""
        return bool(self._line)

    @property
    def _wanted(self) -> int:
        """How many functions are wanted and not done."""
        return len(self._not_done)

    def run(self, fn: Callable[[], None]) -> None:
        """Run *fn* in a service thread, idle or new. Raises RuntimeError if none can be started."""
        self.reserve(1)
        self.run_reserved([fn])

    def reserve(self, number: int) -> None:
        """Start the service threads that *number* more functions need; run or unreserve each.

        Raises RuntimeError if they cannot be started; then nothing is reserved.
        """
        reserved = missing = started = 0
        try:
            with self._lock:
                self._not_done.extend([None] * number)
                reserved = number
                missing = max(0, self._wanted - self._threads)
                self._started.extend([None] * missing)
            if self._threads > futex_table.room:
                futex_table.make_room(self._threads)
            for _ in range(missing):
                self._start(self._work)
                started += 1
        except BaseException:
            # No thread is left, or Ctrl-C came, between any two steps: rather a thread too many
            # than functions that count on one that does not start.
            del self._started[: missing - started]
            self.unreserve(reserved)
            raise

    def unreserve(self, number: int) -> None:
        """Give up *number* functions for which `reserve` has started service threads."""
        if number:
            del self._not_done[-number:]

    def run_reserved(self, fns: Iterable[Callable[[], None]], *, wakes: bool = True) -> None:
        """Have service threads run functions for which `reserve` has started threads.

        *wakes* one, unless the calling service thread is about to be free.
        """
        with self._lock:
            self._line.extend(fns)
            if wakes:
                self._wake_one()

    def wake_for_waiting(self) -> None:
        """Wake an idle service thread if a function waits for one."""
        with self._lock:
            self._wake_one()

    def run_next(self, fn: Callable[[], None]) -> None:
        """Have this service thread, which is about to be free, run *fn* behind those that wait.

        Its thread is free then, so none is woken for it, and none has to be started.
        """
        with self._lock:
            self._not_done.append(None)
            self._line.append(fn)

    def run_if_idle(self, fn: Callable[[], None]) -> bool:
        """Have an idle service thread run *fn*; False: perhaps nobody does, or it takes a while.

        For any thread, at any bytecode: it takes no lock, which one that is cut short might keep.
        """
        idle, line = self._idle, self._line
        if len(idle) <= len(line):
            return False
        self._not_done.append(None)
        line.append(fn)
        try:
            wake = next(reversed(idle))
        except (RuntimeError, StopIteration):
            return False
        # It looks at the line before it sleeps on, and before it ends. It takes itself off the idle
        # ones: by the time that this thread did it, it may be idle again.
        _rouse(wake)
        return True

    def _wake_one(self) -> None:
        # One at a time: who wakes takes a function, and wakes the next only if more are left.
        # Short functions are then done by few threads, without a hand-over for each.
        if self._line and self._idle and not self._waking:
            try:
                wake = next(reversed(self._idle))
            except (RuntimeError, StopIteration):
                return  # a signal's handler, in between, has woken somebody, who sees to the rest
            # First of all: whoever is cut short behind it has woken somebody, who sees to the rest.
            _rouse(wake)
            self._idle.pop(wake, None)
            self._waking = True

    def _work(self) -> None:
        wake = threading.Lock()  # where this thread sleeps until another one releases it
        wake.acquire()
        try:
            self._serve(wake)
        except BaseException:
            # Out of a function, as no actor lets it; but a log handler may raise while its end is
            # reported. A thread less: if it still counted, a later function would wait for it.
            with self._lock:
                del self._started[:1]
                self._leave_line(wake)
                self._waking = False  # it may have been the one on its way
                if self._watcher is wake:
                    self._watcher = None
                self._wake_one()
            if self._line:
                with suppress(RuntimeError):  # no thread can be started
                    self.reserve(0)  # another in its place, if one of those that wait needs it
            raise

    def _serve(self, wake: LockType) -> None:
        thread = threading.current_thread()
        since = forked_child.generation
        line, is_done = self._line, self._not_done.pop
        while True:
            try:
                fn = line.popleft()
            except IndexError:
                thread.name = IDLE_NAME
                if self._rest_if_idle(wake):
                    continue
                return
            self._taken += 1
            if line and self._idle and not self._waking and self._watcher is None:
                with self._lock:
                    if self._pace.leaves_to_one():
                        self._watch()
                    else:
                        self._wake_one()
            try:
                Context().run(fn)  # what an actor sets there is not seen by the next one
            except BaseException as error:
                forked_child.end_if_forked(since, error)
                is_done()
                raise
            if forked_child.generation != since:
                forked_child.end()
            is_done()
            del fn  # an actor must not live on in an idle thread's frame

    def _rest_if_idle(self, wake: LockType) -> bool:
        """Let this service thread sleep if nothing waits; False if it should end."""
        with self._lock:
            self._idle[wake] = time.monotonic()
            timeout = IDLE_TIMEOUT_SECONDS if self._first_idle() is wake else -1
            if self._line:
                _rouse(wake)
        return self._rest(wake, timeout)

    def _watch(self) -> None:
        """Have an idle service thread look whether this one takes the functions that wait."""
        # The one that keeps time: any other is roused for work before it.
        wake = self._first_idle()
        if wake is not None:
            self._watcher = wake
            _rouse(wake)

    def _watch_on(self, wake: LockType) -> None:
        """Look again and again whether functions that wait are taken soon, as long as they are."""
        pace = self._pace
        pace.begin(self._taken, time.monotonic(), is_waiting=bool(self._line))
        while wake in self._idle and not wake.acquire(timeout=WATCH_SECONDS):
            if not pace.look(self._taken, time.monotonic(), is_waiting=bool(self._line)):
                break

    def _rest(self, wake: LockType, timeout: float) -> bool:
        """Let an idle service thread sleep until there is work; False if it should end."""
        while True:
            wake.acquire(timeout=timeout)
            if self._watcher is wake:
                self._watch_on(wake)
            with self._lock:
                if self._watcher is wake:
                    self._watcher = None  # and then it looks at the line
                wake.acquire(blocking=False)  # it may be roused just as its time is over
                since = self._idle.get(wake)
                if since is None or self._line:  # roused for work
                    self._leave_line(wake)
                    self._waking = False
                    return True
                # It is the first, whose time is over or who has to see when it is.
                timeout = since + IDLE_TIMEOUT_SECONDS - time.monotonic()
                if timeout <= 0:
                    return not self._may_end(wake)

    def _may_end(self, wake: LockType) -> bool:
        """Have no function count on this idle service thread any more; False if one does."""
        self._leave_line(wake)
        self._waking = False  # it may be the one that is on its way
        del self._started[:1]
        if not self._line and self._wanted <= self._threads:
            return True
        self._started.append(None)
        return False

    def _leave_line(self, wake: LockType) -> None:
        kept_time = self._first_idle() is wake
        self._idle.pop(wake, None)
        first = self._first_idle()
        if kept_time and first is not None:
            _rouse(first)

    def _first_idle(self) -> LockType | None:
        """Return where the idle thread sleeps that keeps time for all; None if none sleeps."""
        while True:
            try:
                return next(iter(self._idle), None)
            except RuntimeError:  # a finalizer, in between, has woken somebody
                continue


def _rouse(wake: LockType) -> None:
    if wake.locked():
        try:  # noqa: SIM105 - a suppress() takes three calls
            wake.release()
        except RuntimeError:
            pass  # a handler of a signal, in between, was quicker


_run_queue = RunQueue()


class _Local(threading.local):
    deferred: list[Callable[[], None]] | None = None
    """The functions that this thread begins at the end of `together`; None outside of it."""
    reserved = 0
    """For how many more functions, until then, service threads are there already."""
    is_brief = False
    """Whether this service thread runs a `Brief`, so that it is about to be free."""


_local = _Local()


class Brief:
    """A function that ends soon, so that the thread that runs it takes what begins in it next.

    No other thread is woken for that. Before it waits for anything it calls `wake_for_waiting`.
    """

    def __init__(self, fn: Callable[[], None]) -> None:
        self._fn = fn

    def __call__(self) -> None:
        """Call the function in this service thread."""
        here = _local
        here.is_brief = True
        try:
            self._fn()
        finally:
            here.is_brief = False


def wake_for_waiting() -> None:
    """Wake a thread for what began in a `Brief`, as this one goes on; elsewhere there is none."""
    if _local.is_brief and _run_queue.has_waiting:
        _run_queue.wake_for_waiting()


def run_soon(fn: Callable[[], None]) -> None:
    """Have *fn* run by this service thread or another, whichever is free first; wakes none."""
    _run_queue.run_next(fn)


def run_if_idle(fn: Callable[[], None]) -> bool:
    """Have an idle service thread run *fn*; False: perhaps nobody does, or it takes a while."""
    return _run_queue.run_if_idle(fn)


def run(fn: Callable[[], None], *, is_awaited: bool = False) -> None:
    """Run *fn* in a service thread, idle or new. Raises RuntimeError if none can be started."""
    deferred = _local.deferred
    if deferred is None:
        _run_queue.run(fn)
        return
    if _local.reserved:
        _local.reserved -= 1
    else:
        _run_queue.reserve(1)
    if is_awaited:
        _run_queue.run_reserved([fn])
    else:
        deferred.append(fn)


def reserve(number: int) -> None:
    """Start the threads for *number* functions of `run_reserved`. Raises RuntimeError if it can't.

    Nothing is reserved then.
    """
    _run_queue.reserve(number)


def unreserve(number: int) -> None:
    """Give up *number* functions for which `reserve` has started threads."""
    _run_queue.unreserve(number)


def run_reserved(fns: Sequence[Callable[[], None]]) -> None:
    """Have service threads run *fns*, for each of which `reserve` has seen to a thread."""
    _run_queue.run_reserved(fns, wakes=not _local.is_brief)


@contextmanager
def together(number: int) -> Iterator[None]:
    """Let functions given to ``run`` in the block, *number* about, begin at the block's end.

    Each hand-over to a thread makes that thread ask for the interpreter, so that one that hands
    over many, one by one, would hardly get on: all at once is several times faster. What is
    awaited begins at once all the same. Raises RuntimeError if no threads can be started.
    """
    if _local.deferred is not None:
        yield
        return
    queue = _run_queue
    queue.reserve(number)
    deferred: list[Callable[[], None]] = []
    try:
        _local.reserved = number
        _local.deferred = deferred
        yield
    finally:
        _local.deferred = None
        queue.unreserve(_local.reserved)
        queue.run_reserved(deferred)


def _renew() -> None:
    global _run_queue  # noqa: PLW0603 - a forked child has none of these threads
    _run_queue = RunQueue()
    _local.deferred = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
