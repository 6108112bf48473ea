"""What the plan of a workflow is made of, item by item, until it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from msgspec.structs import replace

from antq_actors.errors import AlreadyExists
from antq_actors.jobs import history, lifecycle
from antq_actors.jobs.state import NewJob
from antq_actors.storage.jobs.graph import GraphNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobFlow, JobState
    from antq_actors.workflows.edges import Condition


class NewNode(NamedTuple):
    """A job of a workflow to be stored.

    A number in it is the id of a job or group that is stored, or ``~position`` of an item of the
    same plan.
    """

    new: NewJob
    after: tuple[tuple[int, Condition], ...] = ()
    part: int = 0
    """The part that it is a member of; 0: of the workflow itself."""


class NewMembers(NamedTuple):
    """Jobs of a part that are stored together, as they differ in their arguments and names alone.

    None of them is unique or has limits, and no job of the plan waits for one of them by itself:
    so they have no numbers in it.
    """

    news: list[NewJob]
    """Without what ties them to the workflow."""
    flow: JobFlow
    """What ties each of them to it, but for its name."""
    names: list[str]
    """Of each of them, in the workflow."""
    after: tuple[tuple[int, Condition], ...]
    part: int


class NewPart(NamedTuple):
    """A group of jobs within a workflow that others wait for as one."""

    name: str


class PartEnd(NamedTuple):
    """No more jobs are added to a part."""

    part: int


PlanItem: TypeAlias = NewNode | NewMembers | NewPart | PartEnd


def distinct_nodes(plan: Iterable[PlanItem]) -> Iterator[NewNode]:
    """Yield the nodes of a plan. Raises AlreadyExists for a unique job that is in it twice."""
    seen: set[bytes] = set()
    for item in plan:
        if not isinstance(item, NewNode):
            continue
        spec = item.new.spec
        if spec.unique_digest is not None:
            if spec.unique_digest in seen:
                raise AlreadyExists(
                    f"{spec.worker} is unique, and the workflow has the same job twice: leave"
                    " one of them out, or add it with unique=None"
                )
            seen.add(spec.unique_digest)
        yield item


def renamed(item: PlanItem, name: str, free: str) -> PlanItem:
    """Return an item of what is added under a name, as it is under a *free* one."""
    if isinstance(item, NewPart):
        return NewPart(free)
    if isinstance(item, NewMembers):
        return item._replace(names=[free + each.removeprefix(name) for each in item.names])
    if isinstance(item, PartEnd):
        return item
    spec = item.new.spec
    flow = spec.flow
    if flow is None or flow.node is None:
        return item
    flow = replace(flow, node=free + flow.node.removeprefix(name))  # members have an index behind
    return item._replace(new=item.new._replace(spec=replace(spec, flow=flow)))


def made_later(item: PlanItem, now: Instant) -> PlanItem:
    """Return an item of a plan that was made some time ago, as it is stored *now*."""
    if isinstance(item, NewMembers):
        delay = None if item.after else item.flow.release_in
        return item._replace(news=_each_later(item.news, now, delay))
    if not isinstance(item, NewNode):
        return item
    delay = None
    flow = item.new.spec.flow
    if not item.after and flow is not None and flow.release_in is not None:
        delay = flow.release_in
    return item._replace(new=history.made_later(item.new, now, delay))


def _each_later(news: Iterable[NewJob], now: Instant, delay: int | None) -> list[NewJob]:
    later: list[NewJob] = []
    last: JobState | None = None
    for given, spec, gate_keys in news:
        if given is not last:  # jobs that are made together share theirs
            last = given
            state = lifecycle.made_later(given, now=now, delay=delay)
        later.append(NewJob(state, history.inserted(spec, state), gate_keys))
    return later


def upstream_of(flow: JobFlow, numbers: Sequence[int]) -> tuple[tuple[str, int, bool], ...]:
    """Return what a job of a plan is directly behind, by the numbers as they are stored."""
    return tuple(
        (name, number_of(number, numbers), is_group) for name, number, is_group in flow.upstream
    )


def number_of(given: int, numbers: Sequence[int]) -> int:
    """Return a number of a plan as it is stored; *numbers*: of the items before."""
    return numbers[~given] if given < 0 else given


def numbered(item: NewNode, numbers: Sequence[int], first: int, workflow: int) -> GraphNode:
    """Return a node with the numbers of what it waits for, as they are stored.

    *first*: the number of the first node that is stored in one call with it.
    """
    new = item.new
    flow = new.spec.flow
    if flow is not None:
        flow = replace(flow, workflow=workflow, upstream=upstream_of(flow, numbers))
        new = new._replace(spec=replace(new.spec, flow=flow))
    awaited = ((number_of(number, numbers), condition) for number, condition in item.after)
    after = tuple(
        (number if number < first else ~(number - first), condition)
        for number, condition in awaited
    )
    return GraphNode(new, after, number_of(item.part, numbers) if item.part else 0)
