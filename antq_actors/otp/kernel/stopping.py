"""How the threads of actors are brought to an end: woken in turn, interrupted, or abandoned.

Python has no way to end a thread. It can be made to raise: at its next bytecode, so not while it
sits in C code. The exception must hit the stretch of code it was meant for and nothing after it,
least of all the thread's next actor; that is what `Interruptible` is careful about. A thread that
does not end is abandoned: it goes on, and is listed.
"""

from __future__ import annotations

import ctypes
import threading
from _thread import get_ident
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from antq_actors.otp.kernel.errors import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.otp.kernel.mailbox import Mailbox

P = ParamSpec("P")
T = TypeVar("T")

_wakers: Final[dict[int, Callable[[], object]]] = {}
"""What wakes the code that a thread runs, by the number of the thread."""


def woken_by(wake: Callable[[], object], fn: Callable[[], T]) -> T:
    """Return ``fn()``, run in this thread; an interruption calls *wake* to get it out of C code.

    For what may wait in C code for an event, as an event loop does: the exception is raised when
    that has come. *wake* is called in another thread, must not wait, and may come too late.
    """
    me = get_ident()
    _wakers[me] = wake
    try:
        return fn()
    finally:
        _wakers.pop(me, None)


class Interruptible:
    """One stretch of code at a time, in one thread; interrupted at most once.

    The thread's number is in a list while the stretch runs. Taking it out is one step, and decides:
    the thread that runs the stretch ends it, or another thread interrupts it. So a stretch that is
    not interrupted, as nearly all, takes no lock.
    """

    __slots__ = ("_lock", "_spent", "_stop", "_threads")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """For those that interrupt, and for the thread that has to wait for one of them."""
        self._threads: list[int] = []
        self._spent = False
        self._stop: Callable[[], object] | None = None

    def run_until(
        self, ending: Callable[[], bool], stop: Callable[[], object], fn: Callable[[], T]
    ) -> T:
        """Return ``fn()``; an interruption calls *stop* in its own thread, and raises nothing.

        For what waits in C code, where no exception gets in: *stop* has it end. It is called once,
        and must not wait.
        """
        with self._lock:
            self._stop = stop
        try:
            if ending():
                self.interrupt()
            return fn()
        finally:
            with self._lock:
                self._stop = None

    def run(
        self, ending: Callable[[], bool], fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return ``fn(...)``, run in this thread; an interruption raises Interrupt inside it.

        *ending* says whether the order to end has come before there was anything to interrupt.
        """
        threads = self._threads
        try:
            try:
                threads.append(get_ident())
                if ending():
                    raise Interrupt
                return fn(*args, **kwargs)
            finally:
                try:
                    threads.pop()
                except IndexError:
                    self._close()
        except Interrupt:
            # It may have hit the end of the stretch, or _close itself. There is only one, so from
            # here on it is quiet.
            self._close()
            raise

    def interrupt(self) -> bool:
        """Raise Interrupt in the code that the actor's thread runs; return False if it runs none.

        Code that waits in an event loop is stopped by the function that `run_until` was given.
        """
        with self._lock:
            stop, self._stop = self._stop, None
            if stop is not None:
                stop()
                return True
            if self._spent:
                return False
            try:
                thread_id = self._threads.pop()
            except IndexError:
                return False
            self._spent = True
            _raise_in(thread_id, Interrupt)
            wake = _wakers.get(thread_id)
            if wake is not None:
                wake()
            return True

    def look(self, read: Callable[[int], T]) -> T | None:
        """Return ``read(thread)``, given the number of the thread that runs the interruptible code.

        None: no stretch runs in a thread, or it has ended in the meantime.
        """
        threads = self._threads.copy()
        if not threads:
            return None
        found = read(threads[-1])
        return found if self._threads else None

    def reset_after_fork(self) -> None:
        """Forget the thread in a forked child, where a lost thread may hold the lock."""
        self._lock = threading.Lock()
        self._threads.clear()
        self._stop = None

    def _close(self) -> None:
        self._threads.clear()
        with self._lock:  # whoever has taken the number is through with the interruption
            is_spent = self._spent
        if is_spent:
            # If it is not delivered yet, it would hit whatever comes next: it has to come now.
            with suppress(Interrupt):
                _propagate_pending()


def _propagate_pending() -> None:
    # An exception could be taken back, too, by setting none. But CPython 3.11 then leaves its flag
    # for pending ones up, for all threads; with that, a trace function that raises (a debugger's,
    # a test's) is called for the same line again and again for ever.
    for _ in range(100):  # a jump back is where pending exceptions are raised
        pass


def _raise_in(thread_id: int, exception: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(exception)
    )


# ---- waking many --------------------------------------------------------------------------------

AT_ONCE: Final = 4
"""How many are on their way at the same time."""


def wake_in_turn(mailboxes: Sequence[Mailbox]) -> None:
    """Wake the sleeping actors of *mailboxes*, four at a time: each wakes the next one."""
    if len(mailboxes) <= AT_ONCE:
        for mailbox in mailboxes:
            mailbox.wake()
        return
    line = deque(mailboxes)

    def wake_next() -> None:
        with suppress(IndexError):
            while not line.popleft().wake(wake_next):
                pass

    for _ in range(AT_ONCE):
        wake_next()


# ---- abandoned threads ---------------------------------------------------------------------------

_lock = threading.RLock()
_abandoned: Final[dict[object, threading.Thread]] = {}
"""By the actor's cell, or whatever else tells them apart."""


def orphans() -> list[threading.Thread]:
    """List the threads that were abandoned while they were busy, and that have not ended.

    Python cannot end them. Those of actors that were killed can do no harm through us: whatever
    they still send raises CallExit in them and reaches nobody. Others were used by coroutines of
    an event loop that has ended.
    """
    with _lock:
        return [thread for thread in _abandoned.values() if thread.is_alive()]


def is_abandoned(key: object) -> bool:
    """Return whether the thread of the actor *key* was abandoned and still runs."""
    return key in _abandoned


def add_abandoned(key: object, thread: threading.Thread) -> None:
    """List *thread* as an orphan: it may go on without its actor, *key*."""
    with _lock:
        _abandoned[key] = thread


def discard_abandoned(key: object) -> None:
    """Take the thread of the actor *key* off the list of orphans: it has ended."""
    if key not in _abandoned:  # as nearly all; it was added before its end was known
        return
    with _lock:
        _abandoned.pop(key, None)


def reset_after_fork() -> None:
    """Empty the list of orphans in a forked child, where a lost thread may hold the lock."""
    global _lock  # noqa: PLW0603 - the old one cannot be freed
    _lock = threading.RLock()
    _abandoned.clear()
