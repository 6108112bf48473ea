"""A job of a task as ``django.tasks`` shows it: a ``TaskResult``."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Final

from django import conf
from django.utils import timezone

from antq_actors.integrations.django.compat import (
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
)
from antq_actors.jobs.job import COMPOSED
from antq_actors.jobs.state import Status
from antq_actors.telemetry.attempts import CANCELLED

if TYPE_CHECKING:
    from antq_actors.jobs.job import AttemptError, Job
    from antq_actors.telemetry.attempts import Ending

BACKEND: Final = "django.backend"
"""Under which name the meta of a job has the alias of the backend that it was enqueued with."""
RUN_AFTER: Final = "django.run_after"
"""Under which name it has when the task was to run."""

STATUSES: Final = {
    Status.RUNNING: TaskResultStatus.RUNNING,
    Status.COMPLETED: TaskResultStatus.SUCCESSFUL,
    Status.FAILED: TaskResultStatus.FAILED,
    Status.CANCELLED: TaskResultStatus.FAILED,
}
"""Of a job; all others are READY."""


def task_result(job: Job, task: Any, returned: Any = None) -> Any:
    """Return a job as the result of its task; *returned*: what the task has returned, if it has."""
    begun = [error for error in reversed(job.errors) if error.node]
    alias = job.meta.get(BACKEND, task.backend)
    started_at = begun[0].started_at if begun else job.started_at
    result = TaskResult(
        task=restored(
            task,
            priority=job.priority,
            queue_name=job.queue_name,
            backend=alias,
            run_after=_run_after(job),
        ),
        id=str(job.id),
        status=STATUSES.get(job.status, TaskResultStatus.READY),
        enqueued_at=moment(job.inserted_at),
        started_at=moment(started_at),
        finished_at=moment(job.ended_at),
        last_attempted_at=moment(job.started_at),
        args=list(job.args.get("args") or ()),
        kwargs=dict(job.args.get("kwargs") or {}),
        backend=alias,
        errors=[_task_error(error, job) for error in reversed(job.errors)],
        worker_ids=_worker_ids(job, begun),
    )
    object.__setattr__(result, "_return_value", returned)
    return result


def as_json(value: Any) -> Any:
    """Return a value as it comes back from JSON.

    Raises TypeError and ValueError for what is none.
    """
    return json.loads(json.dumps(normalize_json(value)))


def restored(task: Any, **changes: Any) -> Any:
    """Return a task with other values, as it was enqueued; no backend validates it again.

    So a setting that has changed since then breaks no job.
    """
    made = object.__new__(type(task))
    for field in fields(task):
        object.__setattr__(made, field.name, changes.get(field.name, getattr(task, field.name)))
    return made


def moment(when: datetime | None) -> datetime | None:
    """Return an instant of a job as Django has it: aware if ``USE_TZ``, else in local time."""
    if when is None or conf.settings.USE_TZ:
        return when
    naive: datetime = timezone.make_naive(when)
    return naive


def aware(when: datetime) -> datetime:
    """Return an instant of Django with a time zone."""
    return timezone.make_aware(when) if timezone.is_naive(when) else when


def error_of(ending: Ending) -> Any:
    """Return how an attempt ends that does not complete, as an error of its task."""
    error = ending.exception
    if ending is CANCELLED:
        path, trace = "antq_actors.errors.JobCancelled", "cancelled while it was running"
    elif error is None:  # it has timed out
        path, trace = f"builtins.{ending.error_type}", ending.text or ""
    else:
        path = f"{type(error).__module__}.{type(error).__qualname__}"
        trace = "".join(format_exception(error))
    return TaskError(exception_class_path=path, traceback=trace)


def _task_error(error: AttemptError, job: Job) -> Any:
    return TaskError(
        exception_class_path=class_path(error, job.status),
        traceback=error.stack_trace or error.summary,
    )


def class_path(error: AttemptError, status: Status) -> str:
    """Return the module and class of an error; where no exception was raised, one of antq_actors.

    The last line of a trace has both, but for what is built in.
    """
    name = error.error_type
    if name is None:
        cancelled = status is Status.CANCELLED
        return f"antq_actors.errors.{'JobCancelled' if cancelled else 'JobFailed'}"
    found = re.findall(
        rf"^[ |+]*((?:(?:[^\W\d]\w*|<\w+>)\.)*{re.escape(name)})(?::|$)",
        error.stack_trace or "",
        re.MULTILINE,
    )
    path: str = found[-1] if found else name
    return path if "." in path else f"builtins.{path}"


def _run_after(job: Job) -> datetime | None:
    stored = job.meta.get(RUN_AFTER)
    if stored is None:
        return None
    return moment(datetime.fromisoformat(stored).astimezone(UTC))


def _worker_ids(job: Job, begun: list[AttemptError]) -> list[str]:
    """Return one for each attempt that has begun: the node that it ran on."""
    nodes = [error.node for error in begun]
    # Of errors that are not kept, the node is not known any more.
    nodes[1:1] = [0] * (job.error_count - len(job.errors))
    if job.status is Status.RUNNING:
        nodes.append(job.node)
    elif job.status is Status.COMPLETED:
        composed = job.__dict__.get(COMPOSED)
        nodes.append(0 if composed is None else composed.node)
    return [f"node-{node}" for node in nodes]
