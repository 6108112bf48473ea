"""The trees of a node as they were before each event that is kept.

What there is now is taken back event by event, the newest first: each event was kept with what it
changed, as that was before. Of what no supervisor reports, such as an everyday start, only the
instant is known: an actor that was started later is left out, one that has ended in the meantime
without an event is not there. What an actor was at, and what waited for it, is not kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from antq_actors.checks import short_repr, whole
from antq_actors.otp.supervision.restart import ChildState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from antq_actors.insights.trees import TreeView
    from antq_actors.otp.inspect.recent import Before, TreeEvent
    from antq_actors.otp.inspect.snapshot import ActorView, Budget


def replay(view: TreeView, stop: int) -> TreeView:
    """Return *view* as it was before the event *stop*, counted from 0, of those that it has.

    The stop after the last event is now. The ``events`` are those that came before. Raises
    TypeError for what is no number, LookupError for a stop that there is not.
    """
    if whole(stop) is None:
        raise TypeError(f"a stop is the number of an event, got {short_repr(stop)}")
    last = len(view.events)
    if not 0 <= stop <= last:
        raise LookupError(f"there is no stop {stop}: they are counted from 0, and {last} is now")
    if view.at is None or stop == last:
        return view
    clock = view.before[stop].clock
    trees = [_seen_from(tree, view.clock - clock) for tree in view.trees]
    for number in range(last - 1, stop - 1, -1):
        before = _filled(view.before[number], view.events[:number])
        trees = [_undone(tree, before, before.clock - clock) for tree in trees]
    now = {actor.id: actor.urn for tree in view.trees for actor in tree.walk()}
    return replace(
        view,
        at=view.events[stop].at,
        clock=clock,
        trees=tuple(_without_later_ones(tree, now) for tree in trees),
        cycles=(),
        orphans=(),
        events=view.events[:stop],
        before=view.before[:stop],
        jobs={},
    )


def _seen_from(actor: ActorView, seconds: float) -> ActorView:
    """Return an actor as it was so many seconds earlier, as far as time alone tells.

    The uptime of one that had not started yet is negative.
    """
    return replace(
        _at_rest(actor, seconds),
        children=tuple(_seen_from(child, seconds) for child in actor.children),
    )


def _at_rest(actor: ActorView, seconds: float) -> ActorView:
    is_up = actor.state in (ChildState.RUNNING, ChildState.SUSPENDED)
    return replace(
        actor,
        uptime=actor.uptime - seconds if is_up else 0.0,
        mailbox=0,
        handling=None,
        waits_for=None,
        budget=None if actor.budget is None else _budget(actor.budget, seconds),
    )


def _budget(budget: Budget, seconds: float) -> Budget:
    """Return a budget without the restarts that came in the last seconds."""
    ages = tuple(age - seconds for age in budget.ages if age >= seconds)
    return replace(
        budget,
        used=len(ages),
        left=max(0, budget.max - len(ages)),
        full_in=max(0.0, budget.seconds - ages[-1]) if ages else 0.0,
        ages=ages,
    )


def _filled(before: Before, earlier: Sequence[TreeEvent]) -> Before:
    """Return what an event changed with why its actor had ended before that, if it is known."""
    actors = tuple(
        replace(actor, last_exit=_last_exit(actor.id, earlier))
        if actor.last_exit is None and actor.incarnation > 1
        else actor
        for actor in before.actors
    )
    return replace(before, actors=actors)


def _last_exit(id_: str, events: Sequence[TreeEvent]) -> str | None:
    ends = (each for each in reversed(events) if each.actor == id_ and each.kind == "exited")
    found = next(ends, None)
    return None if found is None else found.reason


def _undone(tree: ActorView, before: Before, seconds: float) -> ActorView:
    """Return a tree with what an event changed as it was, so many seconds after the stop."""
    if tree.id == before.supervisor.id:
        facts = {actor.id: _at_rest(actor, seconds) for actor in before.actors}
        children = [_with_facts(child, facts.pop(child.id, child)) for child in tree.children]
        return replace(
            _at_rest(before.supervisor, seconds),
            children=(*children, *facts.values()),
            folded=tree.folded,
        )
    if not before.supervisor.id.startswith(tree.id + "/"):
        return tree
    return replace(tree, children=tuple(_undone(child, before, seconds) for child in tree.children))


def _with_facts(actor: ActorView, facts: ActorView) -> ActorView:
    """Return *facts* of an actor; what is below it as it is, and by what rules it supervises."""
    if facts is actor:
        return actor
    return replace(
        facts,
        children=actor.children,
        folded=actor.folded,
        strategy=facts.strategy or actor.strategy,
        budget=facts.budget or actor.budget,
        auto_shutdown=actor.auto_shutdown if facts.strategy is None else facts.auto_shutdown,
        is_dynamic=facts.is_dynamic or actor.is_dynamic,
    )


def _without_later_ones(actor: ActorView, now: Mapping[str, str | None]) -> ActorView:
    """Return an actor without what was started below it after the stop.

    *now* has the urns of the actors that there are now: below one that was restarted since, all
    were started later, and stand for those before them.
    """
    return replace(
        actor,
        uptime=max(0.0, actor.uptime),
        children=tuple(_then(actor, is_same=now.get(actor.id) == actor.urn, now=now)),
    )


def _then(actor: ActorView, *, is_same: bool, now: Mapping[str, str | None]) -> Iterator[ActorView]:
    for child in actor.children:
        is_new = child.uptime < 0 and (actor.is_dynamic or (is_same and child.incarnation == 1))
        if not is_new:
            yield _without_later_ones(child, now)
