"""A workflow as its page draws it: what is after what, in an order and with a depth. Pure.

A group of jobs that were added together is one vertex. Where each stands in the picture is decided
in the browser, by dagre; the list beside it needs no picture, and says the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from antq_actors.insights.composed import WorkflowDetail, WorkflowNode

STATUSES: Final = (
    *(Status.COMPLETED, Status.RUNNING, Status.ENQUEUED, Status.RETRYING, Status.SCHEDULED),
    *(Status.SUSPENDED, Status.CANCELLED, Status.FAILED),
)
"""In the order in which counts are shown."""
_OF_A_GROUP: Final = (
    *(Status.FAILED, Status.RUNNING, Status.RETRYING, Status.ENQUEUED, Status.SCHEDULED),
    *(Status.SUSPENDED, Status.CANCELLED, Status.COMPLETED),
)
"""A group has the first of these that one of its jobs has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertex:
    """A job, or a group of jobs, with what comes before it."""

    number: int
    """The id of the job, or the number of the group."""
    name: str
    status: Status
    jobs: tuple[WorkflowNode, ...]
    """One, or those of the group."""
    is_group: bool
    after: tuple[int, ...]
    """What comes directly before it and is shown, by number."""
    names_after: tuple[str, ...] = ()
    depth: int = 0
    """How many steps it is from the beginning, on the longest way."""

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many of its jobs have each status."""
        found = [each.status for each in self.jobs]
        return counted({status: found.count(status) for status in STATUSES})


def counted(nodes: Mapping[Status, int]) -> list[tuple[str, int]]:
    """Return numbers by status in the order in which they are shown, without those that are 0.

    >>> counted({Status.FAILED: 1, Status.COMPLETED: 3, Status.RUNNING: 0})
    [('completed', 3), ('failed', 1)]
    """
    return [(status.value, nodes[status]) for status in STATUSES if nodes.get(status)]


def vertices_of(workflow: WorkflowDetail) -> list[Vertex]:
    """Return the vertices of a workflow, each behind those before it, chains together."""
    found = {each.number: each for each in _unordered(workflow)}
    missing: dict[int, int] = {}
    following: dict[int, list[int]] = defaultdict(list)
    for each in found.values():
        missing[each.number] = len(each.after)
        for before in each.after:
            following[before].append(each.number)
    ready = sorted((number for number in found if not missing[number]), reverse=True)
    ordered: dict[int, Vertex] = {}
    while ready:
        each = found[ready.pop()]
        ordered[each.number] = replace(
            each,
            depth=max((ordered[before].depth + 1 for before in each.after), default=0),
            names_after=tuple(found[before].name for before in each.after),
        )
        for number in reversed(following[each.number]):
            missing[number] -= 1
            if not missing[number]:
                ready.append(number)
    return list(ordered.values())


def _unordered(workflow: WorkflowDetail) -> Iterator[Vertex]:
    """Yield the vertices, with what is after only what is shown."""
    members: dict[int, list[WorkflowNode]] = defaultdict(list)
    alone = []
    for job in workflow.jobs:
        if job.group is None:
            alone.append(job)
        else:
            members[job.group].append(job)
    shown = {*members, *(job.id for job in alone)}
    for job in alone:
        yield Vertex(
            number=job.id,
            name=job.name or job.worker,
            status=job.status,
            jobs=(job,),
            is_group=False,
            after=_shown(job.after, shown),
        )
    for group in workflow.groups:
        jobs = tuple(members[group.number])
        statuses = {job.status for job in jobs}
        yield Vertex(
            number=group.number,
            name=f"{group.name or jobs[0].worker} × {len(jobs)}",
            status=next(status for status in _OF_A_GROUP if status in statuses),
            jobs=jobs,
            is_group=True,
            after=_shown(group.after, shown),
        )


def _shown(after: Sequence[int], shown: set[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(number for number in after if number in shown))


def mermaid(vertices: Sequence[Vertex]) -> str:
    """Return a graph as text that Mermaid draws."""
    lines = ["flowchart LR"]
    lines += [f'  n{each.number}["{_escaped(each.name)} · {each.status}"]' for each in vertices]
    lines += [f"  n{before} --> n{each.number}" for each in vertices for before in each.after]
    return "\n".join(lines)


def _escaped(name: str) -> str:
    """Return a name as a label of Mermaid, which knows characters by their numbers.

    >>> _escaped('a "b" <c>')
    'a #34;b#34; #60;c#62;'
    """
    line = " ".join(name.split())
    return "".join(f"#{ord(each)};" if each in '"#<>&`[]{}|\\;' else each for each in line)
