"""Harm on purpose, with what was predicted and what came of it beside each other.

It is for those who want to see what supervision does, in a course or on a slow afternoon.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.checks import real, short_repr
from antq_actors.otp.events import GaveUp
from antq_actors.otp.events.stream import subscribe
from antq_actors.otp.inspect import chaos, predict
from antq_actors.otp.inspect.predict import Prediction
from antq_actors.otp.inspect.snapshot import find_by_id, snapshot
from antq_actors.otp.kernel.errors import CallExit, CallTimeout
from antq_actors.otp.kernel.reasons import Shutdown
from antq_actors.otp.messaging.links import exit as exit_
from antq_actors.otp.supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from antq_actors.otp.events import Event
    from antq_actors.otp.inspect.snapshot import ActorView
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination

SETTLE_SECONDS: Final = 5.0
"""Longest wait for the supervisors to have dealt with it."""
POLL_SECONDS: Final = 0.1
"""Between two looks, unless a supervisor does something earlier."""
MOST_SECONDS: Final = 60.0
"""Longest time for which an actor hangs or is slow: harm ends by itself."""
PAUSE_SECONDS: Final = 0.2
"""How long a slow actor waits before each message."""


@dataclass(frozen=True, slots=True)
class Harm:
    """What was predicted of a verb, and what came of it."""

    prediction: Prediction
    actual: Prediction
    agrees: bool
    recovered_in: float | None = None
    """Seconds from the actor's end until all was started again; None: nothing was."""


def harm(root: Destination, actor: str, verb: str, seconds: float = 5.0) -> Harm:
    """Do *verb* to the actor with an id below *root*, and return what came of it.

    *verb* is crash, exit, kill, hang or slow; the last two are for *seconds*, at most
    `MOST_SECONDS`. Raises TypeError, ValueError, LookupError, CallExit, CallTimeout.
    """
    if real(seconds) is None:
        raise TypeError(f"seconds must be a number, such as 5.0, got {short_repr(seconds)}")
    if not 0 < seconds <= MOST_SECONDS:
        raise ValueError(f"seconds must be above 0 and at most {MOST_SECONDS:.0f}, got {seconds}")
    before = snapshot(root, most=None)  # of a folded one, others may be shown afterwards
    prediction = predict.predict([before], actor, verb)
    cell = find_by_id(root, actor)
    if cell is None:
        raise LookupError(f"{actor} does not run")
    happened = _Happenings()
    ended = _End()
    if not cell.watch(ended, lambda _ref, _reason: ended.note()):
        ended.note()
    with subscribe(happened.note):
        _do(cell, verb, seconds)
        if prediction.restarted or prediction.stopped:
            ended.wait()
        actual = _settled(root, before, prediction, actor, happened)
        recovered = ended.seconds_since() if actual.restarted else None
    cell.unwatch(ended)
    return Harm(prediction, actual, agrees(prediction, actual), recovered)


class _End:
    """The end of an actor, and when it was."""

    def __init__(self) -> None:
        self._has_come = threading.Event()
        self._at: float | None = None

    def note(self) -> None:
        """Note that the actor has ended."""
        if self._at is None:
            self._at = time.monotonic()
        self._has_come.set()

    def wait(self) -> None:
        """Wait for it, a while."""
        self._has_come.wait(SETTLE_SECONDS)

    def seconds_since(self) -> float | None:
        """Return how long ago it was; None: it has not come."""
        return None if self._at is None else time.monotonic() - self._at


class _Happenings:
    """What supervisors do in the meantime."""

    def __init__(self) -> None:
        self._more = threading.Event()
        self._gave_up: list[str] = []

    def note(self, event: Event) -> None:
        """Note an event of a supervisor."""
        if isinstance(event, GaveUp):
            self._gave_up.append(event.supervisor.actor_urn)
        self._more.set()

    def wait(self, seconds: float) -> None:
        """Wait for another event."""
        self._more.wait(seconds)
        self._more.clear()

    def gave_up(self, urn: str | None) -> bool:
        """Return whether this supervisor gave up."""
        return urn in self._gave_up


