"""The options of workers and jobs, as type checkers and editors see them.

`options.py` is what checks them. Both name the same options, which a test compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from antq_actors.backoff import Backoff
from antq_actors.introspection import explain_fields
from antq_actors.jobs.job import Job
from antq_actors.jobs.unique import Unique  # noqa: TC001 - for typing.get_type_hints

ExecutorName: TypeAlias = Literal["thread", "async", "process", "ray"]
"""What can run ``perform``."""

Seconds: TypeAlias = float | timedelta
"""A duration."""

RetryDelay: TypeAlias = Seconds | Backoff | Callable[[Job], Seconds]
"""How long a failed job waits before its next attempt."""


@explain_fields
class JobOptions(TypedDict, total=False):
    """The options of one job, as ``perform_async`` and ``enqueue`` take them by keyword.

    Those of its worker for this job alone, and when it is due.
    """

    queue: str | None
    """The queue; None: the first one of the application."""
    max_attempts: int
    """Attempts before the job is failed for good, at least 1."""
    timeout: Seconds | None
    """How long an attempt may take; None: no limit. A timeout is a failed attempt."""
    unique: Unique | None
    """Which other jobs are in the way of this one; None: none."""
    priority: int
    """Larger is picked first among the enqueued of a queue, from -128 to 127."""
    schedule_in: Seconds | None
    """How long to wait before it may run; None or 0: not at all."""
    schedule_at: datetime | None
    """When it may run at the earliest, with a time zone; None: now."""


@explain_fields
class WorkerOptions(TypedDict, total=False):
    """The options of a worker, as the line of a class and ``@worker(...)`` take them by keyword."""

    queue: str | None
    """The queue; None: the first one of the application."""
    max_attempts: int
    """Attempts before a job is failed for good, by default 1."""
    timeout: Seconds | None
    """How long an attempt may take; None: no limit. A timeout is a failed attempt."""
    unique: Unique | None
    """Which other jobs are in the way of a new one; None: none."""
    priority: int
    """Larger is picked first among the enqueued of a queue, from -128 to 127; by default 0."""
    retry_delay: RetryDelay | None
    """How long a failed job waits before its next attempt; None: 10 s for each attempt made."""
    executor: ExecutorName | None
    """What runs ``perform``; None: what its queue says, or the event loop if it is a coroutine."""
    ray: Mapping[str, Any] | None
    """What an attempt needs on a Ray cluster: ``num_cpus``, ``num_gpus``, ``memory``, …"""
    name: str | None
    """The name under which jobs are stored; None: ``module:QualName``. It is not inherited."""
