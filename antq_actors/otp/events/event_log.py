"""Which events of supervisors are logged, on ``antq_actors.otp``.

WARNING: a child ended that should not have, or is started again. ERROR: a supervisor gives up or
could not start, or the shutdown of a child was not clean. Each line names supervisor, child and
reason. What goes as it should is not logged; `subscribe` gets those events, too.
"""

from __future__ import annotations

import logging

from antq_actors.otp.events import (
    BootFailed,
    ChildExited,
    ChildTerminated,
    Event,
    GaveUp,
    Outcome,
    RestartFailed,
    Unexpected,
)
from antq_actors.otp.kernel.reasons import Killed, is_orderly

logger = logging.getLogger("antq_actors.otp")


def log(event: Event) -> None:
    """Log *event* if it deserves a line."""
    match event:
        case ChildExited():
            _child_exited(event)
        case ChildTerminated(is_clean=False):
            _not_clean(event)
        case RestartFailed(sup, child_id, error):
            # With its traceback, because nothing else reports it.
            logger.warning("%s restarts child %r again: %s", sup, child_id, error, exc_info=error)
        case GaveUp():
            logger.error(
                "%s gives up and ends with Shutdown: more than %d restarts within %g s, the last"
                " of child %r, which ended with %s",
                event.supervisor,
                event.max_restarts,
                event.max_seconds,
                event.child_id,
                event.reason,
            )
        case BootFailed(sup, _, error):
            logger.error("%s cannot start: %s", sup, error)
        case Unexpected(sup, message):
            logger.warning("%s ignores a message that is not for supervisors: %r", sup, message)


def _child_exited(event: ChildExited) -> None:
    sup, child_id, reason = event.supervisor, event.child_id, event.reason
    if event.outcome is Outcome.RESTARTS:
        also = f", together with {list(event.siblings)}" if event.siblings else ""
        logger.warning("%s restarts child %r%s: it ended with %s", sup, child_id, also, reason)
    elif event.outcome is Outcome.LEAVES and not (
        is_orderly(reason) or _is_reported_elsewhere(event)
    ):
        logger.warning(
            "%s does not restart its temporary child %r: it ended with %s", sup, child_id, reason
        )


def _is_reported_elsewhere(event: ChildExited) -> bool:
    """Return whether the starter of the child reports its end."""
    return getattr(event.ref.actor_class, "end_is_reported_elsewhere", False)


def _not_clean(event: ChildTerminated) -> None:
    hint = f" after {event.shutdown} s" if isinstance(event.reason, Killed) else ""
    logger.error(
        "%s: the shutdown of child %r was not clean: it ended with %s%s",
        event.supervisor,
        event.child_id,
        event.reason,
        hint,
    )
