"""How a task has ended, as a value, and the ends of many tasks as they come."""

from __future__ import annotations

import queue
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from antq_actors.otp.kernel.errors import TaskExit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.otp.tasks.task import Task


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
        """Add *task* under *number*."""
        self.open[number] = task
        if not task.ref.process.watch((self, number), partial(self._end, number)):
            self._ended.put(number)

    def _end(self, number: int, _ref: ServerRef, _reason: ExitReason, /) -> None:
        self._ended.put(number)

    def take(self, limit: float | None, *, needs_all: bool) -> int | None:
        """Return the number of the next that has ended; None if none has within *limit* seconds.

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
        """Wait for none of them any more."""
        for number, task in self.open.items():
            task.ref.process.unwatch((self, number))
