"""Whether what ``perform`` returns is kept, and what is kept of it: the option ``result``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import force_setattr

from antq_actors import checks
from antq_actors.introspection import explain_fields
from antq_actors.jobs.state import ResultRule

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from antq_actors.jobs.job import Performed

LARGEST_RESULT_BYTES: Final = 2**20
"""Bytes of a result that is kept, at most, unless its worker says otherwise."""

TOO_LARGE: Final = b"\x03"
"""What begins with this is no value, but the sentence that it was too large. On disk."""
NOT_KEPT: Final = b"\x04"
"""The same, but that the value could not be pickled."""

_SECOND: Final = 1_000_000


@explain_fields
class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How long the results of a worker's jobs are kept, and up to what size.

    ``result=True`` is ``result=Result()``. Raises TypeError and ValueError for what makes no sense.

    >>> from datetime import timedelta
    >>> Result(ttl=timedelta(hours=1)) == Result(ttl=3600, max_size=1 << 20)
    True
    """

    ttl: float | None = None
    """Seconds after its job's end, given so or as a timedelta; None: as long as the job."""
    max_size: int = LARGEST_RESULT_BYTES
    """Bytes, at most. The job of a larger one is completed all the same, and a WARNING says so."""

    if TYPE_CHECKING:  # what it may be made of

        def __init__(
            self, *, ttl: float | timedelta | None = None, max_size: int = LARGEST_RESULT_BYTES
        ) -> None: ...

    def __post_init__(self) -> None:
        if self.ttl is not None:
            seconds = checks.to_seconds(self.ttl, "ttl of a Result")
            if seconds == 0:
                raise ValueError(
                    "ttl of a Result must be more than 0; to keep none, write result=False"
                )
            force_setattr(self, "ttl", seconds)
        size = checks.whole(self.max_size)
        if size is None:
            raise TypeError(
                "max_size of a Result must be a whole number of bytes, got"
                f" {checks.short_repr(self.max_size)}"
            )
        if size < 1:
            raise ValueError(
                f"max_size of a Result must be at least 1, got {checks.short_repr(size)}"
            )
        force_setattr(self, "max_size", size)

    @property
    def rule(self) -> ResultRule:
        """How the result of a job is kept, as it is stored with the job."""
        ttl = None if self.ttl is None else max(1, round(self.ttl * _SECOND))
        return ResultRule(self.max_size, ttl)


DEFAULT_RULE: Final = Result().rule
"""That of ``result=True``."""


_LONGEST_CALL_SECONDS: Final = 0.1
"""Seconds of a call on an application in another process that waits."""


def fetch_from(
    call: Callable[..., Any], id_: int, seconds: float | None, within: Performed | None
) -> bytes:
    """Wait until a job has completed, in short calls on an application; return the payload.

    *within* is the attempt that waits. During a call, the application takes nothing else from this
    process. Raises what the application raises.
    """
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        left = max(0.0, deadline - time.monotonic())
        try:
            payload: bytes = call("_fetch_result", id_, min(left, _LONGEST_CALL_SECONDS), within)
        except TimeoutError:
            if left <= _LONGEST_CALL_SECONDS:
                raise TimeoutError(f"job {id_} has not ended within {seconds:g} s") from None
        else:
            return payload


def check_result(value: Any) -> Result | None:
    """Return a worker's option ``result``, None if it keeps none; else raise TypeError."""
    if value is None or value is False:
        return None
    if value is True:
        return Result()
    if isinstance(value, Result):
        return value
    raise TypeError(
        "result must be True, False or how results are kept, Result(ttl=…, max_size=…), got"
        f" {checks.short_repr(value)}"
    )
