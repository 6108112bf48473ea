"""The iterator of ``TaskSupervisor.map``: a few tasks at once, whose ends come one by one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.errors import TaskExit
from antq_actors.otp.kernel.reasons import Killed
from antq_actors.otp.messaging.timers import call_after, cancel_timer
from antq_actors.otp.tasks.task_ends import TaskEnds

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from antq_actors.otp.messaging.timers import Timer
    from antq_actors.otp.tasks.task import Task
    from antq_actors.otp.tasks.task_ends import TaskResult


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
        self.task.ref.process.kill()


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
        """*start* begins the task of an item, *timeout* is what each has.

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
        self._owner = current.process()

    def results(self, items: Iterator[Any], max_concurrency: int) -> Generator[TaskResult]:
        """Give out how each has ended; what is left when it is closed is killed."""
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
                running.task.ref.process.kill()
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
        kill = task.ref.process.kill
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


class Values:
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
        """Kill the tasks that are left."""
        self._results.close()
