"""The events of a supervisor: each function makes one and publishes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.otp import events
from antq_actors.otp.events import stream
from antq_actors.otp.events.stream import publish
from antq_actors.otp.kernel.reasons import Normal, is_orderly
from antq_actors.otp.supervision import restart
from antq_actors.otp.supervision.children import is_clean

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.supervision.restart import Child, RestartIntensity

_OUTCOMES: Final[dict[type[restart.Action], events.Outcome]] = {
    restart.Leave: events.Outcome.LEAVES,
    restart.StartAgain: events.Outcome.RESTARTS,
    restart.GiveUp: events.Outcome.GIVES_UP,
    restart.ShutDown: events.Outcome.SHUTS_DOWN,
}


def child_started(sup: ServerRef, child: Child) -> None:
    """Publish the event that a child of a supervisor runs."""
    if stream.subscriptions:
        publish(events.ChildStarted(sup, child.spec.id, child.ref, child.incarnation))


def child_ignored(sup: ServerRef, child: Child) -> None:
    """Publish the event that a child of a supervisor had nothing to do."""
    if stream.subscriptions:
        publish(events.ChildIgnored(sup, child.spec.id))


def child_exited(sup: ServerRef, child: Child, reason: ExitReason, action: restart.Action) -> None:
    """Publish the event that a child ended by itself, and that *action* follows."""
    if is_orderly(reason) and isinstance(action, restart.Leave) and not stream.subscriptions:
        return
    siblings = action.stop if isinstance(action, restart.StartAgain) else ()
    outcome = events.Outcome.STOPS_TOO if sup.cell.stopped_with_all else _OUTCOMES[type(action)]
    publish(
        events.ChildExited(
            sup, child.spec.id, child.ref, reason, outcome, tuple(reversed(siblings))
        )
    )


def child_terminated(
    sup: ServerRef, child: Child, reason: ExitReason, *, is_dynamic: bool = False
) -> None:
    """Publish the event that a supervisor has terminated a child."""
    spec = child.spec
    came_first = child.ref.cell.stopped_with_all and reason == Normal()  # pykka's stop_all
    clean = came_first or is_clean(spec, reason, is_dynamic=is_dynamic)
    if not clean or stream.subscriptions:
        publish(events.ChildTerminated(sup, spec.id, child.ref, reason, spec.shutdown_time, clean))


def restart_failed(sup: ServerRef, child: Child, error: Exception, retry_in: float) -> None:
    """Publish the event that a supervisor's restart of a child failed and will be tried again."""
    publish(events.RestartFailed(sup, child.spec.id, error, retry_in))


def gave_up(sup: ServerRef, child: Child, intensity: RestartIntensity) -> None:
    """Publish the event that a supervisor ends after too many restarts, the last of *child*."""
    publish(
        events.GaveUp(
            sup, child.spec.id, child.last_exit, intensity.max_restarts, intensity.max_seconds
        )
    )


def boot_failed(sup: ServerRef, child: Child, error: Exception) -> None:
    """Publish the event that a supervisor cannot start because *child* does not."""
    publish(events.BootFailed(sup, child.spec.id, error))


def unexpected(sup: ServerRef, message: Any) -> None:
    """Publish the event that a supervisor received a message that it does not understand."""
    publish(events.Unexpected(sup, message))
