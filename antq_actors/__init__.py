"""OTP-style supervision for Python, and durable background jobs built on it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from antq_actors.errors import (
    AlreadyExists,
    AntqError,
    BatchError,
    ConfigError,
    ForkError,
    InvalidSchedule,
    JobNotFound,
    NotAWorker,
    NotCancellable,
    NotRetryable,
    NotStarted,
    StartError,
    StorageError,
    StorageFull,
    UnknownQueue,
    WorkerNotFound,
)
from antq_actors.jobs.function_worker import worker
from antq_actors.jobs.job import AttemptError, Job
from antq_actors.jobs.outcome import Cancel, Fail, Snooze
from antq_actors.jobs.status import Status
from antq_actors.jobs.unique import Unique
from antq_actors.jobs.worker import Worker

if TYPE_CHECKING:
    from antq_actors.app import AntQ, QueueHandle
    from antq_actors.config import QueueConfig
    from antq_actors.queues.status import QueueStatus

__all__ = [
    "AlreadyExists",
    "AntQ",
    "AntqError",
    "AttemptError",
    "BatchError",
    "Cancel",
    "ConfigError",
    "Fail",
    "ForkError",
    "InvalidSchedule",
    "Job",
    "JobNotFound",
    "NotAWorker",
    "NotCancellable",
    "NotRetryable",
    "NotStarted",
    "QueueConfig",
    "QueueHandle",
    "QueueStatus",
    "Snooze",
    "StartError",
    "Status",
    "StorageError",
    "StorageFull",
    "Unique",
    "UnknownQueue",
    "Worker",
    "WorkerNotFound",
    "worker",
]

# What runs an application is imported when it is wanted: the processes of executor="process" have
# workers and no application, and are started anew for each job that had to be killed.
_OF_APPLICATIONS: Final = {
    "AntQ": "antq_actors.app",
    "QueueConfig": "antq_actors.config",
    "QueueHandle": "antq_actors.app",
    "QueueStatus": "antq_actors.queues.status",
}


def __getattr__(name: str) -> Any:
    if name not in _OF_APPLICATIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_OF_APPLICATIONS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_OF_APPLICATIONS})
