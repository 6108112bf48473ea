"""What a node of a workflow finds of the nodes before it: their results, read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import JobCancelled, JobFailed, JobNotFound
from antq_actors.workflows.outputs import Output, with_results

if TYPE_CHECKING:
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.state import JobFlow


class GroupResults:
    """The results of a group's jobs, by id, read a page at a time; None for one without success.

    It can be iterated any number of times.
    """

    def __init__(self, group: int, application: Callable[[], Any]) -> None:
        self._group = group
        self._application = application
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        application, after = self._application(), 0
        while ids := application.antq_workflow("members", self._group, after):
            for id_ in ids:
                yield result_or_none(application, id_)
            after = ids[-1]

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self)
        return next(self._iterator)


class Upstream(Mapping[str, Any]):
    """The results of the nodes directly before a node, by their names, each read when asked for.

    A group before it is there by the names of its jobs; its own name stands for all their results.
    """

    def __init__(
        self, upstream: tuple[tuple[str, int, bool], ...], application: Callable[[], Any]
    ) -> None:
        self._upstream = upstream
        self._application = application

    def __getitem__(self, name: str) -> Any:
        for known, number, is_group in self._upstream:
            if known == name:
                if is_group:
                    return list(GroupResults(number, self._application))
                return result_or_none(self._application(), number)
        for known, id_ in self._members():
            if known == name:
                return result_or_none(self._application(), id_)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        for name, _, is_group in self._upstream:
            if not is_group:
                yield name
        for name, _ in self._members():
            yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Upstream of {', '.join(repr(name) for name, _, _ in self._upstream)}>"

    def _members(self) -> Iterator[tuple[str, int]]:
        for _, number, is_group in self._upstream:
            if is_group:
                yield from self._application().antq_workflow("member_names", number)


class NodesBefore(NamedTuple):
    """What a node of a workflow knows of the nodes directly before it."""

    nodes: tuple[tuple[str, int, bool], ...]
    """Their names and numbers, and whether that is a group."""

    def results(self, application: Callable[[], Any]) -> Upstream:
        """Return their results, read from an application when they are asked for."""
        return Upstream(self.nodes, application)


def result_or_none(application: Any, id_: int) -> Any:
    """Return the result of a job that has ended; None for one that did not complete.

    Raises ResultNotKept and ResultTooLarge, which name the job.
    """
    try:
        return application.result(id_, timeout=0)
    except (JobFailed, JobCancelled, JobNotFound):
        return None


def with_outputs(job: Job, flow: JobFlow, application: Callable[[], Any]) -> Job:
    """Return a node that begins, with results in place of the outputs among its arguments."""
    numbers = {name: (number, is_group) for name, number, is_group in flow.upstream}

    def result_of(output: Output) -> Any:
        number, is_group = numbers[output.name]
        if is_group:
            return GroupResults(number, application)
        return result_or_none(application(), number)

    args = {key: with_results(value, result_of) for key, value in job.args.items()}
    filled = replace(job, args=args)
    filled.__dict__.update(job.__dict__)
    return filled
