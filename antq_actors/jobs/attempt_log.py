"""The log records of attempts: one for each that failed, with what handlers want to know of it.

A record has the attributes ``job_id``, ``worker``, ``queue`` and ``attempt``. It has the exception
as ``exc_info`` where there was one; else, where a stack trace says where the attempt was or what
its process wrote last, that is its ``stack_info``. None of this ever raises but *propagate*.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from antq_actors.jobs.attempt_error import describe, summary, users_part
from antq_actors.jobs.wording import escaped

if TYPE_CHECKING:
    from antq_actors.jobs.outcome import Failed, Refused
    from antq_actors.jobs.perform import Attempt, Propagate

log: Final = logging.getLogger("antq_actors.jobs")


def refused(attempt: Attempt, outcome: Refused, error: BaseException, propagate: Propagate) -> None:
    """Log that what the job names is no worker, as *error* says."""
    text = "%s (job #%d) was refused: %s"
    values = (attempt.worker, attempt.job_id, summary(outcome.error, outcome.error_type))
    # Without its frames: none of them is the user's.
    error = error.with_traceback(None)
    _log(attempt, logging.ERROR, (text, values), propagate, error=error)


def failed(
    attempt: Attempt, outcome: Failed, error: BaseException | None, propagate: Propagate
) -> None:
    """Log that an attempt failed, by *error* if that is at hand."""
    number, last = attempt.number, attempt.max_attempts
    if number < last:
        level, text = logging.WARNING, "%s (job #%d) failed on attempt %d/%d, will retry: %s"
    else:
        level, text = logging.ERROR, "%s (job #%d) failed permanently after attempt %d/%d: %s"
    shown = escaped(summary(outcome.error, outcome.error_type))
    line = text, (attempt.worker, attempt.job_id, number, last, shown)
    if error is None:
        _log(attempt, level, line, propagate, stack=outcome.stack_trace)
    else:
        _log(attempt, level, line, propagate, error=error, trace=outcome.stack_trace)


def no_delay(
    attempt: Attempt, instead: tuple[float, str], error: BaseException, propagate: Propagate
) -> None:
    """Log that what should tell the delay raised *error*, or returned what is no delay.

    *instead*: the seconds that are taken, and what should have told.
    """
    retry_in, source = instead
    text = "%s (job #%d): no delay from %s, so the next attempt is in %g s: %s"
    shown = summary(describe(error, propagate=propagate), type(error).__name__)
    values = (attempt.worker, attempt.job_id, source, retry_in, shown)
    _log(attempt, logging.WARNING, (text, values), propagate, error=error)


def nobody_to_ask(attempt: Attempt, error: BaseException, propagate: Propagate) -> None:
    """Log, for whoever debugs, why nobody says when the next attempt is due."""
    line = "no worker to ask for the delay of job #%d", (attempt.job_id,)
    _log(attempt, logging.DEBUG, line, propagate, error=error)


def _attributes(attempt: Attempt) -> dict[str, object]:
    return {
        "job_id": attempt.job_id,
        "worker": attempt.worker,
        "queue": attempt.queue,
        "attempt": attempt.number,
    }


def _log(
    attempt: Attempt,
    level: int,
    line: tuple[str, tuple[object, ...]],
    propagate: Propagate,
    *,
    error: BaseException | None = None,
    stack: str | None = None,
    trace: str | None = None,
) -> None:
    try:
        if not log.isEnabledFor(level):
            return
        code = _log.__code__
        text, values = line
        # Not by `log.log()`: that takes no stack but its own.
        record = log.makeRecord(
            log.name,
            level,
            code.co_filename,
            code.co_firstlineno,
            text,
            values,
            None if error is None else (type(error), error, users_part(error)),
            code.co_name,
            extra=_attributes(attempt),
            sinfo=None if stack is None else escaped(stack.rstrip()),
        )
        if trace is not None:
            # Formatters take this text for their own. It can be written to any file, whatever the
            # exceptions say, and the causes begin with the user's frames, too.
            record.exc_text = trace.rstrip()
        log.handle(record)
    except propagate:
        raise
    except BaseException:  # noqa: BLE001, S110 - a handler that raises must not change an outcome
        pass
