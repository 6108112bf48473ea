"""Task: one function in an actor of its own, and its value.

The value travels in a promise and not as a message, so that nothing arrives late in any mailbox,
however the waiting ends.
"""

from __future__ import annotations

import queue
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from antq_actors.otp import current
from antq_actors.otp.child_spec import BRUTAL_KILL
from antq_actors.otp.errors import Stop, TaskExit
from antq_actors.otp.lean_server import LeanServer
from antq_actors.otp.messages import Continue, Promise, _Marker
from antq_actors.otp.patience import seconds
from antq_actors.otp.reasons import ExitReason, Killed, NoProc, Normal
from antq_actors.otp.termination import terminate
from antq_actors.otp.waits import waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from antq_actors.otp.child_spec import ShutdownTime
    from antq_actors.otp.process import Process
    from antq_actors.otp.ref import ServerRef

_NONE: Final = _Marker("no value")


class TaskActor(LeanServer):
    """Runs *fn* once and ends: normally when it returns, with ``Crash`` when it raises.

    An exit signal ends it at its next bytecode, not only when *fn* returns.
    """

    def __init__(
        self,
        outcome: Promise | None,
        owner: Process | None,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__()
        self._outcome = outcome
        self._owner = owner
        self._work = (fn, args, kwargs)
        self._value: Any = _NONE

    def init(self) -> Continue:
        """Begin at once."""
        return Continue()

    def handle_continue(self, _token: Any) -> None:
        """Do the work."""
        fn, args, kwargs = self._work
        self._value = self.interruptible(fn, *args, **kwargs)
        raise Stop

    def _actor_loop(self) -> None:
        # Who awaits it is told when it has ended and not before: its supervisor has forgotten it
        # then, or has its Exited before anything that comes later, so there is a place for another.
        try:
            super()._actor_loop()
        finally:
            if self._outcome is not None:
                self._tell_outcome(self._outcome)

    def _tell_outcome(self, outcome: Promise) -> None:
        reason = self._otp_process.reason
        assert reason is not None  # noqa: S101 - the loop is over
        if isinstance(reason, Normal) and self._value is not _NONE:
            outcome.answer(self._value)
        else:
            outcome.answer(None, TaskExit(reason))

    def _start_actor_loop(self) -> None:
        # The owner is linked before anything runs, and before it has the task: were the task to do
        # it, an owner that ends it at once, or unlinks it, would be linked after that.
        if self._owner is None:
            super()._start_actor_loop()
            return
        if not (self._otp_process.link(self._owner) and self._owner.link(self._otp_process)):
            self._otp_process.unlink(self._owner)
            self._otp_process.exit(self._owner, NoProc(), by_link=True)
        try:
            super()._start_actor_loop()
        except RuntimeError:  # no thread: the owner hears of it as its StartError, and only so
            self._owner.unlink(self._otp_process)
            self._otp_process.unlink(self._owner)
            raise


class Task:
    """A function that runs in an actor of its own, whose value is awaited.

    >>> task = Task.async_(pow, 2, 10)
    >>> task.await_()
    1024
    """

    __slots__ = ("_outcome", "ref")

    def __init__(self, ref: ServerRef, outcome: Promise) -> None:
        self.ref = ref
        """The actor that runs the function."""
        self._outcome = outcome
        if not ref.process.watch(outcome, self._end):
            self._end(ref, ref.process.reason)

    def __repr__(self) -> str:
        return f"<Task {self.ref}>"

    @classmethod
    def async_(cls, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Self:
        """Start ``fn(*args, **kwargs)``, linked to the calling actor.

        So when it crashes, the caller gets an exit signal, and the other way round; from a plain
        thread it is not linked. Raises TypeError if *fn* cannot be called, StartError if the
        system has no thread left.
        """
        check_callable(fn)
        outcome = Promise()
        return cls(TaskActor.spawn_link(outcome, None, fn, args, kwargs), outcome)

    def await_(self, timeout: float | timedelta | None = 5.0) -> Any:
        """Answer the function's value, now or as often as it is asked.

        Any thread may ask. Raises TaskExit with the reason if the task ended without one (its
        ``__cause__`` is what the function raised), and TimeoutError after *timeout* seconds (None:
        no limit). A task that is late goes on: it can be awaited again, or ended with `shutdown`;
        its value never comes as a message. When the task calls the actor that awaits it, that call
        raises CallCycle in the task; two that await each other raise it here.
        """
        limit = seconds(timeout)
        return self.wait(limit, f"has no value after {limit} s; it goes on")

    def wait(self, limit: float | None, late: str) -> Any:
        """Do what `await_` does, with TimeoutError saying *late*."""
        with self.waited_for():
            return self.outcome(limit, late)

    def waited_for(self) -> AbstractContextManager[None]:
        """Note that the calling actor waits for this task; CallCycle if that could never end."""
        return waiting_for(self.ref.process, self._outcome)

    @property
    def has_failed(self) -> bool:
        """Whether it has ended without a value."""
        return self._outcome.answered and self._outcome.error is not None

    def outcome(self, limit: float | None, late: str) -> Any:
        """Answer the value, or raise, without noting who waits."""
        if not self._outcome.wait(limit):
            raise TimeoutError(f"{self.ref} {late}")
        error = self._outcome.error
        if isinstance(error, TaskExit):
            # Made by the thread that ended; raised here with this thread's own traceback.
            raise TaskExit(error.reason) from getattr(error.reason, "exception", None)
        return self._outcome.value

    @classmethod
    def await_many(
        cls, tasks: Iterable[Task], timeout: float | timedelta | None = 5.0
    ) -> list[Any]:
        """Answer the values of all *tasks* in their order; *timeout* is for all of them together.

        Raises TaskExit as soon as one of them has ended without a value, whatever the others do,
        and TimeoutError for the first in order that has none. Those that are left go on.
        """
        limit = seconds(timeout)
        ends = _Ends(tasks)
        deadline = None if limit is None else time.monotonic() + limit
        late = f"has no value after the {limit} s that all tasks had together; it goes on"
        try:
            return ends.values(lambda: _left(deadline), late)
        finally:
            ends.forget()

    def shutdown(self, timeout: ShutdownTime | timedelta = 5.0) -> ExitReason:
        """End the task and answer the reason it ended with; one that has ended is fine.

        It is told to, and killed after *timeout* seconds, or at once with ``BRUTAL_KILL``.
        """
        me = current.process()
        if me is not None:
            me.unlink(self.ref.process)  # its end is wanted, and ends nobody else
            self.ref.process.unlink(me)
        if timeout is not BRUTAL_KILL:
            limit = seconds(timeout)
            timeout = float("inf") if limit is None else limit
        return terminate(self.ref, timeout)

    def _end(self, _ref: ServerRef, reason: ExitReason | None, /) -> None:
        # A killed one may never come to the end of its thread; every other is told of there.
        if isinstance(reason, Killed):
            self._outcome.answer(None, TaskExit(reason))


class _Ends:
    """The ends of many tasks, as they come."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = list(tasks)
        for task in self._tasks:
            if not isinstance(task, Task):
                raise TypeError(f"await_many() takes tasks, got {task!r}")
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._watched = {(self, index): task for index, task in enumerate(self._tasks)}
        for key, task in self._watched.items():
            if not task.ref.process.watch(key, partial(self._end, key[1])):
                self._ended.put(key[1])

    def _end(self, index: int, _ref: ServerRef, _reason: ExitReason, /) -> None:
        self._ended.put(index)

    def values(self, left: Callable[[], float | None], late: str) -> list[Any]:
        """Answer all values, or raise for the first that ended without one, or when time is up."""
        values: dict[int, Any] = {}
        for index, task in enumerate(self._tasks):
            # It waits for all of them, so also for this one: two that await each other are found.
            with task.waited_for():
                while index not in values:
                    try:
                        ended = self._ended.get(timeout=left())
                    except queue.Empty:
                        raise TimeoutError(f"{task.ref} {late}") from None
                    values[ended] = self._value(ended, left(), late)
        return [values[index] for index in range(len(self._tasks))]

    def _value(self, index: int, limit: float | None, late: str) -> Any:
        try:
            return self._tasks[index].outcome(limit, late)
        except TaskExit:
            for task in self._tasks:  # of several that have failed, the first in order
                if task.has_failed:
                    task.outcome(None, late)
            raise

    def forget(self) -> None:
        """Wait for none of them any more."""
        for key, task in self._watched.items():
            task.ref.process.unwatch(key)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def check_callable(fn: object) -> None:
    """Raise TypeError unless *fn* can be called."""
    if not callable(fn):
        raise TypeError(
            f"a task runs a function, got {fn!r}; write Task.async_(fn, *args), without calling fn"
        )
