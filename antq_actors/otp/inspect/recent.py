"""What supervisors did lately, kept for those who come later: the events that are logged as well.

Others are not made unless someone listens, so keeping these costs nothing as long as all is well.
Each is kept with what it changed, as it was before, so that the tree of that moment can be shown.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from antq_actors.otp.events import (
    BootFailed,
    ChildExited,
    ChildTerminated,
    GaveUp,
    Outcome,
    RestartFailed,
    stream,
)
from antq_actors.otp.inspect.snapshot import (
    ActorView,
    budget_of,
    children_of,
    id_of,
    place_of,
    view_alone,
)
from antq_actors.otp.inspect.tree import entry_of, table_of
from antq_actors.otp.inspect.waits import note_cycle
from antq_actors.otp.kernel.child_spec import ChildSpec, Restart
from antq_actors.otp.kernel.reasons import is_orderly
from antq_actors.otp.messaging import deadlock
from antq_actors.otp.supervision.restart import Child, ChildState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from antq_actors.otp.events import Event
    from antq_actors.otp.kernel.cell import ActorCell, ServerRef
    from antq_actors.otp.supervision.restart import Rules

KEPT_SECONDS: Final = 600.0
MOST_KEPT: Final = 1_000
LONGEST_TEXT: Final = 1_000
"""Characters of a reason."""
MOST_BEFORE: Final = 20
"""Actors that are kept with an event as they were before it."""


@dataclass(frozen=True, slots=True)
class Before:
    """What an event changed, as it was before."""

    clock: float
    """When that was, on the monotonic clock of the process, by which uptimes go."""
    supervisor: ActorView
    """Without what was below it."""
    actors: tuple[ActorView, ...]
    """Those that ended or were to be started again, without what was below them."""


@dataclass(frozen=True, slots=True)
class TreeEvent:
    """Something that a supervisor did."""

    at: datetime
    kind: str
    """"exited", "terminated", "restart failed", "gave up" or "boot failed"."""
    actor: str
    """The id of the child that it is about."""
    reason: str
    outcome: str | None = None
    """What the supervisor does about a child that ended."""
    siblings: tuple[str, ...] = ()
    """Ids of those that are started again with it."""


_COUNTED: Final = (Outcome.RESTARTS, Outcome.GIVES_UP)
"""What counts as a restart."""
_ENDS_ALL: Final = (Outcome.GIVES_UP, Outcome.SHUTS_DOWN)

_kept: Final[deque[tuple[TreeEvent, Before]]] = deque(maxlen=MOST_KEPT)


@dataclass(slots=True)
class _Counter:
    number: int = 0


_counter: Final = _Counter()

_told: Final[dict[str, Callable[[str, str], None]]] = {}
"""Who is told that a supervisor gave up, by the id of the root below which it is they alone."""


def count() -> int:
    """Return how many events of supervisors there were; whoever looks again sees what is new."""
    return _counter.number


def record() -> None:
    """Keep what supervisors of this process do from now on, and the rings of actors that wait.

    Calling it again does nothing.
    """
    stream.recorder = _note
    deadlock.recorder = note_cycle


def on_gave_up(root: str, listener: Callable[[str, str], None]) -> None:
    """Have *listener* called with the id of each supervisor that gives up from now on, and why.

    That is one below the id *root*, or below none for which this was called. It is called in the
    supervisor's thread, and must neither raise nor wait. Until :func:`forget_root`.
    """
    _told[root] = listener


def forget_root(root: str) -> None:
    """Call the listener of *root* no more; once more is no error."""
    _told.pop(root, None)


def recent(root: str, begin: float) -> list[tuple[TreeEvent, Before]]:
    """Return what is kept of actors below the id *root* since *begin*, the oldest first.

    *begin* is on the monotonic clock: there may have been another root of this id before. Each
    event comes with what it changed, as that was before.
    """
    since = max(begin, time.monotonic() - KEPT_SECONDS)
    return [
        (event, before)
        for event, before in list(_kept)
        if before.clock >= since and event.actor.startswith(root + "/")
    ]


def _note(event: Event) -> None:
    clock = time.monotonic()
    found = _kept_of(event)
    if found is not None:
        _kept.append((found, _before(event, clock)))
        _counter.number += 1
    if isinstance(event, GaveUp) and _told:
        _tell(place_of(event.supervisor.cell), _text(event.reason))


def _tell(supervisor: str, reason: str) -> None:
    told = dict(_told)
    own = told.get(supervisor.partition("/")[0])
    for listener in told.values() if own is None else (own,):
        listener(supervisor, reason)


def _kept_of(event: Any) -> TreeEvent | None:
    """Return what is kept of an event; None: it is an everyday one."""
    now = datetime.now(UTC)
    child: Any = None
    reason: Any
    match event:
        case ChildExited():
            return _kept_of_exit(event, now)
        case ChildTerminated(is_clean=False):
            kind, child, reason = "terminated", event.ref.cell, event.reason
        case RestartFailed():
            kind, reason = "restart failed", event.error
        case GaveUp():
            kind, reason = "gave up", event.reason
        case BootFailed():
            kind, reason = "boot failed", event.error
        case _:
            return None
    actor = id_of(event.supervisor.cell, event.child_id, child)
    return TreeEvent(now, kind, actor, _text(reason))


def _kept_of_exit(event: ChildExited, now: datetime) -> TreeEvent | None:
    if event.outcome is Outcome.LEAVES and (
        is_orderly(event.reason)
        or getattr(event.ref.actor_class, "end_is_reported_elsewhere", False)
    ):
        return None
    supervisor = event.supervisor.cell
    actor = id_of(supervisor, event.child_id, event.ref.cell)
    siblings = tuple(id_of(supervisor, each) for each in event.siblings)
    return TreeEvent(now, "exited", actor, _text(event.reason), event.outcome.value, siblings)


def _before(event: Any, clock: float) -> Before:
    """Return what an event changes, as it was: its supervisor has noted the end, and done no more.

    It runs in the supervisor's thread.
    """
    supervisor: ActorCell = event.supervisor.cell
    actor = supervisor.ref._actor_weakref()  # noqa: SLF001 - pykka's
    view = view_alone(entry_of(supervisor), place_of(supervisor))
    if isinstance(event, ChildExited) and event.outcome in _COUNTED and actor is not None:
        rules: Rules = actor.published_rules
        recent = rules.intensity.recent[:-1]  # without this one's own
        rules = rules._replace(intensity=replace(rules.intensity, recent=recent))
        view = replace(view, budget=budget_of(rules, time.monotonic()))
    views = [*_ended(event, supervisor, table_of(actor)), *_others(event, supervisor, actor)]
    return Before(clock, view, tuple(views))


def _ended(event: Any, supervisor: ActorCell, table: Iterable[Child]) -> Iterator[ActorView]:
    """Yield the child that an event is about; where it has just ended, as it lived."""
    ref: ServerRef | None = getattr(event, "ref", None)
    cell = None if ref is None else ref.cell
    found = next((each for each in table if ref is not None and each.ref is ref), None)
    if found is None:
        found = next((each for each in table if each.spec.id == event.child_id), None)
    is_another = found is not None and found.is_running and found.ref is not ref
    if cell is not None and (found is None or is_another):  # its supervisor has forgotten it
        spec = ChildSpec(
            event.child_id, print, restart=Restart.TEMPORARY, type=cell.actor_class.child_type
        )
        found = Child(spec, incarnation=1)
    if found is None:
        return
    view = view_alone(found, id_of(supervisor, event.child_id, cell))
    if cell is not None:
        view = replace(
            view,
            name=view.name if cell.name is None else cell.name,
            state=ChildState.RUNNING.value,
            uptime=time.monotonic() - cell.started_at,
            last_exit=None,
            traps_exits=cell.trap_exit,
            urn=cell.actor_urn,
        )
    yield view


def _others(event: Any, supervisor: ActorCell, actor: Any) -> Iterator[ActorView]:
    """Yield the children that are stopped because of an event, as they still run."""
    ends_all = isinstance(event, GaveUp) or getattr(event, "outcome", None) in _ENDS_ALL
    siblings = getattr(event, "siblings", ())
    if not (ends_all or siblings):
        return
    others = (
        (child, path)
        for child, path in children_of(actor, place_of(supervisor))
        if child.is_running and (ends_all or child.spec.id in siblings)
        if child.spec.id != event.child_id
    )
    for child, path in islice(others, MOST_BEFORE):
        yield view_alone(child, path)


def _text(reason: Any) -> str:
    try:
        text = str(reason)
    except Exception as error:  # noqa: BLE001 - the str of an exception is anyone's code
        return f"{type(reason).__name__}, whose text cannot be had: {type(error).__name__}"
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
