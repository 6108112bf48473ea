"""The options of workers and jobs, as type checkers and editors see them.

`options.py` is what checks them. Both name the same options, which a test compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from antq_actors.backoff import Backoff
from antq_actors.jobs.job import Job
from antq_actors.jobs.unique import Unique  # noqa: TC001 - for typing.get_type_hints

ExecutorName: TypeAlias = Literal["thread", "async", "process", "ray"]
"""What can run ``perform``."""

Seconds: TypeAlias = float | timedelta
"""A duration."""

RetryDelay: TypeAlias = Seconds | Backoff | Callable[[Job], Seconds]
"""How long a failed job waits before its next attempt."""


class JobOptions(TypedDict, total=False):
    """The options of one job, as ``perform_async`` and ``enqueue`` take them by keyword.

    Those of its worker for this job alone, and when it is due.
    """

    queue: str | None
    max_attempts: int
    timeout: Seconds | None
    unique: Unique | None
    priority: int
    schedule_in: Seconds | None
    schedule_at: datetime | None


class WorkerOptions(TypedDict, total=False):
    """The options of a worker, as the line of a class and ``@worker(...)`` take them by keyword."""

    queue: str | None
    max_attempts: int
    timeout: Seconds | None
    unique: Unique | None
    priority: int
    retry_delay: RetryDelay | None
    executor: ExecutorName | None
    ray: Mapping[str, Any] | None
    name: str | None
