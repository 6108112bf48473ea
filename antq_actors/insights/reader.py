"""``Insights``: what is shown of an application, one line for each question.

A method passes its arguments to the file that answers; what is read, and how long that may take, is
decided there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.app.antq import AntQ
from antq_actors.checks import short_repr
from antq_actors.insights import bulk, search
from antq_actors.insights.access import Visitor
from antq_actors.insights.audit import PAGE_ENTRIES, read_audit
from antq_actors.insights.changes import read_state, read_version
from antq_actors.insights.chaos_runs import read_run
from antq_actors.insights.charts import read_charts
from antq_actors.insights.composed import (
    read_batch,
    read_batches,
    read_workflow,
    read_workflows,
)
from antq_actors.insights.crons import read_cron
from antq_actors.insights.errors import (
    ONE_SECONDS,
    count_failed,
    find_error,
    find_errors,
    mark_known,
)
from antq_actors.insights.jobs import read_film, read_job
from antq_actors.insights.limits import read_limit
from antq_actors.insights.names import read_names
from antq_actors.insights.nodes import read_nodes
from antq_actors.insights.overview import read_counts, read_overview
from antq_actors.insights.queues import read_queue, read_queues
from antq_actors.insights.recordings import read_recording
from antq_actors.insights.source import Source
from antq_actors.insights.store import read_store
from antq_actors.insights.trees import read_tree, search_below
from antq_actors.insights.verbs import Verbs
from antq_actors.insights.why import read_checks, read_queue_why, read_why

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from antq_actors.app.cron_handle import CronInfo
    from antq_actors.flow.limits import LimitInfo
    from antq_actors.insights.audit import AuditPage
    from antq_actors.insights.changes import State, Version
    from antq_actors.insights.chaos_plan import ChaosReport
    from antq_actors.insights.charts import Charts
    from antq_actors.insights.composed import (
        BatchDetail,
        BatchView,
        WorkflowDetail,
        WorkflowView,
    )
    from antq_actors.insights.crons import CronView
    from antq_actors.insights.filters import Filter
    from antq_actors.insights.limits import LimitView
    from antq_actors.insights.names import FilterNames
    from antq_actors.insights.nodes import NodeView
    from antq_actors.insights.overview import Counts, Overview
    from antq_actors.insights.queues import QueueDetail, QueueSummary
    from antq_actors.insights.redaction import Redact
    from antq_actors.insights.store import StoreView
    from antq_actors.insights.trees import TreeView
    from antq_actors.insights.values import (
        BulkPreview,
        BulkView,
        ErrorGroup,
        ErrorPage,
        FilmStop,
        JobItem,
        JobPage,
        JobView,
    )
    from antq_actors.insights.why import Check, WhyView
    from antq_actors.jobs.audit import AuditEntry
    from antq_actors.otp.inspect.sequence import Recording
    from antq_actors.otp.inspect.snapshot import ActorView
    from antq_actors.otp.messaging.names import Destination


class Insights:
    """What is shown of an application that runs in this process, read when it is asked for.

    *redact* is called with the path and the value of each leaf of arguments and ``meta``, such as
    ``("args.user.token", "s3cret")``, and returns what is shown instead. Nothing is kept between
    two calls. Raises TypeError for what is no application or cannot be called.
    """

    def __init__(self, app: AntQ, *, redact: Redact | None = None) -> None:
        if not isinstance(app, AntQ):
            raise TypeError(f"Insights(app): app must be an AntQ, got {short_repr(app)}")
        if redact is not None and not callable(redact):
            raise TypeError(
                "redact must be a function of a path and a value, redact(path, value), or None,"
                f" got {short_repr(redact)}"
            )
        self._source = Source(app, redact)

    def verbs(self, visitor: Visitor) -> Verbs:
        """Return what can be done for a visitor; each verb checks their level first.

        Raises TypeError for what is no visitor.
        """
        if not isinstance(visitor, Visitor):
            raise TypeError(f"visitor must be a Visitor, got {short_repr(visitor)}")
        return Verbs(self._source, visitor)

    def tree(
        self,
        node: int | None = None,
        *,
        trees: Sequence[Destination] = (),
        shown: str | None = None,
    ) -> TreeView:
        """Return the supervision trees of a node, as they are now.

        *trees*: refs or registered names of further supervisors in this process, beside the
        application's own. *node* None: of this process if there are any, else of the first node.
        The actor with the id *shown* is there also if it is one of many that are folded. Raises
        TypeError for what is no number, LookupError for a node that there is not.
        """
        return read_tree(self._source, node, trees, shown)

    def children(
        self,
        supervisor: str,
        text: str = "",
        node: int | None = None,
        *,
        trees: Sequence[Destination] = (),
    ) -> tuple[ActorView, ...]:
        """Return children of a supervisor whose names have *text*: of those that are folded, too.

        Raises LookupError for a supervisor or a node that is not there, and NodeUnreachable.
        """
        return search_below(self._source, supervisor, text, node, trees)

    def recording(
        self, actor: str, node: int | None = None, *, trees: Sequence[Destination] = ()
    ) -> Recording:
        """Return what was recorded of an actor last, so far. Raises LookupError if nothing was."""
        return read_recording(self._source, actor, node, trees)

    def chaos_run(
        self, node: int | None = None, *, trees: Sequence[Destination] = ()
    ) -> ChaosReport | None:
        """Return the report of a node's last chaos run, so far; None: this process began none."""
        return read_run(self._source, node, trees)

    def charts(
        self,
        window: str = "1h",
        *,
        queue: str | None = None,
        worker: str | None = None,
        node: int | None = None,
        compare: str | None = None,
    ) -> Charts:
        """Return what happened to jobs in a window: 15m, 1h, 6h, 24h, 7d or 14d.

        *worker* is a stored name, or what follows its colon. With ``compare="week"`` there are also
        series of the same window a week before, whose names end in ``_week_before``. Raises
        TypeError and ValueError.
        """
        return read_charts(
            self._source, window, queue=queue, worker=worker, node=node, compare=compare
        )

    def version(self) -> Version:
        """Return which state it is now: equal to an earlier one if nothing has changed."""
        return read_version(self._source)

    def state(self) -> State:
        """Return what says which parts have changed since another state."""
        return read_state(self._source)

    def overview(self) -> Overview:
        """Return the numbers of all queues together, and what needs attention."""
        return read_overview(self._source)

    def counts(self) -> Counts:
        """Return the two numbers that every page shows: what waits, and what failed."""
        return read_counts(self._source)

    def queues(self) -> list[QueueSummary]:
        """Return all queues of the store, by name."""
        return read_queues(self._source)

    def queue(self, name: str) -> QueueDetail:
        """Return one queue with its slots and what comes next. Raises UnknownQueue."""
        return read_queue(self._source, name)

    def nodes(self) -> list[NodeView]:
        """Return the processes that run queues of the store, by number."""
        return read_nodes(self._source)

    def store(self) -> StoreView:
        """Return the store: its file, its readers, and when it was last looked after."""
        return read_store(self._source)

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """Return what was done by hand, by whom and why, the newest first.

        Raises TypeError and ValueError unless *limit* is a whole number of at least 1.
        """
        return self._source.app.audit(limit)

    def audit_page(
        self, *, after: int | None = None, before: int | None = None, limit: int = PAGE_ENTRIES
    ) -> AuditPage:
        """Return a page of the audit.

        *after* is the ``next`` of a page and *before* the ``previous`` of one. Raises TypeError and
        ValueError.
        """
        return read_audit(self._source, after, before, limit)

    def crons(self) -> list[CronInfo]:
        """Return the periodic entries of the store, by name."""
        return self._source.app.crons()

    def cron(self, name: str) -> CronView:
        """Return one periodic entry: when it fires next, and its last jobs. Raises UnknownCron."""
        return read_cron(self._source, name)

    def limits(self) -> list[LimitInfo]:
        """Return the limits of the store, by name."""
        return self._source.app.limits()

    def limit(self, name: str) -> LimitView:
        """Return one limit: its keys, who holds it, and when it opens. Raises UnknownLimit."""
        return read_limit(self._source, name)

    def batches(self) -> list[BatchView]:
        """Return all batches, the newest first."""
        return read_batches(self._source)

    def batch(self, id: int) -> BatchDetail:  # noqa: A002 - as the field is named
        """Return one batch with its callbacks, and what failed. Raises BatchNotFound."""
        return read_batch(self._source, id)

    def workflows(self) -> list[WorkflowView]:
        """Return all workflows, the newest first."""
        return read_workflows(self._source)

    def workflow(self, id: int) -> WorkflowDetail:  # noqa: A002 - as the field is named
        """Return one workflow as a graph of its jobs. Raises WorkflowNotFound."""
        return read_workflow(self._source, id)

    def __repr__(self) -> str:
        return f"<Insights of {self._source.app!r}>"

    def jobs(
        self,
        filter: str | Filter = "",  # noqa: A002 - what it is
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = search.PAGE_JOBS,
        budget: float = search.BUDGET_SECONDS,
        order: str = search.NEWEST,
    ) -> JobPage:
        """Return a page of the jobs that a filter finds, by id, and how many it finds.

        *after* is the ``next`` of a page and *before* the ``previous`` of one; *order* is
        ``"newest"`` or ``"oldest"`` first. A filter of statuses and queues alone is counted by the
        store. For any other, jobs are looked at for *budget* seconds; then ``count`` is how many
        were found, and ``next`` goes on where the search stopped.

        Raises FilterError, TypeError, ValueError, NotStarted and StorageError.
        """
        page = search.PageOf(after, before, limit, order)
        return search.find_jobs(self._source, filter, page, budget)

    def names(self) -> FilterNames:
        """Return the names that a filter can ask for: of queues, workers, nodes and the like."""
        return read_names(self._source)

    def some_jobs(self, ids: Sequence[int]) -> list[JobItem]:
        """Return the jobs with these ids as they stand now, in this order, without those gone."""
        return search.read_some(self._source, ids)

    def job(self, id: int) -> JobView:  # noqa: A002 - as the field is named
        """Return a job with its executions, its history and what it has to do with others.

        Raises JobNotFound, TypeError, NotStarted and StorageError.
        """
        return read_job(self._source, id)

    def film(self, id: int) -> tuple[FilmStop, ...]:  # noqa: A002 - the same
        """Return a job as it was at each change of its status; the last is how it stands.

        Raises JobNotFound, TypeError, NotStarted and StorageError.
        """
        return read_film(self._source, id)

    def why(self, id: int) -> WhyView:  # noqa: A002 - the same
        """Return why a job does not run, as ``app.explain`` has it.

        Raises JobNotFound, TypeError.
        """
        return read_why(self._source, id)

    def checks(self, id: int) -> tuple[Check, ...]:  # noqa: A002 - the same
        """Return what has to hold for a job to start, and what does. Raises as :meth:`why`."""
        return read_checks(self._source, id)

    def queue_why(self, name: str) -> WhyView:
        """Return why the jobs of a queue do not run, as ``app.explain_queue`` has it.

        Raises UnknownQueue, TypeError.
        """
        return read_queue_why(self._source, name)

    def bulk_preview(
        self,
        verb: str,
        filter: str | Filter | None = None,  # noqa: A002 - what it is
        *,
        ids: Iterable[int] | None = None,
        spread: float = 0.0,
        budget: float = bulk.BUDGET_SECONDS,
    ) -> BulkPreview:
        """Return what would become of the jobs that a filter finds, or of those with these *ids*.

        *verb* is ``"retry"``, ``"cancel"``, ``"delete"`` or ``"run-now"``. Jobs are looked for for
        *budget* seconds; if that is not enough, ``exact`` is False. Nothing is changed.

        Raises FilterError, TypeError, ValueError, NotStarted and StorageError.
        """
        return bulk.preview_bulk(self._source, verb, filter, ids, spread=spread, budget=budget)

    def bulk(self, id: int) -> BulkView:  # noqa: A002 - as the field is named
        """Return how far a bulk change is. Raises BulkNotFound, TypeError."""
        return bulk.read_bulk(self._source, id)

    def errors(
        self,
        filter: str | Filter = "",  # noqa: A002 - what it is
        *,
        after: int | None = None,
        budget: float = search.BUDGET_SECONDS,
    ) -> ErrorPage:
        """Return the failures of the jobs that a filter finds, grouped by what they have in common.

        Alike are those of the same class of exception that was raised in the same place. The newest
        jobs are looked at first, for *budget* seconds; ``next`` is the *after* that goes on.

        Raises FilterError, TypeError, ValueError, NotStarted and StorageError.
        """
        return find_errors(self._source, filter, after, budget)

    def error(self, fingerprint: str, *, budget: float = ONE_SECONDS) -> ErrorGroup:
        """Return the failures of a fingerprint. Raises LookupError if none is found in time."""
        return find_error(self._source, fingerprint, budget)

    def count_failed(self, fingerprint: str, *, budget: float = ONE_SECONDS) -> int | None:
        """Return how many failed jobs a fingerprint has; None: more than are counted in time."""
        return count_failed(self._source, fingerprint, budget)

    def mark_known(self, fingerprint: str, version: str | None) -> None:
        """Note until which version failures are known; None: they are not.

        Raises TypeError and ValueError for what is no fingerprint, or no version.
        """
        mark_known(self._source, fingerprint, version)
