"""TaskSupervisor: tasks that belong to a tree, and a bounded map over them."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, get_args

from antq_actors.checks import check_flag, check_whole, timeout_seconds
from antq_actors.otp.kernel.cell import current_cell
from antq_actors.otp.kernel.child_spec import ChildSpec, Restart
from antq_actors.otp.kernel.errors import TaskExit
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.kernel.reasons import Killed
from antq_actors.otp.messaging.names import find
from antq_actors.otp.messaging.timers import call_after, cancel_timer
from antq_actors.otp.supervision import admin
from antq_actors.otp.supervision.dynamic import DynamicSupervisor
from antq_actors.otp.tasks.task import FunctionTask, Task, TaskEnds, check_callable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell, ServerRef
    from antq_actors.otp.kernel.child_spec import ShutdownTime
    from antq_actors.otp.messaging.names import Destination
    from antq_actors.otp.messaging.timers import Timer
    from antq_actors.otp.tasks.task import TaskResult


OnTimeout: TypeAlias = Literal["raise", "kill"]


class TaskSupervisor(DynamicSupervisor):
    """A DynamicSupervisor whose children are tasks.

    They end with it. A task is temporary, so that its crash is reported to the actor that awaits
    it, and the task is not repeated, unless `start_child` says otherwise.
    """

    def __init__(
        self, max_children: int | None = None, max_restarts: int = 3, max_seconds: float = 5.0
    ) -> None:
        super().__init__(
            max_children=max_children, max_restarts=max_restarts, max_seconds=max_seconds
        )

    @staticmethod
    def async_(
        sup: Destination,
        fn: Callable[..., Any],
        /,
        *args: Any,
        shutdown: ShutdownTime | timedelta = 5.0,
        **kwargs: Any,
    ) -> Task:
        """Have *sup* start ``fn(*args, **kwargs)`` in a task, linked to the calling actor, too.

        From a plain thread it is not linked. When *sup* stops, the task is interrupted, and has
        *shutdown* seconds to end before it is killed (``BRUTAL_KILL``: none). Raises TypeError if
        *fn* cannot be called, TypeError or ValueError if *shutdown* is none, MaxChildren, and
        CallExit if *sup* is not there.
        """
        return _start_task(sup, fn, args, kwargs, owner=current_cell(), shutdown=shutdown)

    @staticmethod
    def async_nolink(
        sup: Destination,
        fn: Callable[..., Any],
        /,
        *args: Any,
        shutdown: ShutdownTime | timedelta = 5.0,
        **kwargs: Any,
    ) -> Task:
        """Have *sup* start a task like `async_`, whose crash does not end the calling actor."""
        return _start_task(sup, fn, args, kwargs, owner=None, shutdown=shutdown)

    @staticmethod
    def start_child(  # type: ignore[override]  # of tasks, not of specs; as Elixir's
        sup: Destination,
        fn: Callable[..., Any],
        /,
        *args: Any,
        restart: Restart = Restart.TEMPORARY,
        shutdown: ShutdownTime | timedelta = 5.0,
        **kwargs: Any,
    ) -> ServerRef:
        """Have *sup* start ``fn(*args, **kwargs)`` in a task without a value; return its ref.

        With `Restart.TRANSIENT` it runs again after a crash, with `Restart.PERMANENT` whenever it
        has ended. When *sup* stops, it has *shutdown* seconds before it is killed.
        """
        check_callable(fn)
        ref: ServerRef = admin.call_supervisor(
            sup,
            admin.StartChild(
                _spec(None, None, fn, args, kwargs, restart=restart, shutdown=shutdown)
            ),
        )
        return ref

    @staticmethod
    def map(
        sup: Destination,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        /,
        *,
        max_concurrency: int | None = None,
        timeout: float | timedelta | None = 5.0,
        ordered: bool = True,
        on_timeout: OnTimeout = "raise",
        results: bool = False,
    ) -> Iterator[Any]:
        """Return an iterator of ``fn(item)`` for each of *items*, each in a task of its own.

        The values come in the order of the items or, if not *ordered*, as they are ready. At most
        *max_concurrency* (None: as many as there are processors) tasks are running or have a
        value that was not taken yet, and *items* are taken one by one as places come free, so
        endless ones are fine.

        Where an item's task ended without a value the iterator raises TaskExit. Where it took
        longer than *timeout* seconds (None: no limit), and has no value yet when it is its turn,
        TimeoutError. What *items* raises comes after the value that made a place for the next
        one. After that, or when the iterator is closed or dropped, or the calling actor ends, the
        tasks that are left are killed. No task is linked: a crash is raised here, and ends no
        actor.

        With *on_timeout* ``"kill"`` a task that takes longer is killed at that moment, and the
        others go on: in its place the iterator raises ``TaskExit(Killed())``, and goes on with the
        next value after that. With *results* it raises for no item: it yields ``Ok(value)`` or a
        TaskExit for each, and a task that takes longer is killed, whatever *on_timeout* is. As
        Elixir's ``Task.Supervisor.async_stream_nolink``.

        >>> from antq_actors.otp import TaskSupervisor, stop
        >>> sup = TaskSupervisor.start()
        >>> for result in TaskSupervisor.map(sup, lambda n: 12 // n, [4, 0, 6], results=True):
        ...     print(result)
        Ok(value=3)
        the task ended without a value: Crash(ZeroDivisionError: integer division or modulo by zero)
        Ok(value=2)
        >>> stop(sup)
        """
        check_callable(fn)
        find(sup)  # a wrong destination is reported here, and not where the first value is taken
        limit = timeout_seconds(timeout)
        check_flag(ordered, "ordered")
        check_flag(results, "results")
        _check_on_timeout(on_timeout)
        if max_concurrency is None:
            max_concurrency = os.cpu_count() or 1
        check_whole(max_concurrency, "max_concurrency", 1)
        tasks = TaskMap(
            partial(TaskSupervisor.async_nolink, sup, fn),
            timeout=limit,
            ordered=ordered,
            kills_late=results or on_timeout == "kill",
            raises=not results,
        )
        made = tasks.results(iter(items), max_concurrency)
        return made if results else MapValues(made)


def _start_task(
    sup: Destination,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    owner: ActorCell | None,
    shutdown: ShutdownTime | timedelta,
) -> Task:
    check_callable(fn)
    outcome = Promise()
    spec = _spec(outcome, owner, fn, args, kwargs, shutdown=shutdown)
    return Task(admin.call_supervisor(sup, admin.StartChild(spec)), outcome)


def _spec(
    outcome: Promise | None,
    owner: ActorCell | None,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    restart: Restart = Restart.TEMPORARY,
    shutdown: ShutdownTime | timedelta = 5.0,
) -> ChildSpec:
    return ChildSpec(
        getattr(fn, "__qualname__", repr(fn)),
        FunctionTask.spawn_link,
        (outcome, owner, fn, args, kwargs),
        restart=restart,
        shutdown=shutdown,
    )


def _check_on_timeout(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"on_timeout must be 'raise' or 'kill', got {value!r}")
    if value not in get_args(OnTimeout):
        raise ValueError(f"on_timeout must be 'raise' or 'kill', got {value!r}")


class _Running:
    """A task that runs, or whose value waits."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.started_at = time.monotonic()
        self.is_late = False
        self.timer: Timer | None = None

    def kill_after(self, limit: float) -> None:
        self.timer = call_after(self._kill_late, limit)

    def _kill_late(self) -> None:
        self.is_late = True
        self.task.ref.cell.kill()


class TaskMap:
    """The tasks of one ``map``."""

    def __init__(
        self,
        start: Callable[[Any], Task],
        *,
        timeout: float | None,
        ordered: bool,
        kills_late: bool,
        raises: bool,
    ) -> None:
        """Prepare tasks for a ``map``: *start* starts that of an item, *timeout* limits each.

        *kills_late*: one that takes longer is killed, and the others go on. *raises*: the end of
        one that crashed is raised, which is the end of all.
        """
        self._start = start
        self._timeout = timeout
        self._ends = None if ordered else TaskEnds()
        self._kills_late = kills_late
        self._raises = raises
        self._running: dict[int, _Running] = {}
        self._started = 0
        self._owner = current_cell()

    def results(self, items: Iterator[Any], max_concurrency: int) -> Generator[TaskResult]:
        """Start a task for each item and yield how each ended; kill those left when closed."""
        try:
            self._fill(items, max_concurrency)
            while self._running:
                result = self._next_result()
                try:
                    self._fill(items, max_concurrency)
                except Exception:
                    yield result  # it is there, whatever became of the next item
                    raise
                yield result
        finally:
            for running in self._running.values():
                self._forget(running)
                # By its process and not by exit(): also a killed caller's thread has to clean up.
                running.task.ref.cell.kill()
            if self._ends is not None:
                self._ends.forget()

    def _fill(self, items: Iterator[Any], max_concurrency: int) -> None:
        while len(self._running) < max_concurrency:
            try:
                item = next(items)
            except StopIteration:
                return
            running = _Running(self._start(item))
            number, self._started = self._started, self._started + 1
            self._running[number] = running
            self._kill_with_owner(running.task)
            if self._ends is not None:
                self._ends.add(number, running.task)
            if self._kills_late and self._timeout is not None:
                running.kill_after(self._timeout)

    def _kill_with_owner(self, task: Task) -> None:
        kill = task.ref.cell.kill
        if self._owner is not None and not self._owner.watch(task, lambda *_: kill()):
            kill()

    def _next_result(self) -> TaskResult:
        number = self._next_in_order() if self._ends is None else self._next_ended(self._ends)
        running = self._running[number]
        running.task.settles_within(None)
        result = running.task.result()
        assert result is not None  # noqa: S101 - it is settled
        del self._running[number]
        self._forget(running)
        if self._raises and isinstance(result, TaskExit):
            is_killed_for_time = running.is_late and result.reason == Killed()
            if not is_killed_for_time:
                raise result
        return result

    def _next_in_order(self) -> int:
        number, first = next(iter(self._running.items()))
        with first.task.waited_for():
            if not first.task.settles_within(self._time_left(first)):
                raise self._too_long(first)
        return number

    def _next_ended(self, ends: TaskEnds) -> int:
        first = self._running[next(iter(ends.open))]
        number = ends.take(self._time_left(first), needs_all=len(ends.open) == 1)
        if number is None:
            raise self._too_long(first)
        return number

    def _time_left(self, running: _Running) -> float | None:
        if self._timeout is None or self._kills_late:
            return None
        return max(0.0, running.started_at + self._timeout - time.monotonic())

    def _too_long(self, running: _Running) -> TimeoutError:
        return TimeoutError(
            f"{running.task.ref} took longer than {self._timeout} s, and was killed"
        )

    def _forget(self, running: _Running) -> None:
        if running.timer is not None:
            cancel_timer(running.timer)
        if self._owner is not None:
            self._owner.unwatch(running.task)


class MapValues:
    """The values of a map. Where a task ended without one, its TaskExit is raised."""

    def __init__(self, results: Generator[TaskResult]) -> None:
        self._results = results

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        result = next(self._results)
        if isinstance(result, TaskExit):
            raise result
        return result.value

    def close(self) -> None:
        """Kill the tasks of the ``map`` that are left."""
        self._results.close()
