"""How a child is started, and how it is stopped: a signal, a timeout, a kill (otp rules 40–43).

A supervisor waits on a watch of its own and not on the link, so that a child that unlinked itself
cannot make it wait for ever. After a kill it waits without a limit, which is safe: a kill declares
the actor dead.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pykka._envelope import Envelope

from antq_actors import forked_child
from antq_actors.otp.kernel.cell import ServerRef, current_cell, fence
from antq_actors.otp.kernel.child_spec import BRUTAL_KILL, Restart
from antq_actors.otp.kernel.errors import CallCycle, StartError
from antq_actors.otp.kernel.messages import IGNORE, StopRequest
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed, NoProc, Shutdown, is_orderly
from antq_actors.otp.kernel.stopping import wake_in_turn
from antq_actors.otp.messaging.deadlock import DeathWatch
from antq_actors.otp.messaging.links import link
from antq_actors.otp.messaging.names import AlreadyStarted

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from antq_actors.otp.kernel.child_spec import ChildSpec, ShutdownTime
    from antq_actors.otp.kernel.reasons import ExitReason


class Target(NamedTuple):
    """An actor to be terminated."""

    ref: ServerRef
    shutdown: ShutdownTime
    drain: bool = False
    """Whether its mailbox is emptied first."""


def terminate(ref: ServerRef, shutdown: ShutdownTime, *, drain: bool = False) -> ExitReason:
    """Stop one child actor, kill it after *shutdown* seconds, and return its exit reason."""
    return terminate_together([Target(ref, shutdown, drain)])[0]


def terminate_together(targets: Sequence[Target]) -> list[ExitReason]:
    """Stop child actors at once, kill the late ones, and return their exit reasons."""
    fence()
    began = time.monotonic()
    watches = [DeathWatch(target.ref) for target in targets]
    me = current_cell()
    for ref, shutdown, drain in targets:
        if drain:
            ref.cell.mailbox.deliver(Envelope(StopRequest(Shutdown())), wake=False)
        else:
            reason = Killed() if shutdown is BRUTAL_KILL else Shutdown()
            ref.cell.exit(me, reason, wake=False)
    wake_in_turn([target.ref.cell.mailbox for target in targets])
    # The shortest timeouts first: while this thread waits for one child, no other is overdue.
    # Among equal ones the last first: it was woken last, so waiting for it is usually the only
    # wait, and this thread does not wake once for each child.
    last_first = range(len(targets) - 1, -1, -1)
    in_time = sorted(last_first, key=lambda i: _seconds(targets[i].shutdown))
    for i in in_time:
        ref, shutdown, _ = targets[i]
        if shutdown is BRUTAL_KILL:
            continue
        if not _ends_within(watches[i], _left(began, shutdown)):
            ref.cell.kill()
    return [_reason(watch, each.ref) for watch, each in zip(watches, targets, strict=True)]


def is_clean(spec: ChildSpec, reason: ExitReason, *, is_dynamic: bool = False) -> bool:
    """Return whether *reason* is as it should be for a child that was terminated (otp rule 43).

    The reason of a permanent child must have no detail of its own, unless it *is_dynamic*.
    """
    if spec.shutdown_time is BRUTAL_KILL and reason == Killed():
        return True
    if reason == Shutdown() or (is_dynamic and isinstance(reason, Shutdown)):
        return True
    return is_orderly(reason) and spec.restart is not Restart.PERMANENT


def _ends_within(watch: DeathWatch, timeout: float | None) -> bool:
    try:
        return watch.wait(timeout) is not None
    except CallCycle:
        return False  # it waits for this supervisor to end, so it cannot end itself


def _seconds(shutdown: ShutdownTime) -> float:
    return 0.0 if shutdown is BRUTAL_KILL else shutdown


def _left(began: float, shutdown: float) -> float | None:
    if shutdown >= threading.TIMEOUT_MAX:  # math.inf, too
        return None
    return max(0.0, began + shutdown - time.monotonic())


def _reason(watch: DeathWatch, ref: ServerRef) -> ExitReason:
    reason = watch.wait(None)
    if reason is None or isinstance(reason, NoProc):
        # It had ended before it was watched; its cell still has the reason.
        return ref.cell.reason or NoProc()
    return reason


def start_child(
    spec: ChildSpec, extra_args: tuple[Any, ...] = (), more_args: tuple[Any, ...] = ()
) -> Any:
    """Run the start function of *spec* in this supervisor's thread; return the ref or IGNORE.

    Raises AlreadyStarted if the child's name is taken, and StartError with the child's id for
    every other way to fail. Does not return to the thread of a supervisor that was killed.
    """
    since = forked_child.generation
    try:
        started = spec.start(*extra_args, *spec.args, *more_args, **spec.kwargs)
    except BaseException as error:  # noqa: BLE001 - a sys.exit() in its start is its failure, too
        raise_start_failure(spec, error, since)
    return checked_child(spec, started, since)


def raise_start_failure(spec: ChildSpec, error: BaseException, since: int) -> NoReturn:
    """Raise the StartError for *error*, raised by the start function of *spec*.

    *since* is the generation of this process before the start (`forked_child`).
    """
    if isinstance(error, AlreadyStarted):
        raise error
    if isinstance(error, StartError):
        fence()
        raise _start_error(spec.id, error.reason, _origin(error)) from _origin(error)
    forked_child.end_if_forked(since, error)
    fence()
    raise _start_error(spec.id, Crash(error), error) from error


def checked_child(spec: ChildSpec, started: object, since: int) -> Any:
    """Return what a child's start function returned, if it is a ref or IGNORE; link the ref."""
    forked_child.end_if_forked(since)
    if started is IGNORE:
        return IGNORE
    if not isinstance(started, ServerRef):
        error = TypeError(
            f"start of child {spec.id!r} must return a ServerRef or IGNORE, got {started!r}; "
            "a plain pykka actor becomes a child with supervised(ItsClass)"
        )
        raise _start_error(spec.id, Crash(error), error) from error
    me = current_cell()
    if me is not None and started.cell.parent is not me.ref:
        link(started)  # a start function that forgot it would leave a child that dies unseen
    return started


def _origin(error: StartError) -> BaseException:
    """Return the first cause of a StartError, below those of supervisors that name their child."""
    if error.child_id is None and error.__cause__ is not None:
        return error.__cause__
    return error


def _start_error(child_id: Hashable, reason: ExitReason, origin: BaseException) -> StartError:
    is_told = isinstance(origin, StartError)
    why = str(origin) if is_told else f"{type(origin).__name__}: {origin}"
    return StartError(reason, child_id, f"child {child_id!r} did not start: {why}")
