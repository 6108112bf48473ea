"""The errors of the job half, all under :class:`AntqError`.

Each says what was found, where, and what to write instead. The supervision half has its own
base, :class:`antq_actors.otp.OtpError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antq_actors.introspection import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.state import Status

__all__ = [
    "AlreadyExists",
    "AntqError",
    "BatchClosed",
    "BatchError",
    "BatchNotFound",
    "BulkEnded",
    "BulkNotFound",
    "ConfigError",
    "CronError",
    "CycleError",
    "DamagedRecord",
    "DuplicateStep",
    "ForkError",
    "InvalidSchedule",
    "JobCancelled",
    "JobFailed",
    "JobNotFound",
    "LimitReached",
    "NotAWorker",
    "NotCancellable",
    "NotRetryable",
    "NotStarted",
    "NotUndoable",
    "QueueNotPaused",
    "ResultNotKept",
    "ResultTooLarge",
    "StartError",
    "StepError",
    "StorageError",
    "StorageFull",
    "StoreNotOpened",
    "Superseded",
    "UnknownCron",
    "UnknownLimit",
    "UnknownNode",
    "UnknownQueue",
    "WorkerNotFound",
    "WorkflowError",
    "WorkflowNotFound",
]


class AntqError(Exception):
    """Base of every error that is about jobs, queues or their store."""


class ConfigError(AntqError, ValueError):
    """A setting that is unknown or makes no sense."""


class CronError(ConfigError):
    """A periodic job that is defined wrongly, such as one whose expression cannot be read."""


class UnknownCron(AntqError):
    """No periodic entry has this name."""


class BatchNotFound(AntqError):
    """No batch has this id."""


class BatchClosed(AntqError):
    """A batch was closed, so it gets no more members."""


class BulkNotFound(AntqError):
    """No bulk change has this id, or it was long ago."""


class BulkEnded(AntqError):
    """A bulk change is to be stopped, and has ended."""


class NotStarted(AntqError):
    """There is no running application to ask."""


class StartError(AntqError):
    """The application could not start; ``__cause__`` is what stopped it."""


class AlreadyExists(AntqError):
    """A unique job or a workflow was not stored, because another one is in its way."""

    def __init__(self, message: str, job: Job | None = None, workflow: Any = None) -> None:
        super().__init__(message)
        self.job = job
        """The job in the way; None where it is a workflow."""
        self.workflow = workflow
        """The open workflow with the same name and key; None where it is a job."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.job, self.workflow)


class StepError(AntqError):
    """A step or a checkpoint cannot be kept, such as a value that is too large."""


class DuplicateStep(StepError):
    """An execution takes two steps of the same name."""


class Superseded(AntqError):
    """This execution of its job does not count any more, so nothing of it is kept.

    The job was given back, ended from outside or deleted in the meantime.
    """


class InvalidSchedule(AntqError, ValueError):
    """A ``schedule_in`` or ``schedule_at`` that names no usable instant."""


class JobNotFound(AntqError):
    """No job has this id: it was deleted, pruned, or never stored."""


class JobFailed(AntqError):
    """The result of a job was asked for, and the job has failed its last attempt.

    What it raised, as text, and the stack traces are in the errors of the job.
    """

    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message)
        self.job = job
        """The job, with its errors."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.job)


class JobCancelled(AntqError):
    """The result of a job was asked for, and the job was cancelled."""

    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message)
        self.job = job
        """The job; a reason that was given is its newest error."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.job)


class ResultNotKept(AntqError):
    """There is no result: the worker keeps none, its time is over, or it cannot be pickled."""


class ResultTooLarge(ResultNotKept):
    """The result is larger than its worker allows, so it was not kept. Its job is completed."""


class LimitReached(AntqError):
    """A job was refused, because the limit of its key is reached; it was not stored or changed."""

    def __init__(self, message: str, job: Job | None = None) -> None:
        super().__init__(message)
        self.job = job
        """One of the jobs that hold the places."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.job)


class NotCancellable(AntqError):
    """The job has left the statuses in which it can be cancelled."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status
        """The status the job has instead."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.status)


class NotRetryable(AntqError):
    """The job has not ended, so there is nothing to retry."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status
        """The status the job has instead."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.status)


class QueueNotPaused(AntqError):
    """Jobs are to be let through one by one, and their queue is not paused."""


class NotUndoable(AntqError):
    """An action cannot be undone any more; the error says what has changed since, or why not."""


class UnknownLimit(AntqError):
    """No limit has this name; the error names those that there are."""


class WorkflowError(AntqError):
    """A workflow that is described wrongly, or asked for what it does not have."""


class CycleError(WorkflowError):
    """Nodes of a workflow wait for each other, so none of them could begin."""

    def __init__(self, message: str, nodes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.nodes = tuple(nodes)
        """Their names: each waits for the one before it, and the first for the last."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.nodes)


class UnknownNode(WorkflowError):
    """A node waits for one that its workflow does not have; the error names those that it has."""


class WorkflowNotFound(AntqError):
    """No workflow has this id: it was pruned, or never stored."""


class UnknownQueue(AntqError):
    """No queue of this application has this name."""


class WorkerNotFound(AntqError):
    """The worker that a job names cannot be imported."""


class NotAWorker(AntqError):
    """What a job names is not a worker, so it is never run."""


class StorageError(AntqError):
    """The store could not be opened, read or written."""


class StorageFull(StorageError):
    """The disk is full: what did not fit was not stored."""


class DamagedRecord(StorageError):
    """A record of the store is not what was written. It is failed when it is met; nothing runs."""


class StoreNotOpened(StartError, StorageError):
    """The application could not start, because its store cannot be opened."""


class BatchError(AntqError):
    """``enqueue_many`` met an item it could not store; ``__cause__`` is that item's own error."""

    def __init__(self, message: str, index: int, ids: Sequence[int]) -> None:
        super().__init__(message)
        self.index = index
        """Position of the bad item in the iterable, from 0."""
        self.ids = list(ids)
        """Ids of the jobs stored before it; they stay stored."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.index, self.ids)


class ForkError(AntqError):
    """This process is a fork of the one that started the application."""


def __dir__() -> list[str]:
    return shown(globals())
