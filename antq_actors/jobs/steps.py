"""The steps of one execution of a job, and what it asks its application to keep of them.

A step is named: what its function returned is kept under the name, and a later execution of the job
is given that instead of a call. Steps are no control flow: a later execution may take them in
another order, take new ones, and leave some out.
"""

from __future__ import annotations

import inspect
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from antq_actors.checks import short_repr, to_seconds
from antq_actors.errors import DuplicateStep, NotStarted, StepError
from antq_actors.jobs.control import checked_step_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from antq_actors.jobs.control import AttemptApplication, Control
    from antq_actors.jobs.instant import Instant

MOST_STEPS: Final = 10_000
"""Of one job."""


class KeptStep(NamedTuple):
    """A step that a job has taken, without its value."""

    number: int
    """From 0, in the order in which they were taken."""
    name: str
    at: Instant
    """When it was taken."""


# ---- what an application is asked ---------------------------------------------------------------


class ListSteps(NamedTuple):
    """Return the `KeptStep`s of a job, by number."""

    id: int


class ReadStep(NamedTuple):
    """Return the encoded value of a kept step. Raises Superseded."""

    id: int
    execution: int
    number: int


class KeepStep(NamedTuple):
    """Keep a step; it is on disk when this returns. Raises Superseded."""

    id: int
    execution: int
    number: int
    name: str
    value: bytes


class ReadCheckpoint(NamedTuple):
    """Return the encoded checkpoint of a job, or None. Raises Superseded."""

    id: int
    execution: int


class KeepCheckpoint(NamedTuple):
    """Keep a checkpoint in place of the last, on disk when this returns. Raises Superseded."""

    id: int
    execution: int
    value: bytes


StepRequest: TypeAlias = ListSteps | ReadStep | KeepStep | ReadCheckpoint | KeepCheckpoint


# ---- one execution ------------------------------------------------------------------------------


