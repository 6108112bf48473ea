"""One attempt, a task of Ray: submitted, told to end, and what its end means."""

from __future__ import annotations

import itertools
import logging
import math
import pickle
import time
from typing import TYPE_CHECKING, Any, Final

import ray
from ray import exceptions

from antq_actors.executors.base import Died, Lost, Stopped
from antq_actors.jobs.outcome import GivenBack

if TYPE_CHECKING:
    from concurrent.futures import Future

    from antq_actors.executors.base import Assignment, Done, End
    from antq_actors.integrations.ray.executor import RayExecutor
    from antq_actors.jobs.control import Progress

log: Final = logging.getLogger("antq_actors.executors")

KILL_TIME: Final = 5.0
"""Seconds within which Ray has killed a process and said so."""

_numbers: Final = itertools.count(1)

under_way: Final[dict[int, Attempt]] = {}
"""Attempts of this process that have not ended, by their numbers."""


class _LastKill:
    """When a task was last killed. Ray kills its process, which may be at the next task by then."""

    at = -math.inf

    def is_recent(self) -> bool:
        return time.monotonic() - self.at < KILL_TIME


_last_kill: Final = _LastKill()


class Attempt:
    """One attempt: waiting for Ray, or a task there."""

    __slots__ = ("_done", "_executor", "_ref", "assignment", "number", "stop_requested")

    def __init__(self, assignment: Assignment, done: Done, executor: RayExecutor) -> None:
        self.assignment = assignment
        self._done = done
        self._executor = executor
        self._ref: Any = None
        self.stop_requested = False
        self.number = next(_numbers)
        under_way[self.number] = self

    def until(self) -> float | None:
        """Answer when it times out, by the clock on the wall."""
        deadline = self.assignment.control.deadline
        return None if deadline is None else time.time() + deadline - time.monotonic()

    def interrupt(self) -> None:
        """Have Ray kill the process that performs it, or forget it if it has not begun."""
        self.stop_requested = True
        if self._ref is None:
            self.end(Stopped())  # it is not submitted any more
        else:
            self._cancel()

    def kill(self) -> bool:
        """Do the same; when its process is dead is for Ray to know."""
        self.interrupt()
        return False

    def begin(self, ref: Any) -> None:
        """Be the task whose outcome *ref* stands for."""
        self._ref = ref
        # Ray calls from a thread of its own, one for all.
        ref.future().add_done_callback(self._ended)
        if self.stop_requested:  # meanwhile
            self._cancel()

    def end(self, end: End) -> None:
        """Tell what came of it."""
        under_way.pop(self.number, None)
        self._executor.leave(self)
        self._done(end)

    def _cancel(self) -> None:
        try:
            _last_kill.at = time.monotonic()
            ray.cancel(self._ref, force=True)
        except Exception as error:  # noqa: BLE001 - Ray is gone, and the task with it
            log.debug("a Ray task was not cancelled: %s", error)

    def _ended(self, future: Future[Any]) -> None:
        error = future.exception()
        if error is None:
            self.end(pickle.loads(future.result()))  # noqa: S301 - of task.py
        elif self.stop_requested:
            self.end(Stopped())
        elif isinstance(error, exceptions.LocalRayletDiedError):
            self._executor.lose_node()
            self.end(GivenBack())  # it was never sent
        elif isinstance(error, exceptions.WorkerCrashedError) and _last_kill.is_recent():
            self.end(Lost("its Ray worker process died when that of another job was killed"))
        else:
            self.end(meaning(error))


def meaning(error: BaseException) -> Died | Lost:
    """Answer what the *error* says with which Ray ended a task that nobody had told to end.

    What the job may have caused is its failure; the loss of a node is not.
    """
    text = str(error).strip()
    match error:
        case exceptions.WorkerCrashedError():
            return Died(f"its Ray worker process died, by a crash or an exit: {text}")
        case exceptions.OutOfMemoryError():
            return Died("its Ray worker process was killed, because memory ran out", text)
        case exceptions.TaskCancelledError():
            return Died("its Ray task was cancelled, and not by its queue")
        case exceptions.RayTaskError():
            return Died(f"its Ray task could not run: {_last_line(text)}", text)
        case exceptions.RuntimeEnvSetupError() | exceptions.TaskUnschedulableError():
            return Died(f"its Ray task could not start: {text}")
        case _:
            return Lost(f"Ray lost it: {type(error).__name__}: {_first_line(text)}")


def heard(number: int, progress: Progress) -> None:
    """Note what an attempt has reported, if it is still under way."""
    attempt = under_way.get(number)
    if attempt is not None:
        attempt.assignment.control.report(progress)


def is_stop_requested(number: int) -> bool:
    """Say whether an attempt shall end; from now on, it gets some time to do so by itself."""
    attempt = under_way.get(number)
    return attempt is None or attempt.assignment.control.cancelled()


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _last_line(text: str) -> str:
    return text.rpartition("\n")[2]
