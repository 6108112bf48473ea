"""The nodes of a workflow that is being described: what they are made of, and their checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from antq_actors.checks import exact_str, is_utf8, short_repr
from antq_actors.errors import WorkflowError
from antq_actors.jobs import instant, resolver
from antq_actors.jobs.job import Job
from antq_actors.jobs.new_job import JobTemplate, recipe_of
from antq_actors.jobs.resolver import check_worker
from antq_actors.jobs.worker import refuse_unrunnable
from antq_actors.storage.format.values import encode_and_snapshot
from antq_actors.workflows.edges import CONDITIONS
from antq_actors.workflows.outputs import MARK, Output, holder_in

if TYPE_CHECKING:
    from antq_actors.jobs.resolver import AnyWorker

Condition: TypeAlias = Literal["success", "end", "failure"]
"""How a node must have ended for the one behind it to run."""


class Node:
    """A job of a workflow that is being described; give it as ``after=`` of others."""

    __slots__ = ("name", "owner")

    def __init__(self, name: str, owner: object) -> None:
        self.name = name
        """Its name in the workflow."""
        self.owner = owner
        """The workflow that it belongs to."""

    @property
    def output(self) -> Any:
        """What its ``perform`` will return: an argument for a later node, which then waits for it.

        It is replaced by the result when that node begins, also within a list, tuple, dict or set.
        """
        return Output(self.name, owner=self.owner)

    def __repr__(self) -> str:
        return f"<Node {self.name!r}>"


class Group:
    """Jobs of a workflow that are waited for as one: it has ended when all of them have."""

    __slots__ = ("name", "owner")

    def __init__(self, name: str, owner: object) -> None:
        self.name = name
        """Its name in the workflow."""
        self.owner = owner
        """The workflow that it belongs to."""

    @property
    def outputs(self) -> Any:
        """What its jobs will return: an argument for a later node, which then waits for all.

        It is replaced, when that node begins, by an iterable of the results in the order of the
        jobs' ids, which reads them a page at a time; that of a job that did not complete is None.
        """
        return Output(self.name, is_group=True, owner=self.owner)

    def __repr__(self) -> str:
        return f"<Group {self.name!r}>"


After: TypeAlias = (
    "Node | Group | str | Iterable[Node | Group | str] | Mapping[Any, Condition] | None"
)
"""What a node waits for: one, several, or several with a condition each."""


class Ingredients(NamedTuple):
    """What a job is made from: checked, and encoded as it was when it was given."""

    worker: Any
    args: dict[str, Any]
    encoded: bytes
    options: Mapping[str, Any]


class PlannedNode(NamedTuple):
    """A vertex of the graph that is one job."""

    job: Ingredients


class PlannedGroup(NamedTuple):
    """A vertex of the graph that is any number of jobs."""

    items: Iterable[Any]
    """What each job is made from, or its arguments; built jobs where there is no *worker*."""
    worker: Any
    options: Mapping[str, Any]


class ReadOnce:
    """The items of an iterator, as those of a group: read by one start of the workflow alone."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._is_read = False

    def __iter__(self) -> Iterator[Any]:
        if self._is_read:
            raise WorkflowError(
                "a group of this workflow was made from an iterator, such as a generator, which was"
                " read when the workflow was started before, and is empty now: make it from a list,"
                " or describe the workflow anew"
            )
        self._is_read = True
        return self._items


def read_once(items: Iterable[Any]) -> Iterable[Any]:
    """Return the items of a group; an iterator raises WorkflowError when it is read again."""
    return ReadOnce(items) if isinstance(items, Iterator) else items


# ---- checks ---------------------------------------------------------------------------------


def check_template(worker: AnyWorker, options: Mapping[str, Any]) -> JobTemplate:
    """Check a worker and the options of its jobs as ``enqueue`` does, but for the queue."""
    check_worker(worker)
    template = JobTemplate(worker, options, default_queue="default")
    if isinstance(worker, type):
        refuse_unrunnable(worker)
    template.state(instant.now())
    return template


