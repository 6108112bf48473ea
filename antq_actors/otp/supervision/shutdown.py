"""The shutdown protocol: a word, some time, then the kill (otp rules 40–43).

A supervisor waits on a watch of its own and not on the link, so that a child that unlinked itself
cannot make it wait for ever. After a kill it waits without a limit: there is none, a kill declares
the actor dead.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from pykka._envelope import Envelope

from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.child_spec import BRUTAL_KILL, Restart
from antq_actors.otp.kernel.errors import CallCycle
from antq_actors.otp.kernel.messages import StopRequest
from antq_actors.otp.kernel.reasons import Killed, NoProc, Shutdown, is_orderly
from antq_actors.otp.messaging.watch import DeathWatch
from antq_actors.otp.supervision.wakeups import wake_in_turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.otp.kernel.child_spec import ChildSpec, ShutdownTime
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.kernel.ref import ServerRef


class Victim(NamedTuple):
    """An actor that is to end."""

    ref: ServerRef
    shutdown: ShutdownTime
    drain: bool = False
    """Whether the order waits behind the messages that it has."""


def terminate(ref: ServerRef, shutdown: ShutdownTime, *, drain: bool = False) -> ExitReason:
    """End one child and answer the reason it ended with."""
    return terminate_together([Victim(ref, shutdown, drain)])[0]


def terminate_together(victims: Sequence[Victim]) -> list[ExitReason]:
    """End many children at once and answer their reasons; it takes as long as the slowest."""
    current.fence()
    began = time.monotonic()
    watches = [DeathWatch(victim.ref) for victim in victims]
    me = current.process()
    for ref, shutdown, drain in victims:
        if drain:
            ref.process.mailbox.deliver(Envelope(StopRequest(Shutdown())), wake=False)
        else:
            reason = Killed() if shutdown is BRUTAL_KILL else Shutdown()
            ref.process.exit(me, reason, wake=False)
    wake_in_turn([victim.ref.process.mailbox for victim in victims])
    # Those with the least time first: while one is waited for, none of the others is overdue.
    # Among equals the last first: it was woken last, so that the wait for it is most often the only
    # one, and this thread does not wake for each.
    last_first = range(len(victims) - 1, -1, -1)
    in_time = sorted(last_first, key=lambda i: _seconds(victims[i].shutdown))
    for i in in_time:
        ref, shutdown, _ = victims[i]
        if shutdown is BRUTAL_KILL:
            continue
        if not _ends_within(watches[i], _left(began, shutdown)):
            ref.process.kill()
    return [_reason(watch, each.ref) for watch, each in zip(watches, victims, strict=True)]


def is_clean(spec: ChildSpec, reason: ExitReason, *, is_dynamic: bool = False) -> bool:
    """Say whether a child that was told to end did so as it should (otp rule 43).

    A permanent one may not end with a detail of its own, unless it *is_dynamic*.
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
        return False  # it waits for the end of this supervisor, so it will not come to its own


def _seconds(shutdown: ShutdownTime) -> float:
    return 0.0 if shutdown is BRUTAL_KILL else shutdown


def _left(began: float, shutdown: float) -> float | None:
    if shutdown >= threading.TIMEOUT_MAX:  # math.inf, too
        return None
    return max(0.0, began + shutdown - time.monotonic())


def _reason(watch: DeathWatch, ref: ServerRef) -> ExitReason:
    reason = watch.wait(None)
    if reason is None or isinstance(reason, NoProc):
        # It had ended before it was watched; its process remembers how.
        return ref.process.reason or NoProc()
    return reason
