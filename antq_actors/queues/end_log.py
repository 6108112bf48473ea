"""A line at INFO for each execution that ends well: which, how, and after how long.

What failed is logged where it is performed, at WARNING or above, and not once more here. Nothing is
made of what nobody wants to see: `is_wanted` is asked once for all that ended together.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from antq_actors.jobs import instant
from antq_actors.jobs.outcome import Cancelled, Completed, Snoozed

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.state import StoredJob

log: Final = logging.getLogger("antq_actors.jobs")

_WORDS: Final = {Completed: "completed", Cancelled: "was cancelled", Snoozed: "snoozes"}


def is_wanted() -> bool:
    """Return whether anyone wants to see such lines."""
    return log.isEnabledFor(logging.INFO)


def ended(job: StoredJob, outcome: Outcome, now: Instant) -> None:
    """Log what came of an execution, unless it failed or was cut short; never raises."""
    word = _WORDS.get(type(outcome))
    if word is None:
        return
    state, worker = job.state, job.spec.worker
    # Its last change so far is its claim, and the clock may have been set back since.
    seconds = max(0, now - state.updated_at) / instant.SECOND
    fields = {
        "job_id": job.id,
        "worker": worker,
        "queue": state.queue_name,
        "attempt": state.attempts,
    }
    text = "%s (job #%d) %s on attempt %d/%d, after %.3f s"
    values = (worker, job.id, word, state.attempts, state.max_attempts, seconds)
    with suppress(BaseException):  # a handler that raises must not end the queue
        log.info(text, *values, extra=fields)
