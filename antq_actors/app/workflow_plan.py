"""From the description of a workflow to what is stored of it, item by item."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from msgspec.structs import replace

from antq_actors.app.workflow_nodes import (
    Ingredients,
    PlannedGroup,
    arguments,
    default_name,
    members_of,
    rows_of,
    worker_of,
)
from antq_actors.errors import UnknownNode, WorkflowError
from antq_actors.jobs.result import DEFAULT_RULE
from antq_actors.jobs.state import JobFlow
from antq_actors.storage.jobs.plan_items import NewMembers, NewNode, NewPart, PartEnd
from antq_actors.workflows.edges import CONDITIONS
from antq_actors.workflows.outputs import MARK, outputs_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from antq_actors.app.workflow import Workflow
    from antq_actors.jobs.new_job import JobTemplate
    from antq_actors.jobs.state import NewJob
    from antq_actors.storage.jobs.plan_items import PlanItem
    from antq_actors.workflows.edges import Condition

MOST_ALIKE: Final = 250
"""Jobs of a group in one item of a plan."""


class Stored(Protocol):
    """The nodes and parts of a workflow that is stored."""

    def get(self, name: str, /) -> tuple[int, bool] | None:
        """Return the number of one, and whether it is a part; None: there is none of this name."""


class Alike(NamedTuple):
    """How jobs of a group are prepared that have most in common."""

    template: Callable[[PlannedGroup], JobTemplate]
    """Returns what they have in common."""
    prepare: Callable[[JobTemplate, Mapping[str, Any], bytes], NewJob]
    """Returns one of them, of its arguments."""


class Planner:
    """Turns what a workflow is described as into what is stored, item by item."""

    def __init__(
        self,
        flow: Workflow,
        output: str | None,
        prepare: Callable[[Ingredients], tuple[NewJob, Mapping[str, Any]]],
        stored: Stored,
        *,
        alike: Alike | None = None,
    ) -> None:
        """Plan a workflow; *stored*: the nodes and parts that there are, when it is added to one.

        *alike*: prepares jobs that have most in common; None: each is prepared by itself. Raises
        WorkflowError for a graph that makes no sense.
        """
        self._flow = flow
        self._prepare = prepare
        self._alike = alike
        self._numbers: dict[str, tuple[int, bool]] = {}
        """Of what is planned or stored, by name, and whether it is a part."""
        self._stored = stored
        self._awaited = self._edges()
        self._kept = {which for edges in self._awaited for which in edges}
        if output is not None:
            self._kept.add(output)
        self._output = output
        self._names = {*flow.graph.positions}
        self._numbered: dict[str, int] = {}
        """The number that made each default name of a job unique last."""
        self._count = 0

    def _edges(self) -> list[dict[str, str]]:
        """Return what each vertex waits for, by name, and the conditions."""
        graph = self._flow.graph
        self._order = [0] if self._flow.extends else graph.in_order()
        if self._flow.extends:
            found = []
            for vertex in graph.vertices:
                for which in vertex.after:
                    if not self._is_known(str(which)):
                        raise UnknownNode(
                            f"node {vertex.name!r} waits for {which!r}, and the workflow has no"
                            " node of that name"
                        )
                found.append({str(which): condition for which, condition in vertex.after.items()})
            return found
        return [
            {
                graph.vertices[which].name: condition
                for which, condition in graph.upstream(position).items()
            }
            for position in range(len(graph.vertices))
        ]

    @property
    def output(self) -> int:
        """The number of the item whose result is the workflow's, once it is planned; 0: none."""
        return 0 if self._output is None else self._numbers[self._output][0]

    def items(self) -> Iterator[PlanItem]:
        """Yield what is to be stored, each behind what it waits for. Raises what `enqueue` does."""
        for position in self._order:
            vertex = self._flow.vertices[position]
            name = self._flow.graph.vertices[position].name
            if not isinstance(vertex, PlannedGroup):
                self._number(name, self._next(), is_part=False)
                yield self._node(vertex.job, name, position, is_kept=name in self._kept)
                continue
            part = self._next()
            self._number(name, part, is_part=True)
            yield NewPart(name)
            if self._alike is None:
                yield from self._each_member(vertex, name, position, part)
            elif vertex.worker is None:
                yield from self._built_members(vertex, self._alike, name, position, part)
            else:
                yield from self._members(vertex, self._alike, name, position, part)
            self._next()
            yield PartEnd(part)

    def _each_member(
        self, group: PlannedGroup, name: str, position: int, part: int
    ) -> Iterator[PlanItem]:
        """Yield the jobs of a group, each by itself."""
        is_kept = name in self._kept
        for place, job in enumerate(members_of(group)):
            self._next()
            member = f"{self._name_at(position)}[{place}]"
            if group.worker is None:
                member = self._free_name(default_name(worker_of(job)))
            yield self._node(job, member, position, part, is_kept=is_kept)

    def _built_members(
        self, group: PlannedGroup, how: Alike, name: str, position: int, part: int
    ) -> Iterator[PlanItem]:
        """Yield the jobs of a group of built ones: a row of one worker as a group of that."""
        is_kept = name in self._kept
        for row in rows_of(members_of(group), MOST_ALIKE):
            worker = worker_of(row[0])
            names = (self._free_name(default_name(worker)) for _ in row)
            if len(row) == 1:
                self._next()
                yield self._node(row[0], next(names), position, part, is_kept=is_kept)
                continue
            alike = PlannedGroup(row, worker, row[0].options)
            yield from self._row(alike, how, position, part, names, is_kept=is_kept)

    def _members(
        self, group: PlannedGroup, how: Alike, name: str, position: int, part: int
    ) -> Iterator[PlanItem]:
        """Yield the jobs of a group of one worker."""
        names = (f"{self._name_at(position)}[{place}]" for place in itertools.count())
        yield from self._row(group, how, position, part, names, is_kept=name in self._kept)

    def _row(
        self,
        group: PlannedGroup,
        how: Alike,
        position: int,
        part: int,
        names: Iterator[str],
        *,
        is_kept: bool,
    ) -> Iterator[PlanItem]:
        """Yield jobs of one worker with the same options, those that are alike some at a time."""
        template = how.template(group)
        are_alike = template.limits is None and template.options.unique is None
        alike: NewMembers | None = None
        try:
            for item in group.items:
                args, encoded = arguments(template, item)
                if not are_alike or (MARK in encoded and outputs_in(args)):
                    if alike is not None:
                        yield alike
                        alike = None
                    self._next()
                    job = Ingredients(group.worker, args, encoded, group.options)
                    yield self._node(job, next(names), position, part, is_kept=is_kept)
                    continue
                new = how.prepare(template, args, encoded)
                if alike is None:
                    flow, after = self._tied(new, self._awaited[position], group.options, is_kept)
                    alike = NewMembers([], flow, [], after, part)
                alike.news.append(new)
                alike.names.append(next(names))
                if len(alike.news) == MOST_ALIKE:
                    yield alike
                    alike = None
        except Exception:
            if alike is not None:
                yield alike  # those before what is wrong come before its error
            raise
        if alike is not None:
            yield alike

    def _name_at(self, position: int) -> str:
        """Return the name of a vertex: a part that is added is named when it is stored."""
        return self._flow.graph.vertices[position].name

    def _number(self, name: str, number: int, *, is_part: bool) -> None:
        """Note the number of what is planned; not where it is added and may yet be renamed.

        Then its default name may be that of a stored node, for which it may wait.
        """
        if not self._flow.extends:
            self._numbers[name] = number, is_part

    def _is_known(self, name: str) -> bool:
        """Return whether a node or part of a name is planned or stored; then it has its number."""
        if name not in self._numbers and (found := self._stored.get(name)) is not None:
            self._numbers[name] = found
        return name in self._numbers

    def _next(self) -> int:
        self._count += 1
        return -self._count

    def _free_name(self, default: str) -> str:
        name = default
        while name in self._names:
            self._numbered[default] = number = self._numbered.get(default, 1) + 1
            name = f"{default}-{number}"
        self._names.add(name)
        return name

    def _node(
        self, job: Ingredients, name: str, position: int, part: int = 0, *, is_kept: bool
    ) -> NewNode:
        awaited = dict(self._awaited[position])
        for output in outputs_in(job.args):
            if not self._is_known(output.name):
                raise WorkflowError(
                    f"{output!r} is an argument of node {name!r}, and is not stored before it; say"
                    " so with after="
                )
            awaited.setdefault(output.name, "success")
        new, options = self._prepare(job)
        flow, after = self._tied(new, awaited, options, is_kept)
        new = new._replace(spec=replace(new.spec, flow=replace(flow, node=name)))
        return NewNode(new, after, part)

    def _tied(
        self,
        new: NewJob,
        awaited: Mapping[str, str],
        options: Mapping[str, Any],
        is_kept: bool,  # noqa: FBT001 - as its callers have it
    ) -> tuple[JobFlow, tuple[tuple[int, Condition], ...]]:
        """Return what ties a job to the workflow, but for its name, and what it waits for."""
        flow = new.spec.flow or JobFlow()
        if is_kept or flow.result is None:  # a node behind it may still be added
            rule = replace(flow.result or DEFAULT_RULE, ttl=None)
            flow = replace(flow, result=rule, is_for_nodes=not is_kept)
        upstream = tuple((each, *self._numbers[each]) for each in awaited)
        needs = tuple(condition == "success" for condition in awaited.values())
        flow = replace(flow, upstream=upstream, needs=needs)
        state = new.state
        if state.scheduled_at is not None:
            if options.get("schedule_in") is not None:  # that of an expansion is stored later
                flow = replace(flow, release_in=state.scheduled_at - state.updated_at)
            elif upstream and options.get("schedule_at") is not None:
                flow = replace(flow, release_at=state.scheduled_at)
        return flow, tuple(
            (self._numbers[which][0], CONDITIONS[condition]) for which, condition in awaited.items()
        )