class AttemptSteps:
    """The steps and the checkpoint of one execution of a job, for all of its threads.

    *control* is that of the attempt, which has begun, and *application* that of its queue.
    """

    def __init__(self, control: Control, application: AttemptApplication) -> None:
        stored: Any = control.stored
        self._id = stored.id
        self._execution = stored.state.execution
        self._control = control
        self._application = application
        composed = stored.state.composed
        self._has_kept = composed is not None and composed.has_steps
        """Whether earlier executions have left something."""
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        """The names of this execution."""
        self._kept: dict[str, int] | None = None if self._has_kept else {}
        """The numbers of steps that earlier executions have taken; None: not read yet."""
        self._next_number = 0
        self._new_steps = 0
        self._stored_at: float | None = None
        """When a checkpoint was stored last, on the monotonic clock."""
        self._holding = threading.Lock()
        """Never held while anything is waited for."""
        self._checkpoints = 0
        self._held = 0
        """The number of the checkpoint that the control holds."""
        self._found: tuple[Any] | None = None if self._has_kept else (None,)
        """The checkpoint at the begin of this execution; None: not read yet."""

    # ---- steps ----------------------------------------------------------------------------

    def run(
        self,
        name: object,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Return the kept value of a step; else call its function, and keep what it returns."""
        step = _checked(name, function)
        number = self._begin(step)
        if number is not None:
            return self._value(number)
        value = function(*args, **kwargs)
        if inspect.iscoroutine(value):
            value.close()  # else Python warns, later, that it was never awaited
            raise TypeError(
                f"the function of step {step!r} is a coroutine function, so write:"
                f" await job.astep({step!r}, …)"
            )
        self._keep(step, value)
        return value

    async def run_async(
        self,
        name: object,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Do what `run` does for a coroutine function, without stopping the event loop."""
        from asyncio import to_thread  # noqa: PLC0415 - who awaits this has imported it

        step = _checked(name, function)
        begin = self._begin
        number = begin(step) if self._kept is not None else await to_thread(begin, step)
        if number is not None:
            return await to_thread(self._value, number)
        value = function(*args, **kwargs)
        if inspect.isawaitable(value):
            value = await value
        await to_thread(self._keep, step, value)
        return value

    def _begin(self, name: str) -> int | None:
        """Note that this execution takes a step; return its number if it has a kept value."""
        with self._lock:
            kept = self._kept
            if kept is None:
                steps = self._ask(ListSteps(self._id))
                kept = self._kept = {each.name: each.number for each in steps}
                self._next_number = max(kept.values(), default=-1) + 1
            if name in self._taken:
                raise DuplicateStep(
                    f"job {self._id} has taken a step {name!r} in this execution already; give"
                    " each step a name of its own, such as one with a number"
                )
            number = kept.get(name)
            if number is None:
                if len(kept) + self._new_steps >= MOST_STEPS:
                    raise StepError(
                        f"job {self._id} has {MOST_STEPS:,} steps, and may have no more, so"
                        f" {name!r} was not taken; keep how far a loop is with job.checkpoint()"
                    )
                self._new_steps += 1
            self._taken.add(name)
            return number

    def _value(self, number: int) -> Any:
        """Return the kept value of a step."""
        found = self._ask(ReadStep(self._id, self._execution, number))
        return self._application.antq_decode(found)

    def _keep(self, name: str, value: Any) -> None:
        """Have the value of a step kept; it is on disk then."""
        encoded = self._application.antq_encode(value, f"the value of step {name!r}")
        with self._lock:
            number = self._next_number
            self._next_number += 1
        request = KeepStep(self._id, self._execution, number, name, encoded)
        self._ask(request)

    def _ask(self, request: StepRequest) -> Any:
        """Have the application do what is asked. Raises RuntimeError when the attempt is over."""
        try:
            return self._application.antq_steps(request)
        except NotStarted as error:
            if not self._control.is_over:
                raise
            raise RuntimeError(
                f"job {self._id} is not being performed any more, so nothing of it is kept; join"
                " threads before perform returns"
            ) from error

    # ---- the checkpoint -------------------------------------------------------------------

    def checkpoint(self, value: Any, every: float | timedelta) -> bool:
        """Have a checkpoint kept: now, or with the outcome, if one was stored a moment ago.

        Return False if it is too late for that: the attempt has an outcome.
        """
        seconds = to_seconds(every, "every")
        encoded = self._application.antq_encode(value, "the value of a checkpoint")
        control, now = self._control, time.monotonic()
        with self._holding:
            self._checkpoints = number = self._checkpoints + 1
            is_due = not seconds or self._stored_at is None or now >= self._stored_at + seconds
            # In place of an older one also while it is stored: else that one could come after it.
            if not is_due or control.checkpoint is not None:
                if control.is_over:
                    return False
                control.hold_checkpoint(encoded)
                self._held = number
            if not is_due:
                return True
        self.found_checkpoint()  # as it is about to be overwritten
        self._ask(KeepCheckpoint(self._id, self._execution, encoded))
        with self._holding:
            self._stored_at = now
            if control.checkpoint is not None and self._held == number:
                control.hold_checkpoint(None)
        return True

    def end(self) -> None:
        """Wait until no thread is about to have a checkpoint held: the attempt is over by now."""
        with self._holding:
            pass

    def found_checkpoint(self) -> Any:
        """Return the checkpoint that was there at the begin of this execution, or None."""
        found = self._found
        if found is None:
            request = ReadCheckpoint(self._id, self._execution)
            encoded = self._ask(request)
            value = None if encoded is None else self._application.antq_decode(encoded)
            found = self._found  # another thread has it, and may have overwritten it since
            if found is None:
                found = self._found = (value,)
        return found[0]


def _checked(name: object, function: object) -> str:
    """Return the name of a step. Raises TypeError and ValueError for what cannot be one."""
    step = checked_step_name(name)
    if not callable(function):
        raise TypeError(
            f"step {step!r} takes a function and its arguments, as in"
            f" job.step({step!r}, fetch, url), got {short_repr(function)}"
        )
    return step
