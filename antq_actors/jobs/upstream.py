"""What a node of a workflow finds of the nodes before it: their results, read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import JobCancelled, JobFailed, JobNotFound, ResultNotKept
from antq_actors.workflows.outputs import Output, with_results

if TYPE_CHECKING:
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.state import JobFlow


class NodeBefore(NamedTuple):
    """A node, or a group of them, directly before a node."""

    name: str
    number: int
    """The id of its job, or that of the group."""
    is_group: bool
    is_needed: bool
    """Whether it has completed if what waits for it begins: then it has a result, or had one."""

    def result(self, application: Callable[[], Any]) -> Any:
        """Return its result; of a group, something that reads those of its jobs."""
        if self.is_group:
            return GroupResults(self, application)
        return self.result_of(self.number, application())

    def result_of(self, id_: int, application: Any) -> Any:
        """Return the result of a job of it; None for one that did not complete, and need not have.

        Raises ResultNotKept and ResultTooLarge, which name the job; also if it was deleted.
        """
        try:
            return application.result(id_, timeout=0)
        except JobNotFound:
            if self.is_needed:
                raise ResultNotKept(
                    f"the output of {self.name!r} is gone, as job {id_} was deleted"
                ) from None
        except (JobFailed, JobCancelled):
            if self.is_needed:  # it was retried meanwhile
                raise
        return None


class GroupResults:
    """The results of a group's jobs, by id, read a page at a time; None for one without success.

    It can be iterated any number of times.
    """

    def __init__(self, group: NodeBefore, application: Callable[[], Any]) -> None:
        self._group = group
        self._application = application
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        application, group, after = self._application(), self._group, 0
        if group.is_needed and (deleted := application.antq_workflow("deleted", group.number)):
            raise ResultNotKept(
                f"{deleted} of the outputs of {group.name!r} are gone, as their jobs were deleted"
            )
        while ids := application.antq_workflow("members", group.number, after):
            for id_ in ids:
                yield group.result_of(id_, application)
            after = ids[-1]

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self)
        return next(self._iterator)


class Upstream(Mapping[str, Any]):
    """The results of the nodes directly before a node, by their names, each read when asked for.

    A group before it is there by the names of its jobs; its own name stands for all their results.
    """

    def __init__(self, nodes: tuple[NodeBefore, ...], application: Callable[[], Any]) -> None:
        self._nodes = nodes
        self._application = application

    def __getitem__(self, name: str) -> Any:
        for node in self._nodes:
            if node.name == name:
                result = node.result(self._application)
                return list(result) if node.is_group else result
        for group, known, id_ in self._members():
            if known == name:
                return group.result_of(id_, self._application())
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        for node in self._nodes:
            if not node.is_group:
                yield node.name
        for _, name, _ in self._members():
            yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Upstream of {', '.join(repr(node.name) for node in self._nodes)}>"

    def _members(self) -> Iterator[tuple[NodeBefore, str, int]]:
        for node in self._nodes:
            if node.is_group:
                for name, id_ in self._application().antq_workflow("member_names", node.number):
                    yield node, name, id_


class NodesBefore(NamedTuple):
    """What a node of a workflow knows of the nodes directly before it."""

    nodes: tuple[NodeBefore, ...]

    def results(self, application: Callable[[], Any]) -> Upstream:
        """Return their results, read from an application when they are asked for."""
        return Upstream(self.nodes, application)


def nodes_before(flow: JobFlow) -> NodesBefore:
    """Return what a job knows of the nodes before it; an older one does not know which it needs."""
    needs = flow.needs or (False,) * len(flow.upstream)
    return NodesBefore(
        tuple(
            NodeBefore(*node, is_needed)
            for node, is_needed in zip(flow.upstream, needs, strict=False)
        )
    )


def with_outputs(job: Job, flow: JobFlow, application: Callable[[], Any]) -> Job:
    """Return a node that begins, with results in place of the outputs among its arguments."""
    nodes = {node.name: node for node in nodes_before(flow).nodes}

    def result_of(output: Output) -> Any:
        return nodes[output.name].result(application)

    args = {key: with_results(value, result_of) for key, value in job.args.items()}
    filled = replace(job, args=args)
    filled.__dict__.update(job.__dict__)
    return filled
