"""A workflow that is stored, as users hold it."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from antq_actors.app.workflow import Workflow
from antq_actors.app.workflow_nodes import Group, Node
from antq_actors.errors import WorkflowError
from antq_actors.introspection import explain_fields
from antq_actors.jobs import current_app
from antq_actors.jobs.job import wait_seconds
from antq_actors.jobs.worker import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from antq_actors.app.workflow_nodes import After, Condition
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import Status, Statuses


@explain_fields
class WorkflowStatus(NamedTuple):
    """How far a workflow is."""

    nodes: Mapping[Status, int]
    """How many of its jobs have each status, those included that were added later."""
    open: bool
    """Whether it has not ended: a job of it is left, or more are still being stored."""

    def __hash__(self) -> int:
        return hash((frozenset(self.nodes.items()), self.open))

    def __reduce__(self) -> tuple[Any, ...]:
        return counted, (dict(self.nodes), self.open)  # a read-only view cannot be pickled

    def __repr__(self) -> str:
        counts = {status.value: number for status, number in self.nodes.items() if number}
        return f"WorkflowStatus(nodes={counts}, open={self.open})"


def counted(nodes: Mapping[Status, int], is_open: bool) -> WorkflowStatus:  # noqa: FBT001 - one of its two fields
    """Return a status whose numbers cannot be changed."""
    return WorkflowStatus(MappingProxyType(nodes), is_open)


class WorkflowRun:
    """A stored workflow, as ``AntQ.start_workflow`` and ``AntQ.get_workflow`` return it."""

    __slots__ = ("_application", "id", "key", "name")

    def __init__(
        self,
        id: int,  # noqa: A002 - its field
        name: str,
        key: str | None = None,
        application: Any = None,
    ) -> None:
        self.id = id
        """Of the sequence of the jobs' ids."""
        self.name = name
        """As it was described."""
        self.key = key
        """While it is open, there is no other one of its name with this key."""
        self._application = application

    def __repr__(self) -> str:
        return f"<WorkflowRun {self.id} {self.name!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorkflowRun):
            return NotImplemented
        return (self.id, self.name, self.key) == (other.id, other.name, other.key)

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return WorkflowRun, (self.id, self.name, self.key)

    def antq_on(self, application: Any) -> WorkflowRun:
        """Return the same workflow, as one of an application."""
        return WorkflowRun(self.id, self.name, self.key, application)

    def status(self) -> WorkflowStatus:
        """Return how many of its nodes have each status, and whether it is open."""
        status: WorkflowStatus = self._do("status")
        return status

    @property
    def incomplete(self) -> int:
        """The node whose process stores the rest of it, or died doing so; 0: all is stored."""
        node: int = self._do("incomplete")
        return node

    def jobs(self, status: Statuses | None = None) -> list[Job]:
        """Return its jobs of a status, or of several, by id: also expansions and follow-ups."""
        jobs: list[Job] = self._do("jobs", status)
        return jobs

    def cancel(self) -> None:
        """Cancel whatever has not ended: what waits at once, and running jobs are told to end."""
        self._do("cancel")

    def retry_failed(self) -> None:
        """Retry its failed jobs; what they cut off waits again. Without any it does nothing."""
        self._do("retry_failed")

    def result(self, timeout: float | timedelta | None = None) -> Any:
        """Wait for the job given as ``output=``, and return its result.

        For a group that is the list of its jobs' results, by id. Raises WorkflowError without an
        output; else what ``Job.result`` raises. In ``perform`` a *timeout* must be given.
        """
        number, is_group = self._do("output")
        seconds = wait_seconds(timeout, "result")
        if not is_group:
            return self._app().result(number, timeout=seconds)
        deadline = None if seconds is None else time.monotonic() + seconds
        found, after = [], 0
        while ids := self._do_with(number, "members", after):
            for id_ in ids:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                found.append(self._app().result(id_, timeout=left))
            after = ids[-1]
        return found

    async def aresult(
        self,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
    ) -> Any:
        """Do what :meth:`result` does, without stopping the event loop that awaits it."""
        number, is_group = await in_thread(self._do, "output")
        if is_group:
            return await in_thread(self.result, timeout)
        return await self._app().aresult(number, timeout=timeout)

    def add(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        *,
        name: str | None = None,
        after: After = None,
        on: Condition = "success",
        **options: Unpack[JobOptions],
    ) -> Node:
        """Add a node while the workflow is open, as ``Workflow.add`` does; return it.

        Raises WorkflowError once it has ended, UnknownNode, and what ``enqueue`` raises.
        """
        flow = Workflow(self.name)
        flow.extends = self.id
        node = flow.add(worker, args, name=name, after=after, on=on, **options)
        return Node(self._extend(flow, node.name), self.id)

    def add_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        *,
        name: str | None = None,
        after: After = None,
        on: Condition = "success",
        **options: Unpack[JobOptions],
    ) -> Group:
        """Add a group while the workflow is open, as ``Workflow.add_many`` does; return it.

        More than 1,000 jobs are stored in pieces. If the iterable raises on the way, or the process
        dies, those that are stored are cancelled.

        Raises WorkflowError once it has ended, UnknownNode, and what ``enqueue`` raises.
        """
        flow = Workflow(self.name)
        flow.extends = self.id
        group = flow.add_many(worker, args_iterable, name=name, after=after, on=on, **options)
        return Group(self._extend(flow, group.name), self.id)

    def _extend(self, flow: Workflow, _name: str) -> str:
        name: str = self._do("extend", flow)
        return name

    def _app(self) -> Any:
        return self._application or current_app.current()

    def _do(self, verb: str, *args: Any) -> Any:
        return self._do_with(self.id, verb, *args)

    def _do_with(self, number: int, verb: str, *args: Any) -> Any:
        return self._app().antq_workflow(verb, number, *args)


def no_output(id_: int, name: str) -> WorkflowError:
    """Return the error of a workflow without an output."""
    return WorkflowError(
        f"workflow {id_} ({name!r}) has no output, so it has no result; start it with"
        " app.start_workflow(flow, output=node)"
    )
