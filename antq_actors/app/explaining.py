"""Finds out why a job, or a whole queue, does nothing now.

What is stored is read in one transaction. What a node alone knows, such as that it is stopping, it
has written into its lock file. So every process that has the store gets the same reasons, but for
two: whether it knows the worker is asked of itself, and how far a job has come is known where it
runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from antq_actors.app.queries import id_of
from antq_actors.checks import exact_str, list_known, short_repr
from antq_actors.errors import UnknownQueue
from antq_actors.explain import judge, sentences
from antq_actors.explain.reasons import Explanation, NodeQueues
from antq_actors.jobs import resolver
from antq_actors.jobs.state import ENDED, Status
from antq_actors.jobs.worker import in_thread
from antq_actors.storage.format.records import QueueReport
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.jobs.explained import QueueRecord, RecordedNode

_NO_REPORT = QueueReport()


class Explainer:
    """Finds out why jobs do not run; *progress* asks how far a job of a queue has come on a node.

    It returns None where the job does not run in this process: then it is what is stored.

    *queues*: those that the application was described with.
    """

    def __init__(
        self,
        store: StorageClient,
        clock: Callable[[], Instant],
        queues: Collection[str],
        progress: Callable[[str, int, int], Progress | None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._queues = queues
        self._progress = progress

    def explain(self, job_or_id: Job | int) -> Explanation:
        """Return why a stored job does not run. Raises JobNotFound, TypeError."""
        id_, now = id_of(job_or_id), self._clock()
        job, record = self._store.read(JobReader.job_facts, id_, now)
        queue, progress, is_known = (
            judge.QueueFacts(job.queue_name, record.is_paused, ()),
            None,
            True,
        )
        if job.status is Status.RUNNING:
            progress = self._progress(job.queue_name, job.node, id_)
            if progress is None:  # it runs elsewhere, or its queue is busy
                progress = self._store.read(JobReader.stored_progress, id_)
        elif job.status not in ENDED:
            queue = self._queue_facts(record)
            is_known = resolver.is_findable(job.worker)
        found = judge.judge_job(job, queue, now=now, progress=progress, is_worker_known=is_known)
        return Explanation(found, sentences.of_job(job, found, now))

    def explain_queue(self, name: str) -> Explanation:
        """Return why the jobs of a queue do not run. Raises UnknownQueue, TypeError."""
        if not isinstance(name, str):
            raise TypeError(f"queue must be a name (str), got {short_repr(name)}")
        name = exact_str(name)
        known = {*self._queues, *self._store.known_queues()}
        if name not in known:
            raise UnknownQueue(f"there is no queue {name!r}{list_known(name, known)}")
        now = self._clock()
        record = self._store.read(JobReader.queue_record, name, now)
        due = self._store.read(JobReader.could_begin, name, now)
        queue = self._queue_facts(record)
        found = judge.judge_queue(queue, now)
        text = sentences.of_queue(queue, found, due, record.waits_for)
        return Explanation(found, text)

    def _queue_facts(self, record: QueueRecord) -> judge.QueueFacts:
        """Return what is known of a queue; of its nodes, the living ones."""
        serving = [node for node in record.nodes if record.name in node.queues]
        reports = self._store.node_reports([node.number for node in serving])
        living = [node for node in serving if node.number in reports]
        others: list[NodeQueues] = []
        if not living:
            all_living = self._store.node_reports([node.number for node in record.nodes])
            others = [
                NodeQueues(node.number, tuple(filter(None, node.queues)))
                for node in record.nodes
                if node.number in all_living
            ]
        return judge.QueueFacts(
            record.name,
            record.is_paused,
            _node_facts(record, living, reports),
            tuple(others),
            record.running,
            record.concurrency,
            record.rate,
        )


def _node_facts(
    record: QueueRecord,
    living: Collection[RecordedNode],
    reports: Mapping[int, Mapping[str, QueueReport]],
) -> tuple[judge.NodeFacts, ...]:
    """Return what is known of the living nodes of a queue, from the store and from themselves."""
    own = [reports[node.number].get(record.name, _NO_REPORT) for node in living]
    running = judge.split_running(
        record.running,
        [(node.running, report.concurrency) for node, report in zip(living, own, strict=True)],
    )
    return tuple(
        judge.NodeFacts(
            node.number,
            number,
            report.concurrency,
            report.is_stopping,
            report.has_too_many_abandoned,
            report.refused_since,
            node.isolated,
        )
        for node, report, number in zip(living, own, running, strict=True)
    )


class Explains(Protocol):
    """What explains: here or, in a job process, by asking the parent."""

    def explain(self, job_or_id: Job | int) -> Explanation:
        """Return why a stored job does not run."""

    def explain_queue(self, name: str) -> Explanation:
        """Return why the jobs of a queue do not run."""


class HasExplainer(Protocol):
    """What exists while an application runs, as far as explanations need it."""

    @property
    def explainer(self) -> Explains:
        """What explains why jobs do not run."""


class ExplainVerbs:
    """Why jobs do not run; a part of what `AntQ` does."""

    def _runtime(self) -> HasExplainer:
        raise NotImplementedError

    def explain(self, job_or_id: Job | int) -> Explanation:
        """Return why a job does not run: its reasons, and the same as text.

        The reasons are those of ``antq_actors.explain``, all that hold now, and what must change
        first comes first; a job with none of them is about to start. They come from what decides
        which jobs are claimed. It works in every process on the path, and takes no longer for many
        jobs than for few.

        >>> from antq_actors import AntQ, Worker
        >>> class Resize(Worker):
        ...     def perform(self, job): ...
        >>> with AntQ() as app:
        ...     app.queue("default").pause()
        ...     job = app.enqueue(Resize)
        ...     app.explain(job).reasons
        (Paused(queue='default'),)

        Raises JobNotFound, and TypeError for what is no job or id.
        """
        return self._runtime().explainer.explain(job_or_id)

    def explain_queue(self, name: str) -> Explanation:
        """Return what keeps all jobs of a queue from running, or who runs them: reasons and text.

        What is in the way on single nodes is given when no node that runs the queue could take a
        job. Raises UnknownQueue, and TypeError for what is no name.
        """
        return self._runtime().explainer.explain_queue(name)

    async def aexplain(self, job_or_id: Job | int) -> Explanation:
        """Do what :meth:`explain` does, without stopping the event loop that awaits it."""
        return await in_thread(self.explain, job_or_id)

    async def aexplain_queue(self, name: str) -> Explanation:
        """Do what :meth:`explain_queue` does, without stopping the event loop that awaits it."""
        return await in_thread(self.explain_queue, name)
