"""What a refused request is answered: a status, a code, a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from antq_actors import errors
from antq_actors.insights.access import Forbidden
from antq_actors.insights.filters import FilterError

_NOT_FOUND: Final = (
    *(errors.JobNotFound, errors.BatchNotFound, errors.BulkNotFound, errors.WorkflowNotFound),
    errors.UnknownQueue,
    *(errors.UnknownCron, errors.UnknownLimit, errors.UnknownNode),
)
_AWAY: Final = (errors.StorageError, errors.NotStarted, errors.StartError, errors.ForkError)

_STATUSES: Final = (
    (Forbidden, 403, "forbidden"),
    (_NOT_FOUND, 404, "not_found"),
    (_AWAY, 503, None),
    (errors.InvalidSchedule, 400, None),
    (errors.ConfigError, 400, None),
    (FilterError, 400, None),
    (errors.AntqError, 409, None),
    (ValueError, 400, "bad_field"),
)
"""What each error is answered, the first that fits; without a code its class is the code."""


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """A request that is not carried out, and why."""

    status: int
    code: str
    message: str
    hint: str | None = None


def bad_field(message: str) -> Refusal:
    """Return the refusal of a field of a form, or of a query, with a wrong value."""
    return Refusal(400, "bad_field", message)


def not_found(message: str) -> Refusal:
    """Return the refusal of a path, or of something in the store, that is not there."""
    return Refusal(404, "not_found", message)


def refusal_of(error: Exception) -> Refusal | None:
    """Return how an error of a verb or a query is answered; None: as a fault of ours."""
    if isinstance(error, Refusal):
        return error
    name, text = type(error).__name__, str(error)
    if type(error) is LookupError:  # of insights; a KeyError would be a fault of ours
        return not_found(text)
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            return Refusal(status, code or name, text)
    return None
