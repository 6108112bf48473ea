"""The living tree as plain values, which another process can be sent and decisions be tried on.

Every actor has an id that is unique below its root and outlives its restarts: the ids of the
children from the root down to it. A child of a dynamic supervisor has none of its own, so it has
its registered name there, else the name that it is logged by, and a new one after a restart.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote

from antq_actors.checks import short_repr
from antq_actors.introspection import NOT_SHOWN
from antq_actors.otp.inspect.tree import entry_of, facts_of, line_of, table_of
from antq_actors.otp.messaging.names import find_living
from antq_actors.otp.supervision.dynamic import DynamicSupervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from antq_actors.otp.inspect.tree import Node
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination
    from antq_actors.otp.supervision.restart import Child, Rules

MOST_CHILDREN: Final = 50
"""Children of a dynamic supervisor that are shown; beyond that they are folded."""
SHOWN_OF_FOLDED: Final = 20
"""Those of folded children that are shown: the ones with the longest mailboxes."""
LONGEST_TEXT: Final = 200
"""Characters of a reason for an exit."""

MAILBOX_BOUNDS: Final = (1, 10, 100)
AGE_BOUNDS: Final = (1.0, 60.0, 3_600.0)
RESTART_BOUNDS: Final = (1, 2, 10)
"""The bounds of histograms: below the first, from it to below the second, and so on."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What an actor is at."""

    callback: str
    message: str
    """The type of the message: what is in it may be anything, and secret."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The restarts that a supervisor allows within its window."""

    max: int
    seconds: float
    used: int
    left: int
    full_in: float
    """Seconds until no restart is within the window any more; 0.0: none is."""
    ages: tuple[float, ...] = field(default=(), metadata=NOT_SHOWN)
    """How many seconds ago the restarts in the window were."""


@dataclass(frozen=True, slots=True)
class Folded:
    """Children that are too many to be shown, as histograms."""

    count: int
    mailbox: tuple[int, ...]
    """How many have a mailbox shorter than each of `MAILBOX_BOUNDS`, and how many have none of
    those."""
    age: tuple[int, ...]
    restarts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorView:
    """An actor, as it was when the snapshot was taken."""

    id: str
    name: str
    kind: str
    """"worker" or "supervisor"."""
    state: str
    mailbox: int
    uptime: float
    restarts: int
    incarnation: int
    last_exit: str | None
    handling: Handled | None
    waits_for: str | None
    strategy: str | None
    """Of a supervisor."""
    budget: Budget | None
    """Of a supervisor."""
    children: tuple[ActorView, ...]
    folded: Folded | None
    restart: str = field(default="permanent", metadata=NOT_SHOWN)
    """When its supervisor starts it again."""
    significant: bool = field(default=False, metadata=NOT_SHOWN)
    auto_shutdown: str = field(default="never", metadata=NOT_SHOWN)
    is_dynamic: bool = field(default=False, metadata=NOT_SHOWN)
    """Whether each of its children is on its own."""
    traps_exits: bool = field(default=False, metadata=NOT_SHOWN)
    """Whether an exit signal is a message for it, and does not end it."""
    urn: str | None = field(default=None, metadata=NOT_SHOWN)
    """Of this incarnation alone; None: it does not run."""

    def walk(self) -> Iterator[ActorView]:
        """Yield the actor and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


Note: TypeAlias = "Callable[[str, ActorCell], None]"


class _Wanted(NamedTuple):
    """What a snapshot is to have."""

    note: Note
    shown: str
    most: int | None


def snapshot(
    dest: Destination,
    note: Note = lambda _id, _cell: None,
    shown: str | None = None,
    *,
    most: int | None = MOST_CHILDREN,
) -> ActorView:
    """Return the tree below *dest*, without waiting for any actor.

    *note* is called with the id and the cell of each actor that is shown and lives. Of a dynamic
    supervisor with more than *most* children (None: any number) they are folded; the actor with the
    id *shown* is there all the same. Raises CallExit(NoProc()).
    """
    cell = find_living(dest)
    place = _part(str(cell) if cell.name is None else cell.name)
    return _view(entry_of(cell), place, _Wanted(note, shown or "", most))


def find_by_id(dest: Destination, id_: str) -> ActorCell | None:
    """Return the living actor below *dest* that a snapshot gives this id; None: there is none.

    Raises CallExit(NoProc()).
    """
    root = find_living(dest)
    place = _part(str(root) if root.name is None else root.name)
    child: Child = entry_of(root)
    while place != id_:
        if not id_.startswith(place + "/"):
            return None
        _, actor = facts_of(child)
        found = next(
            ((each, path) for each, path in children_of(actor, place) if leads_to(path, id_)),
            None,
        )
        if found is None:
            return None
        child, place = found
    return child.ref.cell if child.is_running else None


def search_children(dest: Destination, place: str, text: str) -> tuple[ActorView, ...]:
    """Return the first children of the supervisor with the id *place* whose names have *text*.

    Without what is below them, `SHOWN_OF_FOLDED` at most. Raises CallExit(NoProc()), and
    LookupError for an actor that does not run.
    """
    cell = find_by_id(dest, place)
    actor = None if cell is None else facts_of(entry_of(cell))[1]
    if actor is None:
        raise LookupError(f"there is no actor {short_repr(place)} that runs")
    views = (view_alone(each, path) for each, path in children_of(actor, place))
    return tuple(islice((view for view in views if text in view.name), SHOWN_OF_FOLDED))


def id_of(supervisor: ActorCell, child_id: object, child: ActorCell | None = None) -> str:
    """Return the id of a supervisor's child, also of one that has just ended."""
    own = str(child_id)
    if child is not None and _is_dynamic(supervisor):
        own = str(child) if child.name is None else child.name
    return f"{place_of(supervisor)}/{_part(own)}"