def take(items: Iterator[PlanItem], most: int) -> tuple[list[PlanItem], bool]:
    """Return the next items with up to *most* nodes, and whether there are more."""
    taken: list[PlanItem] = []
    nodes = 0
    for item in items:
        taken.append(item)
        if isinstance(item, NewMembers):
            nodes += len(item.news)
        else:
            nodes += isinstance(item, NewNode)
        if nodes > most:
            return taken, True
    return taken, False


def localized(item: PlanItem, numbers: Sequence[int]) -> PlanItem:
    """Return an item of a plan with the *numbers* of what was stored before it."""

    def local(number: int) -> int:
        if number > 0:
            return number
        return numbers[~number] if ~number < len(numbers) else number + len(numbers)

    if isinstance(item, NewPart):
        return item
    if isinstance(item, PartEnd):
        return PartEnd(local(item.part))

    def tied(flow: JobFlow) -> JobFlow:
        upstream = tuple(
            (name, local(number), is_group) for name, number, is_group in flow.upstream
        )
        return replace(flow, upstream=upstream)

    after = tuple((local(number), condition) for number, condition in item.after)
    part = local(item.part) if item.part else 0
    if isinstance(item, NewMembers):
        return item._replace(flow=tied(item.flow), after=after, part=part)
    spec = item.new.spec
    if spec.flow is not None:
        spec = replace(spec, flow=tied(spec.flow))
    return NewNode(item.new._replace(spec=spec), after, part)
