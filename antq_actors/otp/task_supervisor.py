"""TaskSupervisor: tasks that belong to a tree, and a bounded map over them."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from antq_actors.otp import admin, current
from antq_actors.otp.child_spec import ChildSpec, Restart
from antq_actors.otp.destinations import find
from antq_actors.otp.dynamic_supervisor import DynamicSupervisor
from antq_actors.otp.messages import Promise
from antq_actors.otp.patience import seconds
from antq_actors.otp.task import Task, TaskActor, check_callable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from antq_actors.otp.child_spec import ShutdownTime
    from antq_actors.otp.destinations import Destination
    from antq_actors.otp.process import Process
    from antq_actors.otp.ref import ServerRef


class TaskSupervisor(DynamicSupervisor):
    """A DynamicSupervisor whose children are tasks.

    They end with it. A task is temporary, so that its crash is told to whoever awaits it and not
    repeated, unless `start_child` says otherwise.
    """

    def __init__(
        self, max_children: int | None = None, max_restarts: int = 3, max_seconds: float = 5.0
    ) -> None:
        super().__init__(
            max_children=max_children, max_restarts=max_restarts, max_seconds=max_seconds
        )

    @staticmethod
    def async_(sup: Destination, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task:
        """Start ``fn(*args, **kwargs)`` below *sup*, linked to the calling actor, too.

        From a plain thread it is not linked. Raises TypeError if *fn* cannot be called,
        MaxChildren, and CallExit if *sup* is not there.
        """
        return _start_task(sup, fn, args, kwargs, owner=current.process())

    @staticmethod
    def async_nolink(
        sup: Destination, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Task:
        """Start a task like `async_`, but one whose crash does not end the calling actor."""
        return _start_task(sup, fn, args, kwargs, owner=None)

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
        """Start ``fn(*args, **kwargs)`` whose value nobody awaits; answer its ref.

        With `Restart.TRANSIENT` it runs again after a crash, with `Restart.PERMANENT` whenever it
        has ended. When *sup* stops, it has *shutdown* seconds before it is killed.
        """
        check_callable(fn)
        ref: ServerRef = admin.ask(
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
    ) -> Iterator[Any]:
        """Answer ``fn(item)`` for each of *items*, in their order, each in a task of its own.

        At most *max_concurrency* (None: as many as there are processors) are running or have a
        value that was not taken yet, and *items* are taken one by one as places come free, so
        endless ones are fine. Where an item's task ended without a value the iterator raises
        TaskExit, where it took longer than *timeout* seconds (None: no limit) TimeoutError; what
        *items* raises comes after the value that made a place for the next one. After that, or
        when the iterator is closed or dropped, or the calling actor ends, the tasks that are left
        are killed. Each is unlinked: a crash is raised here, and ends nobody.
        """
        check_callable(fn)
        find(sup)  # what is no destination is told here, and not where the first value is taken
        limit = seconds(timeout)
        if max_concurrency is None:
            max_concurrency = os.cpu_count() or 1
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
            raise TypeError(f"max_concurrency must be a whole number, got {max_concurrency!r}")
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be 1 or more, got {max_concurrency}")
        return _Map(sup, fn, limit).over(iter(items), max_concurrency)


class _Running(NamedTuple):
    task: Task
    started_at: float


class _Map:
    """The tasks of one ``map`` that run now, or whose value waits."""

    def __init__(self, sup: Destination, fn: Callable[[Any], Any], timeout: float | None) -> None:
        self._sup = sup
        self._fn = fn
        self._timeout = timeout
        self._running: deque[_Running] = deque()
        self._owner = current.process()

    def over(self, items: Iterator[Any], max_concurrency: int) -> Iterator[Any]:
        try:
            self._fill(items, max_concurrency)
            while self._running:
                value = self._next_value()
                try:
                    self._fill(items, max_concurrency)
                except Exception:
                    yield value  # it is there, whatever became of the next item
                    raise
                yield value
        finally:
            while self._running:
                self._end(self._running.popleft().task)

    def _fill(self, items: Iterator[Any], max_concurrency: int) -> None:
        while len(self._running) < max_concurrency:
            try:
                item = next(items)
            except StopIteration:
                return
            task = TaskSupervisor.async_nolink(self._sup, self._fn, item)
            self._running.append(_Running(task, time.monotonic()))
            self._kill_with_owner(task)

    def _kill_with_owner(self, task: Task) -> None:
        kill = task.ref.process.kill
        if self._owner is not None and not self._owner.watch(task, lambda *_: kill()):
            kill()

    def _next_value(self) -> Any:
        task, started_at = self._running[0]
        if self._timeout is None:
            value = task.await_(None)
        else:
            left = max(0.0, started_at + self._timeout - time.monotonic())
            value = task.wait(left, f"took longer than {self._timeout} s, and was killed")
        self._running.popleft()
        self._forget(task)
        return value

    def _end(self, task: Task) -> None:
        # By its process and not by exit(): also the thread of a killed caller has to clean up.
        self._forget(task)
        task.ref.process.kill()

    def _forget(self, task: Task) -> None:
        if self._owner is not None:
            self._owner.unwatch(task)


def _start_task(
    sup: Destination,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    owner: Process | None,
) -> Task:
    check_callable(fn)
    outcome = Promise()
    spec = _spec(outcome, owner, fn, args, kwargs)
    return Task(admin.ask(sup, admin.StartChild(spec)), outcome)


def _spec(
    outcome: Promise | None,
    owner: Process | None,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    restart: Restart = Restart.TEMPORARY,
    shutdown: ShutdownTime | timedelta = 5.0,
) -> ChildSpec:
    return ChildSpec(
        getattr(fn, "__qualname__", repr(fn)),
        TaskActor.spawn_link,
        (outcome, owner, fn, args, kwargs),
        restart=restart,
        shutdown=shutdown,
    )
