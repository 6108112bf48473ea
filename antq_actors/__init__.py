"""OTP-style supervision for Python, and durable background jobs built on it.

What is exported is imported when it is first used, and so are the public modules. A command that
opens no store, and a child process of ``executor="process"``, then load only what they need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from antq_actors.app import AntQ, QueueHandle
    from antq_actors.app.bulk import BulkOutcome
    from antq_actors.app.config import QueueConfig
    from antq_actors.app.cron_handle import CronHandle, CronInfo
    from antq_actors.app.limit_handle import LimitHandle
    from antq_actors.app.workflow import Workflow, chain, group
    from antq_actors.app.workflow_nodes import Group, Node
    from antq_actors.app.workflow_run import WorkflowRun, WorkflowStatus
    from antq_actors.backoff import Backoff
    from antq_actors.errors import (
        AlreadyExists,
        AntqError,
        BatchClosed,
        BatchError,
        BatchNotFound,
        BulkEnded,
        BulkNotFound,
        ConfigError,
        CronError,
        CycleError,
        DuplicateStep,
        ForkError,
        InvalidSchedule,
        JobCancelled,
        JobFailed,
        JobNotFound,
        LimitReached,
        NotAWorker,
        NotCancellable,
        NotRetryable,
        NotStarted,
        NotUndoable,
        QueueNotPaused,
        ResultNotKept,
        ResultTooLarge,
        StartError,
        StepError,
        StorageError,
        StorageFull,
        Superseded,
        UnknownCron,
        UnknownLimit,
        UnknownNode,
        UnknownQueue,
        WorkerNotFound,
        WorkflowError,
        WorkflowNotFound,
    )
    from antq_actors.executors.base import Health
    from antq_actors.explain import Explanation
    from antq_actors.flow.cron import Cron, Every
    from antq_actors.flow.limit_options import Concurrency, RateLimit
    from antq_actors.flow.limits import GateStatus, LimitInfo
    from antq_actors.jobs.audit import AuditEntry
    from antq_actors.jobs.batch import Batch, BatchStatus
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.function_worker import EnqueueWith, FunctionWorker, worker
    from antq_actors.jobs.history import Transition
    from antq_actors.jobs.job import AttemptError, Job, current_job
    from antq_actors.jobs.middleware import JobDraft, Middleware
    from antq_actors.jobs.options import JobOptions, WorkerOptions
    from antq_actors.jobs.outcome import Cancel, Fail, RateLimited, Snooze
    from antq_actors.jobs.result import Result
    from antq_actors.jobs.state import ACTIVE, Status
    from antq_actors.jobs.stepping import Breakpoint, Upcoming
    from antq_actors.jobs.unique import Unique
    from antq_actors.jobs.worker import Worker
    from antq_actors.queues.messages import QueueStatus
    from antq_actors.storage.admin.transfer import Imported
    from antq_actors.storage.locks.node_lock import NodeInfo, QueueInfo

__version__ = "0.1.0"

__all__ = [
    "ACTIVE",
    "AlreadyExists",
    "AntQ",
    "AntqError",
    "AttemptError",
    "AuditEntry",
    "Backoff",
    "Batch",
    "BatchClosed",
    "BatchError",
    "BatchNotFound",
    "BatchStatus",
    "Breakpoint",
    "BulkEnded",
    "BulkNotFound",
    "BulkOutcome",
    "Cancel",
    "Concurrency",
    "ConfigError",
    "Cron",
    "CronError",
    "CronHandle",
    "CronInfo",
    "CycleError",
    "DuplicateStep",
    "EnqueueWith",
    "Every",
    "Explanation",
    "Fail",
    "ForkError",
    "FunctionWorker",
    "GateStatus",
    "Group",
    "Health",
    "Imported",
    "InvalidSchedule",
    "Job",
    "JobCancelled",
    "JobDraft",
    "JobFailed",
    "JobNotFound",
    "JobOptions",
    "LimitHandle",
    "LimitInfo",
    "LimitReached",
    "Middleware",
    "Node",
    "NodeInfo",
    "NotAWorker",
    "NotCancellable",
    "NotRetryable",
    "NotStarted",
    "NotUndoable",
    "Progress",
    "QueueConfig",
    "QueueHandle",
    "QueueInfo",
    "QueueNotPaused",
    "QueueStatus",
    "RateLimit",
    "RateLimited",
    "Result",
    "ResultNotKept",
    "ResultTooLarge",
    "Snooze",
    "StartError",
    "Status",
    "StepError",
    "StorageError",
    "StorageFull",
    "Superseded",
    "Transition",
    "Unique",
    "UnknownCron",
    "UnknownLimit",
    "UnknownNode",
    "UnknownQueue",
    "Upcoming",
    "Worker",
    "WorkerNotFound",
    "WorkerOptions",
    "Workflow",
    "WorkflowError",
    "WorkflowNotFound",
    "WorkflowRun",
    "WorkflowStatus",
    "chain",
    "current_job",
    "group",
    "worker",
]

_MODULES: Final = {
    "ACTIVE": "antq_actors.jobs.state",
    "AntQ": "antq_actors.app",
    "AttemptError": "antq_actors.jobs.job",
    "AuditEntry": "antq_actors.jobs.audit",
    "Backoff": "antq_actors.backoff",
    "Batch": "antq_actors.jobs.batch",
    "BatchStatus": "antq_actors.jobs.batch",
    "Breakpoint": "antq_actors.jobs.stepping",
    "BulkOutcome": "antq_actors.app.bulk",
    "Cancel": "antq_actors.jobs.outcome",
    "Concurrency": "antq_actors.flow.limit_options",
    "Cron": "antq_actors.flow.cron",
    "CronHandle": "antq_actors.app.cron_handle",
    "CronInfo": "antq_actors.app.cron_handle",
    "EnqueueWith": "antq_actors.jobs.function_worker",
    "Every": "antq_actors.flow.cron",
    "Explanation": "antq_actors.explain",
    "Fail": "antq_actors.jobs.outcome",
    "FunctionWorker": "antq_actors.jobs.function_worker",
    "GateStatus": "antq_actors.flow.limits",
    "Group": "antq_actors.app.workflow_nodes",
    "Health": "antq_actors.executors.base",
    "Imported": "antq_actors.storage.admin.transfer",
    "Job": "antq_actors.jobs.job",
    "JobDraft": "antq_actors.jobs.middleware",
    "JobOptions": "antq_actors.jobs.options",
    "LimitHandle": "antq_actors.app.limit_handle",
    "LimitInfo": "antq_actors.flow.limits",
    "Middleware": "antq_actors.jobs.middleware",
    "Node": "antq_actors.app.workflow_nodes",
    "NodeInfo": "antq_actors.storage.locks.node_lock",
    "Progress": "antq_actors.jobs.control",
    "QueueConfig": "antq_actors.app.config",
    "QueueHandle": "antq_actors.app",
    "QueueInfo": "antq_actors.storage.locks.node_lock",
    "QueueStatus": "antq_actors.queues.messages",
    "RateLimit": "antq_actors.flow.limit_options",
    "RateLimited": "antq_actors.jobs.outcome",
    "Result": "antq_actors.jobs.result",
    "Snooze": "antq_actors.jobs.outcome",
    "Status": "antq_actors.jobs.state",
    "Transition": "antq_actors.jobs.history",
    "Unique": "antq_actors.jobs.unique",
    "Upcoming": "antq_actors.jobs.stepping",
    "Worker": "antq_actors.jobs.worker",
    "WorkerOptions": "antq_actors.jobs.options",
    "Workflow": "antq_actors.app.workflow",
    "WorkflowRun": "antq_actors.app.workflow_run",
    "WorkflowStatus": "antq_actors.app.workflow_run",
    "chain": "antq_actors.app.workflow",
    "current_job": "antq_actors.jobs.job",
    "group": "antq_actors.app.workflow",
    "worker": "antq_actors.jobs.function_worker",
}
"""The module of each export; those that are not listed are in ``antq_actors.errors``."""

_PUBLIC_MODULES: Final = (
    *("cluster", "errors", "explain", "maintenance", "otp", "queues", "telemetry"),
)
"""``import antq_actors`` is enough for ``antq_actors.errors``."""


def __getattr__(name: str) -> Any:
    if name in _PUBLIC_MODULES or name == "testing":  # which dir() does not show: it is for tests
        return import_module(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES.get(name, "antq_actors.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from importlib.util import find_spec  # noqa: PLC0415 - nothing else here needs these

    from antq_actors.introspection import shown  # noqa: PLC0415

    # What cannot be imported is not shown: help() looks at all that is.
    modules = (name for name in _PUBLIC_MODULES if name != "cluster" or find_spec("ray"))
    return shown(globals(), *modules)
