"""The requests that a supervisor handles, and how it refuses them.

A handler that raises ends its actor, and a supervisor must not end because a caller named a child
that does not exist. So a refusal is a reply, which is raised in the caller's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from antq_actors.otp.kernel.messages import NOREPLY, _Marker
from antq_actors.otp.messaging.calls import call, reply_error

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from antq_actors.otp.kernel.child_spec import ChildSpec, ChildType
    from antq_actors.otp.messaging.names import Destination
    from antq_actors.otp.supervision.restart import Child

RESTARTING: Final = _Marker("RESTARTING")
"""In place of a ref: the child ended, starting it again failed, and will be tried again."""


Start: TypeAlias = "tuple[ChildSpec, tuple[Any, ...]]"
"""A spec, and what its start function is given besides the spec's own arguments."""


class ChildInfo(NamedTuple):
    """One child, as ``which_children`` returns it."""

    id: Hashable
    """None under a DynamicSupervisor, which knows its children by ref."""
    ref: Any
    """The running actor, ``RESTARTING``, or None."""
    type: ChildType


class Counts(NamedTuple):
    """What ``count_children`` counts."""

    specs: int
    """All children, running or not."""
    active: int
    """Those whose actors are alive."""
    supervisors: int
    workers: int
    """Children of type "worker", running or not."""


class StartChild(NamedTuple):
    """Start a child. The reply is its ref or IGNORE."""

    spec: ChildSpec


class StartChildren(NamedTuple):
    """Start many children. The reply has for each its ref, IGNORE, or the error."""

    starts: Sequence[Start]


class TerminateChild(NamedTuple):
    """Stop a child by id, or by ref under a DynamicSupervisor."""

    child: Any


class RestartChild(NamedTuple):
    """Start a child that does not run."""

    id: Hashable


class DeleteChild(NamedTuple):
    """Forget a child that does not run."""

    id: Hashable


class GetChildSpec(NamedTuple):
    """Get the spec of a child."""

    id: Hashable


class WhichChildren(NamedTuple):
    """Get a list of `ChildInfo`."""


class CountChildren(NamedTuple):
    """Get the `Counts`."""


def count(children: Iterable[Child]) -> Counts:
    """Count *children* as OTP does (rule 57)."""
    specs = active = supervisors = 0
    for child in children:
        specs += 1
        active += child.is_running and child.ref.cell.reason is None
        supervisors += child.spec.type == "supervisor"
    return Counts(specs, active, supervisors, workers=specs - supervisors)


def ask(sup: Destination, request: object) -> Any:
    """Send *request* to the supervisor *sup* and wait without a time limit, as OTP does."""
    return call(sup, request, timeout=None)


def refuse(from_: Any, error: Exception) -> Any:
    """Raise *error* in the caller's thread; the supervisor goes on."""
    if from_ is None:  # a plain ask: what is raised here goes to its caller only
        raise error
    reply_error(from_, error)
    return NOREPLY