def place_of(actor: ActorCell) -> str:
    """Return the id of an actor that lives."""
    parts: list[str] = []
    cell: ActorCell | None = actor
    while cell is not None:
        above = None if cell.parent is None else cell.parent.cell
        entry = None if above is None or _is_dynamic(above) else line_of(cell)
        name = str(cell) if cell.name is None else cell.name
        parts.append(_part(name if entry is None else str(entry.spec.id)))
        cell = above
    return "/".join(reversed(parts))


def _is_dynamic(cell: ActorCell) -> bool:
    return issubclass(cell.ref.actor_class, DynamicSupervisor)


def children_of(actor: Any, place: str) -> Iterator[tuple[Child, str]]:
    """Yield the children of an actor object, whose id is *place*, with their ids."""
    rules: Rules | None = getattr(actor, "published_rules", None)
    for child in table_of(actor):
        name = str(child.spec.id)
        if rules is not None and rules.is_dynamic and child.is_running:
            cell = child.ref.cell
            name = str(cell) if cell.name is None else cell.name
        yield child, f"{place}/{_part(name)}"


def _part(name: str) -> str:
    return quote(name, safe=" .:_-<>")


def _view(child: Child, id_: str, wanted: _Wanted) -> ActorView:
    node, actor = facts_of(child)
    if actor is not None:
        wanted.note(id_, child.ref.cell)
    view = _alone(child, id_, node, actor)
    table = list(children_of(actor, id_))
    folded = None
    if view.is_dynamic and wanted.most is not None and len(table) > wanted.most:
        folded = _fold([facts_of(each)[0] for each, _ in table])
        asked = [each for each in table if leads_to(each[1], wanted.shown)]
        table.sort(key=lambda entry: _mailbox(entry[0]), reverse=True)
        del table[SHOWN_OF_FOLDED:]
        paths = {path for _, path in table}
        table += [each for each in asked if each[1] not in paths]
    children = tuple(_view(each, path, wanted) for each, path in table)
    return replace(view, children=children, folded=folded)


def leads_to(place: str, id_: str) -> bool:
    """Return whether the actor with an id is the one at *place*, or below it."""
    return id_ == place or id_.startswith(place + "/")


def view_alone(child: Child, id_: str) -> ActorView:
    """Return an entry of a supervisor's table as it is now, without what is below it."""
    return _alone(child, id_, *facts_of(child))


def _alone(child: Child, id_: str, node: Node, actor: Any) -> ActorView:
    rules: Rules | None = getattr(actor, "published_rules", None)
    return ActorView(
        id=id_,
        name=node.name,
        kind=node.kind,
        state=node.state.value,
        mailbox=node.mailbox_length,
        uptime=node.uptime,
        restarts=node.restarts,
        incarnation=node.incarnation,
        last_exit=None if node.last_exit is None else _cut(str(node.last_exit)),
        handling=_handled(node),
        waits_for=node.waits_for,
        strategy=None if rules is None else rules.strategy.value,
        budget=None if rules is None else budget_of(rules, time.monotonic()),
        children=(),
        folded=None,
        restart=child.spec.restart.value,
        significant=child.spec.significant,
        auto_shutdown="never" if rules is None else rules.auto_shutdown.value,
        is_dynamic=rules is not None and rules.is_dynamic,
        traps_exits=actor is not None and child.ref.cell.trap_exit,
        urn=None if actor is None else child.ref.actor_urn,
    )


def budget_of(rules: Rules, now: float) -> Budget:
    """Return the restarts that a supervisor has left at *now*, on the monotonic clock.

    >>> from antq_actors.otp.kernel.child_spec import AutoShutdown, Strategy
    >>> from antq_actors.otp.supervision.restart import RestartIntensity, Rules
    >>> intensity = RestartIntensity(3, 5.0).record(10.0).record(12.0)
    >>> budget_of(Rules(Strategy.ONE_FOR_ONE, AutoShutdown.NEVER, intensity), 13.0)
    Budget(max=3, seconds=5.0, used=2, left=1, full_in=4.0, ages=(3.0, 1.0))
    """
    intensity = rules.intensity
    ages = tuple(now - then for then in intensity.recent if now - then <= intensity.max_seconds)
    return Budget(
        max=intensity.max_restarts,
        seconds=intensity.max_seconds,
        used=len(ages),
        left=intensity.left(now),
        full_in=max(0.0, intensity.max_seconds - ages[-1]) if ages else 0.0,
        ages=ages,
    )


def _handled(node: Node) -> Handled | None:
    handling = node.handling
    if handling is None:
        return None
    return Handled(handling.callback, type(handling.message).__name__, handling.seconds)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _mailbox(child: Child) -> int:
    return len(child.ref.cell.mailbox) if child.is_running else 0


def _fold(nodes: Sequence[Node]) -> Folded:
    return Folded(
        len(nodes),
        _histogram([node.mailbox_length for node in nodes], MAILBOX_BOUNDS),
        _histogram([node.uptime for node in nodes], AGE_BOUNDS),
        _histogram([node.restarts for node in nodes], RESTART_BOUNDS),
    )


def _histogram(values: Sequence[float], bounds: Sequence[float]) -> tuple[int, ...]:
    """Return how many values are below each bound and not below the one before, then the rest."""
    places = Counter(sum(value >= bound for bound in bounds) for value in values)
    return tuple(places[place] for place in range(len(bounds) + 1))
