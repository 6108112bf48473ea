"""How an attempt ended: what ``perform`` may return, seven outcomes, and that it was not run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, get_args

import msgspec
from msgspec.structs import force_setattr

from antq_actors import checks
from antq_actors.jobs.state import NewJob  # msgspec reads annotations

if TYPE_CHECKING:
    from datetime import timedelta


RETRY_DELAY_SECONDS: Final = 10.0
"""Until the second attempt, by default; each later one waits as much longer."""


class Fail(msgspec.Struct, frozen=True):
    """Returned by ``perform``: this attempt failed, with ``str(reason)`` and no stack trace."""

    reason: Any


class Cancel(msgspec.Struct, frozen=True):
    """Returned by ``perform``: the job is cancelled; ``str(reason)`` becomes its newest error."""

    reason: Any


class Snooze(msgspec.Struct, frozen=True):
    """Returned by ``perform``: run again in so many seconds; this attempt does not count.

    Earlier failures no longer count either: the job has all its attempts again. So it may use
    snoozes as its schedule, as long as fewer than ``max_attempts`` attempts fail in a row.

    A number or a timedelta, zero or more; anything else is a TypeError or a ValueError where it
    is made, so inside ``perform`` a failed attempt.
    """

    seconds: float

    if TYPE_CHECKING:  # what it may be made of

        def __init__(self, seconds: float | timedelta) -> None: ...

    def __post_init__(self) -> None:
        force_setattr(self, "seconds", checks.to_seconds(self.seconds, "Snooze(seconds)"))


class RateLimited(msgspec.Struct, frozen=True):
    """Returned by ``perform``: another service lets nobody in for so many seconds.

    No job with the same key of this job's limit starts before that; then this one is the first. The
    attempt does not count, and is no error. *limit*: the name of the limit to close, where it is
    not the worker's own, or the only one. A job without limits is run again at that time.

    *retry_after*: a number or a timedelta, zero or more; anything else is a TypeError or a
    ValueError where it is made, so inside ``perform`` a failed attempt.
    """

    retry_after: float
    limit: str | None = None

    if TYPE_CHECKING:  # what it may be made of

        def __init__(self, retry_after: float | timedelta, limit: str | None = None) -> None: ...

    def __post_init__(self) -> None:
        seconds = checks.to_seconds(self.retry_after, "RateLimited(retry_after)")
        force_setattr(self, "retry_after", seconds)
        if self.limit is not None and not isinstance(self.limit, str):
            raise TypeError(
                "RateLimited(limit) must be the name of a limit, a str, got"
                f" {checks.short_repr(self.limit)}"
            )


def no_such_limit(name: str) -> str:
    """Return the error of an attempt that wanted a limit closed which its job does not have."""
    return f"perform returned RateLimited(…, limit={name!r}), and the job has no limit of that name"


class FollowUp(NamedTuple):
    """A job to be stored with the completion of the one that asked for it, in its transaction."""

    new: NewJob
    delay: int | None = None
    """Microseconds from the completion until it is due; None: it is due when its state says so."""
    after: int = 0
    """The job that it waits for; 0: none."""


class KeptResult(NamedTuple):
    """What is kept of what ``perform`` returned."""

    payload: bytes
    """The value, or why it is not kept; see :mod:`antq_actors.jobs.result`. Empty: it is None, and
    kept as long as its job, in the job's own record."""
    ttl: int | None = None
    """Microseconds from the completion until it is deleted; None: as long as its job."""


class Expansion(NamedTuple):
    """A workflow to be stored with the completion of the job that asked for it, as its rest."""

    group: Any
    """How its group is stored."""
    plan: tuple[Any, ...]
    """What it is made of."""


class Produced(msgspec.Struct, frozen=True):
    """What is stored with the completion of an attempt: in its transaction, or never."""

    follow_ups: tuple[FollowUp | Expansion, ...] = ()
    """In the order of their calls."""
    members: tuple[NewJob, ...] = ()
    """Jobs that its batch gets with it, in the order of their calls."""
    result: KeptResult | None = None
    """None: the job keeps none."""

    @property
    def only_result(self) -> KeptResult | None:
        """The result, if nothing else is to be stored; so it is stored with those of others."""
        return None if self.follow_ups or self.members else self.result


class Completed(msgspec.Struct, frozen=True):
    """``perform`` returned."""

    produced: Produced | None = None
    """None: nothing but that is stored."""


COMPLETED: Final = Completed()
"""The outcome of every attempt that completed and produced nothing: one is enough for all."""

KEPT_NONE: Final = KeptResult(b"")
"""What is kept of None."""

COMPLETED_WITH_NONE: Final = Completed(Produced(result=KEPT_NONE))
"""That of every attempt that completed, and of which nothing but the result None is kept."""


class Failed(msgspec.Struct, frozen=True):
    """The attempt failed."""

    error: str
    stack_trace: str | None = None
    retry_in: float | None = 0.0
    """Seconds until the next attempt, if one is left. None: the attempt was ended from outside, and
    its worker has not been asked; a job that is stored so waits for the default."""
    error_type: str | None = None
    """The name of the exception's class; None where there was none."""


class Refused(msgspec.Struct, frozen=True):
    """The job can never be run: it fails at once, whatever attempts are left.

    What it names is no worker, or an output that it needs is gone.
    """

    error: str
    error_type: str | None = None
    """The name of the exception's class; None where there was none."""
    is_attempt: bool = True
    """Whether that was one: not where its key is missing, which is no fault of the job."""


class Cancelled(msgspec.Struct, frozen=True):
    """The worker cancelled its own job."""

    reason: str


class Snoozed(msgspec.Struct, frozen=True):
    """The worker put its job off."""

    seconds: float


class GivenBack(msgspec.Struct, frozen=True):
    """Enqueued again, nothing counted: a graceful stop, or nothing was run at all."""

    seconds: float = 0.0
    """Not before so many have passed: its worker is yet to be defined, or its limit is closed."""
    closes: RateLimited | None = None
    """Closes a limit of the job for that long, instead of the job."""


class Interrupted(msgspec.Struct, frozen=True):
    """The node, queue or executor of the execution was lost, through no fault of the job."""

    reason: str
    max_interruptions: int = sys.maxsize
    """The interruption that makes this many fails the job. Its queue sets it."""


class NotRun(msgspec.Struct, frozen=True):
    """Nothing was run: the executor is being restarted, or is not the one for this worker."""

    reason: str
    executor: str | None = None
    """The executor that its worker wants, which was not known before."""


Outcome: TypeAlias = Completed | Failed | Refused | Cancelled | Snoozed | GivenBack | Interrupted
"""Every way an execution may end."""

OUTCOMES: Final[frozenset[type]] = frozenset(get_args(Outcome))
"""The classes of outcomes."""
