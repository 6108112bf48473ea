"""The workflows of an application: described ones are stored, stored ones looked at and changed."""

from __future__ import annotations

import itertools
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from antq_actors.app.queries import checked_statuses, for_display
from antq_actors.app.within import plan_within
from antq_actors.app.workflow import Workflow, output_name
from antq_actors.app.workflow_nodes import worker_of
from antq_actors.app.workflow_plan import Alike, Planner, Stored, localized, take
from antq_actors.app.workflow_run import WorkflowRun, WorkflowStatus, counted, no_output
from antq_actors.checks import short_repr, whole
from antq_actors.errors import (
    AlreadyExists,
    WorkflowNotFound,
)
from antq_actors.jobs.outcome import Expansion
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Chosen
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import WORKFLOW
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.plan_items import distinct_nodes
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.workflow_verbs import name_taken
from antq_actors.workflows.counters import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from antq_actors.app.enqueue import Enqueuer
    from antq_actors.app.workflow_nodes import Ingredients, PlannedGroup
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.middleware import JobDraft
    from antq_actors.jobs.new_job import JobTemplate
    from antq_actors.jobs.state import NewJob, Statuses, StoredJob
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.jobs.plan_items import PlanItem
    from antq_actors.storage.jobs.workflow_reader import WorkflowRecord

T = TypeVar("T")

MOST_AT_ONCE: Final = 5_000
"""Nodes that are stored in one transaction; a workflow of more is stored in pieces."""

PIECE: Final = 1_000
"""Nodes of a piece, which has some more where these are stored together."""

PAGE: Final = 500
"""Jobs that are read, or retried, at a time."""

_FAILED: Final = Chosen(frozenset({Status.FAILED}))


