"""What a queue actor understands, by ``ask`` or ``tell``, ``otp.call`` or ``otp.cast``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from antq_actors.jobs.duration import brief
from antq_actors.jobs.number import whole

MAX_CONCURRENCY: Final = 1_000_000
"""Far more threads than a process can have."""


@dataclass(frozen=True, slots=True)
class SetConcurrency:
    """Perform up to *n* jobs at once from now on. Lowering stops no running job."""

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", check_concurrency(self.n))


@dataclass(frozen=True, slots=True)
class Pause:
    """Claim nothing more, on every node of the path, until Resume; kept over restarts."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Claim jobs again, on every node of the path."""


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Answer the queue's QueueStatus."""


@dataclass(frozen=True, slots=True)
class GetRunning:
    """Return the ids of the jobs that run, also while the store cannot be used."""


@dataclass(frozen=True, slots=True)
class Wake:
    """There may be a job to claim."""

    check_commands: bool = False
    """Another process has changed something: it may have left word for this queue as well."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Claim no more and answer when nothing runs any more.

    What still runs after *timeout* seconds is interrupted, and given back when that takes longer
    than an interruption may.
    """

    timeout: float


def check_concurrency(n: object) -> int:
    """Return *n* if it can be a concurrency; else raise TypeError or ValueError."""
    number = whole(n)
    if number is None:
        raise TypeError(f"concurrency must be a whole number, got {brief(n)}")
    if number < 1:
        raise ValueError(f"concurrency must be at least 1, got {number}; to stop a queue, pause it")
    if number > MAX_CONCURRENCY:
        raise ValueError(f"concurrency must be at most {MAX_CONCURRENCY}, got {brief(n)}")
    return number
