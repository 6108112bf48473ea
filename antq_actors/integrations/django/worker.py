"""What performs a task as a job: a worker for each task, stored as ``django.tasks:module.task``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone
from django.utils.module_loading import import_string

from antq_actors.integrations.django import results
from antq_actors.integrations.django.compat import (
    Task,
    TaskContext,
    TaskResultStatus,
    signals,
)
from antq_actors.jobs import resolver, worker_registry
from antq_actors.jobs.function_worker import FunctionWorker
from antq_actors.telemetry.attempts import (
    COMPLETED,
    INTERRUPTED,
    ending_of_raise,
    ending_of_return,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import Options
    from antq_actors.telemetry.attempts import Ending

PREFIX: Final = "django.tasks:"
"""How the stored name of each task's worker begins. The rest is the task's module path."""


def _function(args: object = (), kwargs: object = None) -> None:
    """Have the parameters of a worker of a task, which performs it."""


async def _coroutine(args: object = (), kwargs: object = None) -> None:
    """Have the parameters of a worker of a task that is a coroutine function."""


class TaskWorker(FunctionWorker[..., ..., Any]):
    """Performs the jobs of one task. Their arguments are ``args`` and ``kwargs``."""

    def __init__(self, task: Any, options: Mapping[str, Any], sender: type) -> None:
        self.antq_task = task
        """As it was defined."""
        self.antq_given = dict(options)
        """Its options, as they were given."""
        self._sender = sender
        self._signature = inspect.signature(task.func)
        is_async = inspect.iscoroutinefunction(task.func)
        super().__init__(
            _coroutine if is_async else _function,
            {**options, "name": f"{PREFIX}{task.module_path}"},
        )

    def __reduce__(self) -> Any:
        return _found, (self.antq_name,)

    def antq_check_unique(self, options: Options) -> None:
        """Raise ValueError if its jobs are unique by an argument that the task cannot have."""
        unique = options.unique
        for name in () if unique is None else unique.args:
            if name not in self._signature.parameters:
                raise ValueError(f"unique names {name!r}, which is no argument of the task")

    def antq_check_args(self, args: Mapping[str, Any]) -> None:
        """Do nothing: a task that cannot be called with its arguments fails."""

    def antq_args(self, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a job: those of the task, and by name those that make it unique.

        Raises TypeError for a unique task that cannot be called with them.
        """
        given: dict[str, Any] = {"args": args, "kwargs": kwargs}
        unique = self.antq_options.unique
        if unique is None or not unique.args:
            return given
        context = [None] if self.antq_task.takes_context else []
        bound = self._signature.bind(*context, *args, **kwargs)
        bound.apply_defaults()
        return {name: bound.arguments[name] for name in unique.args} | given

    def perform(self, job: Job) -> Any:
        """Perform the task, and send Django's signals around that."""
        execution = _Execution(self.antq_task, job, self._sender)
        return execution.run_async() if self.antq_is_async else execution.run()


class _Execution:
    """One attempt of a task."""

    def __init__(self, task: Any, job: Job, sender: type) -> None:
        self._sender = sender
        self._job = job
        self._task_result = results.task_result(job, task)
        self._function = task.func
        self._args = list(self._task_result.args)
        self._kwargs = dict(self._task_result.kwargs)
        if task.takes_context:
            self._args.insert(0, TaskContext(task_result=self._task_result))

    def run(self) -> Any:
        """Perform the task in this thread; return what it returned, as JSON has it."""
        self._send(signals.task_started)
        try:
            returned = results.as_json(self._function(*self._args, **self._kwargs))
        except BaseException as error:
            if self._end(ending_of_raise(self._job, error)):
                self._send(signals.task_finished)
            raise
        if self._end(ending_of_return(self._job, returned), returned):
            self._send(signals.task_finished)
        return returned

    async def run_async(self) -> Any:
        """Do the same on an event loop."""
        await self._send_async(signals.task_started)
        try:
            returned = results.as_json(await self._function(*self._args, **self._kwargs))
        except BaseException as error:
            if self._end(ending_of_raise(self._job, error)):
                await self._send_async(signals.task_finished)
            raise
        if self._end(ending_of_return(self._job, returned), returned):
            await self._send_async(signals.task_finished)
        return returned

    def _end(self, ending: Ending, returned: Any = None) -> bool:
        """Note in the result how the attempt ends; return whether the task has ended with it."""
        if ending.outcome == INTERRUPTED.outcome:
            return False
        if ending is COMPLETED:
            status = TaskResultStatus.SUCCESSFUL
            object.__setattr__(self._task_result, "_return_value", returned)
        else:
            status = TaskResultStatus.FAILED
            self._task_result.errors.append(results.error_of(ending))
        has_ended = ending.outcome != "retrying"
        if has_ended:
            object.__setattr__(self._task_result, "status", status)
            object.__setattr__(self._task_result, "finished_at", timezone.now())
        return has_ended

    # A receiver that raises is logged by Django, and is no failure of the task.

    def _send(self, signal: Any) -> None:
        signal.send_robust(sender=self._sender, task_result=self._task_result)

    async def _send_async(self, signal: Any) -> None:
        await signal.asend_robust(sender=self._sender, task_result=self._task_result)


def task_at(path: str) -> Any:
    """Import and return the task at a module path. Raises ImportError, and TypeError."""
    module, _, name = path.rpartition(".")
    task = import_string(path) if module and name else None
    if not isinstance(task, Task):
        raise TypeError(f"{path!r} is no task; decorate the function with @task")
    return task


def worker_of(task: Any, options: Mapping[str, Any], sender: type) -> TaskWorker:
    """Return the worker of a task with these options, defined in this process.

    *sender*: of Django's signals.
    """
    known = known_worker(task, options)
    if known is not None:
        return known
    made = TaskWorker(task, options, sender)
    worker_registry.define(made.antq_name, made)
    return made


def known_worker(task: Any, options: Mapping[str, Any]) -> TaskWorker | None:
    """Return the worker of a task with these options, if it is defined in this process."""
    known = worker_registry.defined(f"{PREFIX}{task.module_path}")
    if (
        isinstance(known, TaskWorker)
        and known.antq_task.func is task.func
        and known.antq_given == options
    ):
        return known
    return None


def _found(name: str) -> Any:
    """Return the worker with this stored name, where it was sent to."""
    return resolver.resolve(name, job_id=0)
