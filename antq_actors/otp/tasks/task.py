"""Task: one function in an actor of its own, and its value.

The value travels in a promise and not as a message, so that nothing arrives late in any mailbox,
however the waiting ends.
"""

from __future__ import annotations

import queue
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from antq_actors.checks import check_whole, timeout_seconds
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.actors.task_actor import TaskActor
from antq_actors.otp.kernel.cell import current_cell
from antq_actors.otp.kernel.child_spec import BRUTAL_KILL, ChildSpec, Restart
from antq_actors.otp.kernel.errors import Stop, TaskExit
from antq_actors.otp.kernel.messages import Continue, Marker, Promise
from antq_actors.otp.kernel.reasons import ExitReason, Killed, NoProc, Normal
from antq_actors.otp.messaging.deadlock import waiting_for
from antq_actors.otp.supervision.children import terminate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell, ServerRef
    from antq_actors.otp.kernel.child_spec import ShutdownTime
    from antq_actors.otp.kernel.reasons import ExitReason

_NONE: Final = Marker("no value")


class FunctionTask(TaskActor):
    """Runs *fn* once and ends: normally when it returns, with ``Crash`` when it raises.

    An exit signal ends it at its next bytecode, not only when *fn* returns.
    """

    # The life of a GenServer, with all that traces show of one.
    _otp_live = GenServer._otp_live  # noqa: SLF001 - of its own base class

    def __init__(
        self,
        outcome: Promise | None,
        owner: ActorCell | None,
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
        """Have the task's function run as soon as its starter has the ref."""
        return Continue()

    def handle_continue(self, _token: Any) -> None:
        """Run the task's function in the task's thread, keep its value and end."""
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
        reason = self._otp_cell.reason
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
        if not (self._otp_cell.link(self._owner) and self._owner.link(self._otp_cell)):
            self._otp_cell.unlink(self._owner)
            self._otp_cell.exit(self._owner, NoProc(), by_link=True)
        try:
            super()._start_actor_loop()
        except RuntimeError:  # no thread: the owner hears of it as its StartError, and only so
            self._owner.unlink(self._otp_cell)
            self._otp_cell.unlink(self._owner)
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
        if not ref.cell.watch(outcome, self._end):
            self._end(ref, ref.cell.reason)

    def __repr__(self) -> str:
        return f"<Task {self.ref}>"

    @classmethod
    def async_(cls, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Self:
        """Start a task that runs ``fn(*args, **kwargs)`` in an actor linked to the calling actor.

        So when it crashes, the caller gets an exit signal, and the other way round; from a plain
        thread it is not linked. Raises TypeError if *fn* cannot be called, StartError if the
        system has no thread left.
        """
        check_callable(fn)
        outcome = Promise()
        return cls(FunctionTask.spawn_link(outcome, None, fn, args, kwargs), outcome)

    @staticmethod
    def child_spec(
        fn: Callable[..., Any],
        /,
        *args: Any,
        id: Any = None,  # noqa: A002 - OTP's name
        restart: Restart = Restart.TEMPORARY,
        shutdown: ShutdownTime | timedelta = 5.0,
        significant: bool = False,
        **kwargs: Any,
    ) -> ChildSpec:
        """Return a child spec that runs ``fn(*args, **kwargs)`` in a task under any supervisor.

        It begins when its turn to start has come, and is not waited for, so that it may take long:
        a program's main work, or something to do once at boot. By default it runs once, and is
        forgotten when it has ended, however; with `Restart.TRANSIENT` it runs again after a crash,
        with `Restart.PERMANENT` whenever it has ended. Without *id* its id is the function's name.
        Raises what ChildSpec raises, and TypeError if *fn* cannot be called. As a ``Task`` in
        the children of an Elixir supervisor.

        >>> from antq_actors.otp import Supervisor
        >>> import queue
        >>> done = queue.SimpleQueue()
        >>> with Supervisor.start([Task.child_spec(done.put, "warm", id="warm the cache")]):
        ...     done.get(timeout=5)
        'warm'
        """
        check_callable(fn)
        return ChildSpec(
            getattr(fn, "__name__", type(fn).__name__) if id is None else id,
            FunctionTask.spawn_link,
            (None, None, fn, args, kwargs),
            restart=restart,
            shutdown=shutdown,
            significant=significant,
        )

    def await_(self, timeout: float | timedelta | None = 5.0) -> Any:
        """Wait for the task, and return its function's value, as often as it is called.

        Any thread may ask. Raises TaskExit with the reason if the task ended without one (its
        ``__cause__`` is what the function raised), and TimeoutError after *timeout* seconds (None:
        no limit). A task that is late goes on: it can be awaited again, or ended with `shutdown`;
        its value never comes as a message. When the task calls the actor that awaits it, that call
        raises CallCycle in the task; two that await each other raise it here.
        """
        limit = timeout_seconds(timeout)
        return self.wait(limit, f"has no value after {limit} s; it goes on")

    def wait(self, limit: float | None, late: str) -> Any:
        """Wait for the task's value like `await_`; the TimeoutError says *late*."""
        with self.waited_for():
            return self.outcome(limit, late)

    def waited_for(self) -> AbstractContextManager[None]:
        """Record that the calling actor waits for this task; CallCycle if that could never end."""
        return waiting_for(self.ref.cell, self._outcome)

    @property
    def has_failed(self) -> bool:
        """Whether the task has ended without a value."""
        return self._outcome.is_settled and self._outcome.error is not None

    def outcome(self, limit: float | None, late: str) -> Any:
        """Wait for the task's value and return it, or raise; the wait counts for no CallCycle."""
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
        """Return the values of all *tasks* in their order; *timeout* is for all of them together.

        Raises TaskExit as soon as one of them has ended without a value, whatever the others do,
        and TimeoutError for the first in order that has none. Those that are left go on.
        """
        limit = timeout_seconds(timeout)
        listed = _checked_tasks(tasks, "await_many")
        deadline = None if limit is None else time.monotonic() + limit
        late = f"has no value after the {limit} s that all tasks had together; it goes on"
        values: dict[int, Any] = {}
        ends = TaskEnds(listed)
        try:
            while ends.open:
                number = ends.take(_left(deadline), needs_all=True)
                if number is None:
                    first = next(iter(ends.open.values()))
                    raise TimeoutError(f"{first.ref} {late}")
                values[number] = _value_of(listed, number, _left(deadline), late)
        finally:
            ends.forget()
        return [values[number] for number in range(len(listed))]

    def yield_(self, timeout: float | timedelta | None = 5.0) -> TaskResult | None:
        """Wait for the task, and return how it has ended: ``Ok(value)``, a TaskExit, or None.

        A TaskExit, with the reason, is returned and not raised; its ``__cause__`` is what the
        function raised. None after *timeout* seconds (None: no limit): it has not ended yet. It
        goes on, and can be asked again, awaited, or ended with `shutdown`; nothing comes late as a
        message. Any thread may ask, as often as it likes. Raises CallCycle as `await_` does. As
        Elixir's ``Task.yield``.

        >>> task = Task.async_(pow, 2, 10)
        >>> task.yield_()
        Ok(value=1024)
        """
        limit = timeout_seconds(timeout)
        if not self._outcome.is_settled:
            with self.waited_for():
                self._outcome.wait(limit)
        return self.result()

    @classmethod
    def yield_many(
        cls,
        tasks: Iterable[Task],
        timeout: float | timedelta | None = 5.0,
        limit: int | None = None,
    ) -> list[tuple[Task, TaskResult | None]]:
        """Wait for *tasks*, and return each of them, in order, with what `yield_` returns for it.

        It returns when all have ended, when *limit* of them have (None: all), or after *timeout*
        seconds (None: no limit), which are for all together. Those without an end have None, and
        go on. As Elixir's ``Task.yield_many``.

        >>> tasks = [Task.async_(pow, 2, power) for power in (3, 4)]
        >>> [result for task, result in Task.yield_many(tasks)]
        [Ok(value=8), Ok(value=16)]
        """
        within = timeout_seconds(timeout)
        listed = _checked_tasks(tasks, "yield_many")
        wanted = len(listed) if limit is None else min(_checked_limit(limit), len(listed))
        deadline = None if within is None else time.monotonic() + within
        ends = TaskEnds(listed)
        try:
            while wanted > 0:
                number = ends.take(_left(deadline), needs_all=wanted >= len(ends.open))
                if number is None:
                    break
                listed[number].settles_within(_left(deadline))
                wanted -= 1
        finally:
            ends.forget()
        return [(task, task.result()) for task in listed]

    def result(self) -> TaskResult | None:
        """Return how the task has ended, as `yield_` does, or None at once."""
        if not self._outcome.is_settled:
            return None
        error = self._outcome.error
        if isinstance(error, TaskExit):
            exited = TaskExit(error.reason)
            exited.__cause__ = getattr(error.reason, "exception", None)
            return exited
        return Ok(self._outcome.value)

    def settles_within(self, limit: float | None) -> bool:
        """Wait until the task's end is known, or *limit* seconds; return whether it is."""
        return self._outcome.wait(limit)

    def shutdown(self, timeout: ShutdownTime | timedelta = 5.0) -> ExitReason:
        """End the task and return its exit reason; it may have ended already.

        It gets an exit signal, and is killed after *timeout* seconds, or at once with
        ``BRUTAL_KILL``.
        """
        me = current_cell()
        if me is not None:
            me.unlink(self.ref.cell)  # its end is wanted and must end no other actor
            self.ref.cell.unlink(me)
        if timeout is not BRUTAL_KILL:
            limit = timeout_seconds(timeout)
            timeout = float("inf") if limit is None else limit
        return terminate(self.ref, timeout)

    def _end(self, _ref: ServerRef, reason: ExitReason | None, /) -> None:
        # A killed one may never come to the end of its thread; every other is told of there.
        if isinstance(reason, Killed):
            self._outcome.answer(None, TaskExit(reason))


def _checked_tasks(tasks: Iterable[Task], what: str) -> list[Task]:
    listed = list(tasks)
    for task in listed:
        if not isinstance(task, Task):
            raise TypeError(f"{what}() takes tasks, got {task!r}")
    return listed


def _value_of(tasks: list[Task], number: int, limit: float | None, late: str) -> Any:
    try:
        return tasks[number].outcome(limit, late)
    except TaskExit:
        for task in tasks:  # of several that have failed, the first in order
            if task.has_failed:
                task.outcome(None, late)
        raise


def _checked_limit(limit: object) -> int:
    return check_whole(limit, "limit", 1, none=" or None")


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def check_callable(fn: object) -> None:
    """Raise TypeError unless *fn* is a function that a task can call."""
    if not callable(fn):
        raise TypeError(
            f"a task runs a function, got {fn!r}; write Task.async_(fn, *args), without calling fn"
        )


@dataclass(frozen=True, slots=True)
class Ok:
    """A task has returned *value*: what ``yield_``, ``yield_many`` and ``map`` have for it.

    >>> match Ok(1024):
    ...     case Ok(value):
    ...         print(value)
    1024
    """

    value: Any


TaskResult: TypeAlias = Ok | TaskExit
"""How a task has ended."""


class TaskEnds:
    """The ends of many tasks as they come, each once, under the number it was added with."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self.open: dict[int, Task] = {}
        """Those whose ends have not been taken yet, in the order in which they were added."""
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number, task in enumerate(tasks):
            self.add(number, task)

    def add(self, number: int, task: Task) -> None:
        """Watch *task* and report its end under *number*."""
        self.open[number] = task
        if not task.ref.cell.watch((self, number), partial(self._end, number)):
            self._ended.put(number)

    def _end(self, number: int, _ref: ServerRef, _reason: ExitReason, /) -> None:
        self._ended.put(number)

    def take(self, limit: float | None, *, needs_all: bool) -> int | None:
        """Wait for a task's end and return the task's number; None if none ends in *limit* seconds.

        Its value may come a moment later. A caller that *needs_all* waits for each of them, so two
        that wait for each other are found. There must be some that are open.
        """
        first = next(iter(self.open.values()))
        with first.waited_for() if needs_all else nullcontext():
            try:
                number = self._ended.get(timeout=limit)
            except queue.Empty:
                return None
        del self.open[number]
        return number

    def forget(self) -> None:
        """Stop watching the tasks whose ends have not been taken."""
        for number, task in self.open.items():
            task.ref.cell.unwatch((self, number))