class Workflows:
    """Stores workflows, looks at them and changes them, for one application."""

    def __init__(
        self,
        store: StorageClient,
        enqueuer: Enqueuer,
        clock: Callable[[], Instant],
        open_node: Callable[[], int],
    ) -> None:
        self._store = store
        self._enqueuer = enqueuer
        self._clock = clock
        self._open_node = open_node
        """Returns the number of the node whose lock this process holds."""

    # ---- stored ---------------------------------------------------------------------------

    def do(self, verb: str, *args: Any) -> Any:
        """Do a verb of workflows; return what it returns."""
        return getattr(self, verb)(*args)

    def start(self, flow: Workflow, output: str | None) -> WorkflowRun:
        """Store a workflow. Raises WorkflowError, AlreadyExists, what `enqueue` raises."""
        drafts: list[JobDraft] = []
        planner = self._planner(flow, output, {}, drafts)
        new = self.new_group(flow)
        if flow.key is not None:  # before an iterator is read, which can be read once
            try:
                self._store.read(JobReader.refuse_key, flow.name, flow.key)
            except AlreadyExists as error:
                raise self._with_run(error) from None
        items = planner.items()
        plan, has_more = take(items, MOST_AT_ONCE)
        try:
            if not has_more:
                id_, _ = self._begin(drafts, new, plan, output=planner.output, is_whole=True)
            else:
                id_ = self._start_in_pieces(new, planner, itertools.chain(plan, items), drafts)
        except AlreadyExists as error:
            raise self._with_run(error) from None
        return WorkflowRun(id_, flow.name, flow.key)

    def _begin(
        self, drafts: list[JobDraft], new: NewGroup, plan: list[PlanItem], **how: Any
    ) -> tuple[int, list[int]]:
        """Store a workflow, or its first piece; return its id and the numbers of its items."""

        def write(plan: list[PlanItem]) -> tuple[int, list[int]]:
            return self._store.write(JobStore.start_workflow, new, plan, now=self._clock(), **how)

        return self._within(drafts, plan, write, itemgetter(1))

    def _go_on(self, drafts: list[JobDraft], id_: int, piece: list[PlanItem]) -> list[int]:
        """Store the next piece of a workflow; return the numbers of its items."""

        def write(piece: list[PlanItem]) -> list[int]:
            return self._store.write(JobStore.extend_workflow, id_, piece, now=self._clock())

        return self._within(drafts, piece, write, list)

    def _within(
        self,
        drafts: list[JobDraft],
        items: list[PlanItem],
        write: Callable[[list[PlanItem]], T],
        numbers_of: Callable[[T], list[int]],
    ) -> T:
        """Write items of a plan, within the middleware if there is any."""
        middleware = self._enqueuer.middleware
        if middleware is None:
            return write(items)
        return plan_within(middleware, drafts, items, write, numbers_of)

    def _start_in_pieces(
        self,
        new: NewGroup,
        planner: Planner,
        items: Iterator[PlanItem],
        drafts: list[JobDraft],
    ) -> int:
        """Store a large workflow piece by piece; what is refused on the way cancels it."""
        node = self._open_node()
        piece, has_more = take(items, PIECE)
        id_, numbers = self._begin(drafts, new, piece, node=node, is_whole=False)
        try:
            while has_more:
                piece, has_more = take(items, PIECE)
                local = [localized(item, numbers) for item in piece]
                numbers += self._go_on(drafts, id_, local)
            output = numbers[~planner.output] if planner.output else 0
            self._store.write(
                JobStore.extend_workflow, id_, [], output=output, is_whole=True, now=self._clock()
            )
        except BaseException:
            self.cancel(id_)
            raise
        return id_

    def extend(self, id_: int, flow: Workflow) -> str:
        """Store one node or group more of a workflow; return its name."""
        stored = StoredNodes(self._store, id_)
        vertex = flow.graph.vertices[0]
        is_given = flow.has_given_name
        if is_given and stored.get(vertex.name) is not None:
            raise name_taken(id_, vertex.name)
        drafts: list[JobDraft] = []
        items = self._planner(flow, None, stored, drafts).items()
        piece, has_more = take(items, PIECE)
        node = self._open_node() if has_more else 0
        verb = JobStore.add_to_workflow

        def write(piece: list[PlanItem]) -> tuple[str, list[int]]:
            return self._store.write(
                verb, id_, vertex.name, piece, is_given=is_given, node=node, now=self._clock()
            )

        try:
            name, numbers = self._within(drafts, piece, write, itemgetter(1))
            if has_more:
                flow.graph.vertices[0] = vertex._replace(name=name)  # the rest is named after it
                self._add_rest(id_, numbers, items, drafts)
        except AlreadyExists as error:
            raise self._with_run(error) from None
        return name

    def _add_rest(
        self, id_: int, numbers: list[int], items: Iterator[PlanItem], drafts: list[JobDraft]
    ) -> None:
        """Store the rest of a group that is added; what is refused on the way cancels the group."""
        part, has_more = numbers[0], True
        try:
            while has_more:
                piece, has_more = take(items, PIECE)
                local = [localized(item, numbers) for item in piece]
                numbers += self._go_on(drafts, id_, local)
        except BaseException:
            self._store.cancel_group(part, now=self._clock(), kind=None)
            raise

    def plan(self, flow: Workflow) -> Expansion:
        """Return a workflow as a job expands into it: checked, to be stored with its completion."""
        if not isinstance(flow, Workflow):
            raise TypeError(
                f"expand takes a Workflow, a chain() or a group(), got {short_repr(flow)}"
            )
        planner = self._planner(flow, output_name(flow, None), {})
        items = tuple(planner.items())
        for _ in distinct_nodes(items):
            pass
        return Expansion(self.new_group(flow), items)

    def new_group(self, flow: Workflow) -> NewGroup:
        """Return the group of a workflow as it is stored."""
        callbacks: tuple[tuple[Event, NewJob], ...] = ()
        if flow.on_failure is not None:
            callbacks = ((Event.FAILURE, self._prepare(flow.on_failure)[0]),)
        is_cancelled = flow.abandoned == "cancel"
        return NewGroup(WORKFLOW, flow.name, self._clock(), callbacks, is_cancelled, flow.key)

    def _planner(
        self,
        flow: Workflow,
        output: str | None,
        stored: Stored,
        drafts: list[JobDraft] | None = None,
    ) -> Planner:
        """Return what plans a workflow; *drafts* gets those of its nodes, if they are stored now.

        Without middleware there are no drafts, and jobs of a group may be planned together.
        """
        if self._enqueuer.middleware is not None:
            prepare = partial(self._prepare, drafts=drafts)
            return Planner(flow, output, prepare, stored)
        alike = Alike(self._template, self._enqueuer.prepare_as)
        return Planner(flow, output, self._prepare, stored, alike=alike)

    def _template(self, group: PlannedGroup) -> JobTemplate:
        return self._enqueuer.template(worker_of(group), group.options)

    def _prepare(
        self, job: Ingredients, drafts: list[JobDraft] | None = None
    ) -> tuple[NewJob, Mapping[str, Any]]:
        worker = worker_of(job)
        new, draft = self._enqueuer.prepare_encoded(worker, job.args, job.encoded, job.options)
        if draft is not None and drafts is not None:
            drafts.append(draft)
        return new, job.options

    def _with_run(self, error: AlreadyExists) -> AlreadyExists:
        if not isinstance(error.workflow, int):
            return error
        return AlreadyExists(str(error), None, self.get(error.workflow))

    # ---- changed --------------------------------------------------------------------------

    def cancel(self, id_: int) -> None:
        """Cancel a workflow, some of its jobs at a time."""
        id_ = self._record(id_).id
        self._store.cancel_group(id_, now=self._clock(), kind=WORKFLOW)

    def retry_failed(self, id_: int) -> None:
        """Enqueue the failed jobs of a workflow again; what they cut off waits again."""
        self._record(id_)
        ids = [node for node, status in self._statuses(id_) if status is Status.FAILED]
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            self._store.write(JobStore.retry_many, page, _FAILED, now=self._clock())

    # ---- looked at ------------------------------------------------------------------------

    def get(self, id_: int) -> WorkflowRun:
        """Return a stored workflow. Raises WorkflowNotFound, TypeError."""
        record = self._record(id_)
        return WorkflowRun(record.id, record.name, record.key)

    def entries(self, is_open: bool | None) -> list[WorkflowRun]:  # noqa: FBT001 - as users give it
        """Return the stored workflows by id; *is_open* None: all of them."""
        found: list[WorkflowRun] = []
        after = 0
        while page := self._store.read(
            JobReader.workflow_records, after, PAGE, are_open=is_open is True
        ):
            found += [
                WorkflowRun(each.id, each.name, each.key)
                for each in page
                if is_open in (None, each.is_open)
            ]
            after = page[-1].id
        return found

    def status(self, id_: int) -> WorkflowStatus:
        """Count the nodes of a workflow by their statuses."""
        record = self._record(id_)
        counts = dict.fromkeys(Status, 0)
        for _, status in self._statuses(id_):
            counts[status] += 1
        return counted(counts, record.is_open)

    def _statuses(self, id_: int) -> list[tuple[int, Status]]:
        """Read the ids of all jobs of a workflow, in order, and the status of each.

        They are of one moment if there are not very many: nobody writes while they are read.
        """
        found: list[tuple[int, Status]] = []
        left = [(id_, 0)]
        while left:
            some, left = self._store.read(JobReader.node_statuses, left, MOST_AT_ONCE)
            found += some
        return sorted(found)

    def incomplete(self, id_: int) -> int:
        """Return the node that stores the rest of a workflow, or died doing so; 0: none."""
        node: int = self._record(id_).node
        return node

    def jobs(self, id_: int, status: Statuses | None = None) -> list[Job]:
        """Return the jobs of a workflow by id."""
        wanted = checked_statuses(status)
        self._record(id_)
        ids = [node for node, found in self._statuses(id_) if wanted is None or found in wanted]
        jobs: list[Job] = []
        for start in range(0, len(ids), PAGE):
            page = self._store.read(JobReader.jobs_page, ids[start : start + PAGE])
            jobs += [
                for_display(job) for job in page if wanted is None or job.state.status in wanted
            ]
        return jobs

    def stored(self, id_: int, most: int) -> list[StoredJob]:
        """Return the first jobs of a workflow as they are stored, by id, at most so many."""
        ids = [node for node, _ in self._statuses(id_)][:most]
        pages = (ids[start : start + PAGE] for start in range(0, len(ids), PAGE))
        return [job for page in pages for job in self._store.read(JobReader.jobs_page, page)]

    def output(self, id_: int) -> tuple[int, bool]:
        """Return the number of the job or the part whose result is that of a workflow."""
        record = self._record(id_)
        if not record.row.output:
            raise no_output(record.id, record.name)
        return record.row.output, record.row.is_group

    def members(self, group: int, after: int) -> list[int]:
        """Return the ids of the next jobs of a group."""
        return self._store.read(JobReader.members_page, group, after, PAGE)

    def deleted(self, group: int) -> int:
        """Count the jobs of a group that were deleted."""
        return self._store.read(JobReader.deleted_members, group)

    def member_names(self, group: int) -> list[tuple[str, int]]:
        """Return the names and ids of the jobs of a group."""
        return self._store.read(JobReader.member_names, group)

    def of_group(self, group: int) -> WorkflowRun | None:
        """Return the workflow to which a group of jobs belongs; None: to none."""
        record = self._store.read(JobReader.workflow_of, group)
        return None if record is None else WorkflowRun(record.id, record.name, record.key)

    def _record(self, id_: int) -> WorkflowRecord:
        number = whole(id_)
        if number is None:
            raise TypeError(f"give the id of a workflow, a whole number, got {short_repr(id_)}")
        found = None
        if 0 < number < _LARGEST_ID:
            found = self._store.read(JobReader.workflow_record, number)
        if found is None:
            bits = number.bit_length()  # of a number that has more digits than Python shows
            shown = str(number) if bits <= _MOST_BITS else f"of {bits} bits"
            raise WorkflowNotFound(f"no workflow has the id {shown}")
        return found


class StoredNodes:
    """The nodes of a stored workflow, each found by its name when it is asked for."""

    def __init__(self, store: StorageClient, id_: int) -> None:
        self._store = store
        self._id = id_
        self._found: dict[str, tuple[int, bool] | None] = {}
        if store.read(JobReader.has_names_to_note, id_):
            self._note_names()

    def get(self, name: str, /) -> tuple[int, bool] | None:
        """Return the number of a node or part, and whether it is a part; None: there is none."""
        if name not in self._found:
            found, is_behind = self._store.read(JobReader.find_node, self._id, name)
            if is_behind:
                self._note_names()
                found, _ = self._store.read(JobReader.find_node, self._id, name)
            self._found[name] = found
        return self._found[name]

    def _note_names(self) -> None:
        while self._store.write(JobStore.note_names, self._id):
            pass


_LARGEST_ID: Final = 1 << 63
_MOST_BITS: Final = 128
"""Of a number that an error shows."""
