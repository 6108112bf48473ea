"""The option ``retry_delay``: how long a failed job waits before its next attempt."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from antq_actors.backoff import Backoff
from antq_actors.checks import real, short_repr, to_seconds
from antq_actors.jobs.outcome import RETRY_DELAY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.job import Job

KeptDelay: TypeAlias = "float | Backoff | Callable[[Job], Any] | None"
"""A checked ``retry_delay``: seconds, a Backoff, a function of the job; None: the default."""

_WRITE: Final = (
    "write seconds, a timedelta, Backoff(first=10, longest=3600), or a function of the job"
)


def check_retry_delay(value: object) -> KeptDelay:
    """Return a worker's option ``retry_delay`` as it is kept. Raises TypeError or ValueError."""
    if value is None:
        return None
    if isinstance(value, Backoff):
        to_seconds(value.delay(2**31, chance=1.0), "retry_delay: the longest wait of the Backoff")
        return value
    if isinstance(value, timedelta) or real(value) is not None:
        return to_seconds(value, "retry_delay")
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"retry_delay cannot be {short_repr(value)}; {_WRITE}")
    _refuse_uncallable(value)
    return value


def _refuse_uncallable(function: Callable[..., Any]) -> None:
    """Raise TypeError for a ``retry_delay`` that takes no job, or is a coroutine function."""
    if any(map(inspect.iscoroutinefunction, (function, type(function).__call__))):
        raise TypeError(
            f"retry_delay is called and not awaited, and {short_repr(function)} is a coroutine"
            " function; write 'def'"
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of something in C
        return
    try:
        signature.bind("job")
    except TypeError:
        raise TypeError(
            f"retry_delay is called with the job and nothing else, and {short_repr(function)} takes"
            f" {signature}; write: def delay(job: Job) -> float"
        ) from None


def delay_after(job: Job, retry_delay: KeptDelay) -> Any:
    """Return the seconds until the next attempt of *job*, which has failed.

    What a function returns is returned as it is. Raises what it raises.
    """
    if retry_delay is None:
        return RETRY_DELAY_SECONDS * job.attempts
    if isinstance(retry_delay, float):
        return retry_delay
    if isinstance(retry_delay, Backoff):
        if not retry_delay.jitter:
            return retry_delay.delay(job.attempts)
        import random  # noqa: PLC0415 - no other part of a job needs it

        return retry_delay.delay(job.attempts, chance=random.random())  # noqa: S311 - no secret
    return retry_delay(job)