def _settled(
    root: Destination,
    before: ActorView,
    prediction: Prediction,
    actor: str,
    happened: _Happenings,
) -> Prediction:
    """Return what came of it: when it is what was predicted, or has not become that in time."""
    places = [actor[:end] for end, mark in enumerate(actor) if mark == "/"]
    own = next((each for each in before.walk() if places and each.id == places[-1]), None)
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        after = None
        with suppress(CallExit):
            for place in reversed(places):  # each has dealt with what came before this call
                _sync(root, place)
            after = snapshot(root, most=None)
        gives_up = own is not None and happened.gave_up(own.urn)
        actual = what_came(before, after, actor, gives_up=gives_up)
        left = deadline - time.monotonic()
        if left <= 0 or agrees(prediction, actual):
            return actual
        happened.wait(min(left, POLL_SECONDS))


def _sync(root: Destination, place: str) -> None:
    supervisor = find_by_id(root, place)
    if supervisor is not None:
        with suppress(CallExit, CallTimeout):
            Supervisor.count_children(supervisor.ref)


def _do(cell: ActorCell, verb: str, seconds: float) -> None:
    match verb:
        case predict.CRASH:
            chaos.crash(cell.ref)
        case predict.EXIT:
            exit_(cell.ref, Shutdown())
        case predict.KILL:
            chaos.kill(cell.ref)
        case predict.HANG:
            chaos.hang(cell.ref, seconds)
        case predict.SLOW:
            slowness = chaos.slow(cell.ref, PAUSE_SECONDS)
            timer = threading.Timer(seconds, slowness.end)
            timer.daemon = True
            timer.start()


def what_came(
    before: ActorView, after: ActorView | None, actor: str, *, gives_up: bool
) -> Prediction:
    """Return what became of a tree, as a prediction says it."""
    restarted: list[str] = []
    stopped: list[str] = []
    known = {} if after is None else {each.id: each for each in after.walk()}
    _compare(before, known, restarted, stopped)
    place = actor.rpartition("/")[0]
    supervisor = known.get(place)
    was = next((each for each in before.walk() if each.id == place), None)
    parent = predict.STAYS
    if was is not None and (supervisor is None or supervisor.urn is None):
        parent = predict.ENDS
    elif was is not None and supervisor is not None and supervisor.urn != was.urn:
        parent = predict.RESTARTED
    budget = None if supervisor is None else supervisor.budget
    return Prediction(tuple(restarted), tuple(stopped), budget, gives_up, parent)


def _compare(
    before: ActorView, after: dict[str, ActorView], restarted: list[str], stopped: list[str]
) -> None:
    """Find what was restarted or stopped; not what is below it, which went with it."""
    now = after.get(before.id)
    if before.urn is None:  # it did not run, and may have been started with its siblings
        if now is not None and now.urn is not None:
            restarted.append(before.id)
        return
    if now is None or now.urn is None:
        stopped.append(before.id)
        return
    if now.urn != before.urn:
        restarted.append(before.id)
        return
    fresh = _fresh(before, now)
    for child in before.children:
        if before.is_dynamic and child.id not in after and child.incarnation + 1 in fresh:
            fresh.remove(child.incarnation + 1)
            restarted.append(child.id)
        else:
            _compare(child, after, restarted, stopped)


def _fresh(before: ActorView, now: ActorView) -> list[int]:
    """Return the incarnations of a dynamic supervisor's children that have a new name."""
    known = {child.id for child in before.children}
    return [child.incarnation for child in now.children if child.id not in known]


def agrees(prediction: Prediction, actual: Prediction) -> bool:
    """Return whether what came is what was predicted; restarts may leave the window meanwhile."""
    same = (
        sorted(prediction.restarted) == sorted(actual.restarted)
        and sorted(prediction.stopped) == sorted(actual.stopped)
        and prediction.gives_up is actual.gives_up
        and prediction.parent == actual.parent
    )
    if prediction.parent != predict.STAYS or prediction.budget is None or actual.budget is None:
        return same
    return same and actual.budget.used <= prediction.budget.used