def ingredients(
    worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> Ingredients:
    """Return what a job is made from, its arguments as they are now.

    Raises what ``enqueue`` does.
    """
    return of_template(check_template(worker, options), worker, args, options)


def of_template(
    template: JobTemplate,
    worker: AnyWorker,
    args: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> Ingredients:
    """Return what a job is made from, where its worker and options were checked."""
    snapshot, encoded = arguments(template, args)
    template.new_job(template.state(instant.now()), snapshot, encoded)
    return Ingredients(worker, snapshot, encoded, options)


def arguments(
    template: JobTemplate, args: Ingredients | Mapping[str, Any] | None
) -> tuple[dict[str, Any], bytes]:
    """Return the arguments of a job as they are now, and their bytes.

    Raises what ``enqueue`` does.
    """
    if isinstance(args, Ingredients):
        return args.args, args.encoded
    encoded, snapshot = encode_and_snapshot(template.check(args))
    if MARK in encoded:
        _refuse_hidden(snapshot)
    return snapshot, encoded


def _refuse_hidden(args: Mapping[str, Any]) -> None:
    """Raise TypeError for an output where it would not be replaced by the result."""
    for key, value in args.items():
        holder = holder_in(value)
        if holder is not None:
            raise TypeError(
                f"the argument {key!r} has the output of a node within a {type(holder).__name__}"
                f" ({short_repr(holder)}), where it is not replaced by the result: give it as an"
                " argument of its own, or in a list, tuple, dict or set, at most 32 levels deep"
            )


def built(job: Any, what: str) -> Ingredients:
    """Return what a job from ``build`` is made from. Raises TypeError, ValueError."""
    if isinstance(job, Ingredients):
        return job
    worker, options = _made_by(job, what)
    return ingredients(worker, job.args, options)


def _made_by(job: Any, what: str) -> tuple[Any, Mapping[str, Any]]:
    """Return the worker and the options of a job from ``build``. Raises TypeError, ValueError."""
    if not isinstance(job, Job):
        raise no_job(job, what)
    if job.id:
        raise ValueError(
            f"{what} must be a job from build(), which is not stored; this is job {job.id}"
        )
    try:
        worker, _, options = recipe_of(job, what)
    except TypeError:  # it is a copy
        worker = resolver.resolve(job.worker, job_id=0)
        options = {"queue": job.queue_name, **job.opts, "priority": job.priority}
    return worker, options


def no_job(found: object, what: str) -> TypeError:
    """Return the error of what is no job from ``build``."""
    return TypeError(
        f"{what} must be a job from build(), such as Fetch.build({{'url': …}}), got"
        f" {short_repr(found)}"
    )


def default_name(worker: AnyWorker) -> str:
    """Return the name of a node that is given none: its worker's, without its module."""
    name: str = worker.antq_name
    return name.rpartition(":")[2].rpartition(".")[2] or name


def conditions(after: After, on: Condition) -> dict[Any, str]:
    """Return what a node waits for, and the condition of each. Raises TypeError, ValueError."""
    check_on(on)
    if after is None:
        return {}
    if isinstance(after, Node | Group | str):
        return {_awaitable(after): on}
    if isinstance(after, Mapping):
        return {_awaitable(which): check_on(condition) for which, condition in after.items()}
    if isinstance(after, Iterable) and not isinstance(after, bytes):
        return {_awaitable(which): on for which in after}
    raise _no_awaitable(after)


def _awaitable(which: object) -> Any:
    if isinstance(which, str):
        return check_text(which, "after")
    if isinstance(which, Node | Group):
        return which
    raise _no_awaitable(which)


def _no_awaitable(found: object) -> TypeError:
    return TypeError(
        "after must be a node, a group or the name of a node, several of them, or a mapping from"
        f" them to conditions, got {short_repr(found)}"
    )


def check_on(on: object) -> str:
    """Return the condition of an edge. Raises TypeError, ValueError."""
    if not isinstance(on, str):
        raise TypeError(f"on must be 'success', 'end' or 'failure', got {short_repr(on)}")
    if on not in CONDITIONS:
        raise ValueError(f"on must be 'success', 'end' or 'failure', got {short_repr(on)}")
    return exact_str(on)


def by_name(job: Ingredients) -> Ingredients:
    """Return a job with the name of its worker, for another process."""
    return job._replace(worker=resolver.name_of(job.worker))


def named(vertex: PlannedNode | PlannedGroup) -> PlannedNode | PlannedGroup:
    """Return a vertex with the names of its workers, and its group read."""
    if isinstance(vertex, PlannedNode):
        return PlannedNode(by_name(vertex.job))
    items = [by_name(job) for job in members_of(vertex)]
    worker = None if vertex.worker is None else resolver.name_of(vertex.worker)
    return PlannedGroup(items, worker, vertex.options)


def worker_of(made: Ingredients | PlannedGroup) -> Any:
    """Return the worker of a job or a group, also of one that came from another process."""
    if isinstance(made.worker, str):
        return resolver.resolve(made.worker, job_id=0)
    return made.worker


def check_text(value: object, what: str) -> str:
    """Return text that is not empty. Raises TypeError, ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, got {short_repr(value)}")
    if not value or not is_utf8(value):
        raise ValueError(f"{what} must be text of at least one character, got {short_repr(value)}")
    return exact_str(value)


def members_of(planned: PlannedGroup) -> Iterator[Ingredients]:
    """Yield the jobs of a group as its iterable yields them. Raises what ``enqueue`` does."""
    if planned.worker is None:
        yield from built_jobs(planned.items)
        return
    for item in planned.items:
        if isinstance(item, Ingredients):
            yield item
        else:
            yield ingredients(planned.worker, item, planned.options)


def built_jobs(jobs: Iterable[Any]) -> Iterator[Ingredients]:
    """Yield what jobs from ``build`` are made from. Raises TypeError, ValueError.

    A worker and its options are not checked again where they are those of the job before.
    """
    template, last = None, None
    for job in jobs:
        if isinstance(job, Ingredients):
            yield job
            continue
        made_by = worker, options = _made_by(job, "a job")
        if template is None or made_by != last:
            template, last = check_template(worker, options), made_by
        yield of_template(template, worker, job.args, options)


def rows_of(jobs: Iterable[Ingredients], most: int) -> Iterator[list[Ingredients]]:
    """Yield jobs that come one after another, of one worker with the same options, together.

    At most so many. An error of the iterable is raised behind those before it.
    """
    row: list[Ingredients] = []
    try:
        for job in jobs:
            if row and (len(row) == most or not _are_alike(row[0], job)):
                yield row
                row = []
            row.append(job)
    except Exception:
        if row:
            yield row
        raise
    if row:
        yield row


def _are_alike(one: Ingredients, other: Ingredients) -> bool:
    return bool(one.worker == other.worker and one.options == other.options)
