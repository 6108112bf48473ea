"""What supervisors log, all of it, on ``antq_actors.otp``.

WARNING: a child ended that should not have, or is started again. ERROR: a supervisor gives up or
could not start, or a child did not stop as told. Each line names supervisor, child and reason.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from antq_actors.otp.reasons import Killed, Normal, is_orderly
from antq_actors.otp.termination import is_clean

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from antq_actors.otp.child_spec import ChildSpec
    from antq_actors.otp.reasons import ExitReason
    from antq_actors.otp.ref import ServerRef
    from antq_actors.otp.restart import Child, RestartIntensity

logger = logging.getLogger("antq_actors.otp")


def child_comes_back(
    sup: ServerRef, child: Child, reason: ExitReason, siblings: Sequence[Hashable] = ()
) -> None:
    """Report a child that ended by itself and is started again, with *siblings* stopped for it."""
    also = f", together with {list(reversed(siblings))}" if siblings else ""
    logger.warning("%s restarts child %r%s: it ended with %s", sup, child.spec.id, also, reason)


def child_left(sup: ServerRef, child: Child, reason: ExitReason) -> None:
    """Report a child that ended by itself for good; an orderly end is not worth a word."""
    if not is_orderly(reason):
        logger.warning(
            "%s does not restart its temporary child %r: it ended with %s",
            sup,
            child.spec.id,
            reason,
        )


def restart_failed(sup: ServerRef, child: Child, error: Exception) -> None:
    """Report a start within a restart that failed and will be tried again.

    With its traceback, as it is only here that anyone hears of it.
    """
    logger.warning("%s restarts child %r again: %s", sup, child.spec.id, error, exc_info=error)


def gives_up(sup: ServerRef, child: Child, intensity: RestartIntensity) -> None:
    """Report a supervisor that ends because of too many restarts."""
    logger.error(
        "%s gives up and ends with Shutdown: more than %d restarts within %g s, the last of child"
        " %r, which ended with %s",
        sup,
        intensity.max_restarts,
        intensity.max_seconds,
        child.spec.id,
        child.last_exit,
    )


def boot_failed(sup: ServerRef, error: Exception) -> None:
    """Report a supervisor that cannot start."""
    logger.error("%s cannot start: %s", sup, error)


def child_terminated(sup: ServerRef, child: Child, reason: ExitReason) -> None:
    """Report a child that was told to end and did not end cleanly."""
    spec = child.spec
    if child.ref.process.stops_with_all and reason == Normal():
        return  # pykka's stop_all came first
    if not is_clean(spec, reason):
        logger.error(
            "%s: the shutdown of child %r was not clean: it ended with %s%s",
            sup,
            spec.id,
            reason,
            _hint(spec, reason),
        )


def unexpected(sup: ServerRef, message: Any) -> None:
    """Report a message that no supervisor understands."""
    logger.warning("%s ignores a message that is not for supervisors: %r", sup, message)


def _hint(spec: ChildSpec, reason: ExitReason) -> str:
    return f" after {spec.shutdown} s" if isinstance(reason, Killed) else ""
