"""OTP-style supervision for Python, and durable background jobs built on it."""

from antq_actors.app import AntQ, QueueHandle
from antq_actors.config import QueueConfig
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
