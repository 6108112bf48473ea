"""The backend: tasks are enqueued as jobs of the application that its OPTIONS describe."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.core import checks
from django.db import transaction

from antq_actors.errors import AntqError, JobNotFound
from antq_actors.integrations.django import options, results, site, worker
from antq_actors.integrations.django.compat import (
    BaseTaskBackend,
    InvalidTask,
    TaskResultDoesNotExist,
    signals,
)
from antq_actors.integrations.django.connections import set_up_django
from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from antq_actors import AntQ, Job

_LARGEST_ID: Final = 2**63 - 1


class AntqBackend(BaseTaskBackend):
    """Keeps tasks as jobs: durable, scheduled, with priorities, retries and their results.

    ``OPTIONS`` has the options of :class:`antq_actors.AntQ` in upper case (``PATH``, …), and

    - ``RUN_IN_SERVER``: True has the processes that enqueue run the queues, too. By default they
      only enqueue and look, and ``manage.py antq start`` runs the queues in ``QUEUES``.
    - ``TASKS``: options of tasks by their module paths, over those of their decorators.
    """

    task_class = options.AntqTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        self.antq_params = params

    @property
    def app(self) -> AntQ:
        """The application in this process, whether it runs or not."""
        return site.application(self.alias, self.antq_params)

    def validate_task(self, task: Any) -> None:
        """Raise InvalidTask for a task that cannot be performed, or has options that cannot be."""
        super().validate_task(task)
        try:
            wanted = options.options_of(task, self.options)
            if wanted != options.DEFAULTS and worker.known_worker(task, wanted) is None:
                worker.TaskWorker(task, wanted, AntqBackend)  # which checks them together
        except (TypeError, ValueError) as error:
            raise InvalidTask(f"{task.module_path}: {error}") from error

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Store a task as a job and return its result, which is READY.

        Raises TypeError for arguments that are no JSON, and what :meth:`AntQ.enqueue` raises.
        """
        self.validate_task(task)
        wanted = options.options_of(task, self.options)
        performs = worker.worker_of(task, wanted, AntqBackend)
        given = performs.antq_args(results.as_json(list(args)), results.as_json(dict(kwargs)))
        meta = {results.BACKEND: self.alias}
        due = None if task.run_after is None else results.aware(task.run_after)
        if due is not None:
            meta[results.RUN_AFTER] = due.isoformat()
        job = site.opened(self.alias, self.antq_params).enqueue(
            performs,
            given,
            queue=task.queue_name,
            priority=task.priority,
            schedule_at=due,
            meta=meta,
        )
        result = results.task_result(job, task)
        signals.task_enqueued.send(sender=type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """Return the result of the task that is the job with this id.

        Raises TaskResultDoesNotExist where there is no such job, and where it is no task.
        """
        job = self._job(result_id)
        path = job.worker.removeprefix(worker.PREFIX)
        try:
            task = worker.task_at(path)
        except (ImportError, TypeError) as error:
            raise TaskResultDoesNotExist(f"the task {path!r} is not there: {error}") from error
        return results.task_result(job, task, self._returned(job))

    def _job(self, result_id: str) -> Job:
        missing = TaskResultDoesNotExist(result_id)
        if not (isinstance(result_id, str) and result_id.isascii() and result_id.isdecimal()):
            raise missing
        id_ = int(result_id) if len(result_id) <= len(str(_LARGEST_ID)) else 0
        if str(id_) != result_id or not 0 < id_ <= _LARGEST_ID:
            raise missing
        try:
            job = site.opened(self.alias, self.antq_params).get_job(id_)
        except JobNotFound:
            job = None
        if job is None or not job.worker.startswith(worker.PREFIX):
            raise missing
        return job

    def _returned(self, job: Job) -> Any:
        """Return what a task has returned; None also if that is not kept any more."""
        if job.status is not Status.COMPLETED:
            return None
        try:
            return job.result(timeout=0)
        except (AntqError, TimeoutError):  # retried in the meantime, or not kept
            return None

    def check(self, **_: Any) -> Iterable[checks.CheckMessage]:
        """Return what is wrong with the settings of this backend, as system checks."""
        return [
            checks.Error(f"TASKS[{self.alias!r}]: {problem}", id="antq.E001")
            for problem in site.problems(self.antq_params)
        ]


def find(path: str) -> worker.TaskWorker:
    """Return the worker of the task at a module path; import that, with Django set up.

    Raises ImportError, what the import raises, and TypeError for what is no task.
    """
    set_up_django()
    task = worker.task_at(path)
    return worker.worker_of(task, site.options_of(task), AntqBackend)


def enqueue_on_commit(task: Any, *args: Any, using: str | None = None, **kwargs: Any) -> None:
    """Enqueue *task* once the transaction of the database *using* is committed.

    Outside of a transaction it is enqueued at once. A transaction that is rolled back enqueues
    nothing. A crash between the commit and the enqueue loses the task.
    """
    transaction.on_commit(partial(task.enqueue, *args, **kwargs), using=using)
