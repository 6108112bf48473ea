"""A workflow as a program describes it: nodes, groups of nodes, and what waits for what.

Everything that can be wrong with a node by itself is refused where it is added. What can only be
wrong with the whole, such as a ring, is refused when the workflow is started, before it is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack

from antq_actors.app.workflow_nodes import (
    After,
    Condition,
    Group,
    Ingredients,
    Node,
    PlannedGroup,
    PlannedNode,
    built,
    built_jobs,
    by_name,
    check_on,
    check_template,
    check_text,
    conditions,
    default_name,
    ingredients,
    named,
    no_job,
    of_template,
    read_once,
)
from antq_actors.checks import checked_abandoned, list_known, short_repr
from antq_actors.errors import UnknownNode, WorkflowError
from antq_actors.jobs.job import Job
from antq_actors.workflows.graph import Graph
from antq_actors.workflows.outputs import Output, outputs_in

if TYPE_CHECKING:
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.resolver import AnyWorker


class Workflow:
    """Jobs that wait for each other, to be stored as one by ``app.start_workflow``.

    *key*: while a workflow of this name with this key is open, no second one is stored.
    *on_failure* is a job from ``build``, stored once, with the first node that failed or was
    cancelled. *abandoned*: what becomes of it if its process dies before all of it is stored, which
    may happen to one of more than 5,000 nodes: it is kept, incomplete, or cancelled ("cancel").

    >>> from antq_actors import Worker, Workflow
    >>> class Fetch(Worker):
    ...     def perform(self, job): ...
    >>> class Parse(Worker):
    ...     def perform(self, job): ...
    >>> flow = Workflow("onboarding")
    >>> fetch = flow.add(Fetch, {"url": "https://example.com"})
    >>> flow.add(Parse, {"page": fetch.output})
    <Node 'Parse'>
    """

    def __init__(
        self,
        name: str,
        *,
        key: str | None = None,
        on_failure: Job | None = None,
        abandoned: Literal["keep", "cancel"] = "keep",
    ) -> None:
        self.name = check_text(name, "the name of a workflow")
        """Need not be unique."""
        self.key = None if key is None else check_text(key, "key")
        """What there may be one open workflow of this name for; None: any number."""
        self.on_failure = None if on_failure is None else built(on_failure, "on_failure")
        self.abandoned = checked_abandoned(abandoned)
        self.graph = Graph()
        self.vertices: list[PlannedNode | PlannedGroup] = []
        """By their positions in the graph."""
        self.output: Node | Group | None = None
        """Whose result is that of the workflow, where nothing else is said when it is started."""
        self.extends = 0
        """The stored workflow to which all of it is added; 0: it is a new one."""
        self.has_given_name = False
        """Whether the last node was given its name."""
        self.started: set[int] = set()
        """The workflows that were started from it here."""

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r} of {len(self.vertices)}>"

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: workers by their names, groups read."""
        output = None if self.output is None else self.output.name
        return self.__dict__ | {
            "vertices": [named(vertex) for vertex in self.vertices],
            "on_failure": None if self.on_failure is None else by_name(self.on_failure),
            "output": output,
            "started": set(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.output is not None:
            self.output = self.handle(state["output"])

    def handle(self, name: str) -> Node | Group:
        """Return the node or the group of a name. Raises UnknownNode and TypeError."""
        if not isinstance(name, str):
            raise TypeError(f"the name of a node must be a str, got {short_repr(name)}")
        position = self.graph.positions.get(name)
        if position is None:
            raise UnknownNode(
                f"the workflow {self.name!r} has no node {name!r}"
                f"{list_known(name, self.graph.positions)}"
            )
        is_node = isinstance(self.vertices[position], PlannedNode)
        return Node(name, self) if is_node else Group(name, self)

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
        """Add a job of *worker*, which begins when all that it is *after* has ended as it must.

        *after*: a node, a group or a name, several of them, or a mapping with a condition for each.
        *on* is the condition of those without: "success", "end" (whatever it was) or "failure"; a
        node whose conditions cannot hold any more is cancelled. An argument that is the output of a
        node implies *after*. *name* is by default that of the worker, with a number if it is taken.
        The options are those of ``enqueue``; ``schedule_in`` counts from its release.

        Raises TypeError, ValueError and InvalidSchedule as ``enqueue`` does, and WorkflowError.
        """
        job = ingredients(worker, args, options)
        awaited = self._awaited(after, on, outputs_in(job.args))
        return self._add_node(job, name, awaited)

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
        """Add a group: a job of *worker* for each item of an iterable of any length.

        The iterable is read when the workflow is started. All else is as in :meth:`add`.
        """
        template = check_template(worker, options)
        items: Iterable[Any] = args_iterable
        if isinstance(args_iterable, Mapping | str | bytes) or not isinstance(
            args_iterable, Iterable
        ):
            raise TypeError(
                "add_many takes an iterable of args, one mapping for each job, such as"
                f" [{{'n': 1}}, {{'n': 2}}], got {short_repr(args_iterable)}"
            )
        outputs: list[Output] = []
        if isinstance(args_iterable, list | tuple):  # else they are known when they are read
            items = made = [of_template(template, worker, item, options) for item in args_iterable]
            outputs = [each for job in made for each in outputs_in(job.args)]
        awaited = self._awaited(after, on, outputs)
        planned = PlannedGroup(read_once(items), worker, options)
        return self._add_group(planned, name, default_name(worker), awaited)

    # ---- inside ---------------------------------------------------------------------------

    def add_built(self, job: Job, after: After = None) -> Node:
        """Add a job from ``build``."""
        return self._add_node(built(job, "a job"), None, self._awaited(after, "success", ()))

    def add_built_group(self, jobs: Iterable[Job]) -> Group:
        """Add a group of jobs from ``build``."""
        return self._add_group(PlannedGroup(read_once(jobs), None, {}), None, "group", {})

    def _add_node(
        self, job: Ingredients, name: str | None, awaited: Mapping[int | str, str]
    ) -> Node:
        name = None if name is None else check_text(name, "name")
        self.has_given_name = name is not None
        position = self.graph.add(name, default_name(job.worker), awaited)
        self.vertices.append(PlannedNode(job))
        return Node(self.graph.vertices[position].name, self)

    def _add_group(
        self,
        planned: PlannedGroup,
        name: str | None,
        default: str,
        awaited: Mapping[int | str, str],
    ) -> Group:
        name = None if name is None else check_text(name, "name")
        self.has_given_name = name is not None
        position = self.graph.add(name, default, awaited)
        self.vertices.append(planned)
        return Group(self.graph.vertices[position].name, self)

    def _awaited(
        self, after: After, on: Condition, outputs: Iterable[Output]
    ) -> dict[int | str, str]:
        found: dict[int | str, str] = {}
        for which, condition in conditions(after, on).items():
            found[self._position(which)] = condition
        for output in outputs:
            if output.name not in found:
                found.setdefault(self._position(output), check_on(on))
        return found

    def _position(self, which: Node | Group | Output | str) -> int | str:
        if isinstance(which, str):
            return which
        self._refuse_foreign(which.owner, which)
        return which.name if self.extends else self.graph.positions[which.name]

    def _refuse_foreign(self, owner: object, what: object) -> None:
        is_of_run = owner == self.extends or (
            isinstance(owner, Workflow) and self.extends in owner.started
        )
        if owner is not self and not (self.extends and is_of_run):
            raise WorkflowError(
                f"{what!r} belongs to another workflow than {self.name!r}; a node waits for nodes"
                " of its own workflow only"
            )


def chain(*jobs: Job) -> Workflow:
    """Return a workflow of jobs from ``build``, each of which waits for the one before it.

    Its result is that of the last one. Raises TypeError for what is no Job, ValueError for a job
    that is stored already.
    """
    flow = Workflow("chain")
    link: Node | None = None
    for job in jobs:
        link = flow.add_built(job, link)
    flow.output = link
    return flow


def group(*jobs: Job | Iterable[Job], then: Job | None = None) -> Workflow:
    """Return a workflow of jobs from ``build`` that run side by side, and one to run *then*.

    One iterable of jobs may be given in place of them; it is read when the workflow is started.
    Its result is that of *then*, else the list of theirs in the order of their ids. Raises
    TypeError for what is no Job, ValueError for a job that is stored already.
    """
    flow = Workflow("group")
    given: Iterable[Any] = jobs
    if len(jobs) == 1 and not isinstance(jobs[0], Job):
        given = jobs[0]
        if isinstance(given, Mapping | str | bytes) or not isinstance(given, Iterable):
            raise no_job(given, "a job")
    if isinstance(given, list | tuple | set | frozenset):
        given = list(built_jobs(given))  # their arguments are kept as they are now
    members = flow.add_built_group(given)
    flow.output = members
    if then is not None:
        flow.output = flow.add_built(then, members)
    return flow


def output_name(flow: Workflow, output: object) -> str | None:
    """Return the name of the node or group whose result is that of a workflow; None: of none."""
    if output is None:
        return None if flow.output is None else flow.output.name
    if isinstance(output, str):
        return flow.handle(output).name
    if not isinstance(output, Node | Group):
        raise TypeError(f"output must be a node or a group, got {short_repr(output)}")
    if output.owner is not flow:
        raise WorkflowError(f"output={output!r} belongs to another workflow than {flow.name!r}")
    return output.name
