"""One attempt, a task of Ray: submitted, cancelled, and what its end means."""

from __future__ import annotations

import itertools
import logging
import math
import pickle
import time
from typing import TYPE_CHECKING, Any, Final

import ray
from ray import exceptions

from antq_actors.jobs.outcome import Failed, GivenBack, Interrupted

if TYPE_CHECKING:
    from concurrent.futures import Future

    from antq_actors.executors.base import Done
    from antq_actors.integrations.ray.executor import RayExecutor
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.outcome import NotRun, Outcome
    from antq_actors.jobs.perform import Attempt

log: Final = logging.getLogger("antq_actors.executors")

KILL_TIMEOUT_SECONDS: Final = 5.0
"""Seconds within which Ray has killed a process and said so."""

_numbers: Final = itertools.count(1)

under_way: Final[dict[int, RayHandle]] = {}
"""Attempts of this process that have not ended, by their numbers."""


class _LastKill:
    """When a task was last killed. Ray kills its process, which may be at the next task by then."""

    at = -math.inf

    def is_recent(self) -> bool:
        return time.monotonic() - self.at < KILL_TIMEOUT_SECONDS


_last_kill: Final = _LastKill()


class RayHandle:
    """One attempt: waiting for Ray, or a task there."""

    __slots__ = ("_done", "_executor", "_ref", "attempt", "number", "stop_requested")

    def __init__(self, attempt: Attempt, done: Done, executor: RayExecutor) -> None:
        self.attempt = attempt
        self._done = done
        self._executor = executor
        self._ref: Any = None
        self.stop_requested = False
        self.number = next(_numbers)
        under_way[self.number] = self

    def until(self) -> float | None:
        """Return when it times out, by the clock on the wall."""
        deadline = self.attempt.control.deadline
        return None if deadline is None else time.time() + deadline - time.monotonic()

    def interrupt(self) -> None:
        """Have Ray kill the process that performs it, or forget it if it has not begun."""
        self.stop_requested = True
        if self._ref is None:
            self.end(None)  # it is not submitted any more
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
        if self.stop_requested:  # in the meantime
            self._cancel()

    def end(self, end: Outcome | NotRun | None) -> None:
        """Report how it ended."""
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
            self.end(None)
        elif isinstance(error, exceptions.LocalRayletDiedError):
            self._executor.lose_node()
            self.end(GivenBack())  # it was never sent
        elif isinstance(error, exceptions.WorkerCrashedError) and _last_kill.is_recent():
            self.end(Interrupted("its Ray worker process died when that of another job was killed"))
        else:
            self.end(meaning(error))


def meaning(error: BaseException) -> Outcome:
    """Return the outcome that is meant by the *error* of a task that was not asked to stop.

    What the job may have caused is its failure; the loss of a node is not.
    """
    text = str(error).strip()
    match error:
        case exceptions.WorkerCrashedError():
            return Failed(
                f"its Ray worker process died, by a crash or an exit: {text}", retry_in=None
            )
        case exceptions.OutOfMemoryError():
            return Failed(
                "its Ray worker process was killed, because memory ran out", text, retry_in=None
            )
        case exceptions.TaskCancelledError():
            return Failed("its Ray task was cancelled, and not by its queue", retry_in=None)
        case exceptions.RayTaskError():
            return Failed(f"its Ray task could not run: {_last_line(text)}", text, retry_in=None)
        case exceptions.RuntimeEnvSetupError() | exceptions.TaskUnschedulableError():
            return Failed(f"its Ray task could not start: {text}", retry_in=None)
        case _:
            return Interrupted(f"Ray lost it: {type(error).__name__}: {_first_line(text)}")


def on_progress(number: int, progress: Progress) -> None:
    """Note what an attempt has reported, if it is still under way."""
    handle = under_way.get(number)
    if handle is not None:
        handle.attempt.control.report(progress)


def is_stop_requested(number: int) -> bool:
    """Return whether an attempt must stop; from now on, it gets some time to do so by itself."""
    handle = under_way.get(number)
    return handle is None or handle.attempt.control.cancelled()


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _last_line(text: str) -> str:
    return text.rpartition("\n")[2]
