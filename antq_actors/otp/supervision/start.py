"""Starting one child: what its start function may do, and how a failure is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antq_actors import forked_child
from antq_actors.otp.kernel.cell import ServerRef, current_cell, fence
from antq_actors.otp.kernel.errors import StartError
from antq_actors.otp.kernel.messages import IGNORE
from antq_actors.otp.kernel.reasons import Crash, ExitReason
from antq_actors.otp.messaging.links import link
from antq_actors.otp.messaging.names import AlreadyStarted

if TYPE_CHECKING:
    from collections.abc import Hashable

    from antq_actors.otp.kernel.child_spec import ChildSpec


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
    except AlreadyStarted:
        raise
    except StartError as error:
        fence()
        raise _start_error(spec.id, error.reason, _origin(error)) from _origin(error)
    except BaseException as error:
        # Not only Exception: a sys.exit() in one child's start is that child's failure.
        forked_child.end_if_forked(since, error)
        fence()
        raise _start_error(spec.id, Crash(error), error) from error
    if forked_child.generation != since:
        forked_child.end()
    me = current_cell()
    parent = started.cell.parent if type(started) is ServerRef else None
    if parent is not None and parent.cell is me:
        return started  # as nearly all do
    return _checked(spec, started)


def _checked(spec: ChildSpec, started: object) -> Any:
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
    """Return what stopped an actor from starting; a supervisor's own StartError names its child."""
    if error.child_id is None and error.__cause__ is not None:
        return error.__cause__
    return error


def _start_error(child_id: Hashable, reason: ExitReason, origin: BaseException) -> StartError:
    is_told = isinstance(origin, StartError)
    why = str(origin) if is_told else f"{type(origin).__name__}: {origin}"
    return StartError(reason, child_id, f"child {child_id!r} did not start: {why}")
