"""The values that a job has kept between its executions, as bytes: of steps, and checkpoints.

They are encoded where the job is performed, as its arguments are, and are opaque to the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.errors import StepError
from antq_actors.jobs.steps import AttemptSteps
from antq_actors.storage.format.values import encode_args, load_args

if TYPE_CHECKING:
    from antq_actors.jobs.control import Control

MOST_BYTES: Final = 2**20
"""Of a value."""

_NAME: Final = "value"
_MAY_CODE_SHOW: Final = f"the argument {_NAME!r}"


class KeptValues:
    """What each application has for the attempts of its jobs, in whatever process they are."""

    def antq_encode(self, value: Any, what: str, /) -> bytes:
        """Return a value of an attempt as bytes; it may execute code that pickling calls.

        Raises StepError, which calls the value *what*, when it cannot be kept.
        """
        try:
            encoded = encode_args({_NAME: value})
        except Exception as error:
            why = str(error).replace(_MAY_CODE_SHOW, what) or type(error).__name__
            raise StepError(f"{what} cannot be kept: {why}") from error
        if len(encoded) > MOST_BYTES:
            raise StepError(
                f"{what} has {len(encoded):,} bytes, and {MOST_BYTES:,} may be kept: write it to a"
                " file or a database, and keep its path or key"
            )
        return encoded

    def antq_begin_steps(self, control: Control, /) -> AttemptSteps:
        """Return the steps of an attempt that has begun."""
        application: Any = self
        return AttemptSteps(control, application)

    def antq_decode(self, encoded: bytes, /) -> Any:
        """Return the value in bytes that `antq_encode` has made; it may execute code.

        Raises StepError when that fails.
        """
        try:
            return load_args(encoded)[_NAME]
        except Exception as error:
            raise StepError(
                "what an earlier execution of this job has kept cannot be read:"
                f" {type(error).__name__}: {error}; retry the job with fresh=True to forget it"
            ) from error
